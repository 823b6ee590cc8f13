"""`omnigate bench`: the benchmarks, where the source tree is at hand."""

from __future__ import annotations

import argparse
import importlib
import sys
from typing import Any

from gateway.errors import Problem, Refused


def add(commands: Any) -> None:
    command = commands.add_parser(
        "bench",
        help="run the benchmarks (needs a source checkout)",
        epilog="example: omnigate bench inbound --full",
    )
    command.add_argument("names", nargs="*", help="which ones (all)")
    command.add_argument("--full", action="store_true", help="the large data sets; takes long")
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    sys.path.insert(0, ".")
    try:
        program = importlib.import_module("bench.__main__")
    except ImportError as error:
        raise Refused(Problem("", f"the benchmarks are in a source checkout; run this there ({error})")) from None
    return int(program.main([*arguments.names, *(["--full"] if arguments.full else [])]))
