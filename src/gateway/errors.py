"""Every error that crosses a module border, by who must act.

GatewayError
├── StoreError
│   ├── Duplicate        a unique key is taken: the caller's insert is a repeat or a clash
│   ├── Conflict         a document changed (or went) since it was read: read again, decide again
│   ├── Fenced           a lease passed to another node: stop what was done under it
│   ├── StoreUnavailable the engine cannot answer now: try later
│   ├── StoreTooNew      the data was written by a newer program: update the program
│   └── CursorGone       the feed no longer reaches back to this cursor: reload, then follow from the head
├── Overloaded           a bounded queue is full: answer 503 with Retry-After
├── Refused              bad input: `problems` name each field and the reason
├── NotFound             there is no such thing, or the actor may not know of it
├── Denied               the actor may not do this
├── NotSignedIn          wrong or missing credentials
├── Throttled            too many attempts: come again after `retry_after` seconds
├── Clash                the present state of things forbids it; the text says why
└── SendError            what came of one attempt to send (see gateway.connector)
    ├── Transient        the provider or the line failed before it accepted: try again
    ├── RateLimited      try again after `retry_after` seconds
    ├── Permanent        this message or recipient can never work
    ├── Unauthorized     the account's credentials are refused: stop the inbox, ask the admin
    └── Unknown          the line broke after the provider may have accepted
"""

from __future__ import annotations


class GatewayError(Exception):
    """Root of all errors that Omnigate names itself."""


class StoreError(GatewayError):
    pass


class Duplicate(StoreError):
    """A unique key is taken. `collection` and `key` (the unique key's name) say which."""

    def __init__(self, collection: str, key: str) -> None:
        super().__init__(f"{collection}: another document has this {key}")
        self.collection = collection
        self.key = key


class Conflict(StoreError):
    """The document is not at the version the batch was decided on."""

    def __init__(self, collection: str, id: str) -> None:
        super().__init__(f"{collection} {id} was changed by another writer")
        self.collection = collection
        self.id = id


class Fenced(StoreError):
    """The batch was decided under a lease that another holder has taken since."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the lease {name} is no longer held")
        self.name = name


class StoreUnavailable(StoreError):
    """The engine cannot answer now (disk full, no primary, closed)."""


class StoreTooNew(StoreError):
    """The data was written by a newer program."""


class CursorGone(StoreError):
    """The change feed no longer reaches back to the cursor: reload and follow from the head."""


class Overloaded(GatewayError):
    """A bounded queue is full. `retry_after` is in seconds."""

    def __init__(self, what: str, retry_after: float = 1.0) -> None:
        super().__init__(f"{what} is full")
        self.retry_after = retry_after


class Problem(tuple[str, str]):
    """(path, message): the field, as a JSON path without the leading `$.`, and what is wrong with it."""

    __slots__ = ()

    def __new__(cls, path: str, message: str) -> Problem:
        return super().__new__(cls, (path, message))


class Refused(GatewayError):
    """Input that cannot be taken. Nothing was changed."""

    def __init__(self, *problems: Problem, title: str = "the input cannot be taken") -> None:
        super().__init__("; ".join(f"{path}: {message}" if path else message for path, message in problems) or title)
        self.title = title
        self.problems = problems


class NotFound(GatewayError):
    """There is no such thing, or the actor may not know of it. `what` is a word for it: `conversation`."""

    def __init__(self, what: str, id: str = "") -> None:
        super().__init__(f"there is no such {what}")
        self.what = what
        self.id = id


class Denied(GatewayError):
    """The actor may not do this; the text says what it would take."""


class NotSignedIn(GatewayError):
    """Wrong or missing credentials. `path`: what is missing (`otp`), said only to someone whose password was right."""

    def __init__(self, reason: str, path: str = "") -> None:
        super().__init__(reason)
        self.path = path


class Throttled(GatewayError):
    """Too many attempts. `retry_after` is in seconds."""

    def __init__(self, reason: str, retry_after: float) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class Clash(GatewayError):
    """The present state of things forbids it (a queue still in use, a conversation another agent has); the text, shown
    to people, says why. `path` names the field it is about, if it is about one."""

    def __init__(self, reason: str, path: str = "") -> None:
        super().__init__(reason)
        self.path = path


class SendError(GatewayError):
    """What came of one attempt to send. `reason` is shown to agents: no secrets, no stack. `action`: what the admin
    can do, where the connector knows it better than the gateway."""

    def __init__(self, reason: str, *, code: str = "", action: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code
        self.action = action


class Transient(SendError):
    """Nothing was accepted: the same attempt may work later."""


class RateLimited(SendError):
    """The provider asks to wait `retry_after` seconds."""

    def __init__(self, reason: str, *, retry_after: float, code: str = "") -> None:
        super().__init__(reason, code=code)
        self.retry_after = retry_after


class Permanent(SendError):
    """This message to this recipient can never work; the text says why."""


class Unauthorized(SendError):
    """The account's credentials are refused; the admin must act."""


class Unknown(SendError):
    """The line broke after the provider may have accepted the message."""
