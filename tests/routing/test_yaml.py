"""YAML 1.2, without its traps: what looks like a text is one, and what is ambiguous is refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.routing.source import node_from, parse


def value(text: str) -> object:
    node, problems = parse("f.yaml", text)
    assert problems == []
    assert node is not None
    return node.plain()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("off", "off"),
        ("y", "y"),
        ("NO", "NO"),
        ("12:30", "12:30"),
        ("09:00", "09:00"),
        ("2026-10-01", "2026-10-01"),
        ("2026-10-01T10:00:00Z", "2026-10-01T10:00:00Z"),
        ("1.2.3", "1.2.3"),
        ('"5"', "5"),
        ("'true'", "true"),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("12", 12),
        ("-3", -3),
        ("0x1F", 31),
        ("0o17", 15),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("+86", 86),
        ("退款", "退款"),
        ("!!str 12", "12"),
        ("a: {on: [new], no: yes}", {"a": {"on": ["new"], "no": "yes"}}),
        ("a: |\n  two\n  lines\n", {"a": "two\nlines\n"}),
        ("a: &words [x, y]\nb: *words", {"a": ["x", "y"], "b": ["x", "y"]}),
        ("--- {a: 1}", {"a": 1}),
    ],
)
def test_values(text: str, expected: object) -> None:
    found = value(text)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("text", "line", "column", "said"),
    [
        ("a: 1\nb: 2\na: 3", 3, 1, 'the key "a" stands here twice (first in line 1)'),
        ("a: {x: 1, x: 2}", 1, 11, 'the key "x" stands here twice'),
        ("a: [1,", 1, 7, "not valid YAML"),
        ("a: 1\n b: 2", 2, 3, "mapping values are not allowed here"),
        ("\ta: 1", 1, 1, "cannot start any token"),
        ("a: *nothing", 1, 4, "undefined alias"),
        ("a: 1\n---\nb: 2", 2, 1, "but found another document"),
        ("%YAML 1.1\n---\na: no", 1, 1, "directives are not taken"),
        ("# a comment\n%TAG ! x\n---\na: no", 2, 1, "directives are not taken"),
        ("a: !env HOME", 1, 4, "the tag !env is not taken"),
        ("a: !!python/object:os.system x", 1, 4, "is not taken"),
        ("a: &x {b: 1}\nc: {<<: *x}", 2, 5, "merge keys (<<) are not taken"),
        ("? [a, b]\n: c", 1, 3, "a key must be a word"),
        ("a: &x [*x]", 1, 4, "nested too deeply"),
        ("a: b\nc: \x01", 2, 4, "not valid YAML"),
        ("a: !!int abc", 1, 4, '"abc" is not a number'),
        ("a: " + "9" * 31, 1, 4, "is not a number"),
    ],
)
def test_refused(text: str, line: int, column: int, said: str) -> None:
    node, problems = parse("f.yaml", text)
    assert node is None
    assert len(problems) == 1
    assert said in problems[0].message, str(problems[0])
    assert (problems[0].line, problems[0].column) == (line, column), str(problems[0])


def test_aliases_cannot_stand_for_billions_of_values() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    node, problems = parse("f.yaml", "\n".join(lines))
    assert node is None
    assert "too many values" in problems[0].message


def test_deep_nesting_is_no_crash() -> None:
    node, problems = parse("f.yaml", "[" * 1000)
    assert node is None
    assert problems


def test_a_huge_file_is_refused() -> None:
    node, problems = parse("f.yaml", "x" * 8_000_001)
    assert node is None
    assert "longer than" in problems[0].message


def test_an_empty_file_is_nothing() -> None:
    assert parse("f.yaml", "") == (None, [])
    assert parse("f.yaml", "# nothing here\n") == (None, [])


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.sampled_from(" \n\t:-[]{},&*!|>'\"%@`#?abc019~.退"), max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    node, problems = parse("f.yaml", text)
    assert node is None or not problems
    assert all(problem.line >= 1 and problem.column >= 1 for problem in problems)


def test_values_made_by_programs_are_nodes_too() -> None:
    tree = {"a": [1, "x", {"b": None}]}
    assert node_from(tree).plain() == tree
