"""`omnigate user` and `omnigate inbox`: people and accounts from the command line."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import sys
from typing import Any

from gateway.cli.client import Api, with_api
from gateway.cli.options import add_settings
from gateway.cli.output import show
from gateway.errors import Problem, Refused


def add(commands: Any) -> None:
    _add_user(commands)
    _add_inbox(commands)


def _add_user(commands: Any) -> None:
    user = commands.add_parser(
        "user",
        help="agents and admins: list, add, change",
        epilog="example: omnigate user add anna@example.org --name Anna --role agent",
    )
    actions = user.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = _action(actions, "list", "everyone with a login", list_users)
    listing.add_argument("--json", action="store_true")
    new = _action(
        actions, "add", "add someone; the password is asked for, or read from OMNIGATE_NEW_PASSWORD", add_user
    )
    new.add_argument("email")
    new.add_argument("--name", required=True)
    new.add_argument("--role", choices=("agent", "supervisor", "admin"), default="agent")
    new.add_argument("--skills", default="", help="comma-separated")
    new.add_argument("--capacity", type=int, default=5)
    word = _action(actions, "password", "set a new password", set_password)
    word.add_argument("email")
    for name, state in (("disable", False), ("enable", True)):
        change = _action(actions, name, f"{name} a login", set_enabled)
        change.add_argument("email")
        change.set_defaults(enabled=state)


def _add_inbox(commands: Any) -> None:
    inbox = commands.add_parser(
        "inbox",
        help="inboxes: list, kinds, add, change, remove, check",
        epilog="example: omnigate inbox add mail support --set address=support@example.org --set imap_host=…",
    )
    actions = inbox.add_subparsers(dest="action", required=True, metavar="ACTION")
    _action(actions, "list", "all inboxes with their health", list_inboxes).add_argument("--json", action="store_true")
    kinds = _action(actions, "kinds", "the kinds of inbox there are, and their settings", list_kinds)
    kinds.add_argument("kind", nargs="?")
    kinds.add_argument("--json", action="store_true")
    new = _action(actions, "add", "add an inbox", add_inbox)
    new.add_argument("kind")
    new.add_argument("name")
    new.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting; JSON values are read")
    change = _action(actions, "set", "change settings", change_inbox)
    change.add_argument("inbox")
    change.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    check = _action(actions, "check", "try an inbox's settings at its provider", check_inbox)
    check.add_argument("inbox")
    remove = _action(actions, "remove", "remove an inbox; its conversations stay", remove_inbox)
    remove.add_argument("inbox")


def _action(actions: Any, name: str, text: str, work: Any) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = actions.add_parser(name, help=text, description=text)
    add_settings(command, "store", "data")
    command.set_defaults(run=with_api(work))
    return command


async def list_users(arguments: argparse.Namespace, api: Api) -> int:
    rows = [agent async for agent in api.each("/agents")]
    show(rows, ("email", "name", "role", "skills", "capacity", "enabled"), as_json=arguments.json)
    return 0


async def add_user(arguments: argparse.Namespace, api: Api) -> int:
    body = {
        "email": arguments.email,
        "name": arguments.name,
        "role": arguments.role,
        "skills": [skill.strip() for skill in arguments.skills.split(",") if skill.strip()],
        "capacity": arguments.capacity,
        "password": _password(),
    }
    agent = await api.call("POST", "/agents", body)
    print(f"{agent['email']} can sign in as {agent['role']}")
    return 0


async def set_password(arguments: argparse.Namespace, api: Api) -> int:
    agent = await _find(api, "/agents", "email", arguments.email)
    await api.call("PATCH", f"/agents/{agent['id']}", {"password": _password()})
    print(f"{agent['email']} has a new password; their sessions have ended")
    return 0


async def set_enabled(arguments: argparse.Namespace, api: Api) -> int:
    agent = await _find(api, "/agents", "email", arguments.email)
    await api.call("PATCH", f"/agents/{agent['id']}", {"enabled": arguments.enabled})
    print(f"{agent['email']} is {'enabled' if arguments.enabled else 'disabled'}")
    return 0


async def list_inboxes(arguments: argparse.Namespace, api: Api) -> int:
    rows = [inbox async for inbox in api.each("/inboxes")]
    for row in rows:
        health = row.get("health") or {}
        row["state"] = health.get("state")
        row["reason"] = health.get("reason") or None
    show(rows, ("id", "kind", "name", "state", "reason"), as_json=arguments.json)
    return 0


async def list_kinds(arguments: argparse.Namespace, api: Api) -> int:
    found = await api.call("GET", "/channels")
    kinds = [kind for kind in found["items"] if arguments.kind in (None, kind["kind"])]
    if arguments.json:
        print(json.dumps(kinds, ensure_ascii=False, indent=2))
        return 0
    if arguments.kind is None:
        show(kinds, ("kind", "title"), as_json=False)
        return 0
    for kind in kinds:
        schema = kind["settings_schema"]
        fields = schema.get("properties", {})
        rows = [
            {
                "setting": name,
                "needed": "yes" if name in schema.get("required", ()) else "",
                "default": field.get("default"),
                "meaning": field.get("description") or field.get("title"),
            }
            for name, field in fields.items()
        ]
        show(rows, ("setting", "needed", "default", "meaning"), as_json=False)
    return 0 if kinds else 1


async def add_inbox(arguments: argparse.Namespace, api: Api) -> int:
    body = {"kind": arguments.kind, "name": arguments.name, "settings": _settings(arguments.set)}
    inbox = await api.call("POST", "/inboxes", body)
    print(f"inbox {inbox['name']} has the id {inbox['id']}")
    if inbox.get("token"):
        print(f"its token, shown only now: {inbox['token']}")
    return 0


async def change_inbox(arguments: argparse.Namespace, api: Api) -> int:
    inbox = await _find(api, "/inboxes", "name", arguments.inbox)
    await api.call("PATCH", f"/inboxes/{inbox['id']}", {"settings": _settings(arguments.set)})
    print(f"inbox {inbox['name']} is changed")
    return 0


async def check_inbox(arguments: argparse.Namespace, api: Api) -> int:
    inbox = await _find(api, "/inboxes", "name", arguments.inbox)
    return 0 if await print_check(api, inbox) else 1


async def print_check(api: Api, inbox: dict[str, Any]) -> bool:
    """Try the inbox and print each result; whether all went well."""
    answer = await api.call("POST", f"/inboxes/{inbox['id']}/check")
    well = True
    for result in answer["checks"]:
        well = well and result["ok"]
        mark = "ok  " if result["ok"] else "FAIL"
        print(f"{mark} {inbox['name']}: {result['name']} {result.get('detail', '')}".rstrip())
        if not result["ok"] and result.get("action"):
            print(f"     {result['action']}")
    return well


async def remove_inbox(arguments: argparse.Namespace, api: Api) -> int:
    inbox = await _find(api, "/inboxes", "name", arguments.inbox)
    await api.call("DELETE", f"/inboxes/{inbox['id']}")
    print(f"inbox {inbox['name']} is removed")
    return 0


async def _find(api: Api, path: str, field: str, wanted: str) -> dict[str, Any]:
    async for item in api.each(path):
        if wanted in (item["id"], item[field]):
            return item
    raise Refused(Problem("", f"there is no {wanted}"))


def _settings(pairs: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for pair in pairs:
        key, separator, text = pair.partition("=")
        if not separator:
            raise Refused(Problem("--set", f"expected KEY=VALUE, got {pair!r}"))
        try:
            found[key] = json.loads(text)
        except ValueError:
            found[key] = text
    return found


def _password() -> str:
    given = os.environ.get("OMNIGATE_NEW_PASSWORD")
    if given:
        return given
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    first, second = getpass.getpass("new password: "), getpass.getpass("once more: ")
    if first != second:
        raise Refused(Problem("password", "the two are not the same"))
    return first
