def visible(text: str, html: str | None = None) -> str:
    return text
