"""Recurrences as written: 每天9点和18点, 9am every day, cron. Pure; no now, no zone."""

from __future__ import annotations

import re
from dataclasses import replace

from bot.commands.when.clocks import Clock, read_clock
from bot.commands.when.cycles import Found, Repeat, Said, read_cycle
from bot.commands.when.numbers import CHINESE, number
from bot.commands.when.parts import read_part
from bot.commands.when.scan import AND, skip

_BLANK = re.compile(r"[\s,]*")

#: Anything that looks like five fields of cron; cronsim says whether it is.
_NAME = r"(?:sun|mon|tue|wed|thu|fri|sat|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)"
_ATOM = rf"(?:\*|(?:\d{{1,2}}|{_NAME})(?:-(?:\d{{1,2}}|{_NAME}))?l?w?(?:#\d)?|lw?)(?:/\d{{1,2}})?"
_FIELD = rf"{_ATOM}(?:,{_ATOM}){{0,30}}"
_CRON = re.compile(rf"(?:cron\s*:?\s*)?`?({_FIELD}(?:\s+{_FIELD}){{4}})`?(?=\s|$)")


def read_repeat(text: str) -> Found | None:
    """The longest recurrence at the beginning of `text` (made plain) and where it ends; None when there is none."""
    start = skip(_BLANK, text, 0)
    match = _CRON.match(text, start)
    if match:
        return Repeat(kind="cron", expression=" ".join(match[1].split())), match.end()
    before, pos = _times(text, start)
    found = read_cycle(text, skip(_BLANK, text, pos))
    if found is None:
        return None
    repeat, end = found
    if before:
        return replace(repeat, times=before), end
    times, end = _times(text, end)
    return replace(repeat, times=times), end


def looks_like_cron(text: str) -> bool:
    """Whether somebody meant a cron expression, right or wrong."""
    return "*" in text and re.fullmatch(r"[\d*/,\-a-z#?\s]{3,120}", text) is not None


def _times(text: str, pos: int) -> tuple[tuple[Said, ...], int]:
    """Up to 24 times, each with its part of the day, and where the last of them ends."""
    times: list[Said] = []
    end = pos
    while len(times) < 24:
        start = skip(AND if times else _BLANK, text, end)
        said, after = _time(text, start)
        if said is None:
            said, after = _time(text, skip(_AT, text, start))
        if said is None:
            break
        times.append(said)
        end = after
    return tuple(times), end


_AT = re.compile(r"(?:at\b|在|的)\s*")


#: 8、12、18点: hours that wait for the word behind the last of them.
_SHARED_HOUR = re.compile(rf"({CHINESE})(?=(?:\s*[,/和及]\s*{CHINESE}){{1,12}}\s*[点时])")


def _time(text: str, pos: int) -> tuple[Said | None, int]:
    part = read_part(text, pos)
    clock = read_clock(text, skip(_BLANK, text, part[1]) if part else pos)
    clock = clock or _shared_hour(text, skip(_BLANK, text, part[1]) if part else pos)
    if clock is None:
        return ((part[0], None), part[1]) if part else (None, pos)
    behind = read_part(text, skip(_BLANK, text, clock[1])) if part is None and clock[0].part is None else None
    if behind:
        return (behind[0], clock[0]), behind[1]
    return (part[0] if part else clock[0].part, clock[0]), clock[1]


def _shared_hour(text: str, pos: int) -> tuple[Clock, int] | None:
    match = _SHARED_HOUR.match(text, pos)
    hour = number(match[1]) if match else None
    return (Clock(hour=hour, bare=True), match.end()) if match and hour is not None else None
