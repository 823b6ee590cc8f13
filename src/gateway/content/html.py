"""Customers' HTML made safe to show: an explicit list of tags and attributes, no scripts, nothing loaded from afar.

Pure and synchronous; for texts past some ten kilobytes call it in a thread.
"""

from __future__ import annotations

import re
from html import escape

import msgspec
import nh3

from gateway.content.markup import is_affordable
from gateway.content.text import html_to_text

MAX_HTML = 1_000_000
"""Characters that are sanitised; what is beyond is left out and `truncated` says so."""

MAX_DATA_IMAGE = 200_000

_TAGS = frozenset(
    [
        "a",
        "abbr",
        "address",
        "article",
        "aside",
        "b",
        "bdi",
        "bdo",
        "big",
        "blockquote",
        "br",
        "caption",
        "center",
        "cite",
        "code",
        "col",
        "colgroup",
        "dd",
        "del",
        "details",
        "dfn",
        "div",
        "dl",
        "dt",
        "em",
        "figcaption",
        "figure",
        "font",
        "footer",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "header",
        "hr",
        "i",
        "img",
        "ins",
        "kbd",
        "li",
        "main",
        "mark",
        "nav",
        "ol",
        "p",
        "pre",
        "q",
        "rp",
        "rt",
        "ruby",
        "s",
        "samp",
        "section",
        "small",
        "span",
        "strike",
        "strong",
        "sub",
        "summary",
        "sup",
        "table",
        "tbody",
        "td",
        "tfoot",
        "th",
        "thead",
        "time",
        "tr",
        "tt",
        "u",
        "ul",
        "var",
        "wbr",
    ]
)
_DROPPED_WITH_CONTENT = frozenset(
    "script style title head template noscript textarea select option iframe object embed svg math xmp".split()  # noqa: SIM905
)
_CELL = {"align", "valign", "colspan", "rowspan", "width", "height", "bgcolor", "style", "dir", "lang"}
_ATTRIBUTES: dict[str, set[str]] = {
    "*": {"style", "dir", "lang", "title", "align"},
    "a": {"href", "name"},
    "img": {"src", "alt", "width", "height"},
    "font": {"color", "size", "face"},
    "table": {"width", "border", "cellpadding", "cellspacing", "bgcolor", "align"},
    "td": _CELL,
    "th": _CELL,
    "tr": {"valign", "bgcolor"},
    "col": {"span", "width"},
    "colgroup": {"span", "width"},
    "ol": {"start", "type", "reversed"},
    "ul": {"type"},
    "li": {"value"},
    "blockquote": {"type"},
    "bdo": {"dir"},
    "time": {"datetime"},
    "q": set(),
}
_STYLE = {
    "color", "background-color", "font-weight", "font-style", "font-size", "font-family", "text-decoration",
    "text-align",
    "vertical-align", "white-space", "line-height", "direction", "list-style-type", "padding", "padding-left",
    "margin-left",
    "border", "border-left", "border-collapse", "width", "max-width",
}  # fmt: skip
"""Properties that colour and set text; none that moves it over other parts of the page or loads something."""

_LINK_SCHEMES = ("http:", "https:", "mailto:", "tel:")
_DATA_IMAGE = re.compile(r"data:image/(?:png|gif|jpe?g|webp|bmp);base64,[A-Za-z0-9+/=\s]*\Z")
_UNSAFE_STYLE = re.compile(r"url|expression|import|[\\@<]", re.IGNORECASE)
_SPACE = re.compile(r"[\x00-\x20]+")


class SafeHtml(msgspec.Struct, frozen=True, kw_only=True):
    """Sanitised HTML. Remote images wait in `data-src` until the reader asks for them; pictures that came with the
    message have `data-cid`, the Content-ID of their attachment."""

    html: str
    remote_images: bool = False
    truncated: bool = False


def safe_html(html: str) -> SafeHtml:
    """Sanitise `html`. Linear in its length; a text built to blow up a parser is shown as plain text instead."""
    truncated = len(html) > MAX_HTML
    html = html[:MAX_HTML].replace("\x00", "")
    if not is_affordable(html):
        return SafeHtml(html=f"<pre>{escape(html_to_text(html))}</pre>", truncated=truncated)
    # Attributes cannot be renamed while sanitising: held values get a mark that does not occur in the source, and the
    # mark, which can then stand nowhere but behind ` src="`, is replaced in the result.
    mark = _mark(html)
    held = f"{mark}remote:"
    cid = f"{mark}cid:"

    def attribute(tag: str, name: str, value: str) -> str | None:
        if name == "src":
            return _image(value, held, cid)
        if name == "href":
            return value if _SPACE.sub("", value).lower().startswith(_LINK_SCHEMES) else None
        if name == "style" and _UNSAFE_STYLE.search(value):
            return None
        return value

    clean = nh3.clean(
        html,
        tags=set(_TAGS),
        clean_content_tags=set(_DROPPED_WITH_CONTENT),
        attributes=_ATTRIBUTES,
        attribute_filter=attribute,
        url_schemes={"http", "https", "mailto", "tel", "cid", "data"},
        link_rel="noopener noreferrer nofollow",
        filter_style_properties=_STYLE,
        set_tag_attribute_values={"a": {"target": "_blank"}},
    )
    remote = f' src="{held}' in clean
    clean = clean.replace(f' src="{held}', ' data-src="').replace(f' src="{cid}', ' data-cid="')
    return SafeHtml(html=clean, remote_images=remote, truncated=truncated)


def _mark(html: str) -> str:
    number = 0
    while f"held{number}-" in html:
        number += 1
    return f"held{number}-"


def _image(value: str, held: str, cid: str) -> str | None:
    plain = value.strip()
    lower = plain[:16].lower()
    if lower.startswith("cid:"):
        return cid + plain[4:].strip("<> ")
    if lower.startswith(("http:", "https:")):
        return held + plain
    if lower.startswith("data:") and len(plain) <= MAX_DATA_IMAGE and _DATA_IMAGE.match(plain):
        return plain
    return None
