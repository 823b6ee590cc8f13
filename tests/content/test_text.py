"""HTML to readable text."""

# ruff: noqa: E501 (samples stay on one line)

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.content.text import html_to_text

PAGES = {
    "<p>one</p><p>two</p>": "one\n\ntwo",
    "one<br>two<br/>three": "one\ntwo\nthree",
    "<div>one</div><div>two</div>": "one\ntwo",
    "<b>a</b> <i>b</i>": "a b",
    "a&nbsp;&lt;b&gt; &#8364; &eacute;": "a <b> € é",
    "<ul><li>one<li>two</ul>": "- one\n- two",
    "<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>": "a b\nc",
    "<style>p{}</style><script>x</script><title>t</title>text": "text",
    "<!-- no -->yes<!-- <p>no</p> -->": "yes",
    "<pre>a\n  b</pre>": "a\n  b",
    '<a href="https://example.org/x">here</a>': "here <https://example.org/x>",
    '<a href="https://example.org/">example.org</a>': "example.org",
    '<a href="mailto:a@example.org">mail</a>': "mail",
    '<img alt="logo" src="x">': "[logo]",
    "<blockquote>one<blockquote>two</blockquote></blockquote>after": "> one\n>\n> > two\n\nafter",
    "a\n  b\tc": "a b c",
    "1 < 2 and 3 > 2": "1 < 2 and 3 > 2",
    '<p title="a > b">x</p>': "x",
    "<p>unclosed <b>bold": "unclosed bold",
    "你好<br>世界": "你好\n世界",
    "": "",
    "<html><body></body></html>": "",
    "<o:p>&nbsp;</o:p>x": "x",
    "<!--[if mso]><p>office</p><![endif]-->x": "x",
}


@pytest.mark.parametrize(("page", "text"), PAGES.items())
def test_pages(page: str, text: str) -> None:
    assert html_to_text(page) == text


@given(st.text(alphabet=st.sampled_from("<>/abp \"'&;!-=\n你")))
def test_any_text_is_taken(page: str) -> None:
    html_to_text(page).encode()


@given(st.text(alphabet=st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF), min_size=1, max_size=50))
def test_words_survive(words: str) -> None:
    assert html_to_text(f"<html><div><span>{words}</span></div></html>") == words


def test_time_is_linear_on_hostile_pages() -> None:
    code = (
        "from gateway.content.text import html_to_text\n"
        "for p in ('<', '<a', '<a \"', \"<a '\", '<!--', '<script>', '<div>', '&', '<b>x', '<a href=x>', '</p>', '<pre>', '>', '<blockquote>x', '<x=\"'):\n"
        "    html_to_text(p * (300_000 // len(p)))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=50)
