"""Providers' webhooks: hands a call to /hooks/{inbox} to the inbox's connector, and answers with what comes of it.

A provider repeats what it gets no 2xx for, so an overloaded or interrupted gateway answers 503 with Retry-After, and
nothing else ever answers 5xx: a fault of ours must not look like an outage that mutes the provider's webhook.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

import msgspec
import structlog
from msgspec.structs import replace

from gateway.connector import WebhookRequest, WebhookResponse
from gateway.errors import Denied, GatewayError, NotFound, Overloaded, Refused, StoreError, Throttled
from gateway.registry import Registry
from gateway.service.channel_log import ChannelLogs
from gateway.service.inbox_sink import ANSWERING
from gateway.service.redact import Redactor
from gateway.service.supervise import Directory, Supervisor

log = structlog.get_logger("hooks")

BODY_BYTES = 5_000_000
SECONDS = 25.0
"""Most providers give up after 10 to 30 s."""
TRY_AGAIN = 5


class Hooks:
    """`handle` answers any call; it raises nothing but cancellation."""

    def __init__(
        self,
        directory: Directory,
        registry: Registry,
        supervisor: Supervisor,
        channel_logs: ChannelLogs,
        *,
        body_bytes: int = BODY_BYTES,
        seconds: float = SECONDS,
    ) -> None:
        self._directory = directory
        self._registry = registry
        self._supervisor = supervisor
        self._channel_logs = channel_logs
        self._body_bytes = body_bytes
        self._seconds = seconds

    async def handle(
        self,
        inbox_id: str,
        method: str,
        subpath: str,
        *,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes,
        remote: str,
        url: str,
    ) -> WebhookResponse:
        """The answer to a call. `subpath`: what follows /hooks/{inbox_id}; `url`: as the provider called it."""
        inbox = self._directory.inboxes.get(inbox_id)
        spec = self._registry.find(inbox.kind) if inbox is not None else None
        if inbox is None or spec is None or not spec.webhooks:
            return _problem(404, "there is no such webhook")
        if not inbox.enabled:
            return _problem(410, "this inbox is disabled")
        if len(body) > self._body_bytes:
            return _problem(413, f"more than {self._body_bytes} bytes")
        request = WebhookRequest(
            method=method.upper(),
            path=subpath,
            query=dict(query),
            headers={name.lower(): value for name, value in headers.items()},
            body=body,
            remote=remote,
            url=url,
        )
        began = time.monotonic()
        response = await self._answer(inbox_id, request)
        redactor = self._supervisor.redactor(inbox_id)
        self._record(inbox_id, redactor, request, response, (time.monotonic() - began) * 1000)
        return response

    async def _answer(self, inbox_id: str, request: WebhookRequest) -> WebhookResponse:
        connector = self._supervisor.webhook_connector(inbox_id)
        if connector is None:
            return _later("this inbox is not ready", 30)
        token = ANSWERING.set(True)
        try:
            with self._supervisor.hold(inbox_id):
                async with asyncio.timeout(self._seconds):
                    response = await connector.webhook(request)
        except Overloaded as error:
            return _later(str(error), error.retry_after)
        except Throttled as error:
            return _problem(429, str(error), max(1, round(error.retry_after)))
        except (StoreError, TimeoutError):
            return _later("it could not be kept just now", TRY_AGAIN)
        except Refused as error:
            return _problem(422, str(error))
        except NotFound as error:
            return _problem(404, str(error))
        except Denied as error:
            return _problem(403, str(error))
        except Exception as error:
            if not isinstance(error, GatewayError):
                log.exception("hooks.failed", inbox=inbox_id)
            return _problem(400, "it could not be understood; the gateway's log says more")
        finally:
            ANSWERING.reset(token)
        if response.status == 503 and "Retry-After" not in response.headers:
            return replace(response, headers={**response.headers, "Retry-After": str(TRY_AGAIN)})
        if response.status >= 500 and response.status != 503:
            return replace(response, status=400)
        return response

    def _record(
        self,
        inbox_id: str,
        redactor: Redactor,
        request: WebhookRequest,
        response: WebhookResponse,
        elapsed_ms: float,
    ) -> None:
        self._channel_logs.of(inbox_id, redactor).record(
            "in",
            f"{request.method} {request.path or '/'} from {request.remote} → {response.status}",
            ok=response.status < 400,
            request=request.body.decode("utf-8", "replace"),
            response=response.body.decode("utf-8", "replace"),
            elapsed_ms=elapsed_ms,
        )


def _later(detail: str, seconds: float) -> WebhookResponse:
    return _problem(503, detail, max(1, round(seconds)))


def _problem(status: int, detail: str, retry_after: int | None = None) -> WebhookResponse:
    return WebhookResponse(
        status=status,
        body=msgspec.json.encode({"title": "webhook", "status": status, "detail": detail}),
        content_type="application/problem+json",
        headers={"Retry-After": str(retry_after)} if retry_after is not None else {},
    )
