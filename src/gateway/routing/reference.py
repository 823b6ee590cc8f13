"""The rule language for readers, as Markdown, made from the tables the loader goes by, so that it cannot lag behind."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path

from gateway.routing.actions import ACTIONS
from gateway.routing.example import EXPECTATIONS
from gateway.routing.fields import FIELDS, INDEXED, Field, find_field
from gateway.routing.load import FILE_KEYS, RULE_KEYS
from gateway.routing.operators import OPERATORS
from gateway.routing.read_condition import MAX_TESTS
from gateway.routing.reply_text import PLACEHOLDERS
from gateway.routing.schema import json_schema

_INTRODUCTION = """# Routing rules

One file a team, read in file-name order; YAML 1.2. The first rule that matches decides; one that says `continue: true`
adds what it has to say and lets later rules be tried. Where several matching rules set the same thing (a queue, a
priority), the first one's word counts; tags, skills, answers and notices add up.

```yaml
owner: payments
zone: Asia/Shanghai
rules:
  - id: refund
    when:
      all:
        - channel: [mail, api]
        - text: {contains: [退款, refund]}
        - not: {tags: {has: spam}}
    then: {queue: payments, priority: high, tags: [refund]}
    tests:
      - given: {channel: mail, text: I want a refund}
        expect: {queue: payments, priority: high}
      - given: {channel: mail, text: hello}
        expect: no match
```

`omnigate rules check` says everything that is wrong, with line and column; `omnigate rules test` runs the examples.
Both also happen before rules are published, and a set with an error or a failing example is not taken.
"""


def reference() -> str:
    """The text of routing_rules/README.md."""
    fields = [*FIELDS.values(), *_made_up()]
    return "\n".join(
        [
            _INTRODUCTION,
            "## Files\n",
            _table(("key", "meaning"), ((f"`{key}`", meaning) for key, meaning in FILE_KEYS.items())),
            "## Rules\n",
            _table(("key", "meaning"), ((f"`{key}`", meaning) for key, meaning in RULE_KEYS.items())),
            "## Conditions (`when`)\n",
            "`all: […]`, `any: […]`, `not: …`, nested as needed; several fields in one mapping must all hold.",
            "`always: true` takes every message. A field with a plain value means `eq`, with a list `in`; for a list",
            "field `has` and `has_any`. Upper and lower case, full and half width do not matter, except in `matches`.",
            f"A rule can have {MAX_TESTS} comparisons. In large sets, conditions `eq` and `in` on "
            + ", ".join(INDEXED),
            "and words in the text cost next to nothing; regular expressions are tried last.\n",
            _table(("field", "type", "meaning"), (_field(field) for field in fields)),
            _table(
                ("comparison", "meaning"),
                ((f"`{operator.name}`", operator.description) for operator in OPERATORS.values()),
            ),
            "## Actions (`then`)\n",
            _table(("action", "meaning"), ((f"`{name}`", meaning) for name, meaning in ACTIONS.items())),
            "In answers, `{{name}}` or `{{name|otherwise}}` stands for:\n",
            _table(("placeholder", "meaning"), ((f"`{name}`", meaning) for name, (meaning, _) in PLACEHOLDERS.items())),
            "## Examples (`tests`)\n",
            "`given` holds fields by name, and `at` (a time with its offset; a Wednesday noon, UTC, if not given).",
            "`expect` is `no match`, or some of:\n",
            _table(("key", "meaning"), ((f"`{key}`", meaning) for key, meaning in EXPECTATIONS.items())),
        ]
    )


def _made_up() -> Iterable[Field]:
    for name in ("contact.attributes.NAME", "queues.NAME.waiting", "queues.NAME.online", "queues.NAME.open"):
        field = find_field(name)
        if field is not None:
            yield field


def _field(field: Field) -> tuple[str, str, str]:
    kind = ", ".join(field.choices) if field.choices else field.kind.value
    return f"`{field.name}`", kind, field.description


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    (folder / "README.md").write_text(reference(), "utf-8")
    (folder / "rules.schema.json").write_text(json.dumps(json_schema(), indent=1, ensure_ascii=False) + "\n", "utf-8")
