"""The program's own settings: from a TOML file, the environment (`OMNIGATE_…`) and the command line, the later wins.

Parsed and checked once at the start; a wrong value is refused with its name, where it came from and what is expected.
"""

from __future__ import annotations

import ipaddress
import socket
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec

from gateway.errors import Problem, Refused

PREFIX = "OMNIGATE_"
NOT_SETTINGS = frozenset(
    {
        "OMNIGATE_FAULT",
        "OMNIGATE_CONFIG",
        "OMNIGATE_TEST_MONGODB",
        "OMNIGATE_URL",
        "OMNIGATE_TOKEN",
        "OMNIGATE_NEW_PASSWORD",
    }
)

Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Count = Annotated[int, msgspec.Meta(ge=1)]


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Each field is an option of `serve`, a key of the TOML file, and OMNIGATE_ with its name in capitals."""

    store: str = ""
    """`sqlite:///path` or `mongodb://…`; empty: SQLite in the data folder."""
    data: str = ".omnigate"
    """Folder for the embedded store, attachments and the key of the secrets."""
    listen: str = "127.0.0.1:8080"
    public_url: str = ""
    """Address that customers and providers reach us at; empty: the listen address."""
    mongo_driver: Literal["pymongo", "motor"] = "pymongo"
    node: str = ""
    """This node's name in leases and logs; empty: made from host and process."""
    admin_email: str = "admin@localhost"
    admin_password: str = ""
    secret_key: str = ""
    """Base64 of 32 bytes that seal secrets at rest; empty: the file `secret.key` in the data folder."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "console"] = "console"
    allow_networks: tuple[str, ...] = ()
    """Private networks (CIDR) that webhooks, callbacks and fetched addresses may reach; commas in the environment."""
    trusted_proxies: tuple[str, ...] = ()
    """Networks (CIDR) whose X-Forwarded-For is believed."""
    intake_pending: Count = 4096
    """Messages that may wait for their commit; above: 503 with Retry-After."""
    intake_batch: Count = 256
    attachment_bytes: Count = 25_000_000
    attachment_count: Count = 50
    body_bytes: Count = 1_000_000
    """Largest JSON body without attachments."""
    event_days: Count = 7
    session_hours: Count = 12
    drain_seconds: Annotated[float, msgspec.Meta(gt=0, le=60)] = 8.0

    @property
    def data_dir(self) -> Path:
        return Path(self.data)

    @property
    def store_url(self) -> str:
        return self.store or "sqlite:///omnigate.db"  # in the data folder

    @property
    def host_port(self) -> tuple[str, int]:
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def node_name(self) -> str:
        return self.node or socket.gethostname()


FIELDS = {field.name: field for field in msgspec.structs.fields(Settings)}


def from_sources(options: Mapping[str, Any], environ: Mapping[str, str], config: str | Path | None = None) -> Settings:
    """Settings of the three sources; raises Refused with every wrong value named."""
    problems: list[Problem] = []
    values: dict[str, Any] = {}
    origin: dict[str, str] = {}
    path = config or environ.get("OMNIGATE_CONFIG")
    if path:
        for key, value in _read_file(Path(path)).items():
            if key not in FIELDS:
                problems.append(Problem(f"{path}: {key}", f"no such setting{_suggest(key)}"))
                continue
            values[key], origin[key] = value, f"{path}: {key}"
    for name, text in environ.items():
        if not name.startswith(PREFIX) or name in NOT_SETTINGS:
            continue
        key = name.removeprefix(PREFIX).lower()
        if key not in FIELDS:
            problems.append(Problem(name, f"no such setting{_suggest(key)}"))
            continue
        values[key], origin[key] = text, name
    for key, value in options.items():
        if value is not None:
            values[key], origin[key] = value, f"--{key.replace('_', '-')}"
    checked: dict[str, Any] = {}
    for key, value in values.items():
        try:
            checked[key] = _convert(key, value)
        except (msgspec.ValidationError, ValueError) as error:
            problems.append(Problem(origin[key], f"{_readable(error)} (got {value!r})"))
    if problems:
        raise Refused(*problems, title="the configuration is not usable")
    return Settings(**checked)


def _read_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise Refused(Problem(str(path), f"cannot be read: {error.strerror}"), title="no configuration") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Refused(Problem(str(path), f"is not TOML: {error}"), title="no configuration") from None


def _convert(key: str, value: Any) -> Any:
    kind = FIELDS[key].type
    if kind == tuple[str, ...] and isinstance(value, str):
        value = tuple(part.strip() for part in value.split(",") if part.strip())
    if kind is bool and isinstance(value, str):
        if value.lower() not in ("true", "false", "1", "0", "yes", "no"):
            raise ValueError("expected true or false")
        value = value.lower() in ("true", "1", "yes")
    converted = msgspec.convert(value, kind, strict=False)
    check = _CHECKS.get(key)
    if check is not None:
        check(converted)
    return converted


def _check_store(url: str) -> None:
    if url and not url.startswith(("sqlite:///", "mongodb://", "mongodb+srv://")):
        raise ValueError("expected sqlite:///path or mongodb://host:port/database?replicaSet=name")


def _check_listen(listen: str) -> None:
    host, _, port = listen.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise ValueError("expected HOST:PORT, for example 127.0.0.1:8080")


def _check_url(url: str) -> None:
    parts = urlsplit(url)
    if url and (parts.scheme not in ("http", "https") or not parts.hostname):
        raise ValueError("expected an address like https://support.example.org")


def _check_networks(networks: tuple[str, ...]) -> None:
    for network in networks:
        ipaddress.ip_network(network)


_CHECKS: dict[str, Callable[[Any], None]] = {
    "store": _check_store,
    "listen": _check_listen,
    "public_url": _check_url,
    "allow_networks": _check_networks,
    "trusted_proxies": _check_networks,
}


def _readable(error: Exception) -> str:
    text = str(error)
    return text[:1].lower() + text[1:]


def _suggest(key: str) -> str:
    import difflib  # noqa: PLC0415 - only for a message at the start

    near = difflib.get_close_matches(key, FIELDS, n=1)
    return f"; did you mean {near[0]}?" if near else f"; there are: {', '.join(sorted(FIELDS))}"
