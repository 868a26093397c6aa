"""Times of the day as written: 22:00, 十点半, 8点一刻, 9am, at nine, noon. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from bot.commands.when.numbers import CHINESE, ENGLISH, number
from bot.commands.when.parts import AM, PM, Part

#: Words that count things: 9点20张 is nine o'clock and twenty pictures.
_COUNTED = "[只个張张条位名人年岁种头幅本件块座朵辆次份页]"
_AM_PM = r"(?P<ap>[ap])\.?m(?![a-z])\.?"


@dataclass(frozen=True, kw_only=True, slots=True)
class Clock:
    """A time as it was said; it need not exist."""

    hour: int
    minute: int = 0
    second: int = 0
    bare: bool = False  # 8点, at 8: may mean either half of the day; 8:00 is the clock of 24 hours
    midnight: bool = False  # the word: the beginning or the end of a day
    part: Part | None = None  # am or pm

    @property
    def exists(self) -> bool:
        """Whether some day has this time; 24:00 is the next day's 0:00."""
        whole = self.minute == self.second == 0
        return (self.hour < 24 or (self.hour == 24 and whole)) and self.minute < 60 and self.second < 60


def read_clock(text: str, pos: int) -> tuple[Clock, int] | None:
    """The time of the day that stands at `pos`, and where it ends."""
    for pattern, build in _PATTERNS:
        match = pattern.match(text, pos)
        clock = build(match) if match else None
        if match and clock:
            return clock, match.end()
    return None


def _colon(match: re.Match[str]) -> Clock:
    half = match["ap"]
    return Clock(
        hour=int(match["h"]),
        minute=int(match["m"]),
        second=int(match["s"] or 0),
        part=None if half is None else AM if half == "a" else PM,
    )


def _chinese(match: re.Match[str]) -> Clock | None:
    hour = number(match["h"])
    if hour is None:
        return None
    return Clock(hour=hour, minute=_minutes(match), bare=True)


def _minutes(match: re.Match[str]) -> int:
    if match["half"]:
        return 30
    if match["quarter"]:
        return 15 * (number(match["quarter"]) or 0)
    return number(match["m"] or match["short"] or "0") or 0


def _half_day(match: re.Match[str]) -> Clock:
    return Clock(hour=int(match["h"]), part=AM if match["ap"] == "a" else PM)


def _spoken(match: re.Match[str]) -> Clock | None:
    hour = number(match["h"])
    return None if hour is None else Clock(hour=hour, bare=True)


def _past(match: re.Match[str]) -> Clock | None:
    hour = number(match["h"])
    minutes = {"half past": 30, "quarter past": 15, "quarter to": -15}[match["q"]]
    if hour is None or not 1 <= hour <= 12:
        return None
    before = hour - 1 or 12
    return Clock(hour=hour if minutes > 0 else before, minute=minutes % 60, bare=True)


def _noon(match: re.Match[str]) -> Clock:
    return Clock(hour=12)


def _midnight(match: re.Match[str]) -> Clock:
    return Clock(hour=24, midnight=True)


_PATTERNS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], Clock | None]], ...] = (
    (re.compile(rf"(?<![\d:])(?P<h>\d{{1,2}}):(?P<m>\d\d)(?::(?P<s>\d\d))?(?![\d:])(?:\s*{_AM_PM})?"), _colon),
    (
        re.compile(
            rf"(?P<h>{CHINESE})\s*(?:点|时(?![间候尚代光刻]))(?!前|之前|以前|心)(?:钟|整)?"
            rf"(?:(?P<half>半)(?![身个边])|(?P<quarter>[一二三1-3])刻钟?"
            rf"|过?\s*零?(?P<m>{CHINESE})\s*分钟?(?!{_COUNTED})"
            rf"|(?P<short>[0-5]\d(?!\d)|[零〇][一二三四五六七八九]|[一二三四五]?十[一二三四五六七八九]|[二三四五]十)(?!\s*{_COUNTED}))?"
        ),
        _chinese,
    ),
    (re.compile(rf"(?<!\d)(?P<h>\d{{1,2}})\s*{_AM_PM}"), _half_day),
    (re.compile(rf"(?:at\s+)?(?P<h>{ENGLISH})\s*o'?clock\b"), _spoken),
    (re.compile(rf"(?:at\s+)?(?P<q>half past|quarter past|quarter to)\s+(?P<h>{ENGLISH})"), _past),
    (re.compile(rf"at\s+(?P<h>{ENGLISH})(?![:.%]|\s*[x×*])(?!\s*[a-z]?m\b)(?![a-z])"), _spoken),
    (re.compile(rf"(?P<h>{ENGLISH})(?=\s+(?:in the (?:morning|afternoon|evening)|at night)\b)"), _spoken),
    (re.compile(r"(?:at\s+)?(?:noon|midday)\b"), _noon),
    (re.compile(r"(?:at\s+)?midnight\b|午夜"), _midnight),
)
