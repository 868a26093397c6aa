"""What the app sends for a reply: texts that WeCom does not take for one another, and requests. Pure.

A text goes whole: WeCom would cut it without a word. Each one ends with a mark of its message ("#17·k3q9"): WeCom
swallows the same request for four hours, which keeps a repeated try from showing twice, and would swallow the second
answer to a command that somebody sends twice. Pictures and cards differ by their ids.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from bot.platforms.base import Outgoing
from bot.platforms.markup import bare, clip
from bot.platforms.wecom import render
from bot.platforms.wecom.render import Card, plain
from bot.platforms.wecom.texts import CUT, cut, split
from bot.reply import Reply
from storage.records import Origin

MAX_TEXT: Final = 2048  # bytes
MAX_PARTS: Final = 5  # full texts for one reply: of what a member may be sent in a minute it is a small part
REMEMBERED: Final = 4 * 3600  # seconds for which WeCom swallows the same request
PASSING: Final = ("queued", "running")
_MARK: Final = 32  # bytes that a mark takes at most, line break included
_DONE: Final = "✓"
_REPLACED: Final = 10  # characters of a button

Request = dict[str, Any]


def scope_of(key: str, origin: Origin) -> str:
    """What tells a message from all others, at every try the same.

    Our keys count from 1 in every new data folder: without what is answered, a fresh installation would repeat them.
    """
    return "/".join((key, origin.chat_id, origin.message_id, origin.sender))


def texts(reply: Reply, scope: str, ending: str, *, pressable: bool) -> list[str]:
    """The reply in plain words, in as many texts as it takes; `ending` says that there was more.

    What is `pressable`, on a card beside them, needs no words for what one could type instead.
    """
    room = MAX_TEXT - _MARK
    said = plain(replace(reply, buttons=()) if pressable else reply)
    if said == CUT and reply.pictures:
        return []  # they speak for themselves
    pieces = split(cut(said, MAX_PARTS * room, ending), room)
    mark = mark_of(reply, scope)
    if len(pieces) == 1:
        return [f"{pieces[0].rstrip()}\n{mark}"]
    return [f"{piece.rstrip()}\n{mark} {number}/{len(pieces)}" for number, piece in enumerate(pieces, 1)]


def mark_of(reply: Reply, scope: str) -> str:
    """A short reference for people to quote, and for WeCom to tell messages apart."""
    code = base64.b32encode(hashlib.sha256(scope.encode()).digest())[:4].decode().lower()
    return f"#{code}" if reply.job is None else f"#{reply.job}·{code}"


def card_of(reply: Reply, task: str) -> Card | None:
    """The reply's card; a headline that is longer than a card's stands whole below, so that nobody waits unknowing."""
    card = render.card(reply, task)
    if card is None or card["main_title"]["title"] in ("", _line(reply.title or bare(reply.text))):
        return card
    return render.card(reply, task, notice="\n".join(filter(None, (reply.title or bare(reply.text), reply.note))))


def overtaken(message: Outgoing) -> bool:
    """Whether this is a job's first card although the job has ended: its outcome follows and says the rest."""
    ended = message.reply.job is not None and message.reply.state not in PASSING
    return ended and message.key.endswith("-card")


def says_all(card: Card, reply: Reply) -> bool:
    """Whether a card shows the whole reply, uncut, so that no text is needed beside it.

    Beside pictures it need not be uncut: who ordered them knows the order, and they make themselves heard.
    """
    if reply.pictures:
        return True
    if reply.sources or (reply.form is not None and reply.form.hint):
        return False
    main = card["main_title"]
    rows = [(row["keyname"], row["value"]) for row in card.get("horizontal_content_list", ())]
    # Compared with what is there, not with lengths: what a card has room for is the renderer's to know.
    shown = (main["title"], main.get("desc", ""), card.get("sub_title_text", ""), rows)
    text, title = _line(bare(reply.text)), _line(reply.title)
    wanted = (title or text, text if title else "", _line(reply.note), [(_line(a), _line(b)) for a, b in reply.fields])
    return shown == wanted


def message(agent_id: str, member: str, kind: str, content: Mapping[str, Any], *, once: bool = True) -> Request:
    """A message to one member; `once`: WeCom swallows it when it has had the same in the last four hours."""
    request: Request = {"touser": member, "agentid": int(agent_id), "msgtype": kind, kind: dict(content)}
    if once:
        request |= {"enable_duplicate_check": 1, "duplicate_check_interval": REMEMBERED}
    return request


def change(agent_id: str, member: str, code: str, card: Card | None, title: str) -> Request:
    """A card of a member becomes `card`; without one its buttons become `title`, and cannot be pressed any more."""
    request: Request = {"userids": [member], "agentid": int(agent_id), "response_code": code}
    if card is not None:
        return request | {"template_card": card}
    return request | {"button": {"replace_name": clip(title, _REPLACED) or _DONE}}


def _line(text: str) -> str:
    return " ".join(text.split())
