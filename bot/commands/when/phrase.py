"""The longest phrase about one time at the beginning of a text, in any order of its parts. Pure; no now, no zone."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import date, datetime

from bot.commands.when.clocks import Clock, read_clock
from bot.commands.when.days import Day, Later, OfMonth, read_day
from bot.commands.when.parts import DAWN, LATE, NIGHT, Part, read_part
from bot.commands.when.scan import skip
from bot.commands.when.spans import Span, read_span


@dataclass(frozen=True, kw_only=True, slots=True)
class Phrase:
    """What was said; None = nothing. An instant or a span of the stopwatch stands alone."""

    day: Day | None = None
    part: Part | None = None
    clock: Clock | None = None
    span: Span | None = None
    instant: datetime | None = None


_ISO = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d)(?:t|\s+(?=\S{5,18}\s*[z+]))(?P<time>\d\d:\d\d(?::\d\d)?)(?:\.\d{1,9})?"
    r"(?P<offset>\s*(?:z(?![a-z])|[+-]\d\d(?::?\d\d)?(?![\d:])))?"
)
#: A weekday in brackets behind a date, as our own cards write it, adds nothing.
_BLANK = re.compile(
    r"[\s,]*(?:\((?:(?:周|星期|礼拜)[一二三四五六日天]|(?:mon|tue|wed|thu|fri|sat|sun)[a-z]{0,6})\))?[\s,]*"
)
#: Words between the parts of a time; they say nothing without a part behind them.
_LINK = re.compile(r"(?:(?:at|on|@)\b\s*|[在的于@]\s*)")


def read_phrase(text: str) -> tuple[Phrase, int] | None:
    """The phrase at the beginning of `text` (made plain) and where it ends; None when there is none."""
    start = skip(_BLANK, text, 0)
    exact = _exact(text, start)
    if exact:
        return exact
    phrase, end = Phrase(), start
    while True:
        step = _element(text, end, phrase, first=end == start)
        if step is None:
            return (phrase, end) if end > start else None
        phrase, end = step
        if phrase.span:
            return phrase, end


def _exact(text: str, pos: int) -> tuple[Phrase, int] | None:
    """ISO 8601: an instant with an offset, else a day and a clock."""
    match = _ISO.match(text, pos)
    if match is None:
        return None
    try:
        moment = datetime.fromisoformat(f"{match['date']}T{match['time']}{(match['offset'] or '').strip().upper()}")
    except ValueError:
        return _impossible(match["date"]), match.end()
    if moment.tzinfo:
        return Phrase(instant=moment), match.end()
    clock = Clock(hour=moment.hour, minute=moment.minute, second=moment.second)
    return Phrase(day=OfMonth(year=moment.year, month=moment.month, day=moment.day), clock=clock), match.end()


def _impossible(written: str) -> Phrase:
    """A phrase that says which half of an ISO time does not exist when it is resolved."""
    year, month, day = (int(part) for part in written.split("-"))
    try:
        date(year, month, day)
    except ValueError:
        return Phrase(day=OfMonth(year=year, month=month, day=day))
    return Phrase(clock=Clock(hour=99))


def _element(text: str, end: int, phrase: Phrase, *, first: bool) -> tuple[Phrase, int] | None:
    """`phrase` with the next part, and where that ends."""
    blank = skip(_BLANK, text, end)
    linked = skip(_LINK, text, blank)
    for pos in dict.fromkeys((blank, linked)):
        found = _part(text, pos, phrase, first=first)
        if found:
            return found
    return None


def _part(text: str, pos: int, phrase: Phrase, *, first: bool) -> tuple[Phrase, int] | None:
    if first:
        span = read_span(text, pos)
        if span:
            return _from_now(*span)
    if phrase.day is None:
        day = read_day(text, pos, first=first)
        if day and not (day[1] and phrase.part):
            return replace(phrase, day=day[0], part=day[1] or phrase.part), day[2]
    if phrase.clock is None:
        clock = read_clock(text, pos)
        if clock and not (clock[0].part and phrase.part):
            return replace(phrase, clock=clock[0], part=clock[0].part or phrase.part), clock[1]
    part = read_part(text, pos)
    if part and phrase.part is None:
        return replace(phrase, part=part[0]), part[1]
    # 今晚凌晨1点 is tonight's one o'clock: the night that was said already knows which day that is.
    return (phrase, part[1]) if part and phrase.part is NIGHT and part[0] in (DAWN, LATE) else None


def _from_now(span: Span, end: int) -> tuple[Phrase, int]:
    """Days from now may have a time of their own (三天后下午三点); hours from now are exact."""
    return (Phrase(span=span), end) if span.elapsed else (Phrase(day=Later(span=span)), end)
