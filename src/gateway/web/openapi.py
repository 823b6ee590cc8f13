"""The OpenAPI 3.1 document, made from the routes and the types they are decoded with."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import metadata
from typing import Any

import msgspec

from gateway.web.auth import COOKIE, CSRF_HEADER
from gateway.web.endpoint import JSON, TEXT_TYPES
from gateway.web.idempotency import HEADER, MAX_KEY
from gateway.web.problem import MEDIA_TYPE, ProblemDocument
from gateway.web.route import PREFIX, Route

VERSION = metadata.version("omnigate")

REF = "#/components/schemas/{name}"

BASE64 = r"^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"
"""JSON Schema's `contentEncoding` is only a note; a pattern is checked."""
_PATH_PART = re.compile(r"\{(\w+)(:[^}]*)?\}")


def document(routes: Sequence[Route], server: str = "") -> dict[str, Any]:
    """The whole document; `server`: the public address, empty for wherever it was read from."""
    types = [kind for route in routes for kind in (route.body, route.query, route.response) if kind is not None]
    unique = list(dict.fromkeys([ProblemDocument, *types]))
    schemas, components = msgspec.json.schema_components(unique, ref_template=REF)
    schema_of = dict(zip(unique, schemas, strict=True))
    paths: dict[str, Any] = {}
    for route in routes:
        path = PREFIX + _PATH_PART.sub(r"{\1}", route.path)
        paths.setdefault(path, {})[route.method.lower()] = operation(route, schema_of, components)
    made = {
        "openapi": "3.1.0",
        "info": {
            "title": "Omnigate",
            "version": VERSION,
            "description": "Conversations from every channel, routed with reasons, answered from one place.\n\n"
            "Errors are problem documents (RFC 9457) that name each field. Lists are pages: hand `next` back as "
            "`cursor`. "
            f"Changes made with the session cookie need the header `{CSRF_HEADER}` with the session's `csrf` value.",
            "license": {"name": "GPL-3.0-or-later", "identifier": "GPL-3.0-or-later"},
        },
        "servers": [{"url": server or "/"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(route.tag for route in routes)],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "cookie": {"type": "apiKey", "in": "cookie", "name": COOKIE},
            },
        },
    }
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(tightened(made)))
    return plain


def operation(route: Route, schema_of: dict[Any, Any], components: dict[str, Any]) -> dict[str, Any]:
    """One operation object."""
    made: dict[str, Any] = {
        "operationId": operation_id(route),
        "summary": route.summary,
        "description": described(route),
        "tags": [route.tag],
        "parameters": parameters(route, schema_of, components),
        "responses": {str(route.status): answer(route, schema_of), "default": problem_answer()},
        "security": security(route),
    }
    if route.body is not None:
        media = [JSON, *(sorted(TEXT_TYPES) if route.from_text else ())]
        made["requestBody"] = {
            "required": bool(_required(schema_of[route.body], components)),
            "content": {name: {"schema": schema_of[route.body] if name == JSON else {}} for name in media},
        }
    return made


def operation_id(route: Route) -> str:
    """`get_queues_id`: stable, from method and path."""
    return re.sub(r"\W+", "_", route.method.lower() + _PATH_PART.sub(r"\1", route.path)).strip("_")


def described(route: Route) -> str:
    needs = "Open to anyone." if route.rights.role is None else f"Needs the role {route.rights.role}."
    if route.rights.scope is not None:
        needs += f" Scoped tokens need `{route.rights.scope}`."
    if route.rights.inbox_token:
        needs = f"Open to the inbox's own token. Otherwise: {needs}"
    return f"{route.description} {needs}".strip()


def parameters(route: Route, schema_of: dict[Any, Any], components: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name, _ in _PATH_PART.findall(route.path)
    ]
    if route.query is not None:
        schema = resolved(schema_of[route.query], components)
        required = schema.get("required", [])
        for name, kind in schema["properties"].items():
            found.append({"name": name, "in": "query", "required": name in required, "schema": without_null(kind)})
    if route.creates:
        key = {"type": "string", "minLength": 1, "maxLength": MAX_KEY, "pattern": r"^[!-~]+$"}
        found.append({"name": HEADER, "in": "header", "required": False, "schema": key})
    return found


def answer(route: Route, schema_of: dict[Any, Any]) -> dict[str, Any]:
    if route.response is not None:
        return {"description": route.summary, "content": {JSON: {"schema": schema_of[route.response]}}}
    if route.media_type != JSON:
        return {"description": route.summary, "content": {route.media_type: {}}}
    return {"description": "done"}


def problem_answer() -> dict[str, Any]:
    return {
        "description": "What is wrong (RFC 9457); 429 and 503 carry Retry-After",
        "content": {MEDIA_TYPE: {"schema": {"$ref": REF.format(name=ProblemDocument.__name__)}}},
    }


def security(route: Route) -> list[dict[str, list[str]]]:
    if route.rights.role is None:
        return []
    ways: list[dict[str, list[str]]] = [{"bearer": []}]
    return ways if route.rights.inbox_token else [*ways, {"cookie": []}]


def resolved(schema: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = components[schema["$ref"].rpartition("/")[2]]
    return schema


def without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A query parameter cannot be null, only left out."""
    options = [option for option in schema.get("anyOf", []) if option.get("type") != "null"]
    if not options or len(options) == len(schema["anyOf"]):
        return {key: value for key, value in schema.items() if not (key == "default" and value is None)}
    rest = {key: value for key, value in schema.items() if key not in ("anyOf", "default")}
    return {**rest, **options[0]} if len(options) == 1 else {**rest, "anyOf": options}


def _required(schema: dict[str, Any], components: dict[str, Any]) -> list[str]:
    found: list[str] = resolved(schema, components).get("required", [])
    return found


def tightened(node: Any) -> Any:
    """The document with what msgspec checks but its schema only notes, made explicit."""
    if isinstance(node, dict):
        if node.get("contentEncoding") == "base64":
            return {**node, "pattern": BASE64}
        return {key: tightened(value) for key, value in node.items()}
    if isinstance(node, list):
        return [tightened(item) for item in node]
    return node
