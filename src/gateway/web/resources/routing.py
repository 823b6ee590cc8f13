"""A conversation's decisions, explained."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from gateway.model.decision import Decision
from gateway.routing.explain import RuleOutcome, explain
from gateway.routing.ruleset import RuleSet
from gateway.store.collection import DECISIONS
from gateway.web.fields import Listing, Paging, View
from gateway.web.route import Call, route


class OutcomeView(View, frozen=True, kw_only=True):
    """What came of one rule; `condition`: the one that failed, `found`: the value it failed on; `text`: in words."""

    rule: str
    name: str
    result: Literal["matched", "failed", "not_reached", "disabled", "other_event", "error"]
    condition: str | None
    found: str | None
    text: str


class CandidateView(View, frozen=True, kw_only=True):
    agent_id: str
    name: str
    chosen: bool
    reason: str


class DecisionView(View, frozen=True, kw_only=True):
    """`rules`: each rule's outcome, in order (null where no rules ran, or the rule set is no longer kept)."""

    id: str
    at: datetime
    kind: Literal["route", "assign", "manual", "handover", "error"]
    message_id: str | None
    rules_version: int | None
    rules: list[OutcomeView] | None
    matched: list[str]
    facts: dict[str, Any]
    actions: list[dict[str, Any]]
    queue_id: str | None
    queue: str | None
    queue_reason: str
    candidates: list[CandidateView]
    assignee: str | None
    assignee_name: str | None
    by: str
    by_name: str | None
    error: str | None


async def list_decisions(call: Call[None, Paging]) -> Listing[DecisionView]:
    conversation = await call.services.conversations.get(call.id, call.actor)
    page = await call.services.store.find(
        DECISIONS,
        {"conversation_id": conversation.id},
        order="-id",
        after=call.query.cursor,
        limit=call.query.limit,
    )
    numbers = {decision.rules_version for decision in page.items if decision.rules_version}
    rulesets = {number: await call.services.rules.ruleset(number) for number in numbers}
    items = [decision_view(call, decision, rulesets.get(decision.rules_version or 0)) for decision in page.items]
    return Listing(items=items, next=page.next)


def decision_view(call: Call[None, Paging], decision: Decision, ruleset: RuleSet | None) -> DecisionView:
    directory = call.services.directory
    queue = directory.queues.get(decision.queue_id or "")
    assignee = directory.agents.get(decision.assignee_id or "")
    by = directory.agents.get(decision.by)
    return DecisionView(
        id=decision.id,
        at=decision.at,
        kind=decision.kind,
        message_id=decision.message_id,
        rules_version=decision.rules_version,
        rules=outcomes(decision, ruleset),
        matched=list(decision.matched),
        facts=decision.facts,
        actions=list(decision.actions),
        queue_id=decision.queue_id,
        queue=queue.name if queue is not None else None,
        queue_reason=decision.queue_reason,
        candidates=[
            CandidateView(
                agent_id=candidate.agent_id, name=candidate.name, chosen=candidate.chosen, reason=candidate.reason
            )
            for candidate in decision.candidates
        ],
        assignee=decision.assignee_id,
        assignee_name=assignee.name if assignee is not None else None,
        by=decision.by,
        by_name=by.name if by is not None else None,
        error=decision.error,
    )


def outcomes(decision: Decision, ruleset: RuleSet | None) -> list[OutcomeView] | None:
    if not decision.outcomes or ruleset is None:
        return None
    try:
        return [outcome_view(outcome) for outcome in explain(decision.outcomes, ruleset, decision.facts)]
    except ValueError:  # not of this rule set: what was decided stands beside it all the same
        return None


def outcome_view(outcome: RuleOutcome) -> OutcomeView:
    return OutcomeView(
        rule=outcome.rule,
        name=outcome.name,
        result=outcome.result,
        condition=outcome.condition,
        found=outcome.found,
        text=str(outcome),
    )


ROUTES = [
    route(
        "GET", "/conversations/{id}/routing", list_decisions, query=Paging, response=Listing[DecisionView],
        role="agent", scope="conversations:read", tag="conversations",
        summary="Its routing decisions, explained, newest first",
    ),
]  # fmt: skip
