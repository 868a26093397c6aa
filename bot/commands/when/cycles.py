"""What repeats, without its times: 每天, 每两周周一, every other friday, 每月1号和15号. Pure; no now, no zone."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from bot.commands.when.clocks import Clock
from bot.commands.when.days import WEEKDAY, WEEKDAY_EN, OfMonth, read_day, weekday_number
from bot.commands.when.numbers import CHINESE, ENGLISH, number
from bot.commands.when.parts import EVENING, MORNING, NIGHT, Part
from bot.commands.when.scan import read_list
from bot.commands.when.spans import read_length

Kind = Literal["day", "workday", "week", "month", "nth", "year", "interval", "cron"]
#: A time as said: the part of the day and the clock; one of them may be missing.
Said = tuple[Part | None, Clock | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Repeat:
    """What was said; whether it can be, says repeating.py."""

    kind: Kind
    step: int = 1
    weekdays: tuple[int, ...] = ()  # Monday is 0; none said: that of the day it is said on
    days: tuple[int, ...] = ()  # of the month; -1 = the last
    nth: int = 0  # of these weekdays in a month; -1 = the last
    month: int = 0  # of the year
    minutes: float = 0
    expression: str = ""  # cron
    part: Part | None = None  # 每晚
    times: tuple[Said, ...] = ()


Found = tuple[Repeat, int]

_WEEK = "(?:周|星期|礼拜)"
_WORKDAYS = tuple(range(5))
_WEEKEND = (5, 6)


def read_cycle(text: str, pos: int) -> Found | None:
    """What repeats at `pos`, and where its name ends."""
    for reader in _READERS:
        found = reader(text, pos)
        if found:
            return found
    return None


_TABLE: tuple[tuple[re.Pattern[str], Repeat], ...] = (
    (re.compile(r"(?:每隔一[天日]|隔[天日]|every (?:other|second) day\b)"), Repeat(kind="day", step=2)),
    (re.compile(r"(?:每个?(?:晚上?|夜)|every (?:night)\b|nightly\b)"), Repeat(kind="day", part=NIGHT)),
    (re.compile(r"every evening\b"), Repeat(kind="day", part=EVENING)),
    (re.compile(r"(?:每个?(?:早上?|清?晨)|every morning\b)"), Repeat(kind="day", part=MORNING)),
    (re.compile(r"(?:每一?[天日]|天天|daily\b|every ?day\b|each day\b)"), Repeat(kind="day")),
    (
        re.compile(
            r"(?:每个?|按)?(?:法定)?(?:工作日|上班日)(?:每[天日])?"
            r"|(?:every |each |on )?(?:workdays?|(?:working|business) days?)\b"
        ),
        Repeat(kind="workday"),
    ),
    (re.compile(r"(?:every |each |on )?weekdays?\b"), Repeat(kind="week", weekdays=_WORKDAYS)),
    (
        re.compile(rf"(?:每个?)?(?:{_WEEK}末|双休日)(?:每[天日])?|(?:every |each |on )?weekends?\b"),
        Repeat(kind="week", weekdays=_WEEKEND),
    ),
    (re.compile(r"hourly\b"), Repeat(kind="interval", minutes=60)),
    (re.compile(r"every other hour\b"), Repeat(kind="interval", minutes=120)),
)


def _fixed(text: str, pos: int) -> Found | None:
    for pattern, repeat in _TABLE:
        match = pattern.match(text, pos)
        if match:
            return repeat, match.end()
    return None


_WEEKLY = re.compile(
    rf"(?:每逢?(?P<gap>隔)?\s*(?:(?P<n>{CHINESE})\s*)?个?{_WEEK}|(?P<skip>隔)个?{_WEEK})(?:的?(?={_WEEK}))?(?!末)"
)
_WEEKDAY = re.compile(rf"{_WEEK}?([一二三四五六日天]|[1-7](?![\d:点时号日]))(?!个)")
_WEEK_WORD = re.compile(_WEEK)
_NAMED = re.compile(rf"(?:每逢?|逢)个?(?={_WEEK}[一二三四五六日天1-7])")


def _chinese_week(text: str, pos: int) -> Found | None:
    match = _WEEKLY.match(text, pos)
    if match is None:
        return _bare_weekdays(text, pos)
    step = number(match["n"]) if match["n"] else 1
    if step is None or step < 1:
        return None
    if match["gap"] or match["skip"]:
        step += 1
    weekdays, end = read_list(text, match.end(), _chinese_weekday)
    return Repeat(kind="week", step=step, weekdays=weekdays), end


def _bare_weekdays(text: str, pos: int) -> Found | None:
    """周一到周五, 周一和周三: several of them recur without a word that says so; a single one is a day."""
    match = _NAMED.match(text, pos)
    start = match.end() if match else pos
    if not _WEEK_WORD.match(text, start):
        return None
    weekdays, end = read_list(text, start, _chinese_weekday)
    return (Repeat(kind="week", weekdays=weekdays), end) if len(weekdays) > (0 if match else 1) else None


def _chinese_weekday(text: str, pos: int) -> tuple[int, int] | None:
    match = _WEEKDAY.match(text, pos)
    weekday = WEEKDAY[match[1]] if match else None
    return (weekday, match.end()) if match and weekday is not None else None


_EVERY_WEEKS = re.compile(
    rf"(?:every\s+(?:(?P<n>{ENGLISH})\s+weeks?|(?P<other>other|second)\s+week|week)|weekly|(?P<bi>biweekly|fortnightly))\b"
    r"(?:\s+on\b)?\s*"
)
_EVERY = re.compile(r"(?:every|each|on)\s+(?P<other>other\s+|second\s+)?")
_PLURAL = re.compile(rf"(?:on\s+)?{WEEKDAY_EN}s\b")
_WEEKDAY_WORD = re.compile(rf"(?:every\s+)?({WEEKDAY_EN})s?\b\.?")


def _english_week(text: str, pos: int) -> Found | None:
    match = _EVERY_WEEKS.match(text, pos)
    if match:
        step = 2 if match["other"] or match["bi"] else number(match["n"]) if match["n"] else 1
        weekdays, end = read_list(text, match.end(), _english_weekday)
        return (Repeat(kind="week", step=step, weekdays=weekdays), end) if step else None
    every = _EVERY.match(text, pos)
    weekdays, end = read_list(text, every.end() if every else pos, _english_weekday)
    said = every and not every[0].startswith("on")
    if not weekdays or not (said or _PLURAL.match(text, pos) or len(weekdays) > 1):
        return None
    return Repeat(kind="week", step=2 if every and every["other"] else 1, weekdays=weekdays), end


def _english_weekday(text: str, pos: int) -> tuple[int, int] | None:
    match = _WEEKDAY_WORD.match(text, pos)
    return (weekday_number(match[1]), match.end()) if match else None


_MONTHLY = re.compile(
    r"(?:每个?月(?:的)?|monthly\b(?:\s+on\b)?|every month\b(?:\s+on\b)?|each month\b(?:\s+on\b)?)\s*(?:the\s+)?"
)
_LAST = re.compile(r"最后一[天日]|月?[底末]|last day\b(?: of (?:the|every|each) month\b)?|the end\b")
_OF_MONTH = re.compile(r"\s*of (?:every|each) month\b")
_MONTH_DAY = re.compile(rf"({CHINESE})\s*(?:[号日]|(?=\s*[,和及与到至\-]\s*{CHINESE}))(?![本历常])")
_MONTH_DAY_EN = re.compile(r"(?:on\s+)?(?:the\s+)?(?:(\d{1,2})(?:st|nd|rd|th)\b|last day\b|last\b)")


def _month(text: str, pos: int) -> Found | None:
    match = _MONTHLY.match(text, pos)
    if match is None:
        return _of_every_month(text, pos)
    days, end = read_list(text, match.end(), _month_day, wrap=0)
    if days:
        after = _OF_MONTH.match(text, end)
        return Repeat(kind="month", days=days), after.end() if after else end
    return Repeat(kind="month"), match.end()


def _of_every_month(text: str, pos: int) -> Found | None:
    """on the 1st and 15th of every month"""
    days, end = read_list(text, pos, _english_month_day, wrap=0)
    match = _OF_MONTH.match(text, end) if days else None
    return (Repeat(kind="month", days=days), match.end()) if match else None


def _month_day(text: str, pos: int) -> tuple[int, int] | None:
    last = _LAST.match(text, pos)
    if last:
        return -1, last.end()
    match = _MONTH_DAY.match(text, pos)
    day = number(match[1]) if match else None
    return (day, match.end()) if match and day is not None else _english_month_day(text, pos)


def _english_month_day(text: str, pos: int) -> tuple[int, int] | None:
    match = _MONTH_DAY_EN.match(text, pos)
    return (int(match[1]) if match[1] else -1, match.end()) if match else None


_NTH = re.compile(rf"每个?月的?(?:第(?P<n>[一二三四1-4])|最后一)个(?={_WEEK})")
_ORDINALS = ("first", "second", "third", "fourth")
_NTH_EN = re.compile(
    rf"(?:on\s+)?(?:the\s+)?({'|'.join(_ORDINALS)}|last)\s+({WEEKDAY_EN})\s+of (?:the|every|each) month\b"
)


def _nth(text: str, pos: int) -> Found | None:
    """The first Monday, the last Friday of every month."""
    match = _NTH.match(text, pos)
    day = _chinese_weekday(text, match.end()) if match else None
    if match and day:
        nth = number(match["n"]) if match["n"] else -1
        return Repeat(kind="nth", nth=nth or -1, weekdays=(day[0],)), day[1]
    english = _NTH_EN.match(text, pos)
    if english is None:
        return None
    nth = -1 if english[1] == "last" else _ORDINALS.index(english[1]) + 1
    return Repeat(kind="nth", nth=nth, weekdays=(weekday_number(english[2]),)), english.end()


_YEARLY = re.compile(r"(?:每年的?|every year\b|yearly\b|annually\b)\s*(?:on\b\s*)?")


def _year(text: str, pos: int) -> Found | None:
    match = _YEARLY.match(text, pos)
    found = read_day(text, match.end()) if match else None
    if found is None or not isinstance(found[0], OfMonth) or found[0].month is None or found[0].day < 1:
        return None
    return Repeat(kind="year", month=found[0].month, days=(found[0].day,)), found[2]


_EACH = re.compile(r"(?:每(?P<gap>隔)?|every\s+)\s*")
_UNIT_ALONE = re.compile(r"个?(?:小时|钟头)|(?:hour|minute)\b|分钟")


def _interval(text: str, pos: int) -> Found | None:
    """Every so many minutes, hours or days."""
    match = _EACH.match(text, pos)
    if match is None:
        return None
    alone = _UNIT_ALONE.match(text, match.end())
    if alone:
        minute = "分" in alone[0] or alone[0] == "minute"
        return Repeat(kind="interval", minutes=1 if minute else 60), alone.end()
    found = read_length(text, match.end())
    if found is None or found[0].months or (found[0].days and found[0].elapsed):
        return None
    span, end = found
    if span.days:
        return Repeat(kind="day", step=span.days + (1 if match["gap"] else 0)), end
    return Repeat(kind="interval", minutes=span.elapsed.total_seconds() / 60), end


_READERS: tuple[Callable[[str, int], Found | None], ...] = (
    _fixed,
    _chinese_week,
    _english_week,
    _nth,
    _month,
    _year,
    _interval,
)
