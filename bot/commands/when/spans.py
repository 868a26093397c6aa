"""Lengths of time from now: 两个半小时后, 2h后, in an hour and a half, in 3 days. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta

from bot.commands.when.numbers import CHINESE, ENGLISH, number


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """Time from now: `elapsed` by the stopwatch, days and months by the calendar."""

    elapsed: timedelta = timedelta()
    days: int = 0
    months: int = 0


#: Unit as written -> seconds of the stopwatch.
_SECONDS = {"秒": 1, "分": 60, "刻": 900, "时": 3600, "s": 1, "m": 60, "h": 3600}
_DAYS = {"天": 1, "周": 7, "d": 1, "w": 7}
_MONTHS = {"月": 1, "年": 12, "n": 1, "y": 12}

#: Pattern -> unit. Whole words, so that 2 hats is no time.
_UNITS: tuple[tuple[str, str], ...] = (
    ("小时|钟头|个钟(?!头)", "时"),
    ("刻钟", "刻"),
    ("分钟|分(?!之)", "分"),
    ("秒钟?", "秒"),
    ("天|日", "天"),
    ("周|星期|礼拜", "周"),
    ("个月", "月"),
    ("年(?![底末初代级])", "年"),
    (r"(?:hours?|hrs?|h)(?![a-z])", "h"),
    (r"(?:minutes?|mins?|m)(?![a-z])", "m"),
    (r"(?:seconds?|secs?|s)(?![a-z])", "s"),
    (r"(?:days?|d)(?![a-z])", "d"),
    (r"(?:weeks?|w)(?![a-z])", "w"),
    (r"months?(?![a-z])", "n"),
    (r"years?(?![a-z])", "y"),
)
_UNIT = "|".join(f"(?P<u{i}>{words})" for i, (words, _) in enumerate(_UNITS))
_COUNT = rf"(?P<n>半|\d{{1,3}}\.\d{{1,2}}(?!\d)|{CHINESE}|{ENGLISH}|half(?: an?)?\b|an?\b)"
_PIECE = re.compile(
    rf"{_COUNT}\s*(?P<half>个半(?=小|钟|月)|个(?![月钟])|and a half\b)?\s*(?:{_UNIT})"
    rf"(?P<tail>半(?!小|个|分|身)|\s+and\s+a\s+half\b)?"
)
_BETWEEN = re.compile(r"\s*(?:,|and\s|零|又)?\s*")
_BEFORE = re.compile(r"(?:再?过|in\s+|after\s+)\s*")
_AFTER = re.compile(r"\s*(?:之后|以后|过后|后|from now\b|later\b)")


def read_span(text: str, pos: int) -> tuple[Span, int] | None:
    """The time from now that stands at `pos`, and where it ends. It must say that it is from now."""
    before = _BEFORE.match(text, pos)
    found = read_length(text, before.end() if before else pos)
    if found is None or found[0] == Span():
        return None
    span, end = found
    after = _AFTER.match(text, end)
    if after:
        return span, after.end()
    return (span, end) if before else None


def read_length(text: str, pos: int) -> tuple[Span, int] | None:
    """The length of time that stands at `pos`: up to four pieces such as 2小时30分钟."""
    total, end = None, pos
    for _ in range(4):
        between = _BETWEEN.match(text, end) if total else None
        match = _PIECE.match(text, between.end() if between else end)
        piece = _piece(match) if match else None
        if match is None or piece is None:
            break
        total, end = _sum(total or Span(), piece), match.end()
    return (total, end) if total else None


def _piece(match: re.Match[str]) -> Span | None:
    unit = next(name for i, (_, name) in enumerate(_UNITS) if match[f"u{i}"])
    count = _count(match["n"])
    if count is None:
        return None
    if match["half"] in ("个半", "and a half") or match["tail"]:
        count += 0.5
    if unit in _SECONDS:
        return Span(elapsed=timedelta(seconds=count * _SECONDS[unit]))
    if count != int(count):
        return _half_day(count, unit)
    return Span(days=int(count) * _DAYS[unit]) if unit in _DAYS else Span(months=int(count) * _MONTHS[unit])


def _half_day(count: float, unit: str) -> Span | None:
    """Half days are hours; half weeks and months are nobody's date."""
    return Span(elapsed=timedelta(days=count)) if unit in "天d" else None


def _count(text: str) -> float | None:
    if text == "半" or text.startswith("half"):
        return 0.5
    if text in ("a", "an"):
        return 1
    return float(text) if "." in text else number(text)


def _sum(a: Span, b: Span) -> Span:
    return Span(elapsed=a.elapsed + b.elapsed, days=a.days + b.days, months=a.months + b.months)
