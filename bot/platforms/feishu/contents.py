"""What a message says: its words, pictures and files, and who is named in it. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_PLACEHOLDER = re.compile(r"@_user_[0-9]+")
_OWN = "\ue000"  # stands where the bot's own mention stood, until the spaces around it are joined
_SPACES = dict.fromkeys(map(ord, "\u00a0\u2007\u202f"), " ")
# Invisible marks that break a command word. The joiners U+200C/D stay: they hold emoji and scripts together.
_INVISIBLE = dict.fromkeys([0x200B, 0x200E, 0x200F, 0x2060, 0xFEFF, *range(0x202A, 0x202F), *range(0x2066, 0x206A)])
_CONTROLS = dict.fromkeys([*(c for c in range(32) if c not in (9, 10)), *range(127, 160), ord(_OWN)])
_SURROGATES = dict.fromkeys(range(0xD800, 0xE000), "\ufffd")  # half a character from JSON: no database takes it
_TABLE = {**_SPACES, **_INVISIBLE, **_CONTROLS, **_SURROGATES}

Json = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Named:
    """One entry of `mentions`."""

    placeholder: str
    open_id: str
    name: str
    own: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """What a message says, or why it says nothing to us."""

    text: str = ""
    images: tuple[str, ...] = ()
    files: tuple[dict[str, str], ...] = ()  # {"key", "name"}
    ignored: str = ""


def enclosures(kind: str, raw: object) -> tuple[tuple[str, ...], tuple[dict[str, str], ...]]:
    """The keys of the pictures and the files of any message, by its type and content."""
    found = content_of(kind, raw)
    return found.images, found.files


def content_of(kind: str, raw: object) -> Content:
    """The content of a message, which is JSON inside a JSON string."""
    if kind not in ("text", "post", "image", "file"):
        return Content(ignored=f"message type {kind or 'missing'}")
    try:
        content = json.loads(raw if isinstance(raw, str) else "")
    except (ValueError, RecursionError):
        return Content(ignored="content is not JSON")
    if not isinstance(content, dict):
        return Content(ignored="content is not an object")
    if kind == "text":
        return Content(text=clean(content.get("text")))
    if kind == "image":
        key = line(content.get("image_key"))
        return Content(images=(key,) if key else (), ignored="message type image")
    if kind == "file":
        given = {"key": line(content.get("file_key")), "name": line(content.get("file_name"))}
        return Content(files=(given,) if given["key"] else (), ignored="message type file")
    return _post(content)


def _post(content: Json) -> Content:
    """Formatted text as plain text, paragraph by paragraph; its pictures by their keys."""
    if "content" not in content:  # as sent by bots: one version per language
        content = next((item for item in content.values() if isinstance(item, dict)), {})
    paragraphs = [[as_object(run) for run in as_list(paragraph)] for paragraph in as_list(content.get("content"))]
    lines = [clean(content.get("title")), *("".join(map(_run, paragraph)) for paragraph in paragraphs)]
    images = tuple(line(run.get("image_key")) for paragraph in paragraphs for run in paragraph if run.get("image_key"))
    text = "\n".join(each for each in lines if each.strip())
    if not text and images:
        return Content(images=images, ignored="message type post, pictures only")
    return Content(text=text, images=images)


def _run(run: Json) -> str:
    """One piece of a paragraph. Pictures, rules and tags we do not know say nothing."""
    if run.get("tag") == "at":
        user = line(run.get("user_id"))
        if user in ("all", "@_all"):
            return "@_all"
        return user if _PLACEHOLDER.fullmatch(user) else f"@{line(run.get('user_name'))}"
    if run.get("tag") == "emotion":
        return f"[{line(run.get('emoji_type'))}]"
    return clean(run.get("text"))


def named_by(item: object, bot: str) -> Named:
    """An entry of a message's `mentions`; `bot` is the bot's own open_id, empty while unknown."""
    entry = as_object(item)
    open_id = line(as_object(entry.get("id")).get("open_id"))
    # By id, never by name. Until our own id is known, a mentioned bot is taken for us: only then do events arrive.
    own = open_id == bot if bot else entry.get("mentioned_type") == "bot"
    return Named(placeholder=line(entry.get("key")), open_id=open_id, name=line(entry.get("name")), own=own)


def resolve(text: str, named: list[Named]) -> str:
    """Write names for placeholders and take the bot's own mention out."""
    words = {item.placeholder: _OWN if item.own else f"@{item.name}" for item in named}
    words["@_all"] = "@all"  # may have no entry of its own
    longest_first = sorted(filter(None, words), key=len, reverse=True)  # @_user_1 is a prefix of @_user_10
    text = re.sub("|".join(map(re.escape, longest_first)), lambda found: words[found[0]], text)
    return re.sub(rf"(^|\n)?[ \t]*{_OWN}[ \t]*", lambda found: " " if found[1] is None else found[1], text).strip()


def clean(value: object) -> str:
    """Text without what no reader sees and no database keeps; its words untouched."""
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
