"""Contacts: found, kept, merged and parted, handed out and forgotten."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from aiohttp import hdrs, web
from msgspec import UNSET, Meta, UnsetType

from gateway.model.contact import Contact, Evidence, Identity, Merge, Verification
from gateway.service.contacts import ContactFields
from gateway.web.fields import Body, Email, Id, Key, Line, Listing, Paging, View, checked_json
from gateway.web.route import Answer, Call, route

Phone = Annotated[str, Meta(max_length=50, pattern=r"^[+0-9 ().\/-]+$")]
Tags = Annotated[tuple[Key, ...], Meta(max_length=100)]
Why = Annotated[str, Meta(min_length=1, max_length=1000)]

CHUNK = 256 * 1024


class EvidenceView(View, frozen=True, kw_only=True):
    """Why it is held to be so, by whom, since when."""

    kind: str
    detail: str
    by: str
    at: datetime


class IdentityView(View, frozen=True, kw_only=True):
    """`verification`: none (the channel proves nothing) · asserted (a trusted app says so) · verified."""

    id: str
    namespace: str
    address: str
    name: str
    verification: Verification
    evidence: list[EvidenceView]
    created_at: datetime


class MergeView(View, frozen=True, kw_only=True):
    id: str
    winner_id: str
    loser_id: str
    evidence: EvidenceView
    undone_at: datetime | None


class ContactView(View, frozen=True, kw_only=True):
    """`merged_into`: who stands for this contact now."""

    id: str
    name: str
    email: str | None
    phone: str | None
    language: str | None
    attributes: dict[str, Any]
    tags: list[str]
    merged_into: str | None
    erased_at: datetime | None
    created_at: datetime
    updated_at: datetime
    version: int


class ContactDetail(ContactView, frozen=True, kw_only=True):
    identities: list[IdentityView]
    merges: list[MergeView]


class ContactQuery(Paging, frozen=True, kw_only=True):
    """`q`: address, number, beginning of the name, or words of names and messages, surest first, one page."""

    q: Line | None = None
    email: Line | None = None
    phone: Line | None = None


class NewContact(Body, frozen=True, kw_only=True):
    name: Line = ""
    email: Email | None = None
    phone: Phone | None = None
    language: Key | None = None
    attributes: dict[str, Any] = {}
    tags: Tags = ()


class ContactPatch(Body, frozen=True, kw_only=True):
    """`attributes` replaces them all."""

    name: Line | UnsetType = UNSET
    email: Email | UnsetType | None = UNSET
    phone: Phone | UnsetType | None = UNSET
    language: Key | UnsetType | None = UNSET
    attributes: dict[str, Any] | UnsetType = UNSET
    tags: Tags | UnsetType = UNSET


class MergeBody(Body, frozen=True, kw_only=True):
    """The contact in the path stays, and gets what `loser_id` has; `reason`: what shows that they are one person."""

    loser_id: Id
    reason: Why


class UnmergeBody(Body, frozen=True, kw_only=True):
    merge_id: Id


def contact_fields(contact: Contact) -> dict[str, Any]:
    return {
        "id": contact.id,
        "name": contact.name,
        "email": contact.email,
        "phone": contact.phone,
        "language": contact.language,
        "attributes": contact.attributes,
        "tags": list(contact.tags),
        "merged_into": contact.merged_into,
        "erased_at": contact.erased_at,
        "created_at": contact.created_at,
        "updated_at": contact.updated_at,
        "version": contact.version,
    }


def contact_view(contact: Contact) -> ContactView:
    return ContactView(**contact_fields(contact))


def evidence_view(evidence: Evidence) -> EvidenceView:
    return EvidenceView(kind=evidence.kind, detail=evidence.detail, by=evidence.by, at=evidence.at)


def identity_view(identity: Identity) -> IdentityView:
    return IdentityView(
        id=identity.id,
        namespace=identity.namespace,
        address=identity.address,
        name=identity.name,
        verification=identity.verification,
        evidence=[evidence_view(evidence) for evidence in identity.evidence],
        created_at=identity.created_at,
    )


def merge_view(merge: Merge) -> MergeView:
    return MergeView(
        id=merge.id,
        winner_id=merge.winner_id,
        loser_id=merge.loser_id,
        evidence=evidence_view(merge.evidence),
        undone_at=merge.undone_at,
    )


async def detail(call: Call[Any, Any], contact: Contact) -> Answer[ContactDetail]:
    contacts = call.services.contacts
    shown = ContactDetail(
        **contact_fields(contact),
        identities=[identity_view(identity) for identity in await contacts.identities(contact.id)],
        merges=[merge_view(merge) for merge in await contacts.merges(contact.id)],
    )
    return Answer(shown, headers={hdrs.ETAG: f'"{contact.version}"'})


async def list_contacts(call: Call[None, ContactQuery]) -> Listing[ContactView]:
    query, contacts = call.query, call.services.contacts
    if query.q is not None and query.q.strip():
        found = await contacts.search(
            query.q, limit=query.limit, visible=lambda known: call.services.conversations.visible(known, call.actor)
        )
        return Listing(items=[contact_view(contact) for contact in found])
    where: dict[str, Any] = {}
    if query.email is not None:
        where["email"] = query.email.lower()
    if query.phone is not None:
        where["phone"] = query.phone
    page = await contacts.find(where, after=query.cursor, limit=query.limit)
    return Listing(items=[contact_view(contact) for contact in page.items], next=page.next)


async def get_contact(call: Call[None, None]) -> Answer[ContactDetail]:
    return await detail(call, await call.services.contacts.get(call.id))


async def create_contact(call: Call[NewContact, None]) -> Answer[ContactDetail]:
    body = call.body
    fields = ContactFields(
        name=body.name,
        email=body.email.lower() if body.email is not None else None,
        phone=body.phone,
        language=body.language,
        attributes=checked_json(body.attributes, "attributes"),
        tags=body.tags,
    )
    return await detail(call, await call.services.contacts.create(fields, call.actor))


async def update_contact(call: Call[ContactPatch, None]) -> Answer[ContactDetail]:
    body = call.body
    if body.attributes is not UNSET:
        checked_json(body.attributes, "attributes")
    fields = ContactFields(
        name=body.name,
        email=body.email.lower() if isinstance(body.email, str) else body.email,
        phone=body.phone,
        language=body.language,
        attributes=body.attributes,
        tags=body.tags,
    )
    contact = await call.services.contacts.patch(call.id, fields, call.actor, expect=call.expected_version())
    return await detail(call, contact)


async def merge(call: Call[MergeBody, None]) -> MergeView:
    body = call.body
    return merge_view(await call.services.contacts.merge(call.id, body.loser_id, "person", body.reason, call.actor))


async def unmerge(call: Call[UnmergeBody, None]) -> MergeView:
    return merge_view(await call.services.contacts.unmerge(call.body.merge_id, call.actor))


async def export(call: Call[None, None]) -> web.StreamResponse:
    folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="omnigate-export-"))
    try:
        archive = folder / "contact.zip"
        await call.services.contacts.export(call.id, call.actor, archive)
        return await send_file(call.request, archive, f"contact-{call.id}.zip")
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


async def send_file(request: web.Request, path: Path, name: str) -> web.StreamResponse:
    """The file, a piece at a time, read off the loop."""
    size = (await asyncio.to_thread(path.stat)).st_size
    response = web.StreamResponse(
        headers={
            hdrs.CONTENT_TYPE: "application/zip",
            hdrs.CONTENT_LENGTH: str(size),
            hdrs.CONTENT_DISPOSITION: f'attachment; filename="{name}"',
            hdrs.CACHE_CONTROL: "no-store",
        }
    )
    file = await asyncio.to_thread(path.open, "rb")
    try:
        await response.prepare(request)
        while chunk := await asyncio.to_thread(file.read, CHUNK):
            await response.write(chunk)
        await response.write_eof()
    finally:
        await asyncio.to_thread(file.close)
    return response


async def erase(call: Call[None, None]) -> ContactView:
    return contact_view(await call.services.contacts.erase(call.id, call.actor))


ROUTES = [
    route(
        "GET", "/contacts", list_contacts, query=ContactQuery, response=Listing[ContactView],
        role="agent", scope="contacts:read", tag="contacts", summary="Contacts, last changed first",
    ),
    route(
        "POST", "/contacts", create_contact, body=NewContact, response=ContactDetail, status=201, creates=True,
        role="agent", scope="contacts:write", tag="contacts", summary="Add a contact",
    ),
    route(
        "GET", "/contacts/{id}", get_contact, response=ContactDetail,
        role="agent", scope="contacts:read", tag="contacts", summary="A contact, with addresses and merges",
    ),
    route(
        "PATCH", "/contacts/{id}", update_contact, body=ContactPatch, response=ContactDetail,
        role="agent", scope="contacts:write", tag="contacts", summary="Change a contact",
    ),
    route(
        "POST", "/contacts/{id}/merge", merge, body=MergeBody, response=MergeView,
        role="supervisor", scope="contacts:write", tag="contacts", summary="Make two contacts one; can be undone",
    ),
    route(
        "POST", "/contacts/{id}/unmerge", unmerge, body=UnmergeBody, response=MergeView,
        role="supervisor", scope="contacts:write", tag="contacts", summary="Undo a merge",
    ),
    route(
        "POST", "/contacts/{id}/export", export, media_type="application/zip", timeout=600,
        role="admin", scope="contacts:read", tag="contacts", summary="All that is kept about a contact, as a zip",
    ),
    route(
        "POST", "/contacts/{id}/erase", erase, response=ContactView, timeout=600,
        role="admin", scope="contacts:write", tag="contacts",
        summary="Forget a contact: name, addresses, texts and files; cannot be undone",
    ),
]  # fmt: skip
