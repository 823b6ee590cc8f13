"""How long a decision takes, with its explanation, over rule sets of 100, 1,000 and 10,000 rules.

The sets are mixed as large ones are: most rules name an inbox, a channel or a language and look for words in the text;
some look at what the app knows of the customer, some at the queue of a running conversation, some use regular
expressions, and one in ten names nothing the index can use. Most messages match late or not at all, which is the dear
case. Measured is all that intake does per message: facts, decision with every rule's outcome, the facts' summary.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, get_args

from gateway.model.conversation import Priority
from gateway.routing.decide import decide
from gateway.routing.explain import explain
from gateway.routing.facts import Facts
from gateway.routing.load import load_values
from gateway.routing.ruleset import RuleSet
from gateway.routing.summary import facts_summary

NOW = datetime(2026, 1, 7, 12, 0, tzinfo=UTC)
CHANNELS = ("mail", "api", "webchat", "telegram", "wechat")
INBOXES = tuple(f"inbox-{number}" for number in range(40))
LANGUAGES = ("zh", "en", "ja")
QUEUES = tuple(f"queue-{number}" for number in range(30))
WORDS = ("refund", "transfer", "card", "limit", "verify", "top up", "declined", "statement", "pin", "exchange rate")
CHINESE = ("退款", "转账", "银行卡", "限额", "验证", "充值", "支付失败", "账单", "密码", "汇率")
TEXT = "The payment of yesterday evening is still shown as pending in the app, could somebody look into it please? "
CHINESE_TEXT = "昨天晚上的付款在应用里仍显示处理中，请帮我看一下是什么原因，谢谢。"


def rules(count: int, seed: int = 7) -> list[dict[str, Any]]:
    """A mixed rule set, as values."""
    choose = random.Random(seed)
    return [
        {
            "id": f"rule-{number}",
            "on": ["message"] if number % 20 == 19 else ["new", "reopened"],
            "when": _when(number, choose),
            "then": {
                "queue": choose.choice(QUEUES),
                "priority": choose.choice(get_args(Priority)),
                "tags": [f"t{number % 50}"],
            },
        }
        for number in range(count)
    ]


def _when(number: int, choose: random.Random) -> dict[str, Any]:
    mark = f"{number:05}"
    words = [f"{choose.choice(WORDS)} {mark}", f"{choose.choice(CHINESE)}{mark}", f"{choose.choice(WORDS)}-{mark}"]
    text: dict[str, Any] = {"text": {"contains": words}}
    match number % 20:
        case 0 | 1:  # nothing for the index
            return text
        case 2 | 3:
            return {"contact.attributes.tier": f"tier-{number}", "language": choose.choice(LANGUAGES), **text}
        case 4:
            return {"inbox": choose.choice(INBOXES), "subject": {"matches": rf"(?i)order {mark}\d+"}, **text}
        case 5:
            return {"inbox": choose.choice(INBOXES), "text": {"matches": rf"(?i)(account|card) number {mark}\d+"}}
        case 6 | 7:
            return {"channel": choose.choice(CHANNELS), "language": choose.choice(LANGUAGES), **text}
        case 8:
            return {"inbox": choose.choice(INBOXES), "hours": {"open": "mon-fri 08:00-20:00"}, **text}
        case 19:
            return {"queue": choose.choice(QUEUES), **text}
        case _:
            return {"inbox": choose.choices(INBOXES, k=2), **text, "not": {"tags": {"has": f"done-{number}"}}}


def messages(count: int, rules: int, seed: int = 11) -> Iterator[dict[str, Any]]:
    """Arguments of Facts: texts of 1 kB, a third of them with the words of some rule."""
    choose = random.Random(seed)
    for number in range(count):
        chinese = number % 3 == 0
        text = CHINESE_TEXT * 10 if chinese else TEXT * 10
        if number % 3 == 1:
            wanted = choose.randrange(rules)
            text += " ".join(f"{word} {wanted:05}" for word in WORDS)
        yield {
            "now": NOW,
            "event": "message" if number % 4 == 3 else "new",
            "channel": choose.choice(CHANNELS),
            "inbox_id": f"0190-{number % 40}",
            "inbox_name": INBOXES[number % 40],
            "text": text,
            "subject": f"Payment {number}",
            "language": "zh" if chinese else "en",
            "sender_address": f"customer{number}@example.org",
            "contact_name": "Customer",
            "contact_email": f"customer{number}@example.org",
            "contact_attributes": {"tier": "basic", "app": "4.2.0"},
            "queue": choose.choice(QUEUES) if number % 4 == 3 else None,
            "tags": ("app",),
        }


def decision_times(ruleset: RuleSet, arguments: list[dict[str, Any]], rounds: int) -> list[float]:
    """Seconds each decision took; a first round, not counted, makes the plans."""
    found: list[float] = []
    for turn in range(rounds + 1):
        for values in arguments:
            started = time.perf_counter()
            facts = Facts(**values)
            decide(ruleset, facts)
            facts_summary(facts)
            if turn:
                found.append(time.perf_counter() - started)
    return found


def measure(full: bool) -> list[dict[str, Any]]:
    """Figures as {name, value, unit, limit, ok}; limit None: for the reader only."""
    figures: list[dict[str, Any]] = []

    def add(name: str, seconds: float, limit: float | None) -> None:
        value = seconds * 1e6
        figures.append(
            {"name": name, "value": value, "unit": "µs", "limit": limit, "ok": limit is None or value <= limit}
        )

    for count, limit in ((100, 30.0), (1_000, 200.0), (10_000, 1_000.0)):
        loaded = load_values({"bench": {"rules": rules(count)}})
        if loaded.ruleset is None:
            raise RuntimeError(str(loaded.problems[0]))
        arguments = list(messages(600 if full else 200, count))
        times = decision_times(loaded.ruleset, arguments, 10 if full else 4)
        add(f"decision, {count:,} rules, median", statistics.median(times), limit)
        add(f"decision, {count:,} rules, p95", statistics.quantiles(times, n=20)[-1], None)
        facts = Facts(**arguments[0])
        outcome = decide(loaded.ruleset, facts)
        explain(outcome.outcomes, loaded.ruleset, facts)  # conditions are put in words once per rule set
        started = time.perf_counter()
        explain(outcome.outcomes, loaded.ruleset, facts)
        add(f"explanation put in words, {count:,} rules", time.perf_counter() - started, None)
    return figures


if __name__ == "__main__":
    for figure in measure(full=False):
        limit = "" if figure["limit"] is None else f"  (at most {figure['limit']:g})"
        mark = "ok  " if figure["ok"] else "MISS"
        print(f"{mark} {figure['name']:<48} {figure['value']:>10,.1f} {figure['unit']}{limit}")
