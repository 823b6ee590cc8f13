"""Every kind of mistake is refused with its line and column, all of them at once, and most with what was meant."""

from __future__ import annotations

import pytest

from gateway.routing.load import load
from gateway.routing.names import Names, QueueName
from tests.routing.given import problems, rule_problems

NAMES = Names(
    queues={"support": QueueName(), "payments": QueueName(), "bot": QueueName(type="bot", fallback="support")},
    agents=frozenset({"lead@example.org", "0190"}),
    sla_policies=frozenset({"gold"}),
    inboxes=frozenset({"website"}),
    channels=frozenset({"mail", "api"}),
    webhooks=frozenset({"hook-1"}),
)

WHEN: list[tuple[str, int, str]] = [
    # the condition, its column, what is said
    ("{}", 7, "when is empty; to take every message, write always: true"),
    ("[]", 7, "when is empty"),
    ("", 1, "when must hold conditions such as channel: mail, not nothing"),
    ("mail", 7, 'when must hold conditions such as channel: mail, not the text "mail"'),
    ("{all: []}", 13, "all is empty"),
    ("{any: {channel: mail}}", 13, "any must be a list of conditions, not a mapping"),
    ("{any: [mail]}", 14, "a condition of any must hold conditions"),
    ("{not: {}}", 13, "not is empty"),
    ("{always: false}", 16, "always can only be true"),
    ("{always: true, channel: mail}", 8, "always stands alone"),
    ("{chanel: mail}", 8, 'there is no field "chanel"; did you mean "channel"?'),
    ("{ani: [{channel: mail}]}", 8, 'there is no field "ani"; did you mean "any"?'),
    ("{contains: x}", 8, 'there is no field "contains"'),
    ("{contact.attributes: x}", 8, "write contact.attributes.NAME"),
    ("{queues.support: 3}", 8, "write queues.NAME.waiting, queues.NAME.online or queues.NAME.open"),
    ("{channel: }", 8, "channel is compared with nothing; to ask whether there is a value"),
    ("{channel: {}}", 8, "channel has no comparison"),
    ("{text: {contians: x}}", 15, 'there is no comparison "contians"; did you mean "contains"?'),
    ("{text: {zzz: x}}", 15, 'there is no comparison "zzz"; for text there are eq, ne'),
    ("{priority: {contains: x}}", 19, "priority is one of a few words: contains does not go with it; use eq, ne"),
    ("{kind: {gte: bounce}}", 15, "gte does not go with it"),
    ("{text: {contains: []}}", 25, "text contains is an empty list"),
    ('{text: {contains: ["", x]}}', 26, "text contains is empty"),
    ("{text: {contains: [x, {a: b}]}}", 29, "text contains must be a text, not a mapping"),
    ("{contact.phone: {starts_with: 86}}", 37, 'contact.phone starts_with must be a text; put it in quotes: "86"'),
    ("{channel: true}", 17, "channel eq must be a text, not the truth value true"),
    ("{text: {eq: [a, b]}}", 19, "text eq takes one value; for several use in"),
    ("{tags: {has: [a, b]}}", 20, "tags has takes one value; for several use has_any"),
    ("{priority: hgh}", 18, 'priority eq must be one of low, normal, high, urgent, not the text "hgh"; did you mean'),
    ("{message_count: many}", 23, 'message_count eq must be a number, not the text "many"'),
    ("{message_count: .nan}", 23, "message_count eq must be a number"),
    ("{message_count: {gt: true}}", 28, "message_count gt must be a number, not the truth value true"),
    ("{message_count: {between: 3}}", 33, "message_count between takes a list of two: [from, to]"),
    ("{message_count: {between: [5, 2]}}", 33, "5 is after 2, so nothing lies between them"),
    ("{window.open: maybe}", 21, 'window.open eq must be true or false, not the text "maybe"; write true or false'),
    ("{text: {exists: 1}}", 23, "text exists must be true or false"),
    ("{hours: 9-18}", 15, "'9' is not a time of day; write it like 09:00"),
    ('{hours: "mon"}', 15, "'mon' has no times"),
    ('{hours: {open: "mon-fri 09:00-25:00"}}', 22, "'25:00' is not a time of day"),
    ('{hours: {open: "funday 09:00-18:00"}}', 22, "'funday' is not a day"),
    ('{hours: {open: "09:00-18:00", zone: Mars}}', 43, "'Mars' is not a time zone"),
    ("{hours: {after: 3}}", 16, 'there is no comparison "after"'),
    ("{weekday: someday}", 17, "'someday' is not a day"),
    ("{date: 2026-02-30}", 14, '"2026-02-30" is not a day; write it like 2026-10-01'),
    ("{date: 1/2/26}", 14, '"1/2/26" is not a day'),
    ("{date: {between: [2026-02-03, 2026-02-01]}}", 24, "so nothing lies between them"),
    ("{text: {matches: '('}}", 24, "not a regular expression that runs in linear time (RE2): missing )"),
    (r"{text: {matches: '(a)\1'}}", 24, "invalid escape sequence"),
    ("{text: {matches: 'a(?=b)'}}", 24, "(RE2)"),
    ("{text: {matches: '(a{1000}){1000}'}}", 24, "invalid repetition size"),
    ("{text: {matches: '" + "a" * 1001 + "'}}", 24, "text matches is longer than 1000 characters"),
]

THEN: list[tuple[str, int, str]] = [
    ("{}", 7, "then is empty: the rule does nothing"),
    ("support", 7, 'then must be a mapping, not the text "support"'),
    ("{queu: support}", 8, 'then has no key "queu"; did you mean "queue"?'),
    ("{queue: suport}", 15, 'there is no queue "suport"; did you mean "support"?'),
    ("{queue: nowhere}", 15, 'there is no queue "nowhere"; there are bot, payments, support'),
    ("{queue: [support]}", 15, "queue must be a text, not a list"),
    ("{queue: support, bot: bot}", 24, "queue and bot do not go together: both name where the conversation goes"),
    ("{bot: support}", 13, '"support" is a queue for people, not a bot\'s; use queue'),
    ("{bot: bot, assign: lead@example.org}", 18, "bot and assign do not go together"),
    ("{close: true, assign: lead@example.org}", 21, "close and assign do not go together"),
    ("{close: true, bot: bot}", 21, "close and bot do not go together"),
    ("{close: true, open_case: true}", 21, "close and open_case do not go together"),
    ("{close: no}", 15, 'close can only be true, not the text "no"; leave it out otherwise'),
    ("{queue: support, assign: led@example.org}", 32, 'there is no agent "led@example.org"; did you mean'),
    ("{priority: highest}", 18, "priority must be one of low, normal, high, urgent"),
    ("{tags: []}", 14, "tags is an empty list"),
    ("{tags: {}}", 14, "tags is empty"),
    ("{tags: {ad: x}}", 15, 'tags has no key "ad"; did you mean "add"?'),
    ("{tags: {add: [a, B], remove: b}}", 14, 'the tag "b" is both added and removed'),
    ("{sla: gld}", 13, 'there is no SLA policy "gld"; did you mean "gold"?'),
    ('{reply: ""}', 15, "reply is empty"),
    ('{reply: "Hello {{contact.nme}}"}', 15, 'there is no placeholder "contact.nme"; did you mean "contact.name"?'),
    ('{reply: "Hello {{contact.name"}', 15, "a placeholder is not closed"),
    ("{reply: {zh: 你好}}", 15, "reply by language needs a default"),
    ("{reply: 12}", 15, "reply must be a text; put it in quotes"),
    ("{notify: nobody@example.org}", 16, 'there is no agent "nobody@example.org"'),
    ("{webhook: hook-2}", 17, 'there is no webhook with the id "hook-2"; did you mean "hook-1"?'),
    ("{open_case: []}", 19, "open_case must be a text, not a list"),
]

RULE: list[tuple[str, int, int, str]] = [
    # what is added to a good rule, in line 5; line, column, what is said
    ("onn: [new]", 5, 5, 'a rule has no key "onn"; did you mean "on"?'),
    ("on: [neww]", 5, 10, "on must be one of new, reopened, message"),
    ("on: []", 5, 9, "on is an empty list"),
    ("continue: yes", 5, 15, 'continue must be true or false, not the text "yes"; write true or false'),
    ("enabled: 1", 5, 14, "enabled must be true or false, not the number 1"),
    ("name: [a]", 5, 11, "name must be a text"),
    ("tests: {}", 5, 12, "tests must be a list, not a mapping"),
    ("tests: [x]", 5, 13, 'a test must be a mapping, not the text "x"'),
    ("tests: [{}]", 5, 13, "a test needs given"),
    ("tests: [{given: {text: x}}]", 5, 13, "a test needs expect"),
    ("tests: [{given: {}, expect: no match}]", 5, 21, "given must be a mapping of fields"),
    ("tests: [{given: {txt: x}, expect: no match}]", 5, 22, 'there is no field "txt"; did you mean "text"?'),
    ("tests: [{given: {hours: x}, expect: no match}]", 5, 22, "hours follows from at: give that"),
    ("tests: [{given: {at: noon}, expect: no match}]", 5, 26, '"noon" is not a time with its offset'),
    ('tests: [{given: {at: "2026-01-07T09:00"}, expect: no match}]', 5, 26, "is not a time with its offset"),
    ("tests: [{given: {message_count: x}, expect: no match}]", 5, 37, "message_count must be a number"),
    ("tests: [{given: {text: x}, expect: nothing}]", 5, 40, 'expect must be "no match" or name what comes of it'),
    ("tests: [{given: {text: x}, expect: {}}]", 5, 40, 'expect must be "no match"'),
    ("tests: [{given: {text: x}, expect: {que: a}}]", 5, 41, 'expect has no key "que"; did you mean "queue"?'),
    ("tests: [{given: {text: x}, expect: {queue: a}}]", 5, 48, 'there is no queue "a"'),
]


@pytest.mark.parametrize(("when", "column", "said"), WHEN, ids=[case[0][:50] for case in WHEN])
def test_conditions(when: str, column: int, said: str) -> None:
    found = rule_problems(f"when: {when}\nthen: {{queue: support}}", NAMES)
    assert len(found) == 1, [str(problem) for problem in found]
    assert (found[0].line, found[0].rule, found[0].severity) == (3, "r", "error")
    assert said in found[0].message
    assert found[0].column == column + 4, str(found[0])


@pytest.mark.parametrize(("then", "column", "said"), THEN, ids=[case[0][:50] for case in THEN])
def test_actions(then: str, column: int, said: str) -> None:
    found = [p for p in rule_problems(f"when: {{channel: mail}}\nthen: {then}", NAMES) if p.severity == "error"]
    assert len(found) == 1, [str(problem) for problem in found]
    assert (found[0].line, found[0].rule) == (4, "r")
    assert said in found[0].message
    assert found[0].column == column + 4, str(found[0])


@pytest.mark.parametrize(("added", "line", "column", "said"), RULE, ids=[case[0][:50] for case in RULE])
def test_rules(added: str, line: int, column: int, said: str) -> None:
    found = rule_problems("when: {channel: mail}\nthen: {queue: support}\n" + added, NAMES)
    assert said in found[0].message, str(found[0])
    assert (found[0].line, found[0].column, found[0].rule) == (line, column, "r"), str(found[0])


TEXT_FILES: list[tuple[str, int, int, str]] = [
    ("rules: 3", 1, 8, "rules must be a list, not the number 3"),
    ("- id: a", 1, 1, "write the rules under a key: rules:"),
    ("just words", 1, 1, 'a rule file must be a mapping, not the text "just words"'),
    ("rulez: []", 1, 1, 'a rule file has no key "rulez"; did you mean "rules"?'),
    ("rules:\n  - x", 2, 5, 'a rule must be a mapping with id, when and then, not the text "x"'),
    ("rules:\n  - when: {always: true}\n    then: {queue: support}", 2, 5, "a rule needs an id"),
    ("rules:\n  - id: 5\n    when: {always: true}\n    then: {queue: support}", 2, 9, "id must be a text"),
    ("rules:\n  - id: a b\n    when: {always: true}\n    then: {queue: support}", 2, 9, '"a b" is no id'),
    ("rules:\n  - id: a\n    then: {queue: support}", 2, 5, "a rule needs when"),
    ("rules:\n  - id: a\n    when: {always: true}", 2, 5, "a rule needs then"),
    ("zone: Nowhere/Town\nrules: []", 1, 7, "'Nowhere/Town' is not a time zone"),
    ("default_queue: suport\nrules: []", 1, 16, 'there is no queue "suport"; did you mean "support"?'),
    ("owner: []\nrules: []", 1, 8, "owner must be a text"),
    ("tests: 1", 1, 8, "tests must be a list"),
]


@pytest.mark.parametrize(("text", "line", "column", "said"), TEXT_FILES, ids=[case[0][:40] for case in TEXT_FILES])
def test_files(text: str, line: int, column: int, said: str) -> None:
    found = problems(text, NAMES)
    assert said in found[0].message, str(found[0])
    assert (found[0].line, found[0].column) == (line, column), str(found[0])


def test_all_mistakes_are_told_at_once_in_order() -> None:
    text = """
rules:
  - id: a
    when: {chanel: mail, text: {contians: x}, priority: hgh}
    then: {queue: suport, priority: highest}
  - id: b
    when: {}
    then: {}
"""
    found = [(problem.line, problem.rule) for problem in problems(text, NAMES)]
    assert found == [(4, "a"), (4, "a"), (4, "a"), (5, "a"), (5, "a"), (7, "b"), (8, "b")]


def test_a_broken_file_does_not_hide_the_others() -> None:
    loaded = load([("b.yaml", "rules: ["), ("a.yaml", "rules: 1"), ("c.yaml", "rulez: 1")])
    assert [problem.file for problem in loaded.problems] == ["a.yaml", "b.yaml", "c.yaml"]
    assert loaded.ruleset is None
    assert not loaded.ok


def test_ids_are_unique_over_all_files() -> None:
    rule = "rules:\n  - id: same\n    when: {channel: mail}\n    then: {queue: q}\n"
    loaded = load([("a.yaml", rule), ("b.yaml", rule)])
    assert [str(problem) for problem in loaded.problems] == [
        'b.yaml:2:9: error: the id "same" is taken by the rule in a.yaml, line 2'
    ]


def test_two_files_of_one_name_are_refused() -> None:
    loaded = load([("a.yaml", "rules: []"), ("a.yaml", "rules: []")])
    assert "two files have this name" in str(loaded.problems[0])


def test_one_default_queue() -> None:
    loaded = load([("a.yaml", "default_queue: x\nrules: []"), ("b.yaml", "default_queue: y\nrules: []")])
    assert [str(problem) for problem in loaded.problems] == [
        "b.yaml:1:16: error: default_queue is set in a.yaml already"
    ]


def test_a_rule_has_250_comparisons_at_most() -> None:
    def rule(count: int) -> str:
        parts = ", ".join(f"{{message_count: {number}}}" for number in range(count))
        return f"when: {{any: [{parts}]}}\nthen: {{queue: q}}"

    assert rule_problems(rule(250)) == []
    assert "250 comparisons at most" in rule_problems(rule(251))[0].message


def test_conditions_are_not_nested_without_end() -> None:
    nested = "{channel: mail}"
    for _ in range(20):
        nested = f"{{not: {nested}}}"
    assert "nested too deeply" in rule_problems(f"when: {nested}\nthen: {{queue: q}}")[0].message


def test_what_is_not_known_is_not_checked() -> None:
    assert rule_problems("when: {channel: fax}\nthen: {queue: anything, sla: any, assign: a@example.org}") == []
