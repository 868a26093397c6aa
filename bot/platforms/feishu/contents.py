"""What a message says: its words, pictures and files, and who is named in it. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot.platforms.written import OWN, as_list, as_object, clean, line

_PLACEHOLDER = re.compile(r"@_user_[0-9]+")
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
    words = {item.placeholder: OWN if item.own else f"@{item.name}" for item in named}
    words["@_all"] = "@all"  # may have no entry of its own
    longest_first = sorted(filter(None, words), key=len, reverse=True)  # @_user_1 is a prefix of @_user_10
    text = re.sub("|".join(map(re.escape, longest_first)), lambda found: words[found[0]], text)
    return re.sub(rf"(^|\n)?[ \t]*{OWN}[ \t]*", lambda found: " " if found[1] is None else found[1], text).strip()
