"""`omnigate rules`: check and test files here; apply, export, compare and roll back what the gateway uses."""

from __future__ import annotations

import argparse
import difflib
import json
from pathlib import Path
from typing import Any

from gateway.cli.client import Api, with_api
from gateway.cli.options import add_settings
from gateway.cli.output import show
from gateway.errors import Problem, Refused

DEFAULT = Path("routing_rules")


def add(commands: Any) -> None:
    rules = commands.add_parser(
        "rules",
        help="routing rules: check, test, diff, apply, export, versions, rollback",
        epilog="example: omnigate rules check routing_rules && omnigate rules apply routing_rules --note 'night shift'",
    )
    actions = rules.add_subparsers(dest="action", required=True, metavar="ACTION")
    check = actions.add_parser("check", help="say everything that is wrong with the files; needs no gateway")
    check.set_defaults(run=check_files)
    test = actions.add_parser("test", help="run the rules' own examples; needs no gateway")
    test.set_defaults(run=test_files)
    diff = actions.add_parser("diff", help="compare the files with what the gateway uses; exit code 1 if they differ")
    diff.set_defaults(run=with_api(diff_files))
    apply = actions.add_parser("apply", help="check, test and publish the files")
    apply.add_argument("--note", default="", help="why, for the list of versions")
    apply.set_defaults(run=with_api(apply_files))
    for command in (check, test, diff, apply):
        command.add_argument("path", nargs="?", type=Path, default=DEFAULT, help="a folder of .yaml files, or one file")
        command.add_argument("--json", action="store_true")
    export = actions.add_parser("export", help="write the files that the gateway uses to a folder")
    export.add_argument("path", type=Path)
    export.add_argument("--version", type=int, help="an older version")
    export.set_defaults(run=with_api(export_files))
    versions = actions.add_parser("versions", help="what was published, when and by whom")
    versions.add_argument("--json", action="store_true")
    versions.set_defaults(run=with_api(list_versions))
    rollback = actions.add_parser("rollback", help="put an older version in force again")
    rollback.add_argument("version", type=int)
    rollback.add_argument("--note", default="")
    rollback.set_defaults(run=with_api(roll_back))
    for command in (diff, apply, export, versions, rollback):
        add_settings(command, "store", "data")


def read(path: Path) -> list[tuple[str, str]]:
    """(name, text) of the rule files under the path, in file-name order."""
    if not path.exists():
        raise Refused(Problem(str(path), "there is no such file or folder"))
    found = sorted(path.glob("*.yaml")) + sorted(path.glob("*.yml")) if path.is_dir() else [path]
    if not found:
        raise Refused(Problem(str(path), "has no .yaml files"))
    try:
        return [(file.name, file.read_text("utf-8")) for file in found]
    except UnicodeDecodeError as error:
        raise Refused(Problem(str(path), f"is not UTF-8: {error}")) from None


def check_files(arguments: argparse.Namespace) -> int:
    from gateway.routing.load import load

    files = read(arguments.path)
    loaded = load(files)
    if arguments.json:
        problems = [
            {"file": p.file, "line": p.line, "column": p.column, "rule": p.rule, "message": p.message}
            | {"severity": p.severity}
            for p in loaded.problems
        ]
        print(json.dumps({"ok": loaded.ok, "problems": problems}, ensure_ascii=False, indent=2))
    else:
        for problem in loaded.problems:
            print(problem)
        if loaded.ruleset is not None:
            print(f"{len(loaded.ruleset.rules)} rules in {len(files)} files are sound")
    return 0 if loaded.ok else 1


def test_files(arguments: argparse.Namespace) -> int:
    from gateway.routing.load import load
    from gateway.routing.run_tests import run_tests

    loaded = load(read(arguments.path))
    if loaded.ruleset is None:
        for problem in loaded.problems:
            print(problem)
        return 1
    results = run_tests(loaded.ruleset)
    failed = [result for result in results if not result.ok]
    if arguments.json:
        rows = [{"rule": r.rule, "number": r.number, "name": r.name, "ok": r.ok, "message": r.message} for r in results]
        print(json.dumps(rows, ensure_ascii=False, indent=2))
    else:
        for result in failed:
            print(result.problem())
        print(f"{len(results) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


async def diff_files(arguments: argparse.Namespace, api: Api) -> int:
    here = dict(read(arguments.path))
    live = await api.call("GET", "/rules")
    there = {file["name"]: file["text"] for file in live["files"]}
    lines: list[str] = []
    for name in sorted(here.keys() | there.keys()):
        lines += difflib.unified_diff(
            there.get(name, "").splitlines(),
            here.get(name, "").splitlines(),
            f"gateway (version {live['version']})/{name}",
            f"{arguments.path}/{name}",
            lineterm="",
        )
    if arguments.json:
        print(json.dumps({"same": not lines, "diff": lines}, ensure_ascii=False, indent=2))
    else:
        print("\n".join(lines) if lines else f"the same as version {live['version']}")
    return 1 if lines else 0


async def apply_files(arguments: argparse.Namespace, api: Api) -> int:
    files = [{"name": name, "text": text} for name, text in read(arguments.path)]
    answer = await api.call("POST", "/rules/publish", {"files": files}, note=arguments.note or None)
    if arguments.json:
        print(json.dumps({"version": answer["version"]}))
    else:
        print(f"version {answer['version']} is in force")
    return 0


async def export_files(arguments: argparse.Namespace, api: Api) -> int:
    path = "/rules" if arguments.version is None else f"/rules/versions/{arguments.version}"
    found = await api.call("GET", path)
    arguments.path.mkdir(parents=True, exist_ok=True)
    for file in found["files"]:
        # The gateway checks these names when they are published; a file is never written outside the folder.
        (arguments.path / Path(file["name"]).name).write_text(file["text"], "utf-8")
    print(f"{len(found['files'])} files of version {found['version']} are in {arguments.path}")
    return 0


async def list_versions(arguments: argparse.Namespace, api: Api) -> int:
    rows = [version async for version in api.each("/rules/versions")]
    show(rows, ("version", "published_at", "published_by_name", "note", "live"), as_json=arguments.json)
    return 0


async def roll_back(arguments: argparse.Namespace, api: Api) -> int:
    answer = await api.call("POST", "/rules/rollback", {"version": arguments.version, "note": arguments.note})
    print(f"version {answer['version']} is in force, with the files of version {arguments.version}")
    return 0
