"""A Reply as Feishu shows it: a card (JSON 2.0) or a short text. Pure.

Whatever a user wrote is escaped: it can neither mention anybody (`<at …>`) nor format, link or close anything.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from bot.platforms.feishu.rules import MAX_CARD_BYTES, check_card, size_of
from bot.reply import Button, Picture, Reply, SourceLink
from storage.records import ChatType

CUT = "…"  # follows a text that was too long, unless the caller has a better word
SHORT = 300  # characters up to which a bare text goes as a text message
MAX_TEXT_BYTES = 100_000  # a text message may have 150 KB

_TEMPLATES = {"queued": "wathet", "running": "blue", "done": "green", "failed": "red", "cancelled": "grey"}
_STYLES = {"default": "default", "primary": "primary_filled", "danger": "danger"}
_SPECIAL = str.maketrans({c: f"&#{ord(c)};" for c in "&<>*~[]()`_$#!|\\"})
_LINE_START = re.compile(r"(?m)^([ \t]*)([-+])(?=\s)")  # would begin a list
_SPANS = re.compile(r"\*\*(?P<bold>[^*\n]+)\*\*|`(?P<code>[^`\n]+)`")
_TAG = re.compile(r"<(?=[A-Za-z/])")
_LINK = re.compile(r"\](?=\()")
_BAR = 12  # cells of the progress bar

Element = dict[str, Any]
Card = dict[str, Any]


def message(
    reply: Reply, image_keys: Mapping[int, str], chat_type: ChatType = ChatType.GROUP, cut: str = CUT
) -> tuple[str, str]:
    """What to send: (msg_type, content), content being JSON text. Bare short texts go as text, the rest as cards."""
    if _is_plain(reply):
        return "text", text_message(_with_note(reply), cut)
    built = card(reply, image_keys, chat_type, cut)
    # The rules are known to be stricter than Feishu; should a card ever break one, its words still arrive.
    return ("text", text_message(_with_note(reply), cut)) if check_card(built) else ("interactive", dumps(built))


def card(reply: Reply, image_keys: Mapping[int, str], chat_type: ChatType = ChatType.GROUP, cut: str = CUT) -> Card:
    """The reply as a card within Feishu's limits; `image_keys` maps asset ids to uploaded pictures.

    A text beyond the limit is cut and ends in `cut`. Buttons carry their action, their value and the chat type.
    """
    built = _card(reply, image_keys, chat_type, reply.text)
    if size_of(built) <= MAX_CARD_BYTES:
        return built
    fits, beyond = 0, len(reply.text)
    while beyond - fits > 1:
        middle = (fits + beyond) // 2
        built = _card(reply, image_keys, chat_type, f"{reply.text[:middle]}{cut}")
        fits, beyond = (middle, beyond) if size_of(built) <= MAX_CARD_BYTES else (fits, middle)
    return _card(reply, image_keys, chat_type, f"{reply.text[:fits]}{cut}")


def text_message(text: str, cut: str = CUT) -> str:
    """The content of a text message; `**` and backquotes are taken off, tags and links are defused."""
    plain = _SPANS.sub(lambda found: found["bold"] or found["code"], text)
    safe = _LINK.sub("]\u200b", _TAG.sub("<\u200b", plain))
    if len(safe.encode()) > MAX_TEXT_BYTES:
        safe = safe.encode()[:MAX_TEXT_BYTES].decode("utf-8", "ignore") + cut
    return dumps({"text": safe})


def dumps(value: Mapping[str, Any]) -> str:
    """Compact JSON, characters as they are: Feishu counts bytes."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def escape(text: str) -> str:
    """Text that a card's markdown shows exactly as it stands."""
    return _LINE_START.sub(lambda found: f"{found[1]}&#{ord(found[2])};", text.translate(_SPECIAL))


def markdown(text: str) -> str:
    """A reply's text, whose only markup is `**bold**` and backquoted code, as a card's markdown."""
    parts, last = [], 0
    for found in _SPANS.finditer(text):
        parts.append(escape(text[last : found.start()]))
        parts.append(f"**{escape(found['bold'])}**" if found["bold"] else _code(found["code"]))
        last = found.end()
    return "".join([*parts, escape(text[last:])])


def _is_plain(reply: Reply) -> bool:
    shaped = reply.title or reply.state or reply.fields or reply.pictures or reply.sources or reply.buttons
    # A text message can be edited 20 times at most, so whatever will change is a card from the start.
    changing = reply.job is not None or reply.progress or reply.streaming
    return not shaped and not changing and 0 < len(reply.text) <= SHORT


def _with_note(reply: Reply) -> str:
    return "\n".join(part for part in (reply.title, reply.text, reply.note) if part)


def _card(reply: Reply, image_keys: Mapping[int, str], chat_type: ChatType, text: str) -> Card:
    built: Card = {
        "schema": "2.0",
        "config": {
            "update_multi": True,
            "enable_forward": not reply.buttons,  # a forwarded button would be pressed by strangers elsewhere
            "summary": {"content": _clip(reply.title or reply.text, 60) or CUT},
        },
        "body": {"elements": list(_elements(reply, image_keys, chat_type, text))},
    }
    if reply.title:
        template = _TEMPLATES.get(reply.state, "default")
        built["header"] = {"title": _plain(_clip(reply.title, 100)), "template": template}
    return built


def _elements(reply: Reply, image_keys: Mapping[int, str], chat_type: ChatType, text: str) -> Iterator[Element]:
    shown = [picture for picture in reply.pictures if picture.asset in image_keys]
    if text.strip():
        yield _markdown("text", markdown(text))
    elif not shown and not reply.progress and not reply.fields:
        yield _markdown("text", CUT)  # a card without a body is refused; a streamed answer begins so
    if reply.progress:
        yield _markdown("progress", _bar(*reply.progress))
    if reply.fields:
        yield _markdown("fields", "\n".join(_field(label, value) for label, value in reply.fields[:12]))
    yield from _pictures(shown, image_keys)
    if reply.sources:
        yield _markdown("sources", "\n".join(map(_source, reply.sources[:10])), small=True)
    if reply.buttons:
        yield _buttons(reply.buttons[:8], chat_type)
    if reply.note:
        yield _markdown("note", f"<font color='grey'>{escape(_clip(reply.note, 200))}</font>", small=True)


def _markdown(element_id: str, content: str, small: bool = False) -> Element:
    size = {"text_size": "notation"} if small else {}
    return {"tag": "markdown", "element_id": element_id, "content": content, **size}


def _bar(done: int, total: int) -> str:
    filled = _BAR * max(0, min(done, total)) // max(total, 1)
    return f"{'▰' * filled}{'▱' * (_BAR - filled)} {done}/{total}"


def _field(label: str, value: str) -> str:
    return f"**{escape(_clip(label, 16))}** {escape(_clip(value, 160))}"


def _source(source: SourceLink) -> str:
    where = " › ".join(_clip(part, 60) for part in (source.document, source.heading) if part)
    name = f"[{escape(where)}]({source.link})" if source.link else escape(where)
    return f"**&#91;{source.mark}&#93; {name}** {escape(_clip(source.quote, 100))}"


def _pictures(pictures: list[Picture], image_keys: Mapping[int, str]) -> Iterator[Element]:
    for number, row in enumerate(_chunks(pictures, 9)):
        element_id = f"pictures_{number}"
        keys = [image_keys[picture.asset] for picture in row]
        if len(row) == 1:
            alt = _plain(_clip(row[0].alt, 100))
            yield {"tag": "img", "element_id": element_id, "img_key": keys[0], "alt": alt, "preview": True}
        else:
            mode = {2: "double", 3: "triple", 4: "bisect", 6: "bisect"}.get(len(row), "trisect")
            images = [{"img_key": key} for key in keys]
            yield {"tag": "img_combination", "element_id": element_id, "combination_mode": mode, "img_list": images}


def _buttons(buttons: Iterable[Button], chat_type: ChatType) -> Element:
    columns = [
        {"tag": "column", "width": "auto", "elements": [_button(number, button, chat_type)]}
        for number, button in enumerate(buttons)
    ]
    return {"tag": "column_set", "element_id": "buttons", "flex_mode": "flow", "columns": columns}


def _button(number: int, button: Button, chat_type: ChatType) -> Element:
    value = {**button.value, "action": button.action, "chat": chat_type.value}  # decode.py takes them out again
    return {
        "tag": "button",
        "element_id": f"button_{number}",
        "text": _plain(_clip(button.label, 30)),
        "type": _STYLES.get(button.style, "default"),
        "behaviors": [{"type": "callback", "value": value}],
    }


def _code(text: str) -> str:
    escaped = escape(text)
    return f"`{text}`" if escaped == text else escaped  # inside code nothing can be escaped


def _plain(text: str) -> Element:
    return {"tag": "plain_text", "content": text}


def _clip(text: str, limit: int) -> str:
    """One line of at most `limit` characters."""
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def _chunks(pictures: list[Picture], size: int) -> Iterator[list[Picture]]:
    return (pictures[start : start + size] for start in range(0, len(pictures), size))
