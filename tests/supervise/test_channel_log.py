"""The channel log: redacted, shortened, bounded, and never in the way."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from gateway.service.channel_log import BATCH, BODY, BUFFER, ChannelLogs
from gateway.service.redact import STARS, Redactor
from gateway.store.collection import CHANNEL_LOG
from tests.supervise.probe import scene

NOTHING = Redactor()


async def test_what_is_recorded_is_kept_in_order(tmp_path: Path) -> None:
    async with scene(tmp_path) as at, asyncio.TaskGroup() as group:
        task = group.create_task(at.logs.run())
        log = at.logs.of("inbox", NOTHING)
        log.record("out", "first", elapsed_ms=12.34)
        log.record("in", "second", ok=False, request="a", response="b")
        async with asyncio.timeout(5):
            while await at.store.count(CHANNEL_LOG) < 2:
                await asyncio.sleep(0.01)
        log.record("in", "last words")
        task.cancel()
        await asyncio.wait({task})
        found = (await at.store.find(CHANNEL_LOG, {"inbox_id": "inbox"})).items
        assert [(entry.summary, entry.ok, entry.request, entry.elapsed_ms) for entry in found] == [
            ("first", True, "", 12.3),
            ("second", False, "a", 0),
            ("last words", True, "", 0),
        ]


async def test_only_the_last_are_kept_per_inbox(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        logs = ChannelLogs(at.store, at.clock, at.ids, kept=10, slack=5)
        for number in range(40):
            logs.of("busy", NOTHING).record("in", str(number))
            await logs.flush()
        logs.of("quiet", NOTHING).record("in", "old")
        await logs.flush()
        kept = [entry.summary for entry in (await at.store.find(CHANNEL_LOG, {"inbox_id": "busy"}, limit=100)).items]
        assert kept == [str(number) for number in range(40 - len(kept), 40)]
        assert 10 <= len(kept) < 15
        assert await at.store.count(CHANNEL_LOG, {"inbox_id": "quiet"}) == 1


async def test_bodies_are_shortened_after_secrets_are_gone(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        secret = "s3cret-s3cret"
        body = "x" * (BODY - 5) + secret + "y" * 100
        at.logs.of("inbox", Redactor([secret])).record("out", "sent", request=body, response="z" * 1_000_000)
        await at.logs.flush()
        [entry] = (await at.store.find(CHANNEL_LOG)).items
        assert "s3" not in entry.request
        assert len(entry.request) < BODY + 20
        assert entry.response.endswith("… (+996000)")


async def test_a_store_that_is_down_costs_entries_only(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        logs = ChannelLogs(at.store, at.clock, at.ids, kept=10 * BUFFER)
        log = logs.of("inbox", NOTHING)
        for number in range(BUFFER + 500):
            log.record("in", str(number))
        await at.store.close()
        await logs.flush()
        await at.store.open()
        log.record("in", "after")
        await logs.flush()
        assert await at.store.count(CHANNEL_LOG) == BUFFER - BATCH + 1
        [last] = (await at.store.find(CHANNEL_LOG, order="-id", limit=1)).items
        assert last.summary == "after"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("Authorization: Bearer abc.def\r\nHost: x", f"Authorization: {STARS}\r\nHost: x"),
        ("Set-Cookie: a=b; c=d", f"Set-Cookie: {STARS}"),
        ('{"access_token": "abc\\"d", "n": 1}', f'{{"access_token": "{STARS}", "n": 1}}'),
        ("grant_type=refresh&refresh_token=abc&x=1", f"grant_type=refresh&refresh_token={STARS}&x=1"),
        ("password = 'my pass'", f"password = '{STARS}'"),
        ('{"pin": 1234, "text": "my token is lost"}', f'{{"pin": {STARS}, "text": "my token is lost"}}'),
        ("the tokenizer: fine", "the tokenizer: fine"),
    ],
)
def test_secrets_by_their_name(text: str, clean: str) -> None:
    assert Redactor(names=["pin"]).text(text) == clean


@given(st.text(min_size=4, max_size=30), st.text(max_size=50), st.text(max_size=50))
def test_a_secret_is_gone_in_every_form(secret: str, before: str, after: str) -> None:
    import base64
    import json
    from urllib.parse import quote

    redactor = Redactor([secret])
    for form in (secret, quote(secret, safe=""), json.dumps(secret)[1:-1], base64.b64encode(secret.encode()).decode()):
        assert form not in redactor.text(f"{before} {form} {after}") or form in f"{before} {STARS} {after}"


def test_a_secret_within_another_leaves_no_half() -> None:
    assert Redactor(["abcd", "abcd-efgh"]).text("abcd-efgh abcd") == f"{STARS} {STARS}"


def test_log_lines_and_tracebacks_are_redacted() -> None:
    with structlog.testing.capture_logs() as lines:
        logger = Redactor(["s3cret-s3cret"]).logger(structlog.get_logger()).bind(inbox="i")
        try:
            raise ValueError("s3cret-s3cret")
        except ValueError:
            logger.exception(
                "failed for s3cret-s3cret", address="imap://s3cret-s3cret@x", nested={"a": ["s3cret-s3cret"]}
            )
        logger.info("plain", count=3, none=None)
    assert "s3cret" not in repr(lines)
    assert lines[0]["inbox"] == "i"
    assert "ValueError" in lines[0]["exception"]
    assert lines[0]["log_level"] == "error"
    assert (lines[1]["event"], lines[1]["count"], lines[1]["none"]) == ("plain", 3, None)
