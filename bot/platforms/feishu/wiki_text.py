"""The Markdown that Feishu makes of a page, as text to find passages in. Pure.

Its tables are HTML, its links and pictures carry encoded addresses: none of that is what the page says.
"""

from __future__ import annotations

import re

_TABLE = re.compile(r"<table\b.*?</table\s*>", re.DOTALL | re.IGNORECASE)
_PICTURE = re.compile(r"!\[[^\]\n]*\]\([^)\n]*\)|<img\b[^>]*>", re.IGNORECASE)
_LINK = re.compile(r"\[([^\]\n]*)\]\([^)\n]*\)")
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>")
_CODE = re.compile(r"(```.*?(?:```|\Z)|`[^`\n]*`)", re.DOTALL)


def tidy(markdown: str) -> str:
    """The page without addresses, pictures and tags; tables as Markdown. What stands in code stays as it is."""
    parts = _CODE.split(markdown)
    return "".join(part if number % 2 else _prose(part) for number, part in enumerate(parts))


def _prose(text: str) -> str:
    text = _TABLE.sub(lambda found: f"\n\n{_table(found[0])}\n\n", text)
    return _TAG.sub("", _LINK.sub(r"\1", _PICTURE.sub("", text)))


def _table(html: str) -> str:
    from markdownify import markdownify

    return str(markdownify(html, strip=["a", "img"])).strip()
