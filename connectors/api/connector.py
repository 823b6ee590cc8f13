"""Hands answers to an app: posts them to its callback address, or leaves them to be polled."""

from __future__ import annotations

import hashlib
import hmac
import time

import aiohttp
import msgspec

from connectors.api import ApiSettings, outbound, receipts, signature
from gateway.connector import (
    CheckResult,
    Connector,
    Context,
    Outgoing,
    Sent,
    WebhookRequest,
    WebhookResponse,
)
from gateway.errors import Refused, SendError, Transient, Unknown

_ANSWER_BYTES = 16_384
_SECONDS_TO_CONNECT = 5.0


class ApiConnector(Connector):
    """One app. Messages come in by the gateway's own API; here is the way out, and receipts."""

    def __init__(self, settings: ApiSettings, context: Context) -> None:
        self._settings = settings
        self._context = context
        # Without a secret of the admin's the calls are signed all the same, so that none can be told from another.
        self._secret = settings.callback_secret or hmac.new(context.secret, b"callback", hashlib.sha256).hexdigest()

    async def check(self) -> list[CheckResult]:
        url = self._settings.callback_url
        if not url:
            return [CheckResult(name="answers", ok=True, detail="kept for polling")]
        results = [await self._check_address(url)]
        if not self._settings.callback_secret:
            results.append(
                CheckResult(
                    name="callback secret",
                    ok=False,
                    detail="none is set: the app cannot tell our calls from others'",
                    action="Set callback_secret, and verify the Omnigate-Signature header with it.",
                )
            )
        return results

    async def send(self, message: Outgoing) -> Sent:
        url = self._settings.callback_url
        if not url:
            return Sent()  # it is in the store, and the app comes for it
        body = outbound.body_of(message)
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": message.id,
            signature.HEADER: self._signed(body),
        }
        started = time.monotonic()
        try:
            status, answer_headers, answer = await self._call("POST", url, headers, body)
        except SendError as error:
            self._record(f"POST {url}", started, ok=False, request=_shown(message), response=error.reason)
            raise
        result = outbound.result_of(status, answer_headers, answer, self._context.clock.now())
        self._record(
            f"POST {url} → {status}",
            started,
            ok=isinstance(result, Sent),
            request=_shown(message),
            response=answer.decode("utf-8", "replace"),
        )
        if isinstance(result, SendError):
            raise result
        return result

    async def webhook(self, request: WebhookRequest) -> WebhookResponse:
        if request.path.strip("/") != "receipts":
            return _problem(404, "there is only /receipts here")
        if request.method != "POST":
            return _problem(405, "receipts are posted")
        if not self._settings.callback_secret:
            return _problem(403, "set the inbox's callback_secret to send receipts")
        wrong = signature.verify(
            self._settings.callback_secret, request.body, request.headers.get(signature.HEADER.lower(), ""), time.time()
        )
        if wrong is not None:
            return _problem(401, wrong)
        try:
            updates = receipts.parse(request.body)
        except (ValueError, msgspec.MsgspecError) as error:
            return _problem(422, str(error))
        await self._context.sink.status(updates)
        return WebhookResponse(
            status=200, body=msgspec.json.encode({"received": len(updates)}), content_type="application/json"
        )

    async def _call(
        self, method: str, url: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        """One request. Raises Transient if it cannot have arrived, Unknown if it may have."""
        timeout = aiohttp.ClientTimeout(total=self._settings.timeout_seconds, connect=_SECONDS_TO_CONNECT)
        try:
            async with self._context.http.request(
                method, url, data=body, headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                answer = await response.content.read(_ANSWER_BYTES)
                return response.status, dict(response.headers), answer
        except Refused as error:
            raise Transient(f"the callback address may not be called: {error}") from error
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, PermissionError):
                raise Transient("the callback address may not be called: it is in a closed network") from error
            raise Transient(f"the app cannot be reached: {error.strerror or type(error).__name__}") from error
        except (aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
            raise Transient(f"the app cannot be reached: {type(error).__name__}") from error
        except TimeoutError as error:
            raise Unknown(f"the app did not answer within {self._settings.timeout_seconds:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise Unknown(f"the line to the app broke: {type(error).__name__}") from error

    async def _check_address(self, url: str) -> CheckResult:
        """Any answer to a signed HEAD will do, even that there is no HEAD, but 401 and 5xx."""
        started = time.monotonic()
        try:
            status, _, _ = await self._call("HEAD", url, {signature.HEADER: self._signed(b"")}, b"")
        except SendError as error:
            self._record(f"HEAD {url}", started, ok=False, response=error.reason)
            return CheckResult(
                name="callback address",
                ok=False,
                detail=error.reason,
                action="Check that the app runs, and that this host may reach it.",
            )
        ok = status != 401 and status < 500
        self._record(f"HEAD {url} → {status}", started, ok=ok)
        action = "" if ok else "Look into the app's log."
        if status == 401:
            action = "Give the app the same callback_secret, and check both clocks."
        return CheckResult(name="callback address", ok=ok, detail=f"answers HEAD with {status}", action=action)

    def _signed(self, body: bytes) -> str:
        return signature.sign(self._secret, body, int(time.time()))

    def _record(self, summary: str, started: float, *, ok: bool, request: str = "", response: str = "") -> None:
        self._context.channel_log.record(
            "out", summary, ok=ok, request=request, response=response, elapsed_ms=(time.monotonic() - started) * 1000
        )


def _shown(message: Outgoing) -> str:
    """The request as the channel log shows it: without the customer's text."""
    return f"message {message.id} to {message.address}, attempt {message.attempt}, {len(message.files)} files"


def _problem(status: int, detail: str) -> WebhookResponse:
    body = msgspec.json.encode({"title": "receipts", "status": status, "detail": detail})
    return WebhookResponse(status=status, body=body, content_type="application/problem+json")
