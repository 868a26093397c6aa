"""A Reply as Feishu shows it: a card (JSON 2.0) or a short text. Pure.

Whatever a user wrote is escaped: it can neither mention anybody (`<at …>`) nor format, link or close anything.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import quote, urlsplit

from bot.platforms.feishu.controls import fitting, foot, form_element, row_of
from bot.platforms.feishu.rules import MAX_CARD_BYTES, check_card, size_of
from bot.platforms.feishu.texts import Element, escape, markdown, markdown_element, plain_text
from bot.platforms.markup import bare, clip
from bot.reply import FORM_OPEN, Button, Picture, Reply, SourceLink
from storage.records import ChatType

CUT = "…"  # follows a text that was too long, unless the caller has a better word
SHORT = 300  # characters up to which a bare text goes as a text message
MAX_TEXT_BYTES = 100_000  # a text message may have 150 KB
MAX_PARTS: Final = 5  # messages that one reply may become
TEXT: Final = "text"  # the id of the element that an answer is typed into

_TEMPLATES = {
    "queued": "wathet",
    "running": "blue",
    "review": "orange",
    "done": "green",
    "failed": "red",
    "cancelled": "grey",
    "hello": "indigo",
}
_TAG = re.compile(r"<(?=[A-Za-z/])")
_LINK = re.compile(r"\](?=\()")
_BAR = 12  # cells of the progress bar

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


def parts(
    reply: Reply, image_keys: Mapping[int, str], chat_type: ChatType = ChatType.GROUP, cut: str = CUT
) -> list[Reply]:
    """The reply as replies of which each fits a card: a text beyond the limit goes on in the next message.

    The first keeps headline, pictures and buttons, the last has sources and small print. What would need more than
    MAX_PARTS ends in `cut`.
    """
    if size_of(_card(reply, image_keys, chat_type, reply.text)) <= MAX_CARD_BYTES:
        return [reply]
    room = MAX_CARD_BYTES - size_of(_card(reply, image_keys, chat_type, "")) - 100
    pieces = list(_pieces(reply.text, room)) if room >= MAX_CARD_BYTES // 4 else [reply.text]
    if len(pieces) == 1:
        return [reply]
    if len(pieces) > MAX_PARTS:
        pieces = [*pieces[: MAX_PARTS - 1], f"{pieces[MAX_PARTS - 1][: -len(cut)]}{cut}"]
    first, *middle, last = pieces
    go_on = Reply(job=reply.job, state=reply.state)
    return [
        replace(reply, text=first, sources=(), note=""),
        *(replace(go_on, text=piece) for piece in middle),
        replace(go_on, text=last, sources=reply.sources, note=reply.note),
    ]


def _pieces(text: str, room: int) -> Iterator[str]:
    """The text in pieces that take at most `room` bytes of a card, cut between lines where there are some."""
    while _room_of(text) > room:
        fits, beyond = 1, len(text)
        while beyond - fits > 1:
            middle = (fits + beyond) // 2
            fits, beyond = (middle, beyond) if _room_of(text[:middle]) <= room else (fits, middle)
        line = text.rfind("\n", fits // 2, fits)
        end = line if line > 0 else fits
        yield text[:end]
        text = text[end:].lstrip("\n")
    yield text


def _room_of(text: str) -> int:
    return len(dumps({"": markdown(text)}).encode())


def text_message(text: str, cut: str = CUT) -> str:
    """The content of a text message; `**` and backquotes are taken off, tags and links are defused."""
    safe = _LINK.sub("]\u200b", _TAG.sub("<\u200b", bare(text)))
    if len(safe.encode()) > MAX_TEXT_BYTES:
        safe = safe.encode()[:MAX_TEXT_BYTES].decode("utf-8", "ignore") + cut
    return dumps({"text": safe})


def dumps(value: Mapping[str, Any]) -> str:
    """Compact JSON, characters as they are: Feishu counts bytes."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


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
            # A forwarded button would be pressed by strangers elsewhere; an opinion of theirs does no harm.
            "enable_forward": not reply.form and all(button.quiet for button in reply.buttons),
            "summary": {"content": clip(bare(reply.title or reply.text), 60) or CUT},
        },
        "body": {"elements": list(_elements(reply, image_keys, chat_type, text))},
    }
    if reply.title:
        template = _TEMPLATES.get(reply.state, "default")
        built["header"] = {"title": plain_text(clip(reply.title, 100)), "template": template}
    return built


def _elements(reply: Reply, image_keys: Mapping[int, str], chat_type: ChatType, text: str) -> Iterator[Element]:
    shown = [picture for picture in reply.pictures if picture.asset in image_keys]
    if text.strip():
        yield markdown_element(TEXT, markdown(text))
    elif not shown and not reply.progress and not reply.fields:
        yield markdown_element(TEXT, CUT)  # a card without a body is refused; a streamed answer begins so
    if reply.progress:
        yield markdown_element("progress", _bar(*reply.progress))
    yield from _pictures(shown, image_keys)
    yield from _fields(reply)
    if reply.sources:
        yield {"tag": "hr"}
        yield markdown_element("sources", "\n".join(map(_source, reply.sources[:10])), small=True)
    form = fitting(reply.form)
    buttons = [button for button in reply.buttons if not button.quiet][:12]
    if form is not None and not form.open:
        buttons.append(Button(action=FORM_OPEN, label=form.label, value=form.value))
    if buttons and not (form is not None and form.open):
        yield row_of(buttons, chat_type)
    if form is not None and form.open:
        if form.choices:
            yield {**row_of(form.choices, chat_type), "element_id": "choices"}
        yield form_element(form, chat_type)
    yield from foot(reply, chat_type)


def _bar(done: int, total: int) -> str:
    filled = _BAR * max(0, min(done, total)) // max(total, 1)
    return f"{'▰' * filled}{'▱' * (_BAR - filled)} {done}/{total}"


def _fields(reply: Reply) -> Iterator[Element]:
    """A job's recipe takes a line or two of small print; what somebody asked for has a line for each."""
    fields = [_field(label, value) for label, value in reply.fields[:12]]
    if fields and reply.job is not None:
        yield markdown_element("fields", " · ".join(fields), small=True)
    elif fields:
        yield markdown_element("fields", "\n".join(fields))


def _field(label: str, value: str) -> str:
    return f"**{escape(clip(label, 16))}** {escape(clip(value, 160))}"


def _source(source: SourceLink) -> str:
    # The first heading of a document is often its name: said once is enough.
    name = source.document.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    heading = "" if source.heading == name else source.heading.removeprefix(f"{name} › ")
    where = " › ".join(clip(part, 60) for part in (source.document, heading) if part)
    mark, said = f"&#91;{source.mark}&#93;", escape(clip(source.quote, 100))
    url = link_of(source.url)
    return f"**{mark}** [{escape(where)}]({url}) {said}" if url else f"**{mark} {escape(where)}** {said}"


def link_of(url: str) -> str:
    """The address as it may stand in a link; empty when it is not plain http(s)."""
    try:
        split = urlsplit(url)
        known = split.scheme in ("http", "https") and bool(split.hostname) and len(url) <= 1000
    except ValueError:
        return ""
    # Whatever could end the link, or begin a tag, is written as %xx.
    return quote(url, safe="/:?#@!$&+,;=%-._~") if known else ""


def _pictures(pictures: list[Picture], image_keys: Mapping[int, str]) -> Iterator[Element]:
    for number, row in enumerate(_chunks(pictures, 9)):
        element_id = f"pictures_{number}"
        keys = [image_keys[picture.asset] for picture in row]
        if len(row) == 1:
            alt = plain_text(clip(row[0].alt, 100))
            yield {"tag": "img", "element_id": element_id, "img_key": keys[0], "alt": alt, "preview": True}
        else:
            mode = {2: "double", 3: "triple", 4: "bisect", 6: "bisect"}.get(len(row), "trisect")
            images = [{"img_key": key} for key in keys]
            yield {"tag": "img_combination", "element_id": element_id, "combination_mode": mode, "img_list": images}


def _chunks(pictures: list[Picture], size: int) -> Iterator[list[Picture]]:
    return (pictures[start : start + size] for start in range(0, len(pictures), size))
