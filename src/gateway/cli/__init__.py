"""The command line: `omnigate`. Each command is a module with `add(subparsers)`; none has logic of its own."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from gateway.cli import archives, bench, configure, contact, doctor, rules, serve
from gateway.errors import GatewayError, Refused

OK, NO, USAGE = 0, 1, 2

COMMANDS = (serve, configure, rules, contact, archives, doctor, bench)


def parser() -> argparse.ArgumentParser:
    """All commands with their options."""
    top = argparse.ArgumentParser(
        prog="omnigate",
        description="Omnichannel message-routing gateway.",
        epilog="example: omnigate serve --listen 127.0.0.1:8080",
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0: done · 1: the answer is no · 2: wrong use. Errors go to stderr in one line each."""
    arguments = parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except Refused as error:
        for path, message in error.problems:
            print(f"omnigate: {path + ': ' if path else ''}{message}", file=sys.stderr)
        if not error.problems:
            print(f"omnigate: {error}", file=sys.stderr)
        return USAGE
    except GatewayError as error:
        print(f"omnigate: {error}", file=sys.stderr)
        return NO
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return NO
