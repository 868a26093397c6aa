"""Days as written: 明天, 下周一, 12月25日, 月底, next monday, dec 25. Pure; which date that is, says dates.py."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from bot.commands.when.numbers import CHINESE, number
from bot.commands.when.parts import AFTERNOON, EVENING, MORNING, NIGHT, Part
from bot.commands.when.spans import Span


@dataclass(frozen=True, kw_only=True, slots=True)
class Offset:
    """So many days from today."""

    days: int


@dataclass(frozen=True, kw_only=True, slots=True)
class OfWeek:
    """A weekday: of the week so many weeks from this one, or the next one to come."""

    weekday: int | None  # Monday is 0; None = the weekend
    weeks: int | None  # None = whichever comes next
    loose: bool = False  # English "next friday", which some use for this week's


@dataclass(frozen=True, kw_only=True, slots=True)
class OfMonth:
    """A date: of the year, of the month so many months from this one, or the next one to come."""

    day: int  # LAST_DAY (-1) = the last
    month: int | None = None
    months: int | None = None
    year: int | None = None
    years: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Later:
    """So many days and months from today, at the time that it is now unless one is said."""

    span: Span


@dataclass(frozen=True, kw_only=True, slots=True)
class Vague:
    """A week or a month of which no day was said."""


Day = Offset | OfWeek | OfMonth | Later | Vague
#: Day, the part of it that its word names (今晚), and where it ends.
Found = tuple[Day, Part | None, int]

WEEKDAY = {char: index for index, char in enumerate("一二三四五六日")} | {"天": 6, "末": None}
WEEKDAY |= {str(index + 1): index for index in range(7)}
_ENGLISH_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_SHORT_DAYS = r"mon|tues?|wed|thurs?|thu|fri|sat|sun"
WEEKDAY_EN = rf"(?:{'|'.join(_ENGLISH_DAYS)}|{_SHORT_DAYS})"
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    r"|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\b\.?"
)
_ORDINAL = r"(?<!\d)(\d{1,2})(?:st|nd|rd|th)?\b(?![:.]\d)"
#: Which month or week: 这个 -> 0, 下下 -> 2. None = not said.
_WHICH = r"(这个?|本|当|上个?|下{1,3}个?)?"
_DATE_NUMBER = rf"({CHINESE})\s*[号日](?![楼线馆店机本常历光落出])"


def weekday_number(name: str) -> int:
    """The number of an English weekday, long or short; Monday is 0."""
    return next(index for index, day in enumerate(_ENGLISH_DAYS) if day.startswith(name[:3]))


def read_day(text: str, pos: int, *, first: bool = True) -> Found | None:
    """The day that stands at `pos`. After a time (not `first`) a lone "sun" is the star, not the day."""
    for pattern, build in _PATTERNS if first else _PATTERNS[1:]:
        match = pattern.match(text, pos)
        found = build(match) if match else None
        if match and found:
            day, part = found if isinstance(found, tuple) else (found, None)
            return day, part, match.end()
    return None


def _which(text: str | None) -> int | None:
    if not text:
        return None
    return text.count("下") - text.count("上")


def _fixed(days: int, part: Part | None = None) -> Callable[[re.Match[str]], tuple[Day, Part | None]]:
    return lambda _: (Offset(days=days), part)


def _chinese_weekday(match: re.Match[str]) -> Day:
    return OfWeek(weekday=WEEKDAY[match[2]], weeks=_which(match[1]))


def _english_weekday(match: re.Match[str]) -> Day:
    which = match[1] or ""
    weekday = None if match[2] == "weekend" else weekday_number(match[2])
    return OfWeek(weekday=weekday, weeks=1 if "next" in which else None, loose="next" in which)


def _year_month_day(match: re.Match[str]) -> Day:
    return OfMonth(year=int(match[1]), month=int(match[2]), day=int(match[3]))


def _month_day(match: re.Match[str]) -> Day | None:
    month, day = number(match[2]), number(match[3])
    if month is None or day is None:
        return None
    return OfMonth(month=month, day=day, years={"今年": 0, "明年": 1, "后年": 2}.get(match[1]))


def _slashed(match: re.Match[str]) -> Day:
    month, day = int(match[1]), int(match[2])
    return OfMonth(month=day, day=month) if month > 12 else OfMonth(month=month, day=day)


def _day_of_month(match: re.Match[str]) -> Day | None:
    day = number(match[2])
    return None if day is None else OfMonth(day=day, months=_which(match[1]))


def _month_edge(match: re.Match[str]) -> Day:
    return OfMonth(day=1 if match[2] == "初" else -1, months=_which(match[1]) if match[1] else _near(match[2]))


def _near(edge: str) -> int | None:
    """The end of a month is this month's; its beginning is the next to come."""
    return None if edge == "初" else 0


def _month_name(text: str) -> int:
    return _MONTHS.index(text[:3]) + 1


def _english_month_day(match: re.Match[str]) -> Day:
    return OfMonth(month=_month_name(match[1]), day=int(match[2]), year=int(match[3]) if match[3] else None)


def _english_day_month(match: re.Match[str]) -> Day:
    return OfMonth(month=_month_name(match[2]), day=int(match[1]), year=int(match[3]) if match[3] else None)


def _the_day(match: re.Match[str]) -> Day:
    month = match[2]
    return OfMonth(day=int(match[1]), months=None if not month else 1 if "next" in month else 0)


def _english_month_end(match: re.Match[str]) -> Day:
    return OfMonth(day=-1, months=1 if match[1] and "next" in match[1] else 0)


def _month_and_edge(match: re.Match[str]) -> Day | None:
    month = number(match[1])
    return None if month is None else OfMonth(month=month, day=1 if match[2] == "初" else -1)


def _vague(match: re.Match[str]) -> Day:
    return Vague()


def _year_end(match: re.Match[str]) -> Day:
    return OfMonth(month=12, day=-1, years=1 if match[1] == "明" else 0)


_YEAR = r"(?:,?\s+(20\d\d)(?!\d|:))?"
_PATTERNS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], Day | tuple[Day, Part | None] | None]], ...] = (
    (re.compile(rf"()\b({_SHORT_DAYS})\b(?:\.(?!\d))?"), _english_weekday),  # must be the first: see read_day
    (re.compile(r"今晚上?|今夜|今儿?晚上?|tonight\b"), _fixed(0, NIGHT)),
    (re.compile(r"今早上?|今晨|this morning\b"), _fixed(0, MORNING)),
    (re.compile(r"this afternoon\b"), _fixed(0, AFTERNOON)),
    (re.compile(r"this evening\b"), _fixed(0, EVENING)),
    (re.compile(r"明早上?|明晨"), _fixed(1, MORNING)),
    (re.compile(r"明晚上?|明夜"), _fixed(1, NIGHT)),
    (re.compile(r"昨[天日晚]|yesterday\b"), _fixed(-1)),
    (re.compile(r"今[天日儿]|today\b"), _fixed(0)),
    (re.compile(r"明[天日儿]|(?:tomorrow|tmrw?|tmr)\b"), _fixed(1)),
    (re.compile(r"大后[天日]"), _fixed(3)),
    (re.compile(r"后[天日]|(?:the )?day after tomorrow\b"), _fixed(2)),
    (re.compile(rf"{_WHICH}(?:周|星期|礼拜)([一二三四五六日天末]|[1-7](?!\d))"), _chinese_weekday),
    (re.compile(rf"(?:on\s+)?((?:the\s+)?(?:next|this|coming)\s+|on\s+)({WEEKDAY_EN}|weekend)\b"), _english_weekday),
    (re.compile(rf"()({'|'.join(_ENGLISH_DAYS)})\b"), _english_weekday),
    (re.compile(r"(?<!\d)(\d{4})\s*[-/.年]\s*(\d{1,2})\s*[-/.月]\s*(\d{1,2})(?!\d)[号日]?"), _year_month_day),
    (re.compile(rf"(今年|明年|后年)?\s*({CHINESE})\s*月\s*({CHINESE})(?![点时:])\s*[号日]?"), _month_day),
    (re.compile(r"(?<![\d/])(\d{1,2})/(\d{1,2})(?![\d/])"), _slashed),
    (re.compile(rf"(?:{_WHICH}月)?\s*{_DATE_NUMBER}"), _day_of_month),
    (re.compile(rf"({CHINESE})月([底末初])"), _month_and_edge),
    (re.compile(rf"(?:{_WHICH}月)?(?:月?([底末初])(?<=月.)|的?(?<=月|的)最后一[天日])"), _month_edge),
    (re.compile(r"下{1,3}个?(?:周|星期|礼拜|月)|next (?:week|month)\b"), _vague),
    (re.compile(r"(今|明)?年[底末]"), _year_end),
    (re.compile(rf"(?:on\s+)?({_MONTH})\s*{_ORDINAL}{_YEAR}"), _english_month_day),
    (re.compile(rf"(?:on\s+)?(?:the\s+)?{_ORDINAL}\s*(?:of\s+)?({_MONTH}){_YEAR}"), _english_day_month),
    (re.compile(r"(?:on\s+)?the\s+(\d{1,2})(?:st|nd|rd|th)\b(\s+of\s+(?:this|next)\s+month\b)?"), _the_day),
    (re.compile(r"(?:at\s+)?(?:the\s+)?end of (?:the\s+)?((?:this |next )?)month\b"), _english_month_end),
)
