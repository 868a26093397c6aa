"""The markup of a reply: `**bold**` and backquoted code, nothing else; each platform shows it its own way. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable

_SPANS = re.compile(r"\*\*(?P<bold>[^*\n]+)\*\*|`(?P<code>[^`\n]+)`")


def dressed(text: str, plain: Callable[[str], str], bold: Callable[[str], str], code: Callable[[str], str]) -> str:
    """A reply's text with each of its parts as `plain`, `bold` and `code` show it."""
    parts, last = [], 0
    for found in _SPANS.finditer(text):
        parts.append(plain(text[last : found.start()]))
        parts.append(bold(found["bold"]) if found["bold"] else code(found["code"]))
        last = found.end()
    return "".join([*parts, plain(text[last:])])


def bare(text: str) -> str:
    """A reply's text without its markup."""
    return _SPANS.sub(lambda found: found["bold"] or found["code"], text)


def clip(text: str, limit: int) -> str:
    """One line of at most `limit` characters."""
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"
