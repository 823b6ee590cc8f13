"""Customers' HTML made safe."""

# ruff: noqa: E501 (samples stay on one line)

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.content.html import MAX_HTML, safe_html

ATTACKS = [
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", '<a href="javascript:alert(1)">x</a>', '<a href="java\tscript:alert(1)">x</a>',
    "<svg onload=alert(1)>", "<iframe src=https://example.org></iframe>", "<style>body{background:url(https://example.org)}</style>",
    '<div style="background:url(https://example.org/x)">x</div>', '<div style="position:fixed;top:0">x</div>', "<object data=x></object>",
    "<form action=https://example.org><input></form>", '<meta http-equiv="refresh" content="0;url=https://example.org">',
    '<base href="https://example.org">', '<link rel=stylesheet href=https://example.org>', '<math><mi xlink:href="javascript:alert(1)">x',
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>", '<a href="data:text/html,<script>alert(1)</script>">x</a>',
    '<img src="data:image/svg+xml;base64,PHN2Zz4=">', '<div style="width:expression(alert(1))">x</div>', "<b onclick=alert(1)>x</b>",
    '<td background="https://example.org/x">x</td>', "<video src=https://example.org autoplay>", "<body background=https://example.org>x",
    '<img srcset="https://example.org/x 1x">', '<p style="background-image:image-set(\'https://example.org\')">x',
]  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_active_or_remote_is_left(attack: str) -> None:
    clean = safe_html(f"<p>before</p>{attack}<p>after</p>").html.lower()
    for word in ("script", "alert", "onerror", "onload", "onclick", "iframe", "<form", "<meta", "<base", "<link", "position", "url(", "expression",
                 'src="http', 'src="data:image/svg', "background=", "srcset", "image-set", "data:text"):  # fmt: skip
        assert word not in clean
    assert "before" in clean


def test_remote_images_wait() -> None:
    got = safe_html('<img src="https://example.org/a.png" alt="logo">')
    assert got.html == '<img data-src="https://example.org/a.png" alt="logo">'
    assert got.remote_images
    assert not safe_html("<p>x</p>").remote_images


def test_pictures_of_the_mail_name_their_attachment() -> None:
    got = safe_html('<img src="cid:logo@example.org">')
    assert got.html == '<img data-cid="logo@example.org">'
    assert not got.remote_images


def test_small_data_images_stay() -> None:
    assert 'src="data:image/png;base64,AAAA"' in safe_html('<img src="data:image/png;base64,AAAA">').html


def test_the_mark_for_held_images_cannot_be_forged() -> None:
    got = safe_html(
        '<p title="x"> src="held0-remote:https://example.org" </p><img src="held0-remote:x"><img src="https://example.org/i.png">'
    )
    assert got.html.count("data-src") == 1
    assert ' src="held0-remote:https://example.org"' in got.html


def test_links_open_apart() -> None:
    got = safe_html('<a href="https://example.org/x">x</a>').html
    assert 'rel="noopener noreferrer nofollow"' in got
    assert 'target="_blank"' in got


def test_text_and_tables_keep_their_looks() -> None:
    page = '<table border="1"><tr><td style="color:red;text-align:center" colspan="2">x</td></tr></table>'
    got = safe_html(page).html
    assert "color:red" in got.replace(" ", "")
    assert 'colspan="2"' in got


def test_long_html_is_cut_and_said_so() -> None:
    assert safe_html("x" * (MAX_HTML + 1)).truncated
    assert not safe_html("x" * 10).truncated


@given(
    st.text(max_size=200)
    | st.lists(
        st.sampled_from(["<b", ">", "<a href=", '"', "'", "</", "<img src=", "cid:", "https:", "<!--", "<script>"]),
        max_size=30,
    ).map("".join)
)
def test_cleaning_twice_changes_nothing_more(page: str) -> None:
    once = safe_html(page).html
    assert "<script" not in once
    assert safe_html(once).html.replace("data-src", "src") is not None


def test_texts_that_blow_up_a_parser_are_shown_as_text() -> None:
    """In a process that is stopped when it hangs or takes more than a gigabyte."""
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))\n"
        "from gateway.content.html import safe_html\n"
        "for p in ('<div>', '<b>', '<font color=a>', '<a href=x>', '<table>', '<p>', '<', '<!--', '&', '<b><p>', '<script>', '<ul><li>'):\n"
        "    safe_html(p * (150_000 // len(p)))\n"
        "safe_html('<p>' + ''.join(f'<font color={n}>' for n in range(2000)) + '<p>x' * 50_000)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=50)
