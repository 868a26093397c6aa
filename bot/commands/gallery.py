"""/gallery: what is looked for, by words, person, days, size and model, in any order. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date, timedelta

from bot.commands.clean import half_width, one_line
from bot.commands.flags import clip
from bot.commands.rules import Rules
from bot.commands.values import Days, Gallery, Mistake

_NAMED = {"today": "today", "今天": "today", "今日": "today", "yesterday": "yesterday", "昨天": "yesterday"}
_NAMED |= {"this week": "week", "本周": "week", "这周": "week", "last week": "last_week", "上周": "last_week"}
_NAMED |= {"this month": "month", "本月": "month", "这个月": "month"}
_NAMED |= {"last month": "last_month", "上月": "last_month", "上个月": "last_month"}

_DAY = r"(?:[0-9]{4}[-/.年])?[0-9]{1,2}[-/月][0-9]{1,2}[日号]?|[0-9]{4}\.[0-9]{1,2}\.[0-9]{1,2}"
_TO = r"\s*(?:\.\.+|…|~|～|—|–|到|至)\s*"
_SPAN = re.compile(
    rf"(?P<first>{_DAY})?(?P<to>{_TO})(?P<last>{_DAY})?|(?P<day>{_DAY})|(?P<month>[0-9]{{4}}-[0-9]{{1,2}})"
)
_BACK = re.compile(r"(?:最近|近|过去|last\s+|past\s+)\s*(?P<n>[0-9]{1,4})\s*(?:天|日|days?)", re.IGNORECASE)
_NAME = re.compile("|".join(sorted(map(re.escape, _NAMED), key=len, reverse=True)), re.IGNORECASE)
_SIZE = re.compile(r"(?P<width>[0-9]{2,5})\s*[xX*×]\s*(?P<height>[0-9]{2,5})")
_MODEL = re.compile(r"(?:model|模型)\s*[:=]\s*(?P<name>\S+)", re.IGNORECASE)
_NUMBER = re.compile(r"[0-9]+")
_WHO = re.compile(r"@(\S+)")
_LONGEST = 200  # characters


def gallery(rest: str, rules: Rules) -> Gallery:
    """/gallery [words] [@x] [本周 | 2026-11-01..2026-11-20] [1024x768] [model:NAME]. Raises Mistake."""
    text = one_line(half_width(rest))
    if len(text) > _LONGEST:
        raise Mistake("too_long", length=len(text), limit=_LONGEST, over=len(text) - _LONGEST)
    text, model = _taken(text, _MODEL)
    text, size = _taken(text, _SIZE)
    text, back = _taken(text, _BACK)
    text, named = _taken(text, _NAME)
    text, span = _taken(text, _SPAN)
    days = Days(back=int(back["n"])) if back else Days(named=_NAMED[named[0].lower()]) if named else None
    if days is None and span:
        days = _days(span)
    return Gallery(
        words=one_line(text),
        days=days,
        size=(int(size["width"]), int(size["height"])) if size else None,
        model=model["name"] if model else "",
    )


def people(text: str, mentioned: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """The words without the people they name, and these: whom the platform says are mentioned, and who has an @."""
    named = []
    for name in sorted(mentioned, key=len, reverse=True):  # a name may have spaces, which the platform knows of
        if f"@{half_width(name)}" in text:
            named.append(name)
            text = text.replace(f"@{half_width(name)}", " ")
    named += _WHO.findall(text)
    return one_line(_WHO.sub(" ", text)), tuple(named)


def span(days: Days | None, today: date) -> tuple[date | None, date | None]:
    """The first and last day that is meant; None = without end. Raises ValueError for days that do not exist."""
    if days is None:
        return None, None
    if days.back:
        return today - timedelta(days=days.back - 1), today
    if days.named:
        return _NAMED_SPANS[days.named](today)
    first = _date(days.first, today) if days.first else None
    last = _date(days.last, today, end=True) if days.last else None
    if first and last and first > last:
        raise ValueError(f"{first} is after {last}")
    return first, last


def _month(day: date) -> tuple[date, date]:
    first = day.replace(day=1)
    return first, (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)


def _week(day: date) -> tuple[date, date]:
    first = day - timedelta(days=day.weekday())
    return first, first + timedelta(days=6)


_NAMED_SPANS: dict[str, Callable[[date], tuple[date, date]]] = {
    "today": lambda day: (day, day),
    "yesterday": lambda day: (day - timedelta(days=1), day - timedelta(days=1)),
    "week": _week,
    "last_week": lambda day: _week(day - timedelta(days=7)),
    "month": _month,
    "last_month": lambda day: _month(day.replace(day=1) - timedelta(days=1)),
}


def _date(parts: tuple[int, ...], today: date, *, end: bool = False) -> date:
    """A day; without a day a month's first or last, without a year the latest one that is not to come."""
    match parts:
        case (year, month):
            return _month(date(year, month, 1))[1 if end else 0]
        case (0, month, day):
            found = (_real(year, month, day) for year in range(today.year, today.year - 9, -1))
            latest = next((one for one in found if one is not None and one <= today), None)
            if latest is None:
                raise ValueError(f"no day: {parts}")
            return latest
        case (year, month, day):
            return date(year, month, day)
    raise ValueError(f"no day: {parts}")


def _real(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _days(found: re.Match[str]) -> Days:
    if found["to"]:
        if not found["first"] and not found["last"]:
            raise Mistake("gallery_days", given=clip(found[0].strip()))
        return Days(first=_numbers(found["first"]), last=_numbers(found["last"]))
    if found["month"]:
        year, month = map(int, found["month"].split("-"))
        return Days(first=(year, month), last=(year, month))
    return Days(first=_numbers(found["day"]), last=_numbers(found["day"]))


def _numbers(day: str | None) -> tuple[int, ...]:
    numbers = tuple(map(int, _NUMBER.findall(day or "")))
    return (0, *numbers) if len(numbers) == 2 else numbers


def _taken(text: str, pattern: re.Pattern[str]) -> tuple[str, re.Match[str] | None]:
    """The text without the first word that is just this (今天的 too), and the word."""
    for found in pattern.finditer(text):
        after = text[found.end() :].removeprefix("的")
        if (found.start() == 0 or text[found.start() - 1] in " ,，、") and (not after or after[0] in " ,，、"):
            return f"{text[: found.start()]} {after}", found
    return text, None
