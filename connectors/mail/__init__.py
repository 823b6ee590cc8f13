"""E-mail: a mailbox watched over IMAP, answers sent over SMTP. See README.md for set-up, scopes and limits."""

from __future__ import annotations

import ipaddress
import re
import ssl
from collections.abc import Sequence
from datetime import date
from typing import Annotated, Any, Literal

import msgspec

from gateway.connector import Capabilities, Connector, ConnectorSpec, Context

Host = Annotated[str, msgspec.Meta(max_length=253, pattern=r"^[A-Za-z0-9.:_-]*$")]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Address = Annotated[str, msgspec.Meta(max_length=254, pattern=r"^[^\s@<>,;\x00-\x1f]+@[^\s@<>,;\x00-\x1f]+$")]
Line = Annotated[str, msgspec.Meta(max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$")]
Auth = Literal["password", "xoauth2"]


class MailSettings(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """One mailbox and the way out for its answers."""

    address: Annotated[
        Address, msgspec.Meta(title="Address", description="Customers write to it; answers come from it.")
    ]
    display_name: Annotated[
        Line, msgspec.Meta(title="Display name", description="Shown as the sender of answers, for example `Support`.")
    ] = ""
    aliases: Annotated[
        tuple[Address, ...],
        msgspec.Meta(
            title="Aliases", description="Other addresses of this mailbox; mail from them is ours.", max_length=100
        ),
    ] = ()
    show_author: Annotated[
        bool,
        msgspec.Meta(title="Show who answers", description="Adds the agent's name to the sender of answers."),
    ] = False

    imap_host: Annotated[Host, msgspec.Meta(title="IMAP server", min_length=1)]
    imap_port: Annotated[Port, msgspec.Meta(title="IMAP port", description="993, the port for TLS.")] = 993
    imap_security: Annotated[
        Literal["tls", "none"],
        msgspec.Meta(title="IMAP security", description="`none` only for a server on this machine or network."),
    ] = "tls"
    imap_auth: Annotated[Auth, msgspec.Meta(title="IMAP sign-in")] = "password"
    imap_user: Annotated[Line, msgspec.Meta(title="IMAP user", description="Empty: the address.")] = ""
    imap_password: Annotated[Line, msgspec.Meta(title="IMAP password")] = ""
    folders: Annotated[
        tuple[Annotated[Line, msgspec.Meta(min_length=1)], ...],
        msgspec.Meta(
            title="Folders",
            description="The first is watched all the time, the others every poll interval.",
            min_length=1,
            max_length=50,
        ),
    ] = ("INBOX",)
    poll_seconds: Annotated[
        int,
        msgspec.Meta(
            title="Poll interval", description="Seconds between looks where the server cannot push.", ge=5, le=3600
        ),
    ] = 60
    since: Annotated[
        Literal["now", "all"],
        msgspec.Meta(
            title="Take in", description="`now`: what comes after the inbox is set up; `all`: all that is there, too."
        ),
    ] = "now"
    max_message_mb: Annotated[
        int,
        msgspec.Meta(
            title="Largest mail", description="MiB; of a larger one the beginning is shown, with a note.", ge=1, le=150
        ),
    ] = 40

    smtp_host: Annotated[Host, msgspec.Meta(title="SMTP server", min_length=1)]
    smtp_port: Annotated[Port, msgspec.Meta(title="SMTP port", description="587 with STARTTLS, 465 with TLS.")] = 587
    smtp_security: Annotated[
        Literal["tls", "starttls", "none"],
        msgspec.Meta(title="SMTP security", description="`none` only for a server on this machine or network."),
    ] = "starttls"
    smtp_auth: Annotated[
        Literal["password", "xoauth2", "none"],
        msgspec.Meta(title="SMTP sign-in", description="`none` for a relay that knows this machine."),
    ] = "password"
    smtp_user: Annotated[Line, msgspec.Meta(title="SMTP user", description="Empty: the IMAP user.")] = ""
    smtp_password: Annotated[Line, msgspec.Meta(title="SMTP password", description="Empty: the IMAP password.")] = ""

    oauth_provider: Annotated[
        Literal["google", "microsoft", "custom"],
        msgspec.Meta(title="OAuth provider", description="Used where a sign-in is `xoauth2`."),
    ] = "custom"
    oauth_client_id: Annotated[Line, msgspec.Meta(title="OAuth client ID")] = ""
    oauth_client_secret: Annotated[Line, msgspec.Meta(title="OAuth client secret")] = ""
    oauth_refresh_token: Annotated[
        str, msgspec.Meta(title="OAuth refresh token", max_length=8192, pattern=r"^[^\x00-\x1f\x7f]*$")
    ] = ""
    oauth_tenant: Annotated[
        str,
        msgspec.Meta(
            title="Microsoft tenant",
            description="Its ID or domain, or `common`.",
            max_length=253,
            pattern=r"^[A-Za-z0-9.-]+$",
        ),
    ] = "common"
    oauth_token_url: Annotated[
        str,
        msgspec.Meta(
            title="OAuth token address",
            description="Empty: the provider's; needed for `custom`.",
            max_length=2000,
            pattern=r"^(https?://[^\s]+)?$",
        ),
    ] = ""
    oauth_scope: Annotated[Line, msgspec.Meta(title="OAuth scope", description="Empty: the provider's.")] = ""
    oauth_expires_on: Annotated[
        date | None,
        msgspec.Meta(
            title="OAuth access ends on",
            description="The day the refresh token or client secret runs out, if known: admins are warned in time.",
        ),
    ] = None

    plus_addressing: Annotated[
        bool,
        msgspec.Meta(
            title="Reply address with a token",
            description="Answers carry Reply-To: name+token@domain, so that replies find their conversation whatever "
            "the customer's program does. The mail server must deliver name+anything to this mailbox.",
        ),
    ] = False
    quote_original: Annotated[
        bool, msgspec.Meta(title="Quote the customer's mail", description="Below the answer, as mail programs do.")
    ] = False
    automatic_per_day: Annotated[
        int,
        msgspec.Meta(
            title="Automatic answers a day",
            description="At most this many to one correspondent within 24 hours, so that two robots cannot keep "
            "writing to each other.",
            ge=0,
            le=1000,
        ),
    ] = 10
    ca_certificate: Annotated[
        str,
        msgspec.Meta(
            title="Own certificate authority",
            description="PEM; trusted besides the system's, for servers with a certificate of your own.",
            max_length=100_000,
        ),
    ] = ""
    allow_unencrypted: Annotated[
        bool,
        msgspec.Meta(
            title="Allow unencrypted sign-in",
            description="Lets passwords pass in the clear to a server that is not on this machine.",
        ),
    ] = False


def _local(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def validate(settings: MailSettings) -> Sequence[tuple[str, str]]:
    """What no single setting shows: pairs of the setting to blame and what is wrong."""
    problems: list[tuple[str, str]] = []
    oauth = False
    for protocol, host, security, auth in (
        ("imap", settings.imap_host, settings.imap_security, settings.imap_auth),
        ("smtp", settings.smtp_host, settings.smtp_security, settings.smtp_auth),
    ):
        if security == "none" and auth != "none" and not settings.allow_unencrypted and not _local(host):
            problems.append(
                (f"{protocol}_security", "the password would cross the network in the clear: use TLS, or allow it")
            )
        oauth = oauth or auth == "xoauth2"
    if settings.imap_auth == "password" and not settings.imap_password:
        problems.append(("imap_password", "is needed to sign in with a password"))
    if settings.smtp_auth == "password" and not (settings.smtp_password or settings.imap_password):
        problems.append(("smtp_password", "is needed to sign in with a password"))
    if oauth:
        problems += [
            (name, "is needed to sign in with XOAUTH2")
            for name in ("oauth_client_id", "oauth_refresh_token")
            if not getattr(settings, name)
        ]
        if settings.oauth_provider == "custom" and not settings.oauth_token_url:
            problems.append(("oauth_token_url", "is needed for a provider of your own"))
        url = settings.oauth_token_url
        host = re.sub(r"^https?://(\[[^\]]*\]|[^/:]*).*", r"\1", url).strip("[]")
        if url.startswith("http:") and not _local(host):
            problems.append(("oauth_token_url", "must begin with https://"))
    if len(set(settings.folders)) != len(settings.folders):
        problems.append(("folders", "names a folder twice"))
    if settings.ca_certificate:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=settings.ca_certificate)
        except (ssl.SSLError, ValueError):
            problems.append(("ca_certificate", "is not a certificate in PEM form"))
    if settings.plus_addressing and len(settings.address.split("@")[0]) > 20:
        problems.append(
            ("plus_addressing", "the address is too long for it: 20 characters before the @ leave room for the token")
        )
    return problems


def create(settings: Any, context: Context) -> Connector:
    from connectors.mail.connector import MailConnector  # noqa: PLC0415 - the client libraries load here, not before

    return MailConnector(settings, context)


SPEC = ConnectorSpec(
    kind="mail",
    title="E-mail",
    settings=MailSettings,
    secrets=("imap_password", "smtp_password", "oauth_client_secret", "oauth_refresh_token"),
    capabilities=Capabilities(
        rich_text=True,
        attachments=True,
        max_attachment_bytes=20 * 1024 * 1024,  # base64 makes a third more of it; servers commonly take 25 to 35 MB
        subject=True,
        threading=True,
        send_deadline_hours=72,
        rate_per_second=10,
    ),
    create=create,
    validate=validate,
    pulls=True,
)
