"""The web application: every route, in one list, behind one border."""

from __future__ import annotations

import time
from collections.abc import Sequence

from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

from gateway.service.services import Services
from gateway.web import events, files, hooks
from gateway.web.auth import Gate
from gateway.web.endpoint import Endpoint, endpoint
from gateway.web.idempotency import Idempotency
from gateway.web.metrics import WebMetrics
from gateway.web.openapi import document
from gateway.web.operations import Operations
from gateway.web.problem import problem_response, to_problem
from gateway.web.resources import (
    agents,
    app_messages,
    audit,
    channels,
    contacts,
    conversations,
    deliveries,
    inboxes,
    lists,
    messages,
    outbound,
    queues,
    routing,
    rules,
    session,
    tokens,
    webhooks,
)
from gateway.web.route import PREFIX, Route

SERVICES: web.AppKey[Services] = web.AppKey("services", Services)

ROUTES: Sequence[Route] = (
    # aiohttp tries the routes of a family in their order: the busiest first, and fixed names before `{id}`.
    *app_messages.ROUTES,
    *outbound.ROUTES,
    *conversations.ROUTES,
    *messages.ROUTES,
    *routing.ROUTES,
    *contacts.ROUTES,
    *session.ROUTES,
    *agents.ROUTES,
    *queues.ROUTES,
    *lists.ROUTES,
    *inboxes.ROUTES,
    *channels.ROUTES,
    *deliveries.ROUTES,
    *rules.ROUTES,
    *webhooks.ROUTES,
    *tokens.ROUTES,
    *audit.ROUTES,
    *events.ROUTES,
    *files.ROUTES,
)

FIXED = {
    PREFIX + route.path: {other.method for other in ROUTES if other.path == route.path}
    for route in ROUTES
    if "{" not in route.path
}
"""Methods of the paths without parameters."""

_SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Server": "Omnigate",
}
"""Unless a handler says otherwise, an answer is data: nothing in it runs, and no page may hold it."""


def build(services: Services) -> web.Application:
    """The application; it owns nothing of the services."""
    metrics = WebMetrics(services)
    app = web.Application(middlewares=[border(metrics)], client_max_size=services.settings.body_bytes)
    app[SERVICES] = services
    gate = Gate(services)
    idempotency = Idempotency(services.store, services.clock, services.ids, services.seal)
    for route in ROUTES:
        app.router.add_route(route.method, PREFIX + route.path, endpoint(route, services, gate, idempotency))
    description = document(ROUTES, services.settings.public_url)
    Operations(services, gate, metrics, description).add_to(app)
    hooks.add_to(app, services, gate)
    events.install(app, services)
    extra = dict(_SECURITY)
    if services.settings.public_url.startswith("https://"):
        extra["Strict-Transport-Security"] = "max-age=31536000"

    async def secure(request: web.Request, response: web.StreamResponse) -> None:
        headers = response.headers
        for name, value in extra.items():
            if name not in headers:
                headers[name] = value

    app.on_response_prepare.append(secure)
    return app


def border(metrics: WebMetrics) -> Middleware:
    """One middleware around all: errors become problem documents, and what was answered is counted."""

    @web.middleware
    async def around(request: web.Request, handler: Endpoint) -> web.StreamResponse:
        started = time.perf_counter()
        try:
            response = await handler(request)
        except Exception as error:
            if isinstance(error, web.HTTPException) and error.status < 400:
                raise
            if isinstance(error, web.HTTPMethodNotAllowed) and request.path in FIXED:
                # aiohttp also counts the methods of `{id}`, which the fixed name hides.
                error = web.HTTPMethodNotAllowed(request.method, FIXED[request.path])
            response = problem_response(to_problem(error, if_match=hdrs.IF_MATCH in request.headers))
        resource = request.match_info.route.resource
        name = resource.canonical if resource is not None else "none"
        metrics.answered(name, response.status, time.perf_counter() - started)
        return response

    return around
