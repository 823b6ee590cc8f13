"""Short ways to write rules, facts, agents and queues in these tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.model.conversation import Conversation
from gateway.model.team import Agent, AgentState, Hold, Queue
from gateway.routing.facts import Facts
from gateway.routing.load import load, load_values
from gateway.routing.names import Names
from gateway.routing.problem import RuleProblem
from gateway.routing.ruleset import RuleSet

NOW = datetime(2026, 1, 7, 12, 0, tzinfo=UTC)
"""A Wednesday noon."""


def facts(**values: Any) -> Facts:
    return Facts(**{"now": NOW, **values})


def rules(*rules: dict[str, Any], names: Names | None = None, **top: Any) -> RuleSet:
    """The set of these rules; `id` and `then` are made up where they are missing."""
    complete = [{"id": f"r{number}", "then": {"queue": f"q{number}"}, **rule} for number, rule in enumerate(rules)]
    loaded = load_values({"test": {"rules": complete, **top}}, names)
    assert loaded.ruleset is not None, [str(problem) for problem in loaded.problems]
    return loaded.ruleset


def problems(text: str, names: Names | None = None) -> list[RuleProblem]:
    """What is wrong with the one file `rules.yaml`."""
    return list(load([("rules.yaml", text)], names).problems)


def rule_problems(rule: str, names: Names | None = None) -> list[RuleProblem]:
    """What is wrong with a rule; `rule` is what follows its id, at four blanks, starting in line 3."""
    return problems("rules:\n  - id: r\n" + "\n".join("    " + line for line in rule.strip("\n").split("\n")), names)


def queue(id: str = "q", **values: Any) -> Queue:
    return Queue(**{"id": id, "name": id, **values})


def agent(id: str, **values: Any) -> Agent:
    return Agent(**{"id": id, "email": f"{id}@example.org", "name": id, "created_at": NOW, **values})


def online(id: str, *held: str, points: int = 1, minutes: int | None = None, **values: Any) -> AgentState:
    """An agent online with these conversations, last assigned `minutes` ago."""
    return AgentState(
        **{
            "id": id,
            "presence": "online",
            "held": tuple(Hold(conversation_id=one, points=points) for one in held),
            "last_assigned_at": None if minutes is None else NOW - timedelta(minutes=minutes),
            **values,
        }
    )


def conversation(id: str = "c", **values: Any) -> Conversation:
    return Conversation(
        **{
            "id": id,
            "inbox_id": "i",
            "channel": "mail",
            "contact_id": "k",
            "identity_id": "a",
            "queue_id": "q",
            "created_at": NOW,
            "updated_at": NOW,
            "last_message_at": NOW,
            **values,
        }
    )
