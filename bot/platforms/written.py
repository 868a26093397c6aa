"""What people and platforms wrote, without what no reader sees and no database keeps. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

OWN: Final = "\ue000"  # stands where the bot's own mention stood, until the spaces around it are joined
_SPACES = dict.fromkeys(map(ord, "\u00a0\u2007\u202f"), " ")
# Invisible marks that break a command word. The joiners U+200C/D stay: they hold emoji and scripts together.
_INVISIBLE = dict.fromkeys([0x200B, 0x200E, 0x200F, 0x2060, 0xFEFF, *range(0x202A, 0x202F), *range(0x2066, 0x206A)])
_CONTROLS = dict.fromkeys([*(c for c in range(32) if c not in (9, 10)), *range(127, 160), ord(OWN)])
_SURROGATES = dict.fromkeys(range(0xD800, 0xE000), "\ufffd")  # half a character from JSON: no database takes it
_TABLE = {**_SPACES, **_INVISIBLE, **_CONTROLS, **_SURROGATES}


def clean(value: object) -> str:
    """Text without what no reader sees and no database keeps; its words untouched. Empty for what is no text."""
    return value.replace("\r\n", "\n").translate(_TABLE) if isinstance(value, str) else ""


def line(value: object) -> str:
    """Cleaned text on one line."""
    return clean(value).replace("\n", " ").strip()


def plain(value: Any) -> Any:
    """A button's value with its texts cleaned."""
    if isinstance(value, dict):
        return {line(name): plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return clean(value) if isinstance(value, str) else value


def as_object(value: object) -> dict[str, Any]:
    """A JSON object, or an empty one."""
    return value if isinstance(value, dict) else {}


def as_list(value: object) -> Iterator[Any]:
    """The items of a JSON list, or none."""
    return iter(value if isinstance(value, list) else [])
