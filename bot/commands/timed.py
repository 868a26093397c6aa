"""Is plain text an order to draw at a time? 每天早上九点画一张日历封面. Pure.

It becomes a proposal, which its writer confirms or corrects on a card: so what looks like a time counts as one where
an order follows. Behind an order only a repetition does: 画一座城市，晚上十点 is a picture of the night.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from bot.commands import intent
from bot.commands.when import recurrence_length, time_length, window_length

_LEAD = re.compile(
    r"(?:(?:请问|请|麻烦|劳驾|拜托|你能不能|能不能|可不可以|可以|你能|能|帮忙|帮我|帮|给我|替我|我想要?|我要|你"
    r"|从|在|于|以后|今后|please|can you|could you)[,，\s]*)*",
    re.IGNORECASE,
)
_BETWEEN = " \u3000\n,，、:：。;；"
_BEHIND = re.compile(r"[,，、;；。\n]\s*(?P<when>[^,，、;；。\n]{2,40}?)[吧呀啊。.!！\s]*$")


@dataclass(frozen=True, kw_only=True, slots=True)
class Timed:
    """An order and its time, as they were written. One of `at` and `every` is empty."""

    order: str  # as after /draw; empty when it does not say what
    at: str = ""
    every: str = ""


def timed(text: str) -> Timed | None:
    """The order and its time; None for anything else."""
    return _before(text.strip()) or _behind(text.strip())


def moment(said: str) -> dict[str, str] | None:
    """Whether `said` is nothing but a time or a repetition, as the field of an order that it is."""
    at, every = max(window_length(said), time_length(said)), recurrence_length(said)
    if not said or max(at, every) < len(said):
        return None
    return {"every": said} if every > at else {"at": said}


def _before(text: str) -> Timed | None:
    """The time, then the order."""
    lead = _LEAD.match(text)
    start = lead.end() if lead else 0
    body = text[start:]
    at, every = max(window_length(body), time_length(body)), recurrence_length(body)
    said = body[: max(at, every)].strip()
    if not said:
        return None
    asked = "请" if start else ""  # who asked politely before the time still does
    drawn = intent.order(asked + body[max(at, every) :].lstrip(_BETWEEN))
    if drawn is None:
        return None
    return Timed(order=drawn, every=said) if every > at else Timed(order=drawn, at=said)


def _behind(text: str) -> Timed | None:
    """The order, then how often."""
    found = _BEHIND.search(text)
    if found is None or recurrence_length(found["when"]) < len(found["when"]):
        return None
    drawn = intent.order(text[: found.start()])
    return None if drawn is None else Timed(order=drawn, every=found["when"])
