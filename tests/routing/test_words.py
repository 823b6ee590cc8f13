"""All words of all rules are found in one pass, as if each had been looked for alone; and no text makes it slow."""

from __future__ import annotations

import time
import unicodedata

from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.routing.decide import decide
from gateway.routing.fold import fold
from gateway.routing.words import Words
from tests.routing.given import facts, rules

ALPHABET = "abA款退ｂ.*+[\\ \n"


letters = st.sampled_from([ALPHABET, "ab"])


@settings(max_examples=200, deadline=None)
@given(
    letters.flatmap(lambda known: st.lists(st.text(known, min_size=1, max_size=4), min_size=1, max_size=12)),
    letters.flatmap(lambda known: st.text(known, max_size=40)),
)
@example(["ab", "ba", "b"], "aba")
def test_found_as_if_alone(wanted: list[str], text: str) -> None:
    words = Words()
    for position, word in enumerate(wanted):
        words.add([fold(word)], position)
    words.build()
    one = facts(text=text)
    expected = {position for position, word in enumerate(wanted) if fold(word) in fold(text)}
    assert words.find(one) == expected


def test_too_many_places_leave_it_to_the_rules() -> None:
    ruleset = rules(*({"when": {"text": {"contains": [f"word {n}", "hay"]}, "channel": f"c{n}"}} for n in range(40)))
    one = facts(channel="c7", text="hay " * 2000)
    assert ruleset.planner.plan(one).awaiting
    assert decide(ruleset, one).matched == ("r7",)
    assert decide(ruleset, facts(channel="c7", text="straw " * 2000)).matched == ()


def test_regular_expressions_take_linear_time() -> None:
    """Patterns and texts that would keep a backtracking engine busy for years."""
    hostile = [r"(a+)+$", r"(a|aa)+$", r"(.*a){20}", r"(x+x+)+y", r"^(([a-z])+.)+[A-Z]([a-z])+$"]
    ruleset = rules(*({"when": {"text": {"matches": pattern}}} for pattern in hostile))
    started = time.perf_counter()
    for text in ("a" * 60_000 + "!", "x" * 60_000, "ab" * 30_000):
        decide(ruleset, facts(text=text))
    assert time.perf_counter() - started < 2


def test_folding_is_bounded_by_the_text() -> None:
    started = time.perf_counter()
    assert len(fold("㎏" * 60_000)) == 120_000
    fold("，" * 60_000)
    fold("e\u0301" * 30_000)
    assert time.perf_counter() - started < 2


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=20))
def test_folding_is_nfkc_and_case_whatever_the_way(text: str) -> None:
    assert fold(text) == unicodedata.normalize("NFKC", text).casefold()
