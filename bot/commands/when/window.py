"""A window of the day as people write it: 22:00-06:00, 晚上10点到早上6点, 10pm to 6am. Pure."""

from __future__ import annotations

import re
from datetime import time

from bot.commands.when.clocks import Clock, read_clock
from bot.commands.when.parts import Part, read_part
from bot.commands.when.readings import readings
from bot.commands.when.scan import skip
from scheduler.calendar import Window

_BLANK = re.compile(r"[\s,]*")
_FROM = re.compile(r"(?:从|自|from\b|between\b|at\b|每天|每晚|daily\b)\s*")
_TO = re.compile(r"\s*(?:到|至|-{1,2}|to\b|until\b|and\b|and\b)\s*")
_BETWEEN = re.compile(r"\s*(?:之间|间)")


def read_window(text: str) -> tuple[Window, int] | None:
    """The window at the beginning of `text` (made plain) and where it ends; None when there is none.

    Hours without a part of the day are the clock's of 24 hours; 晚上10点到12点 goes on in the evening.
    """
    first = _end(text, skip(_FROM, text, skip(_BLANK, text, 0)))
    to = _TO.match(text, first[2]) if first else None
    second = _end(text, to.end()) if to else None
    if first is None or second is None:
        return None
    opens = _time(first[1], first[0])
    closes = _carried(first, second)
    if opens is None or closes is None:
        return None
    return Window(opens=opens, closes=closes), skip(_BETWEEN, text, second[2])


_End = tuple[Part | None, Clock, int]


def _end(text: str, pos: int) -> _End | None:
    part = read_part(text, pos)
    clock = read_clock(text, skip(_BLANK, text, part[1]) if part else pos)
    if clock is None:
        return None
    return part[0] if part else clock[0].part, clock[0], clock[1]


def _carried(first: _End, second: _End) -> time | None:
    part, clock, _ = second
    goes_on = part is None and clock.bare and first[1].bare and clock.hour > first[1].hour
    return (_time(clock, first[0]) if goes_on else None) or _time(clock, part)


def _time(clock: Clock, part: Part | None) -> time | None:
    """The one time meant; a bare hour is taken as it stands, because the other end shows what is meant."""
    found = readings(clock, part)
    return found.options[0].clock.replace(second=0) if found else None
