"""Who is asking: logins, sessions and API tokens.

Tokens are random and only their SHA-256 is kept. What a token stands for is looked up in the store and remembered for
a few seconds, so that a request costs no read and a logout on another node counts within those seconds.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec.structs import replace

from gateway.errors import Conflict, Denied, Duplicate, NotFound, NotSignedIn, Problem, Refused
from gateway.model.access import SCOPES, SYSTEM, Actor, ApiToken, Session
from gateway.model.document import Clock, Ids, token
from gateway.model.team import ROLE_RANK, Agent, Role
from gateway.service.audit import Audit
from gateway.service.change import config_changed
from gateway.service.directory import Directory
from gateway.service.one_time import OneTimeCodes, is_secret
from gateway.service.passwords import Passwords
from gateway.service.seal import Seal
from gateway.service.throttle import Throttle
from gateway.store.batch import Batch
from gateway.store.collection import AGENTS, API_TOKENS, SESSIONS
from gateway.store.contract import Page, Store

REMEMBER = timedelta(seconds=5)
REMEMBERED = 10_000
LONGEST_SESSION = timedelta(days=30)
"""However busy: then the password is asked again."""

SESSION_PREFIX = "os_"
TOKEN_PREFIX = "ot_"  # noqa: S105
INBOX_PREFIX = "oi_"


@dataclass(frozen=True, slots=True)
class Credential:
    """What a token stands for; `session` where it is a login."""

    actor: Actor
    session: Session | None = None


@dataclass(frozen=True, slots=True)
class SignedIn:
    token: str
    session: Session
    agent: Agent


class Access:
    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        ids: Ids,
        directory: Directory,
        audit: Audit,
        seal: Seal,
        session_hours: int = 12,
        passwords: Passwords | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._directory = directory
        self._audit = audit
        self._seal = seal
        self._session_length = timedelta(hours=session_hours)
        self.passwords = passwords or Passwords()
        self._throttle = Throttle(store, clock)
        self._codes = OneTimeCodes(store, clock)
        self._known: OrderedDict[str, tuple[datetime, Session | ApiToken]] = OrderedDict()

    # who a token stands for

    async def authenticate(self, clear: str, address: str = "") -> Credential | None:
        """What the token stands for now; None if nothing."""
        digest = token_hash(clear)
        now = self._clock.now()
        found = self._known.get(digest)
        if found is None or found[0] <= now:
            document = await self._look_up(clear, digest)
            if document is None:
                self._known.pop(digest, None)
                return None
            self._remember(digest, document)
        else:
            document = found[1]
        if isinstance(document, Session):
            return await self._session_credential(document, digest, address, now)
        return self._token_credential(document, address, now)

    async def _look_up(self, clear: str, digest: str) -> Session | ApiToken | None:
        if clear.startswith(SESSION_PREFIX):
            return await self._store.get(SESSIONS, digest)
        if clear.startswith(TOKEN_PREFIX):
            return (await self._store.find_keys(API_TOKENS, "token", [(digest,)])).get((digest,))
        return None

    async def _session_credential(
        self, session: Session, digest: str, address: str, now: datetime
    ) -> Credential | None:
        agent = self._directory.agents.get(session.agent_id)
        if session.expires_at <= now or agent is None or not agent.enabled:
            return None
        if now - session.last_seen_at > self._session_length / 50:
            session = await self._slide(session, now)
            self._remember(digest, session)
        actor = Actor(kind="agent", id=agent.id, name=agent.name, role=agent.role, agent_id=agent.id, address=address)
        return Credential(actor, session)

    def _token_credential(self, known: ApiToken, address: str, now: datetime) -> Credential | None:
        if known.expires_at is not None and known.expires_at <= now:
            return None
        role = known.role
        if known.agent_id is not None:
            agent = self._directory.agents.get(known.agent_id)
            if agent is None or not agent.enabled:
                return None
            role = min(role, agent.role, key=ROLE_RANK.__getitem__)
        return Credential(
            Actor(
                kind="token",
                id=f"token:{known.id}",
                name=known.name,
                role=role,
                scopes=known.scopes,
                agent_id=known.agent_id,
                address=address,
            )
        )

    async def _slide(self, session: Session, now: datetime) -> Session:
        """Push the end of a session in use further out."""
        end = min(now + self._session_length, session.created_at + LONGEST_SESSION)
        batch = Batch()
        slid = batch.put(SESSIONS, replace(session, last_seen_at=now, expires_at=end))
        try:
            await self._store.commit(batch)
        except Conflict:  # another request, or node, did so just now
            return await self._store.get(SESSIONS, session.id) or session
        return slid

    def _remember(self, digest: str, document: Session | ApiToken) -> None:
        self._known[digest] = (self._clock.now() + REMEMBER, document)
        self._known.move_to_end(digest)
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    # logging in and out

    async def sign_in(
        self, email: str, password: str, otp: str | None, *, address: str = "", user_agent: str = ""
    ) -> SignedIn:
        """Start a session. Raises NotSignedIn, or Throttled after too many failures."""
        email = email.strip().lower()
        await self._throttle.count(email, address)
        agent = await self.agent_by_email(email)
        known = agent.password_hash if agent is not None and agent.enabled else None
        if not await self.passwords.verify(known, password) or agent is None:
            await self._record_failure(agent, address, "wrong e-mail address or password")
            raise NotSignedIn("wrong e-mail address or password")
        if agent.totp_secret is not None:
            if not otp:
                # Not a success: who has only the password could else try codes without end.
                await self._throttle.take_back(email, address)
                raise NotSignedIn("a one-time code is needed", "otp")
            if not await self._codes.use(agent.id, self._seal.open(agent.totp_secret, totp_context(agent.id)), otp):
                await self._record_failure(agent, address, "wrong one-time code")
                raise NotSignedIn("the one-time code is wrong or was used already", "otp")
        await self._throttle.succeed(email, address)
        now = self._clock.now()
        clear = SESSION_PREFIX + token()
        batch = Batch()
        session = batch.insert(
            SESSIONS,
            Session(
                id=token_hash(clear),
                agent_id=agent.id,
                csrf=token(24),
                created_at=now,
                last_seen_at=now,
                expires_at=now + self._session_length,
                address=address,
                user_agent=user_agent[:200],
            ),
        )
        actor = Actor(kind="agent", id=agent.id, name=agent.name, role=agent.role, address=address)
        await self._audit.commit(batch, actor, "session.start", agent.id)
        if agent.id not in self._directory.agents:  # made on another node a moment ago
            await self._directory.reload(AGENTS.name, agent.id)
        return SignedIn(clear, session, agent)

    async def sign_out(self, session: Session, actor: Actor) -> None:
        """End the session; no error if it has ended already."""
        self._known.pop(session.id, None)
        current = await self._store.get(SESSIONS, session.id)
        if current is None:
            return
        batch = Batch()
        batch.delete(SESSIONS, current)
        try:
            await self._audit.commit(batch, actor, "session.end", session.agent_id)
        except Conflict:  # slid at the same moment
            await self.sign_out(session, actor)

    async def end_sessions(self, batch: Batch, agent_id: str, *, keep: str | None = None) -> list[str]:
        """Put the end of all the agent's sessions but `keep` (an id) on the batch; hand the returned ids to `forget`
        once it is committed."""
        ended = []
        after = None
        while True:
            page = await self._store.find(SESSIONS, {"agent_id": agent_id}, after=after, limit=200)
            for session in page.items:
                if session.id != keep:
                    batch.delete(SESSIONS, session)
                    ended.append(session.id)
            after = page.next
            if after is None:
                return ended

    def forget(self, session_ids: list[str]) -> None:
        """Drop what is remembered of ended sessions."""
        for id in session_ids:
            self._known.pop(id, None)

    async def _record_failure(self, agent: Agent | None, address: str, reason: str) -> None:
        # Failures against accounts that do not exist name no one: what was typed may be a password.
        who = Actor(
            kind="system", id=agent.id if agent else "unknown", name=agent.name if agent else "", address=address
        )
        await self._audit.commit(Batch(), who, "session.refused", agent.id if agent else "", {"reason": reason})

    async def agent_by_email(self, email: str) -> Agent | None:
        found = await self._store.find_keys(AGENTS, "email", [(email.lower(),)])
        return found.get((email.lower(),))

    # the own account

    async def change_password(self, actor: Actor, session: Session, current: str, new: str) -> None:
        """Set the own password; every other session of the agent ends."""
        agent = await self._own(actor)
        await self._prove(agent, current, actor.address)
        hashed = await self.passwords.hash(new)
        batch = Batch()
        batch.put(AGENTS, replace(agent, password_hash=hashed))
        ended = await self.end_sessions(batch, agent.id, keep=session.id)
        await self._commit_agent(batch, actor, "agent.password", agent.id)
        self.forget(ended)

    def offer_code(self, actor: Actor) -> tuple[str, str]:
        """A new TOTP secret and its `otpauth:` address; nothing is kept until `enable_code` proves it arrived."""
        agent = self._directory.agents.get(actor.agent_id or "")
        if agent is None:
            raise NotFound("agent")
        return self._codes.new_secret(agent.email)

    async def enable_code(self, actor: Actor, password: str, secret: str, code: str) -> None:
        """From now on the login asks for a code of the secret."""
        agent = await self._own(actor)
        await self._prove(agent, password, actor.address)
        if not is_secret(secret):
            raise Refused(Problem("secret", "is not one that was offered"))
        if not await self._codes.use(agent.id, secret, code):
            raise Refused(Problem("otp", "is not the secret's code now; check the device's clock"))
        batch = Batch()
        batch.put(AGENTS, replace(agent, totp_secret=self._seal.seal(secret, totp_context(agent.id))))
        await self._commit_agent(batch, actor, "agent.totp_on", agent.id)

    async def disable_code(self, actor: Actor, password: str) -> None:
        """The login asks for no code any more."""
        agent = await self._own(actor)
        await self._prove(agent, password, actor.address)
        batch = Batch()
        batch.put(AGENTS, replace(agent, totp_secret=None))
        await self._commit_agent(batch, actor, "agent.totp_off", agent.id)

    async def _own(self, actor: Actor) -> Agent:
        agent = await self._store.get(AGENTS, actor.agent_id) if actor.agent_id else None
        if agent is None or actor.kind != "agent":
            raise Denied("only the person themselves can do this, logged in")
        return agent

    async def _prove(self, agent: Agent, password: str, address: str) -> None:
        await self._throttle.count(agent.email, address)
        if not await self.passwords.verify(agent.password_hash, password):
            raise Denied("the current password is wrong")
        await self._throttle.succeed(agent.email, address)

    async def _commit_agent(self, batch: Batch, actor: Actor, action: str, agent_id: str) -> None:
        batch.emit(config_changed(self._clock.now(), AGENTS, agent_id))
        await self._audit.commit(batch, actor, action, agent_id)
        await self._directory.reload(AGENTS.name, agent_id)

    # API tokens

    async def create_token(
        self,
        actor: Actor,
        *,
        name: str,
        role: Role,
        scopes: tuple[str, ...] = (),
        agent_id: str | None = None,
        expires_at: datetime | None = None,
    ) -> tuple[ApiToken, str]:
        """A token for scripts, and its clear text, which is shown once and not kept."""
        problems = [Problem("scopes", f"there is no scope {scope}") for scope in scopes if scope not in SCOPES]
        if agent_id is not None and agent_id not in self._directory.agents:
            problems.append(Problem("agent_id", "there is no such agent"))
        if role == "agent" and agent_id is None:
            problems.append(Problem("agent_id", "a token of role agent acts for an agent: name one"))
        if expires_at is not None and expires_at <= self._clock.now():
            problems.append(Problem("expires_at", "is in the past"))
        if problems:
            raise Refused(*problems)
        clear = TOKEN_PREFIX + token()
        batch = Batch()
        made = batch.insert(
            API_TOKENS,
            ApiToken(
                id=self._ids(),
                name=name,
                token_hash=token_hash(clear),
                role=role,
                scopes=scopes,
                agent_id=agent_id,
                created_at=self._clock.now(),
                expires_at=expires_at,
            ),
        )
        detail = {"name": name, "role": role, "scopes": scopes, "agent_id": agent_id}
        await self._audit.commit(batch, actor, "token.create", made.id, detail)
        return made, clear

    async def tokens(self, after: str | None, limit: int) -> Page[ApiToken]:
        return await self._store.find(API_TOKENS, order="name", after=after, limit=limit)

    async def revoke_token(self, actor: Actor, id: str) -> None:
        known = await self._store.get(API_TOKENS, id)
        if known is None:
            raise NotFound("token", id)
        batch = Batch()
        batch.delete(API_TOKENS, known)
        await self._audit.commit(batch, actor, "token.delete", id, {"name": known.name})
        self._known.pop(known.token_hash, None)

    # the first start

    async def ensure_admin(self, email: str, password: str | None) -> str | None:
        """Make the first admin if there is no agent yet. Returns the password if it had to be made up."""
        if await self._store.count(AGENTS, limit=1):
            return None
        chosen = password or token(12)
        hashed = await self.passwords.hash(chosen)
        batch = Batch()
        admin = batch.insert(
            AGENTS,
            Agent(
                id=self._ids(),
                email=email.strip().lower(),
                name="Admin",
                role="admin",
                password_hash=hashed,
                created_at=self._clock.now(),
            ),
        )
        try:
            await self._commit_agent(batch, SYSTEM, "agent.create", admin.id)
        except Duplicate:  # another node starts on the same empty store
            return None
        return None if password else chosen


def token_hash(clear: str) -> str:
    """What is kept of a token: SHA-256 (hex). It is random, so no slow hash is needed."""
    return hashlib.sha256(clear.encode("utf-8", "surrogateescape")).hexdigest()


def new_inbox_token() -> str:
    """A token for an app to post messages with."""
    return INBOX_PREFIX + token()


def totp_context(agent_id: str) -> str:
    """What an agent's TOTP secret is sealed for."""
    return f"agent/{agent_id}/totp"
