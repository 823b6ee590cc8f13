"""Routing rules: read, check, publish, roll back."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta

from gateway.errors import NotFound, Problem, Refused
from gateway.model.decision import RuleSetVersion
from gateway.routing.problem import RuleProblem
from gateway.web.fields import Body, Line, Listing, Paging, Query, View
from gateway.web.paging import paged
from gateway.web.route import Call, route

FileName = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
FileText = Annotated[str, Meta(max_length=500_000)]
Number = Annotated[int, Meta(ge=1, le=99_999_999)]
BasedOn = Annotated[int, Meta(ge=0, le=99_999_999)]

ONE_FILE = "rules.yaml"
MAX_BODY = 2_000_000


class RuleFile(Body, frozen=True, kw_only=True):
    name: FileName
    text: FileText


class RuleFiles(Body, frozen=True, kw_only=True):
    """`files`, in the order they count, or one file's `text`; or the YAML alone as the body (application/yaml)."""

    files: Annotated[tuple[RuleFile, ...], Meta(max_length=100)] = ()
    text: FileText | None = None


class PublishQuery(Query, frozen=True, kw_only=True):
    """`based_on`: the version one began from (0: none); if another was published meanwhile, 409."""

    note: Line = ""
    based_on: BasedOn | None = None


class RollbackBody(Body, frozen=True, kw_only=True):
    version: Number
    note: Line = ""
    based_on: BasedOn | None = None


class RuleProblemView(View, frozen=True, kw_only=True):
    file: str
    line: int
    column: int
    rule: str | None
    message: str
    severity: Literal["error", "warning"]


class RuleCheck(View, frozen=True, kw_only=True):
    """`ok`: could be published; failing examples are problems, too."""

    ok: bool
    rules: int
    problems: list[RuleProblemView]


class RuleFileView(View, frozen=True, kw_only=True):
    name: str
    text: str


class VersionView(View, frozen=True, kw_only=True):
    """`rolled_back_to`: the version whose files it has, where it came about by rolling back."""

    version: int
    published_at: datetime
    published_by: str
    published_by_name: str | None
    note: str
    rolled_back_to: int | None
    live: bool


class RuleSetView(VersionView, frozen=True, kw_only=True):
    files: list[RuleFileView]


def one_file(text: str) -> RuleFiles:
    return RuleFiles(text=text)


def files_of(body: RuleFiles) -> list[tuple[str, str]]:
    if bool(body.files) == (body.text is not None):
        raise Refused(Problem("files", "send either files or one text"))
    if body.text is not None:
        return [(ONE_FILE, body.text)]
    return [(file.name, file.text) for file in body.files]


def problem_view(problem: RuleProblem) -> RuleProblemView:
    return RuleProblemView(
        file=problem.file,
        line=problem.line,
        column=problem.column,
        rule=problem.rule,
        message=problem.message,
        severity=problem.severity,
    )


def version_view(call: Call[Any, Any], found: RuleSetVersion) -> VersionView:
    publisher = call.services.directory.agents.get(found.published_by)
    return VersionView(
        version=found.number,
        published_at=found.published_at,
        published_by=found.published_by,
        published_by_name=publisher.name if publisher is not None else None,
        note=found.note,
        rolled_back_to=found.rolled_back_to,
        live=found.number == call.services.directory.rules.version,
    )


def set_view(call: Call[Any, Any], found: RuleSetVersion) -> RuleSetView:
    version = version_view(call, found)
    return RuleSetView(
        version=version.version,
        published_at=version.published_at,
        published_by=version.published_by,
        published_by_name=version.published_by_name,
        note=version.note,
        rolled_back_to=version.rolled_back_to,
        live=version.live,
        files=[RuleFileView(name=name, text=text) for name, text in found.files],
    )


async def get_rules(call: Call[None, None]) -> RuleSetView:
    live = await call.services.rules.live()
    if live is None:
        raise NotFound("published rule set")
    return set_view(call, live)


async def check_rules(call: Call[RuleFiles, None]) -> RuleCheck:
    checked = await call.services.rules.check(files_of(call.body))
    return RuleCheck(
        ok=checked.ok,
        rules=len(checked.ruleset.rules) if checked.ruleset is not None else 0,
        problems=[problem_view(problem) for problem in checked.problems],
    )


async def publish_rules(call: Call[RuleFiles, PublishQuery]) -> RuleSetView:
    query = call.query
    made = await call.services.rules.publish(files_of(call.body), call.actor, note=query.note, based_on=query.based_on)
    return set_view(call, made)


async def list_versions(call: Call[None, Paging]) -> Listing[VersionView]:
    page = await call.services.rules.versions(call.query.cursor, call.query.limit)
    return paged(page, lambda found: version_view(call, found))


async def get_version(call: Call[None, None]) -> RuleSetView:
    text = call.id
    if not text.isascii() or not text.isdigit() or len(text) > 8:
        raise NotFound("version of the rules", text)
    return set_view(call, await call.services.rules.version(int(text)))


async def roll_back(call: Call[RollbackBody, None]) -> RuleSetView:
    body = call.body
    made = await call.services.rules.roll_back(body.version, call.actor, note=body.note, based_on=body.based_on)
    return set_view(call, made)


ROUTES = [
    route(
        "GET", "/rules", get_rules, response=RuleSetView,
        role="supervisor", scope="rules:read", tag="rules", summary="The rules in force",
    ),
    route(
        "POST", "/rules/check", check_rules, body=RuleFiles, response=RuleCheck, from_text=one_file, max_body=MAX_BODY,
        role="supervisor", scope="rules:read", tag="rules", summary="Check rules and run their examples",
    ),
    route(
        "POST", "/rules/publish", publish_rules, body=RuleFiles, query=PublishQuery, response=RuleSetView, status=201,
        creates=True, from_text=one_file, max_body=MAX_BODY,
        role="admin", scope="rules:write", tag="rules", summary="Put rules in force, as a new version",
        description="Rules with problems, failing examples included, are refused with all of them.",
    ),
    route(
        "GET", "/rules/versions", list_versions, query=Paging, response=Listing[VersionView],
        role="supervisor", scope="rules:read", tag="rules", summary="What was published, newest first",
    ),
    route(
        "GET", "/rules/versions/{id}", get_version, response=RuleSetView,
        role="supervisor", scope="rules:read", tag="rules", summary="A published version, with its files",
    ),
    route(
        "POST", "/rules/rollback", roll_back, body=RollbackBody, response=RuleSetView, status=201, creates=True,
        role="admin", scope="rules:write", tag="rules", summary="Put an older version in force again",
    ),
]  # fmt: skip
