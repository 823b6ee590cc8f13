"""`make bench`, or `python -m bench [NAME …] [--full]`: runs the benchmarks and prints their figures."""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import sys
import time
from collections.abc import Sequence
from typing import Any

from bench.figure import Figure

NAMES = ("rules", "inbound", "listeners", "lists", "growth", "mail")


def _figure(measured: Figure | dict[str, Any]) -> Figure:
    if isinstance(measured, Figure):
        return measured
    return Figure(measured["name"], measured["value"], measured["unit"], measured.get("limit"), at_most=True)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("names", nargs="*", choices=(*NAMES, []), help="which ones (all)")
    parser.add_argument("--full", action="store_true", help="the large data sets; takes long")
    arguments = parser.parse_args(argv)
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    missed = 0
    for name in arguments.names or NAMES:
        started = time.monotonic()
        figures = [_figure(one) for one in importlib.import_module(f"bench.{name}").measure(arguments.full)]
        print(f"\n{name}  ({time.monotonic() - started:.0f} s)")
        for figure in figures:
            print(figure.line())
            missed += figure.met is False
    print(f"\n{missed} figures missed" if missed else "\nall figures met")
    return 0


if __name__ == "__main__":
    sys.exit(main())
