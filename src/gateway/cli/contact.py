"""`omnigate contact`: everything that is kept about a person, as a file, or gone."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from gateway.cli.client import Api, with_api
from gateway.cli.options import add_settings


def add(commands: Any) -> None:
    contact = commands.add_parser(
        "contact",
        help="export or erase what is kept about a person",
        epilog="example: omnigate contact export 0192… --to person.zip",
    )
    actions = contact.add_subparsers(dest="action", required=True, metavar="ACTION")
    export = actions.add_parser("export", help="write all that is kept about a contact to a zip file")
    export.add_argument("id")
    export.add_argument("--to", required=True, type=Path, metavar="FILE")
    export.set_defaults(run=with_api(export_contact))
    erase = actions.add_parser("erase", help="erase a contact's texts, addresses and attachments")
    erase.add_argument("id")
    erase.add_argument("--yes", action="store_true", help="do it; without, only say what would go")
    erase.set_defaults(run=with_api(erase_contact))
    for command in (export, erase):
        add_settings(command, "store", "data")


async def export_contact(arguments: argparse.Namespace, api: Api) -> int:
    arguments.to.write_bytes(await api.download("POST", f"/contacts/{arguments.id}/export"))
    print(f"written to {arguments.to}")
    return 0


async def erase_contact(arguments: argparse.Namespace, api: Api) -> int:
    contact = await api.call("GET", f"/contacts/{arguments.id}")
    if not arguments.yes:
        print(f"would erase {contact.get('name') or contact['id']}; add --yes to do it")
        return 1
    await api.call("POST", f"/contacts/{arguments.id}/erase")
    print("erased")
    return 0
