"""The command line, as an operator uses it: real processes, with and without a running gateway."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(120)


def omnigate(
    data: Path,
    *arguments: str,
    code: int = 0,
    given: str | None = None,
    cwd: Path | None = None,
    **environment: str,
) -> str:
    """Run it; gives what it printed, stderr after stdout."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("OMNIGATE_")}
    done = subprocess.run(
        [sys.executable, "-m", "gateway", *arguments],
        env={**kept, "OMNIGATE_DATA": str(data), **environment},
        input=given,
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done.stdout + done.stderr


@contextmanager
def running(data: Path) -> Iterator[subprocess.Popen[str]]:
    """`omnigate serve` on the data folder."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("OMNIGATE_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", "serve", "--listen", "127.0.0.1:0"],
        env={**kept, "OMNIGATE_DATA": str(data), "OMNIGATE_ADMIN_PASSWORD": "a password of length"},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        until = time.monotonic() + 30
        while not (data / "run.json").exists():
            assert process.poll() is None, process.stderr and process.stderr.read()
            assert time.monotonic() < until
            time.sleep(0.05)
        yield process
    finally:
        process.kill()
        process.communicate()


def test_serve_drains_and_ends_well_on_sigterm(tmp_path: Path) -> None:
    with running(tmp_path / "data") as process:
        url = json.loads((tmp_path / "data" / "run.json").read_text())["url"]
        with urllib.request.urlopen(f"{url}/readyz", timeout=5) as answer:
            assert answer.status == 200
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
        assert time.monotonic() - started < 10
        assert not (tmp_path / "data" / "run.json").exists()


def test_the_first_start_prints_a_password_once(tmp_path: Path) -> None:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("OMNIGATE_")}
    printed: list[str] = []
    for _ in range(2):
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "serve", "--listen", "127.0.0.1:0", "--data", str(tmp_path / "data")],
            env=kept,
            stderr=subprocess.PIPE,
            text=True,
        )
        until = time.monotonic() + 30
        while not (tmp_path / "data" / "run.json").exists():
            assert time.monotonic() < until
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        printed.append(process.communicate(timeout=15)[1])
    assert "password" in printed[0]
    assert "password" not in printed[1]


def test_people_and_inboxes_with_and_without_a_running_gateway(tmp_path: Path) -> None:
    data = tmp_path / "data"
    word: dict[str, Any] = {"OMNIGATE_NEW_PASSWORD": "a password of length"}
    omnigate(data, "user", "add", "kim@example.org", "--name", "Kim", "--skills", "tax, cards", **word)
    with running(data):
        omnigate(data, "user", "add", "lee@example.org", "--name", "Lee", "--role", "supervisor", **word)
        users = {user["email"]: user for user in json.loads(omnigate(data, "user", "list", "--json"))}
        assert users["kim@example.org"]["skills"] == ["tax", "cards"]
        assert users["lee@example.org"]["role"] == "supervisor"
        assert "token, shown only now" in omnigate(data, "inbox", "add", "api", "shop")
        assert "shop" in omnigate(data, "inbox", "list")
        assert "address" in omnigate(data, "inbox", "kinds", "mail")
        assert "all is well" in omnigate(data, "doctor")
        refusal = omnigate(data, "inbox", "add", "fax", "old", code=2)
        assert "no such channel; there are: api" in refusal
        assert len(refusal.strip().splitlines()) == 1
        omnigate(data, "user", "disable", "kim@example.org")
    users = {user["email"]: user for user in json.loads(omnigate(data, "user", "list", "--json"))}
    assert users["kim@example.org"]["enabled"] is False


def test_rules_from_files_to_versions_and_back(tmp_path: Path) -> None:
    data, rules = tmp_path / "data", tmp_path / "rules"
    rules.mkdir()
    file = rules / "10-all.yaml"
    file.write_text("rules:\n  - id: all\n    when: {always: true}\n    then: {queue: support, priority: high}\n")
    assert "1 rules in 1 files are sound" in omnigate(data, "rules", "check", str(rules))
    with running(data):
        assert "+  - id: all" in omnigate(data, "rules", "diff", str(rules), code=1)
        assert "version 2 is in force" in omnigate(data, "rules", "apply", str(rules), "--note", "simpler")
        assert "the same as version 2" in omnigate(data, "rules", "diff", str(rules))
        omnigate(data, "rules", "export", str(tmp_path / "out"))
        assert (tmp_path / "out" / "10-all.yaml").read_text() == file.read_text()
        assert "simpler" in omnigate(data, "rules", "versions")
        assert "version 3 is in force" in omnigate(data, "rules", "rollback", "1")
        file.write_text(file.read_text().replace("support", "nowhere"))
        assert "nowhere" in omnigate(data, "rules", "apply", str(rules), code=2)


def test_a_contact_is_exported_and_erased(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running(data):
        found = json.loads((data / "run.json").read_text())
        inbox = omnigate(data, "inbox", "add", "api", "shop")
        id, token = inbox.split("has the id ")[1].split()[0], inbox.strip().split()[-1]
        written = _post(
            f"{found['url']}/api/v1/inboxes/{id}/messages", token, {"external_id": "1", "sender": {"id": "c"}}
        )
        answer = _get(f"{found['url']}/api/v1/conversations/{written['conversation_id']}", found["token"])
        contact = answer["contact_id"]
        omnigate(data, "contact", "export", contact, "--to", str(tmp_path / "person.zip"))
        assert "contact.json" in zipfile.ZipFile(tmp_path / "person.zip").namelist()
        assert "add --yes" in omnigate(data, "contact", "erase", contact, code=1)
        assert "erased" in omnigate(data, "contact", "erase", contact, "--yes")
        assert _get(f"{found['url']}/api/v1/contacts/{contact}", found["token"])["erased_at"]


def _post(url: str, token: str, body: dict[str, Any]) -> Any:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    return _answer(urllib.request.Request(url, json.dumps({**body, "text": "x"}).encode(), headers))


def _get(url: str, token: str) -> Any:
    return _answer(urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"}))


def _answer(request: urllib.request.Request) -> Any:
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read())


def test_a_bad_rule_file_is_told_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text("rules:\n  - id: a\n    when: {chanel: mail}\n    then: {queue: support}\n")
    said = omnigate(tmp_path, "rules", "check", str(file), code=1)
    assert "bad.yaml:3:" in said
    assert "channel" in said


def test_a_failing_example_fails_the_test_command(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(
        "rules:\n  - id: a\n    when: {channel: mail}\n    then: {queue: support}\n"
        "    tests: [{given: {channel: api}, expect: {queue: support}}]\n"
    )
    assert "1 failed" in omnigate(tmp_path, "rules", "test", str(file), code=1)


def test_backup_of_a_running_gateway_restored_elsewhere(tmp_path: Path) -> None:
    data, archive = tmp_path / "data", tmp_path / "backup.zip"
    with running(data):
        omnigate(data, "inbox", "add", "api", "shop")
        assert "queues" in omnigate(data, "backup", "--to", str(archive))
    again = tmp_path / "again"
    again.mkdir()
    (again / "secret.key").write_bytes((data / "secret.key").read_bytes())
    omnigate(again, "restore", str(archive))
    assert "shop" in omnigate(again, "inbox", "list")
    assert "must be empty" in omnigate(again, "restore", str(archive), code=2)
    assert "is not an Omnigate archive" in omnigate(tmp_path / "third", "restore", str(again / "secret.key"), code=2)


def test_a_data_folder_named_from_where_one_stands(tmp_path: Path) -> None:
    here = Path("data")
    omnigate(here, "inbox", "add", "api", "shop", cwd=tmp_path)
    assert (tmp_path / "data" / "omnigate.db").is_file()
    assert "queues" in omnigate(here, "backup", "--to", "backup.zip", cwd=tmp_path)


def test_copy_to_the_other_engine(tmp_path: Path, mongodb_url: str) -> None:
    data = tmp_path / "data"
    omnigate(data, "inbox", "add", "api", "shop")
    assert "queues" in omnigate(data, "copy", "--to", mongodb_url)
    assert "shop" in omnigate(data, "inbox", "list", OMNIGATE_STORE=mongodb_url)


def test_two_gateways_cannot_share_an_embedded_store(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running(data):
        said = omnigate(data, "serve", "--listen", "127.0.0.1:0", code=1)
        assert len(said.strip().splitlines()) == 1, said


@pytest.mark.parametrize(
    ("arguments", "environment", "says"),
    [
        (("serve", "--listen", "nonsense"), {}, "--listen: expected HOST:PORT"),
        (("serve",), {"OMNIGATE_STORE": "mysql://x"}, "OMNIGATE_STORE: expected sqlite:///path"),
        (("serve", "--config", "/nowhere.toml"), {}, "/nowhere.toml: cannot be read"),
    ],
)
def test_a_wrong_setting_is_one_clear_line(
    tmp_path: Path, arguments: tuple[str, ...], environment: dict[str, str], says: str
) -> None:
    said = omnigate(tmp_path, *arguments, code=2, cwd=None, given=None, **environment)
    assert says in said
    assert len(said.strip().splitlines()) == 1


def test_every_command_has_help_with_an_example() -> None:
    done = subprocess.run([sys.executable, "-m", "gateway", "--help"], capture_output=True, text=True, check=True)
    for command in ("serve", "user", "inbox", "rules", "contact", "backup", "restore", "copy", "doctor", "bench"):
        assert command in done.stdout
        helped = subprocess.run(
            [sys.executable, "-m", "gateway", command, "--help"], capture_output=True, text=True, check=True
        )
        assert "example:" in helped.stdout, command
