"""What went wrong with a server, in words an admin can act on, and as the error the gateway acts on. The one place
where errors of the network, of TLS, of IMAP and of SMTP become ours."""

from __future__ import annotations

import re
import socket
import ssl

import aiosmtplib

from connectors.mail.encode import clean
from connectors.mail.imap import LineLost, Refusal
from gateway.errors import Permanent, RateLimited, SendError, Transient, Unauthorized

_PASSING = frozenset({"UNAVAILABLE", "INUSE", "LIMIT", "SERVERBUG", "OVERQUOTA"})
"""IMAP response codes (RFC 5530) that say nothing against our credentials."""

_BUSY = re.compile(r"too many|try again|temporar|rate|throttl|busy", re.IGNORECASE)

_AUTH_CODES = frozenset({530, 534, 535, 538})
"""SMTP replies about who we are (RFC 4954, 6)."""

_QUOTA = re.compile(r"^5\.4\.5\b|SubmissionQuotaExceeded|sending (?:limit|quota) exceeded", re.IGNORECASE)
"""Google's and Microsoft's daily limits, which come as 5xx."""

QUOTA_PAUSE = 3600.0


def shorten(text: str) -> str:
    """A server's words, fit for an error text."""
    return clean(text)[:300]


def network(error: BaseException, where: str) -> SendError | None:
    """Trouble with the line to `where` (a name with host and port), or None if the error is of another kind."""
    while isinstance(error, aiosmtplib.SMTPConnectError) and isinstance(error.__cause__, OSError):
        error = error.__cause__
    if isinstance(error, ssl.SSLCertVerificationError):
        return Transient(
            f"the certificate of {where} is not trusted ({error.verify_message})",
            code="certificate",
            action="Check the server's name; if it has a certificate of your own authority, enter that authority.",
        )
    if isinstance(error, ssl.SSLError):
        return Transient(
            f"no TLS connection to {where} ({error.reason or 'refused'})",
            code="tls",
            action="Check that port and security belong together (IMAP: 993 tls; SMTP: 465 tls, 587 starttls).",
        )
    if isinstance(error, socket.gaierror):
        return Transient(f"the name of {where} cannot be found", code="dns", action="Check the server's name.")
    if isinstance(error, TimeoutError):
        return Transient(
            f"{where} does not answer",
            code="timeout",
            action="Check the server's name and port, and that a firewall lets this machine through.",
        )
    if isinstance(error, ConnectionRefusedError):
        return Transient(f"nothing listens at {where}", code="refused", action="Check the server's name and port.")
    if isinstance(error, (OSError, LineLost)) and not isinstance(error, aiosmtplib.SMTPResponseException):
        return Transient(
            f"the connection to {where} broke ({shorten(str(error)) or type(error).__name__})",
            code="line",
            action="It is tried again; if it stays so, check the server.",
        )
    return None


def sign_in(refusal: Refusal, where: str, *, oauth: bool) -> SendError:
    """An IMAP server that would not sign us in."""
    said = shorten(refusal.text)
    if refusal.code in _PASSING or (not refusal.code and _BUSY.search(said)):
        return Transient(f"{where} refuses for now: {said}", code=refusal.code, action="It is tried again.")
    if refusal.code == "PRIVACYREQUIRED":
        action = "Set IMAP security to tls."
    elif oauth:
        action = "Sign in at the provider again and enter the new refresh token; check that IMAP is on for the mailbox."
    else:
        action = (
            "Check user and password. Google, QQ and 163 want an app password (authorization code) made for IMAP; "
            "Microsoft 365 wants XOAUTH2."
        )
    return Unauthorized(f"{where} refuses the sign-in: {said}", code=refusal.code or "auth", action=action)


def reply(code: int, text: str) -> SendError:
    """An SMTP server's refusal of a message, a recipient or us."""
    said = shorten(f"{code} {text}")
    if _QUOTA.search(text):
        return RateLimited(
            f"the mail server's sending limit is reached: {said}", retry_after=QUOTA_PAUSE, code=str(code)
        )
    if code in _AUTH_CODES:
        return Unauthorized(f"the mail server refuses the sign-in: {said}", code=str(code))
    if 500 <= code < 600:
        return Permanent(f"the mail server refused it: {said}", code=str(code))
    return Transient(f"the mail server refused for now: {said}", code=str(code))


def smtp(error: BaseException, where: str) -> SendError:
    """Trouble with the SMTP server before it had the whole message."""
    if isinstance(error, SendError):
        return error
    if isinstance(error, aiosmtplib.SMTPAuthenticationError) and error.code >= 500:
        return Unauthorized(
            f"{where} refuses the sign-in: {shorten(f'{error.code} {error.message}')}",
            code=str(error.code),
            action="Check the SMTP user and password (or token), and that the provider allows SMTP for the mailbox.",
        )
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return reply(error.code, error.message)
    if line := network(error, where):
        return line
    if isinstance(error, aiosmtplib.SMTPException):
        return Unauthorized(
            f"{where} cannot do what the settings ask: {shorten(str(error.message))}",
            code="unsupported",
            action="Check SMTP security and sign-in.",
        )
    raise error
