"""Plain text and Markdown. Used in the child only."""

from __future__ import annotations

import re

from inference.grounding.parse import Parsed, clean, decode, whole

_FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)


def read_text(data: bytes, name: str) -> Parsed:
    """Text as it is."""
    return whole(decode(data, name))


def read_markdown(data: bytes, name: str) -> Parsed:
    """Markdown without what its readers do not see: the settings before it, comments in it."""
    return whole(_shown(_FRONT_MATTER.sub("", clean(decode(data, name)))))


def _shown(text: str) -> str:
    """Without comments. By hand: a pattern takes the square of a file of comments that never end."""
    kept, at = [], 0
    while (start := text.find("<!--", at)) >= 0 and (end := text.find("-->", start + 4)) >= 0:
        kept.append(text[at:start])
        at = end + 3
    return "".join([*kept, text[at:]])
