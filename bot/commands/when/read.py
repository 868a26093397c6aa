"""The doors of this package: a whole phrase, a phrase before other text, and how long one is. Pure; nothing raises."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, tzinfo
from typing import TypeVar

from bot.commands.flags import clip
from bot.commands.when import repeating, single
from bot.commands.when.phrase import read_phrase
from bot.commands.when.plain import LONGEST, plain
from bot.commands.when.repeats import looks_like_cron, read_repeat
from bot.commands.when.single import tidy
from bot.commands.when.values import At, Code, Problem, Taken
from bot.commands.when.window import read_window
from scheduler.calendar import LEAST_GAP, Country, Rule, Window

T = TypeVar("T")

#: Signs between a phrase and what follows it.
_BETWEEN = " \u3000\n\t,，、:：。;；"


def parse_time(text: str, now: datetime, zone: tzinfo) -> At | Problem:
    """The one instant that `text` as a whole means, said at `now` (aware) in `zone`."""
    text = tidy(text)
    if not text:
        return Problem(code="time_missing")
    end = time_length(text)
    if end < len(text):
        recurring = 0 < recurrence_length(text) == len(text)
        return _unread(text, "time_recurring", 0) if recurring else _unread(text, "time_unreadable", end)
    return _resolved_time(text, now, zone)


def parse_recurrence(
    text: str, now: datetime, zone: tzinfo, *, country: Country = "cn", least: timedelta = LEAST_GAP
) -> Rule | Problem:
    """The rule that `text` as a whole means, first firing after `now` (aware) in `zone`.

    `country` is whose working days 工作日 are; no rule fires more often than every `least`.
    """
    text = tidy(text)
    if not text:
        return Problem(code="recurrence_missing")
    end = recurrence_length(text)
    if end == len(text):
        return _resolved_recurrence(text, now, zone, country, least)
    if looks_like_cron(plain(text)):
        return Problem(code="cron_wrong", values={"given": clip(text), "why": "it needs five fields that cron knows"})
    once = 0 < time_length(text) == len(text)
    return _unread(text, "recurrence_once", 0) if once else _unread(text, "recurrence_unreadable", end)


def parse_window(text: str) -> Window | Problem:
    """The window of the day that `text` as a whole means."""
    text = tidy(text)
    found = read_window(plain(text))
    if found is None or found[1] < len(text):
        return Problem(code="window_unreadable", values={"given": clip(text)})
    return found[0]


def take_time(text: str, now: datetime, zone: tzinfo) -> Taken[At | Problem] | None:
    """The longest time at the beginning of `text` and what follows it; None when it begins with none."""
    return _taken(text, time_length(text), lambda said: _resolved_time(said, now, zone))


def take_recurrence(
    text: str, now: datetime, zone: tzinfo, *, country: Country = "cn", least: timedelta = LEAST_GAP
) -> Taken[Rule | Problem] | None:
    """The longest recurrence at the beginning of `text` and what follows it; None when it begins with none."""
    return _taken(text, recurrence_length(text), lambda said: _resolved_recurrence(said, now, zone, country, least))


def take_window(text: str) -> Taken[Window | Problem] | None:
    """The window at the beginning of `text` and what follows it; None when it begins with none."""
    return _taken(text, window_length(text), parse_window)


def time_length(text: str) -> int:
    """How many characters at the beginning of `text` are a time, whether or not it can be booked; 0 for none."""
    found = read_phrase(plain(text))
    return _whole_words(text, found[1]) if found else 0


def recurrence_length(text: str) -> int:
    """How many characters at the beginning of `text` are a recurrence; 0 for none."""
    found = read_repeat(plain(text))
    return _whole_words(text, found[1]) if found else 0


def window_length(text: str) -> int:
    """How many characters at the beginning of `text` are a window of the day; 0 for none."""
    found = read_window(plain(text))
    return _whole_words(text, found[1]) if found else 0


def _whole_words(text: str, end: int) -> int:
    """`end`, unless it lies within a word or number of ASCII: then nothing was meant as a time."""
    if end >= len(text) or end >= LONGEST:
        return end if end <= len(text) else 0
    around = plain(text)[end - 1 : end + 1]
    return 0 if around.isascii() and around.isalnum() else end


def _taken(text: str, end: int, resolve: Callable[[str], T]) -> Taken[T] | None:
    if not end:
        return None
    said = text[:end].strip()
    return Taken(value=resolve(said), said=said, rest=text[end:].lstrip(_BETWEEN))


def _resolved_time(said: str, now: datetime, zone: tzinfo) -> At | Problem:
    found = read_phrase(plain(said))
    assert found  # its length was measured before
    return single.resolve(found[0], said, now, zone)


def _resolved_recurrence(said: str, now: datetime, zone: tzinfo, country: Country, least: timedelta) -> Rule | Problem:
    found = read_repeat(plain(said))
    assert found
    return repeating.resolve(found[0], said, now, zone, country, least)


def _unread(text: str, code: Code, end: int) -> Problem:
    return Problem(code=code, values={"given": clip(text), "near": clip(text[end:].strip(), 20)})
