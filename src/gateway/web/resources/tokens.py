"""API tokens for scripts."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta

from gateway.model.access import ApiToken
from gateway.model.team import Role
from gateway.web.fields import Body, Id, Key, Listing, Moment, Name, Paging, View, utc
from gateway.web.paging import paged
from gateway.web.route import Call, route


class TokenView(View, frozen=True, kw_only=True):
    id: str
    name: str
    role: Role
    scopes: list[str]
    agent_id: str | None
    created_at: datetime
    expires_at: datetime | None


class MadeToken(TokenView, frozen=True, kw_only=True):
    """`token` is shown this once."""

    token: str


class NewToken(Body, frozen=True, kw_only=True):
    """`scopes` empty: all that the role may; `agent_id`: whom it acts for (claims, answers as); a token of role agent
    must name one."""

    name: Name
    role: Role
    scopes: Annotated[tuple[Key, ...], Meta(max_length=20)] = ()
    agent_id: Id | None = None
    expires_at: Moment | None = None


def token_view(known: ApiToken) -> TokenView:
    return TokenView(
        id=known.id,
        name=known.name,
        role=known.role,
        scopes=list(known.scopes),
        agent_id=known.agent_id,
        created_at=known.created_at,
        expires_at=known.expires_at,
    )


async def list_tokens(call: Call[None, Paging]) -> Listing[TokenView]:
    return paged(await call.services.access.tokens(call.query.cursor, call.query.limit), token_view)


async def create_token(call: Call[NewToken, None]) -> MadeToken:
    made, clear = await call.services.access.create_token(
        call.actor,
        name=call.body.name,
        role=call.body.role,
        scopes=call.body.scopes,
        agent_id=call.body.agent_id,
        expires_at=utc(call.body.expires_at, "expires_at"),
    )
    return MadeToken(
        id=made.id,
        name=made.name,
        role=made.role,
        scopes=list(made.scopes),
        agent_id=made.agent_id,
        created_at=made.created_at,
        expires_at=made.expires_at,
        token=clear,
    )


async def delete_token(call: Call[None, None]) -> None:
    await call.services.access.revoke_token(call.actor, call.id)


ROUTES = [
    route(
        "GET", "/tokens", list_tokens, query=Paging, response=Listing[TokenView],
        role="admin", scope="config:read", tag="tokens", summary="API tokens, without what opens",
    ),
    route(
        "POST", "/tokens", create_token, body=NewToken, response=MadeToken, status=201, creates=True,
        secret_answer=True, role="admin", scope="config:write", tag="tokens", summary="Make an API token",
    ),
    route(
        "DELETE", "/tokens/{id}", delete_token,
        role="admin", scope="config:write", tag="tokens", summary="Revoke an API token",
    ),
]  # fmt: skip
