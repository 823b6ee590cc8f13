"""Contacts: found, changed, merged and parted, handed out, forgotten; whole, also when killed in between."""

import asyncio
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.connector import File, Threading
from gateway.errors import Clash, Conflict, NotFound, Refused, StoreUnavailable
from gateway.model.contact import Contact, Evidence, Merge
from gateway.service.contacts import ContactFields, Contacts
from gateway.service.contacts.erase import FILE
from gateway.service.contacts.merge import combined, parted
from gateway.store.batch import Batch
from gateway.store.collection import (
    AUDIT,
    CHECKPOINTS,
    CONTACTS,
    CONVERSATIONS,
    DECISIONS,
    IDENTITIES,
    MERGES,
    MESSAGES,
    THREADS,
)
from gateway.store.contract import Range
from tests.contacts.conftest import ADMIN, House
from tests.intake.node import START

JOBS = {"id": Range("job/", "job0")}


def picture(text: str = "pixels", name: str = "photo.png") -> File:
    return File(name=name, claimed_type="image/png", data=b"\x89PNG\r\n\x1a\n" + text.encode())


# finding and changing


async def test_contacts_are_found_by_what_people_know_of_them(house: House) -> None:
    await house.say("anna@example.org", "my order", email="anna@example.org", phone="+49 30 1234")
    await house.say("u-77", "我的订单没有到")
    anna, other = await house.contact_of("anna@example.org"), await house.contact_of("u-77")
    async with house.indexing():

        async def indexed() -> bool:
            return len(await house.finds("订单")) == 1 and len(await house.finds("order")) == 1

        await house.until(indexed)
    for query in ("anna@example.org", "ANNA@example.org", "+49 30 1234", "Anna@", " order "):
        assert [contact.id for contact in await house.contacts.search(query)] == [anna.id], query
    for query in ("u-77", "U-7", "订单"):
        assert [contact.id for contact in await house.contacts.search(query)] == [other.id], query
    assert await house.contacts.search("  ") == await house.contacts.search("nobody") == []
    assert [contact.id for contact in (await house.contacts.find()).items] == [other.id, anna.id]


async def test_a_change_is_told_and_audited_without_its_values(house: House) -> None:
    contact = await house.contacts.create(ContactFields(name="Someone", tags=("vip",)), ADMIN)
    async with house.feed.subscribe() as reader:
        changed = await house.contacts.patch(contact.id, ContactFields(email="a@example.org", name="Someone"), ADMIN)
        assert (changed.name, changed.email, changed.tags) == ("Someone", "a@example.org", ("vip",))
        assert changed.updated_at > contact.updated_at
        (entry,) = await reader.next()
        assert entry.event.type == "contact.updated"
        assert entry.event.data == {"id": contact.id, "changed": ["email"]}
    with pytest.raises(Conflict):
        await house.contacts.patch(contact.id, ContactFields(name="x"), ADMIN, expect=1)
    with pytest.raises(NotFound):
        await house.contacts.patch("nobody", ContactFields(name="x"), ADMIN)
    trail = (await house.store.find(AUDIT, {"target": contact.id})).items
    assert [entry.action for entry in trail] == ["contact.create", "contact.update"]
    assert b"a@example.org" not in json.dumps([entry.detail for entry in trail]).encode()


# merging

texts = st.sampled_from(["", "a", "b", "c"])
maybe = st.none() | st.sampled_from(["a", "b"])
contacts = st.builds(
    Contact,
    id=st.just("x"),
    name=texts,
    email=maybe,
    phone=maybe,
    language=maybe,
    attributes=st.dictionaries(st.sampled_from(["k", "l", "m"]), st.integers(0, 2)),
    tags=st.lists(st.sampled_from(["t", "u", "v"]), unique=True).map(tuple),
    created_at=st.just(START),
    updated_at=st.just(START),
)


@given(contacts, contacts)
def test_parting_undoes_what_merging_gave(winner: Contact, loser: Contact) -> None:
    merge = Merge(
        id="m",
        winner_id="w",
        loser_id="l",
        winner_before=winner,
        loser_before=loser,
        evidence=Evidence(kind="k", at=START),
    )
    joined = combined(winner, loser)
    assert parted(joined, merge) == winner
    assert set(joined.tags) == {*winner.tags, *loser.tags}
    assert joined.attributes.items() >= winner.attributes.items()


async def test_a_merge_moves_everything_and_an_unmerge_brings_it_back(house: House) -> None:
    kept = await house.say("anna", email="anna@example.org")
    moved = await house.say("u-77", language="zh", phone="123")
    anna, other = await house.contact_of("anna"), await house.contact_of("u-77")
    merge = await house.contacts.merge(anna.id, other.id, "phone", "same number", ADMIN)
    assert merge.conversation_ids == (moved.conversation_id,)
    assert len(merge.identity_ids) == 1
    assert (await house.contact_of("u-77")).id == anna.id
    assert (await house.conversation(moved.conversation_id)).contact_id == anna.id
    joined = await house.contacts.get(anna.id)
    assert (joined.email, joined.phone, joined.language) == ("anna@example.org", "123", "zh")
    assert (await house.contacts.current(other.id)).id == anna.id
    assert [contact.id for contact in (await house.contacts.find()).items] == [anna.id]
    assert (await house.contacts.merges(anna.id))[0].evidence.detail == "same number"

    later = await house.say("u-77", "again", thread=Threading(subject="new", own_key="k"))  # said while they are one
    assert (await house.conversation(later.conversation_id)).contact_id == anna.id
    await house.contacts.patch(anna.id, ContactFields(phone="456"), ADMIN)

    await house.contacts.unmerge(merge.id, ADMIN)
    assert (await house.contact_of("u-77")).id == other.id
    assert (await house.conversation(moved.conversation_id)).contact_id == other.id
    assert (await house.conversation(later.conversation_id)).contact_id == other.id
    assert (await house.conversation(kept.conversation_id)).contact_id == anna.id
    anna, other = await house.contacts.get(anna.id), await house.contacts.get(other.id)
    assert (anna.phone, anna.language) == ("456", None)  # what was changed since stays
    assert (other.phone, other.merged_into) == ("123", None)
    assert (await house.say("u-77")).conversation_id != kept.conversation_id
    assert await house.store.count(CHECKPOINTS, JOBS) == 0


async def test_what_cannot_be_merged(house: House) -> None:
    for name in ("a", "b", "c"):
        await house.say(name)
    a, b, c = [(await house.contact_of(name)).id for name in ("a", "b", "c")]
    with pytest.raises(Refused):
        await house.contacts.merge(a, a, "k", "", ADMIN)
    with pytest.raises(NotFound):
        await house.contacts.merge(a, "nobody", "k", "", ADMIN)
    first = await house.contacts.merge(a, b, "k", "", ADMIN)
    with pytest.raises(Clash):
        await house.contacts.merge(c, b, "k", "", ADMIN)
    with pytest.raises(Clash):
        await house.contacts.merge(b, c, "k", "", ADMIN)
    second = await house.contacts.merge(c, a, "k", "", ADMIN)
    with pytest.raises(Clash, match="undo that first"):
        await house.contacts.unmerge(first.id, ADMIN)
    await house.contacts.unmerge(second.id, ADMIN)
    await house.contacts.unmerge(first.id, ADMIN)
    with pytest.raises(Clash, match="already"):
        await house.contacts.unmerge(first.id, ADMIN)
    assert (await house.contact_of("b")).id == b


async def test_a_merge_while_the_customer_keeps_writing_loses_nothing(house: House) -> None:
    await house.say("anna")
    await house.say("u-77")
    anna, other = await house.contact_of("anna"), await house.contact_of("u-77")

    async def write() -> None:
        for number in range(60):
            thread = Threading(own_key=f"k{number}", subject=f"s{number}") if number % 3 == 0 else None
            await house.say("u-77", f"number {number}", thread=thread)

    async with asyncio.TaskGroup() as group:
        writing = group.create_task(write())
        await asyncio.sleep(0.02)
        await house.contacts.merge(anna.id, other.id, "k", "", ADMIN)
        await writing
    house.clock.pass_by(seconds=120)
    await house.contacts.resume()
    assert await house.store.count(CONVERSATIONS, {"contact_id": other.id}) == 0
    assert await house.store.count(CONVERSATIONS, {"contact_id": anna.id}) >= 2
    assert await house.store.count(MESSAGES) >= 62
    assert await house.store.count(CHECKPOINTS, JOBS) == 0


# handing out


async def test_an_export_has_all_of_it(house: House, tmp_path: Path) -> None:
    first = await house.say("anna", "第一条", files=(picture(), picture("other")), email="anna@example.org")
    await house.say("other", "not hers")
    anna = await house.contact_of("anna")
    path = tmp_path / "anna.zip"
    await house.contacts.export(anna.id, ADMIN, path)

    def read() -> dict[str, bytes]:
        with zipfile.ZipFile(path) as archive:
            return {name: archive.read(name) for name in archive.namelist()}

    members = await asyncio.to_thread(read)
    about = json.loads(members["contact.json"])
    assert about["contact"]["email"] == "anna@example.org"
    assert [identity["address"] for identity in about["identities"]] == ["anna"]
    folder = f"conversations/{first.conversation_id}"
    messages = [json.loads(line) for line in members[f"{folder}/messages.jsonl"].splitlines()]
    assert messages[0]["text"] == "第一条"
    assert b"facts" in members[f"{folder}/decisions.jsonl"]
    files = {name: data for name, data in members.items() if name.startswith("files/")}
    assert set(files.values()) == {picture().data, picture("other").data}
    assert all(
        messages[0]["attachments"][0]["sha256"] in name for name, data in files.items() if data == picture().data
    )
    assert not any("hers" in text.decode("utf-8", "replace") for text in members.values())
    assert [entry.action for entry in (await house.store.find(AUDIT, {"target": anna.id})).items] == ["contact.export"]
    assert not path.with_name("anna.zip.partial").exists()


# forgetting


async def everything(house: House) -> str:
    """All that the store keeps, as text, but for what goes with its own retention."""
    found = []
    for collection in (CONTACTS, IDENTITIES, CONVERSATIONS, MESSAGES, DECISIONS, THREADS, MERGES, AUDIT):
        after: str | None = None
        while True:
            page: Any = await house.store.find(collection, order="id", after=after, limit=200)
            found += [repr(document) for document in page.items]
            after = page.next
            if after is None:
                break
    return "\n".join(found)


async def test_an_erased_contact_leaves_counts_and_nothing_else(house: House) -> None:
    first = await house.say("anna", "my secret", files=(picture(name="hers.png"),), email="anna@example.org")
    await house.say("anna", "more secret", files=(picture("shared"),))
    await house.say("u-77", "secret too", phone="0301234")
    other = await house.say("bob", "also", files=(picture("shared"),))
    anna = await house.contact_of("anna")
    await house.contacts.merge(anna.id, (await house.contact_of("u-77")).id, "phone", "the secret number", ADMIN)
    own = (await house.message(first.message_id)).attachments[0].sha256
    shared = (await house.message(other.message_id)).attachments[0].sha256
    before = await house.conversation(first.conversation_id)
    async with house.indexing():

        async def indexed() -> bool:
            return len(await house.finds("secret")) == 3 and len(await house.finds(shared)) == 2

        await house.until(indexed)
        erased = await house.contacts.erase(anna.id, ADMIN)
        assert erased.erased_at is not None
        assert await house.finds("secret") == []

        async def dropped() -> bool:
            await house.contacts.resume()
            return await house.store.count(CHECKPOINTS, {"id": Range(FILE, FILE + "~")}) == 0

        await house.until(dropped)
        await house.say("bob", "still here")

        async def caught_up() -> bool:
            return len(await house.finds("still")) == 1

        await house.until(caught_up)
        assert await house.finds("anna") == await house.finds("secret") == []
    left = (await everything(house)).lower()
    for word in ("secret", "anna", "u-77", "0301234", "hers.png"):
        assert word not in left, word
    assert await house.store.blobs.get(own) is None
    assert await house.store.blobs.get(shared) is not None
    after = await house.conversation(first.conversation_id)
    assert (after.message_count, after.created_at, after.queue_id) == (2, before.created_at, before.queue_id)
    assert (await house.message(first.message_id)).external_id == "m1"  # so that it is not taken in again
    assert await house.contacts.search("anna") == []
    with pytest.raises(Clash):
        await house.contacts.patch(anna.id, ContactFields(name="x"), ADMIN)
    await house.contacts.erase(anna.id, ADMIN)  # once more does no harm
    assert (await house.say("anna", "hello again")).conversation_id != first.conversation_id


async def test_desks_are_told_of_what_was_erased(house: House) -> None:
    first = await house.say("anna", "my secret")
    async with house.feed.subscribe() as reader:
        await house.contacts.erase((await house.contact_of("anna")).id, ADMIN)
        told: list[Any] = []
        while len(told) < 3:
            told += [entry.event for entry in await reader.next(timeout=2)]
    assert [event.type for event in told] == ["contact.erased", "message.updated", "conversation.updated"]
    assert told[1].message_id == first.message_id
    assert told[1].queue_id == "support"


async def test_files_are_kept_until_the_index_knows_who_has_them(house: House) -> None:
    await house.say("anna", files=(picture(),))
    first = await house.say("bob", files=(picture(),))
    sha256 = (await house.message(first.message_id)).attachments[0].sha256
    await house.contacts.erase((await house.contact_of("anna")).id, ADMIN)
    await house.contacts.resume()  # nothing is indexed yet
    assert await house.store.blobs.get(sha256) is not None
    assert await house.store.count(CHECKPOINTS, {"id": Range(FILE, FILE + "~")}) == 1


# killed in between


class Killed(BaseException):
    pass


async def killed_at(house: House, step: int, work: Any) -> bool:
    """Run it until its commit number `step`, which does not happen; whether there was one."""
    commit, done = house.store.commit, 0

    async def dying(batch: Batch) -> str:
        nonlocal done
        done += 1
        if done >= step:
            raise Killed
        return await commit(batch)

    house.store.commit = dying  # type: ignore[method-assign]
    try:
        await work
    except Killed:
        return True
    finally:
        house.store.commit = commit  # type: ignore[method-assign]
    return False


@pytest.mark.parametrize("operation", ["merge", "unmerge", "erase"])
async def test_what_was_begun_is_finished_after_a_kill_at_any_step(
    house: House, operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gateway.service.contacts import erase, jobs, merge

    for module in (erase, jobs, merge):
        monkeypatch.setattr(module, "PIECE", 2)
    step, steps = 0, True
    while steps:
        step += 1
        names = [f"{operation}{step}-{one}" for one in ("w", "l")]
        for number in range(5):
            for name in names:
                await house.say(
                    name, f"secret {number}", thread=Threading(own_key=f"{name}{number}", subject=f"{number}")
                )
        winner, loser = [(await house.contact_of(name)).id for name in names]
        contacts = house.restarted()
        merged = ""
        if operation == "unmerge":
            merged = (await contacts.merge(winner, loser, "k", "", ADMIN)).id
        match operation:
            case "merge":
                work = contacts.merge(winner, loser, "k", "", ADMIN)
            case "unmerge":
                work = contacts.unmerge(merged, ADMIN)
            case _:
                work = contacts.erase(loser, ADMIN)  # type: ignore[assignment]
        steps = await killed_at(house, step, work)
        begun = await house.store.count(CHECKPOINTS, {"id": Range(f"job/{operation}/", f"job/{operation}0")}) > 0
        house.clock.pass_by(seconds=120)
        await house.restarted().resume()
        assert await house.store.count(CHECKPOINTS, JOBS) == 0
        await _whole(house, operation, begun or not steps, winner, loser)
    assert step > 3


async def _whole(house: House, operation: str, happened: bool, winner: str, loser: str) -> None:
    """It happened altogether, or not at all."""
    of_winner = await house.store.count(CONVERSATIONS, {"contact_id": winner})
    of_loser = await house.store.count(CONVERSATIONS, {"contact_id": loser})
    addresses = await house.store.count(IDENTITIES, {"contact_id": loser})
    contact = await house.contacts.get(loser)
    match operation, happened:
        case ("merge", True) | ("unmerge", False):
            assert (of_winner, of_loser, addresses, contact.merged_into) == (10, 0, 0, winner)
        case ("merge", False) | ("unmerge", True):
            assert (of_winner, of_loser, addresses, contact.merged_into) == (5, 5, 1, None)
        case _:
            texts = [
                message.text
                for conversation in (await house.store.find(CONVERSATIONS, {"contact_id": loser})).items
                for message in (await house.store.find(MESSAGES, {"conversation_id": conversation.id})).items
            ]
            assert len(texts) == 5
            assert all(text == "" for text in texts) == happened
            assert addresses == (0 if happened else 1)
            assert (contact.erased_at is not None) == happened


async def test_a_store_that_is_away_is_no_answer(house: House) -> None:
    await house.say("anna")
    anna = await house.contact_of("anna")
    await house.store.close()
    with pytest.raises(StoreUnavailable):
        await Contacts.erase(house.contacts, anna.id, ADMIN)
    await house.store.open()
