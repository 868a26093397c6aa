"""Text on a Feishu card: markdown in which nothing that somebody wrote can do anything. Pure."""

from __future__ import annotations

import re
from typing import Any

from bot.platforms.markup import dressed

_SPECIAL = str.maketrans({c: f"&#{ord(c)};" for c in "&<>*~[]()`_$#!|\\"})
_LINE_START = re.compile(r"(?m)^([ \t]*)([-+])(?=\s)")  # would begin a list

Element = dict[str, Any]


def escape(text: str) -> str:
    """Text that a card's markdown shows exactly as it stands."""
    return _LINE_START.sub(lambda found: f"{found[1]}&#{ord(found[2])};", text.translate(_SPECIAL))


def markdown(text: str) -> str:
    """A reply's text, whose only markup is `**bold**` and backquoted code, as a card's markdown."""
    return dressed(text, escape, lambda bold: f"**{escape(bold)}**", _code)


def _code(text: str) -> str:
    escaped = escape(text)
    return f"`{text}`" if escaped == text else escaped  # inside code nothing can be escaped


def markdown_element(element_id: str, content: str, small: bool = False) -> Element:
    """Text that is formatted; `small` for small print."""
    size = {"text_size": "notation"} if small else {}
    return {"tag": "markdown", "element_id": element_id, "content": content, **size}


def plain_text(text: str) -> Element:
    """Letters only: for headlines, buttons and labels."""
    return {"tag": "plain_text", "content": text}
