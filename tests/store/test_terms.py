"""Search terms: pure."""

from __future__ import annotations

import sqlite3

from hypothesis import given
from hypothesis import strategies as st

from gateway.store import terms
from gateway.store.terms import fold, index_text, query_terms, query_tokens, term_set

texts = st.text(
    st.one_of(st.characters(), st.sampled_from("退款订单訂單１２ａＢé ,，。\u0301 ABC xyz カナ 한국 ไทย")), max_size=60
)


def test_words_pairs_and_singles() -> None:
    assert term_set("退款 123AB!") == {"退", "款", "退款", "123ab"}
    assert term_set("ab-cd_ef") == {"ab", "cd", "ef"}
    assert term_set("") == set()


def test_folding() -> None:
    assert fold("訂單ＡＢ１ﬁ ÀÉ Straße") == "订单ab1fi ae strasse"
    assert fold("Й é\u0301") == "й e"


def test_query_terms_name_their_kind() -> None:
    kinds = [(term.kind, term.tokens) for term in query_terms("退 退款 订单号 order ORDER")]
    assert kinds == [
        ("single", ("退",)),
        ("run", ("退款",)),
        ("run", ("订单", "单号")),
        ("word", ("order",)),
    ]


def test_limits() -> None:
    assert term_set("x" * 100) == {"x" * terms.WORD_LIMIT}
    assert query_tokens(query_terms("x" * 100)) == ["x" * terms.WORD_LIMIT]
    assert len(query_terms(" ".join(f"w{number}" for number in range(100)))) == terms.QUERY_LIMIT
    assert len(query_terms("退" * 5000)[0].tokens) < terms.WORD_LIMIT
    assert "late" not in term_set("x " * terms.TEXT_LIMIT + "late")


@given(texts)
def test_folding_twice_changes_nothing_that_is_searched(text: str) -> None:
    assert term_set(fold(text)) == term_set(text)


@given(texts, texts)
def test_a_text_is_found_by_any_of_its_words_and_runs(before: str, text: str) -> None:
    whole = term_set(f"{before} {text}")
    assert set(query_tokens(query_terms(text))) <= whole | set(query_tokens([]))


@given(texts)
def test_sqlite_cuts_as_we_do(text: str) -> None:
    """What the tokenizer of the SQLite engine makes of `index_text` is `term_set`."""
    connection = sqlite3.connect(":memory:")
    connection.execute(
        "CREATE VIRTUAL TABLE f USING fts5 (t, content = '',"
        " tokenize = \"unicode61 remove_diacritics 0 categories 'L* N* M* Co'\")"
    )
    connection.execute("CREATE VIRTUAL TABLE v USING fts5vocab (f, 'row')")
    made = index_text(text)
    connection.execute("INSERT INTO f (rowid, t) VALUES (1, ?)", (f"{made.words} {made.singles}",))
    cut = {row[0] for row in connection.execute("SELECT term FROM v")} - {terms.GAP}
    connection.close()
    assert cut == term_set(text)
