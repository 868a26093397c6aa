"""A Reply as WeCom shows it: one text in markdown or in plain words, and a card for what can be pressed. Pure.

A text is the message; WeCom's cards hold a few short lines, so a card only carries the buttons below it. What has no
place on a card (filling in a form) is told as the command that does the same.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote, urlsplit

from bot.platforms.markup import bare, clip
from bot.platforms.wecom.texts import CUT, UNSEEN, bold, escape, markdown, visible
from bot.platforms.written import clean, line
from bot.reply import Button, Reply, SourceLink
from storage.records import ChatType

Card = dict[str, Any]

# What the pages of the robot, of webhooks and of apps allow or advise for a card of buttons; the least of the three.
MAX_BUTTONS: Final = 6
MAX_OPTIONS: Final = 10
MAX_FIELDS: Final = 6
MAX_KEY: Final = 1024  # bytes
_TITLE, _DESCRIPTION, _SUBTITLE = 26, 30, 112  # characters
_FIELD_NAME, _FIELD_VALUE = 5, 26  # characters
_LABEL = 20  # columns: ten Chinese characters
_OPTION = 32  # columns
_TASK_ID = re.compile(r"[0-9A-Za-z_@-]{1,128}")

_PREFIX = "moqi"  # of a key: others' cards have other ones
_ACTION = re.compile(r"[a-z_]{1,40}")
_OURS = ("action", "chat", "form")  # of a value: what is read from elsewhere
_STYLES = {"primary": 1, "default": 2, "danger": 3}
#: Which buttons come first where not all have room.
_USE = ("res_confirm", "res_choose", "suggest_draw", "suggest_ask", "redo", "reseed", "variation", "upscale", "cancel")
_SOURCES = 10
_THOUGHTS = ("<think>", "</think>")
_BAR = 12  # cells of the progress bar


def whole(reply: Reply, chat: ChatType = ChatType.GROUP) -> str:
    """The reply as one text in the robot's and the webhooks' markdown: never blank, and of any length.

    `chat` is where it stands; sources of a direct chat come with what they say.
    """
    small = "  \n".join(f"> {part}" for part in (_recipe(reply, escape), escape(_line(reply.note))) if visible(part))
    sections = [
        bold(_line(reply.title)),
        markdown(_said(reply)),
        _bar(reply),
        "  \n".join(f"{bold(label)} {escape(said)}" for label, said in _fields(reply)),
        "  \n".join(_linked(source, chat) for source in reply.sources[:_SOURCES]),
        "  \n".join(markdown(hint) for hint in _hints(reply)),
        small,
    ]
    return _joined(sections)


def plain(reply: Reply) -> str:
    """The reply in plain words, for a message of type text: never blank, and of any length.

    Such a text knows one kind of markup, <a href>: sources have it, and nothing that somebody wrote can make one.
    """
    sections = [
        _unmarked(_line(reply.title)),
        _unmarked(bare(_said(reply))),
        _bar(reply),
        "\n".join(_unmarked(f"{label} {said}") for label, said in _fields(reply)),
        "\n".join(_anchored(source) for source in reply.sources[:_SOURCES]),
        "\n".join(_unmarked(bare(hint)) for hint in _hints(reply)),
        "\n".join(filter(visible, (_recipe(reply, _unmarked), _unmarked(_line(reply.note))))),
    ]
    return _joined(sections)


def card(reply: Reply, task_id: str, notice: str = "", *, votes: bool = True, brief: bool = False) -> Card | None:
    """A card of what the reply offers to press (button_interaction), or None when that is nothing.

    `task_id` comes back with a press (see `task_id_of`). `notice` is what the last press did. Without `votes`, 👍 👎
    are left out: the robot has its own under a streamed text. A `brief` one stands below a text that says it all.
    Raises ValueError for a task_id that WeCom refuses.
    """
    if not _TASK_ID.fullmatch(task_id):
        raise ValueError(f"a card's task_id has 1 to 128 of the characters 0-9 A-Z a-z _ @ -, not {task_id!r}")
    choices = reply.form.choices if reply.form is not None and reply.form.open else ()
    groups = _chosen((*choices, *(button for button in reply.buttons if votes or not button.quiet)))
    if not groups:
        return None
    title = _short(next(filter(visible, (reply.title, bare(reply.text))), CUT), _TITLE)
    built: Card = {"card_type": "button_interaction", "main_title": {"title": title}}
    if reply.title and visible(reply.text):
        built["main_title"]["desc"] = _short(bare(reply.text), _DESCRIPTION)
    typed = bare(reply.form.hint) if reply.form is not None else ""  # what a card has no place to fill in
    if said := notice or ("" if brief else " · ".join(filter(visible, (reply.note, typed)))):
        built["sub_title_text"] = _short(said, _SUBTITLE)
    fields = [
        {"keyname": _short(name, _FIELD_NAME), "value": _short(value, _FIELD_VALUE)}
        for name, value in [field for field in reply.fields if visible(field[0])][:MAX_FIELDS]
    ]
    if fields and not brief:
        built["horizontal_content_list"] = fields
    several = next((group for group in groups if len(group) > 1), None)
    if several is not None:
        built["button_selection"] = _selection(several)
    built["button_list"] = [_button(group) for group in groups]
    built["task_id"] = task_id
    return built


def task_id_of(key: str) -> str:
    """The task_id of the card that belongs to an outgoing message: the same for the same key, safe for WeCom."""
    return f"moqi-{hashlib.sha256(key.encode()).hexdigest()[:32]}"


def key_of(button: Button) -> str:
    """What comes back when a button is pressed: its action and value, compact. `pressed` reads it."""
    value = {name: item for name, item in button.value.items() if name not in _OURS}
    return f"{_PREFIX}:{button.action}:{json.dumps(value, ensure_ascii=False, separators=(',', ':'), sort_keys=True)}"


def pressed(key: str, picked: Mapping[str, str] | None = None) -> tuple[str, dict[str, Any]]:
    """The action and the value of a pressed button; ("", {}) for a key of somebody else's card.

    `picked` is what was picked from the card's list, by the question's name: {"index": "2"}.
    """
    nothing: tuple[str, dict[str, Any]] = ("", {})
    prefix, _, rest = key.partition(":")
    action, _, raw = rest.partition(":")
    if prefix != _PREFIX or not _ACTION.fullmatch(action) or len(key.encode("utf-8", "replace")) > MAX_KEY:
        return nothing
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        return nothing
    if not isinstance(value, dict) or not all(isinstance(item, int | str | bool) for item in value.values()):
        return nothing
    for name, option in (picked or {}).items():
        # Only what the button stands for anyway: a list cannot name another job.
        if name in ("index", "choice") and name in value and re.fullmatch(r"[0-9]{1,4}", option):
            value[name] = int(option)
    return action, {name: item for name, item in value.items() if name not in _OURS}


def _said(reply: Reply) -> str:
    """Its text, without what a model thought aloud before it answered."""
    text = clean(reply.text)
    if reply.title or not text.lstrip().startswith(_THOUGHTS[0]):
        return text  # under a title stands what a person wrote
    return text.partition(_THOUGHTS[1])[2].lstrip()


def _joined(sections: Iterable[str]) -> str:
    text = "\n\n".join(section for section in sections if visible(section))
    return text or CUT


def _line(text: str) -> str:
    return " ".join(line(text).split())


def _bar(reply: Reply) -> str:
    if not reply.progress:
        return ""
    done, total = reply.progress
    filled = _BAR * max(0, min(done, total)) // max(total, 1)
    return f"{'▰' * filled}{'▱' * (_BAR - filled)} {done}/{total}"


def _recipe(reply: Reply, shown: Callable[[str], str]) -> str:
    """What a job was drawn with: a line of small print."""
    return " · ".join(shown(f"{label} {said}") for label, said in _clipped(reply)) if reply.job is not None else ""


def _fields(reply: Reply) -> list[tuple[str, str]]:
    """What somebody asked for has a line for each."""
    return _clipped(reply) if reply.job is None else []


def _clipped(reply: Reply) -> list[tuple[str, str]]:
    return [(clip(line(label), 16), clip(line(said), 160)) for label, said in reply.fields[:12]]


def _hints(reply: Reply) -> Iterator[str]:
    """What a card would offer and a text cannot: the commands that do the same, in words."""
    for button in reply.buttons:
        if button.hint:
            yield button.hint
    if reply.form is not None and reply.form.hint:
        yield reply.form.hint


def _where(source: SourceLink) -> str:
    # The first heading of a document is often its name: said once is enough.
    name = source.document.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    heading = "" if source.heading == name else source.heading.removeprefix(f"{name} › ")
    return " › ".join(clip(line(part), 60) for part in (source.document, heading) if part)


def _linked(source: SourceLink, chat: ChatType) -> str:
    url, where = link_of(source.url), _where(source)
    # A bracket would end the link's text, and nothing in front of it is understood by both dialects.
    shown = f"[{escape(_square(where))}]({url})" if url else escape(where)
    quoted = f" {escape(clip(line(source.quote), 100))}" if chat is ChatType.DIRECT and source.quote else ""
    return f"{bold(f'[{source.mark}]')} {shown}{quoted}"


def _anchored(source: SourceLink) -> str:
    url, where = link_of(source.url), _unmarked(_where(source))
    return f"[{source.mark}] " + (f'<a href="{url}">{where}</a>' if url else where)


def _square(text: str) -> str:
    return text.replace("[", "［").replace("]", "］")


def link_of(url: str) -> str:
    """The address as it may stand in a link; empty when it is not plain http(s)."""
    try:
        split = urlsplit(url)
        known = split.scheme in ("http", "https") and bool(split.hostname) and len(url) <= 1000
    except ValueError:
        return ""
    # Whatever could end the link, or begin a tag, is written as %xx.
    return quote(url, safe="/:?#@!$&+,;=%-._~") if known else ""


def _unmarked(text: str) -> str:
    return re.sub(r"<(?=[A-Za-z/@!?])", f"<{UNSEEN}", clean(text)).strip()


def _short(text: str, limit: int) -> str:
    return clip(_unmarked(text), limit)


def _columns(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def _label(text: str, limit: int) -> str:
    text = _line(text)
    if _columns(text) <= limit:
        return text
    while text and _columns(text) > limit - 1:
        text = text[:-1]
    return f"{text}{CUT}"


Group = list[Button]  # buttons that do the same to different pictures; mostly one


def _chosen(buttons: Iterable[Button]) -> list[Group]:
    """At most six buttons, those that people use most; the same for several pictures is one of them, with a list."""
    groups: dict[str, Group] = {}
    for button in buttons:
        if _ACTION.fullmatch(button.action) and len(key_of(button).encode()) <= MAX_KEY and visible(button.label):
            groups.setdefault(button.action if "index" in button.value else key_of(button), []).append(button)
    order = list(groups.values())
    kept = sorted(order, key=_rank)[:MAX_BUTTONS]
    return [group for group in order if group in kept]


def _rank(group: Group) -> tuple[bool, int]:
    action = group[0].action
    return group[0].quiet, _USE.index(action) if action in _USE else len(_USE)


def _selection(group: Group) -> dict[str, Any]:
    """The list from which a picture is picked; a card has room for one, and all its groups are about the same."""
    numbers = [str(button.value["index"]) for button in group[:MAX_OPTIONS]]
    options = [{"id": number, "text": f"{number} / {len(numbers)}"} for number in numbers]
    return {"question_key": "index", "option_list": options, "selected_id": numbers[0]}


def _button(group: Group) -> dict[str, Any]:
    first = group[0]
    label = re.sub(r"\s*\d+$", "", first.label) if len(group) > 1 else first.label
    return {"text": _label(label, _LABEL), "style": _STYLES.get(first.style, 2), "key": key_of(first)}
