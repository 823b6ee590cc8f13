"""format=flowed text (RFC 3676): lines that were broken softly joined again."""

from __future__ import annotations

MAX_QUOTES = 200


def unflow(text: str, delete_space: bool) -> str:
    """Paragraphs as they were typed. Quoted lines keep their `>` marks; `-- ` stays the signature's separator."""
    out: list[str] = []
    open_depth = -1  # the quote depth of the paragraph that goes on, or -1
    for raw in text.split("\n"):
        line = raw.removesuffix("\r")
        stripped = line.lstrip(">")
        depth = len(line) - len(stripped)
        content = stripped.removeprefix(" ")
        separator = content == "-- "
        soft = content.endswith(" ") and not separator
        body = content[:-1] if soft and delete_space else content
        if open_depth == depth and not separator:
            out[-1] += body
        else:
            out.append(">" * min(depth, MAX_QUOTES) + (" " if depth else "") + body)
        open_depth = depth if soft else -1
    return "\n".join(line if line == "-- " or line.endswith("> -- ") else line.rstrip(" ") for line in out)
