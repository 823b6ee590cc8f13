"""Files of messages: kept by content, fetched behind the guard, and never a reason to lose a message."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway.connector import File
from gateway.errors import Refused
from gateway.model.document import IdSource, SystemClock
from gateway.model.message import Attachment
from gateway.service.attachments import Attachments
from gateway.service.fetch import Fetcher
from gateway.service.guard import Guard
from gateway.store.blobs import LocalBlobs

PNG = b"\x89PNG\r\n\x1a\n" + bytes(32)


@pytest.fixture
async def blobs(tmp_path: Path) -> LocalBlobs:
    blobs = LocalBlobs(tmp_path / "blobs")
    await blobs.open()
    return blobs


@pytest.fixture
async def attachments(blobs: LocalBlobs) -> AsyncIterator[Attachments]:
    fetcher = Fetcher(Guard(allow=["127.0.0.1/32"]), timeout=2)
    yield Attachments(blobs, fetcher, IdSource(SystemClock()), max_bytes=1000, max_count=3)
    await fetcher.close()


@pytest.fixture
async def site() -> AsyncIterator[str]:
    async def handle(request: web.Request) -> web.Response:
        if request.path == "/photo":
            return web.Response(body=PNG, content_type="text/plain")
        if request.path == "/large":
            return web.Response(body=bytes(2000))
        raise web.HTTPNotFound

    app = web.Application()
    app.router.add_get("/{path:.*}", handle)
    async with TestServer(app, host="127.0.0.1") as server:
        yield f"http://127.0.0.1:{server.port}"


async def text(blobs: LocalBlobs, attachment: Attachment) -> str:
    assert attachment.type == "text/plain"
    data = await blobs.get(attachment.sha256)
    assert data is not None
    assert len(data) == attachment.size
    return data.decode()


async def test_bytes_are_kept_with_the_type_found_in_them(attachments: Attachments, blobs: LocalBlobs) -> None:
    file = File(
        name="../../évil\u202etxt.png", claimed_type="application/x-msdownload", data=PNG, content_id="c", inline=True
    )
    (kept,) = await attachments.keep([file])
    assert (kept.type, kept.claimed_type, kept.size) == ("image/png", "application/x-msdownload", len(PNG))
    assert (kept.content_id, kept.inline) == ("c", True)
    assert "/" not in kept.name
    assert "\u202e" not in kept.name
    assert await blobs.get(kept.sha256) == PNG
    (again,) = await attachments.keep([file])
    assert again.sha256 == kept.sha256
    assert again.id != kept.id
    assert await attachments.keep([]) == ()


async def test_what_claims_to_be_an_image_and_is_a_page_is_a_page(attachments: Attachments) -> None:
    page = b"<html><script>alert(1)</script>"
    (kept,) = await attachments.keep([File(name="a.png", claimed_type="image/png", data=page)])
    assert kept.type == "text/html"


async def test_an_address_is_fetched(attachments: Attachments, blobs: LocalBlobs, site: str) -> None:
    (kept,) = await attachments.keep([File(name="photo", url=f"{site}/photo")])
    assert kept.type == "image/png"
    assert await blobs.get(kept.sha256) == PNG


async def test_what_cannot_be_fetched_is_said_in_its_place(
    attachments: Attachments, blobs: LocalBlobs, site: str
) -> None:
    files = [
        File(name="gone.pdf", url=f"{site}/gone"),
        File(name="large.bin", url=f"{site}/large"),
        File(name="inside", url="http://169.254.169.254/latest/meta-data"),
    ]
    kept = await attachments.keep(files)
    assert [one.name for one in kept] == ["gone.pdf.txt", "large.bin.txt", "inside.txt"]
    said = [await text(blobs, one) for one in kept]
    assert "answered 404" in said[0]
    assert f"{site}/gone" in said[0]
    assert "more than 1000 bytes" in said[1]
    assert "not public" in said[2]


async def test_too_much_is_refused_with_its_place(attachments: Attachments) -> None:
    large = File(name="a", data=bytes(1001))
    with pytest.raises(Refused) as caught:
        await attachments.keep([File(name="b", data=b"x"), large])
    assert [path for path, _ in caught.value.problems] == ["attachments[1]"]
    with pytest.raises(Refused) as caught:
        await attachments.keep([File(name="b", data=b"x")] * 4)
    assert [path for path, _ in caught.value.problems] == ["attachments"]


async def test_too_much_from_outside_is_said_and_the_rest_is_kept(attachments: Attachments, blobs: LocalBlobs) -> None:
    files = [File(name="a.bin", data=bytes(1001)), File(name="b", data=b"b"), File(name="c"), File(name="d.doc")]
    kept = await attachments.keep(files, lenient=True)
    assert [one.name for one in kept] == ["a.bin.txt", "b", "c.txt", "attachments.txt"]
    assert "1001 bytes" in await text(blobs, kept[0])
    assert "without content" in await text(blobs, kept[2])
    assert "d.doc" in await text(blobs, kept[3])
