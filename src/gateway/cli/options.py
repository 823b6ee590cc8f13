"""Options that several commands share."""

from __future__ import annotations

import argparse
import os
from typing import Any

from gateway.settings import FIELDS, Settings, from_sources


def add_settings(command: argparse.ArgumentParser, *names: str) -> None:
    """Every setting as an option (or only those named), and `--config`."""
    command.add_argument("--config", metavar="FILE", help="TOML file with these settings")
    for name in names or FIELDS:
        field = FIELDS[name]
        flag = f"--{name.replace('_', '-')}"
        if field.type is bool:
            command.add_argument(flag, action="store_const", const=True, default=None, dest=f"set_{name}")
        else:
            command.add_argument(flag, metavar="VALUE", default=None, dest=f"set_{name}")


def settings(arguments: argparse.Namespace, **fixed: Any) -> Settings:
    """The settings of file, environment and options; `fixed` wins over all."""
    options = {name.removeprefix("set_"): value for name, value in vars(arguments).items() if name.startswith("set_")}
    return from_sources({**options, **fixed}, os.environ, arguments.config)
