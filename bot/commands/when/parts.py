"""Parts of the day, and what a number of hours means in each. Pure tables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

#: Hour as said -> (days later, hour of the day). An hour that is not there contradicts the part: 早上15点.
Hours = Mapping[int, tuple[int, int]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A part of the day."""

    default: int  # the hour meant when none is said
    hours: Hours
    wanders: bool = False  # its small hours may belong to the night before or after the day named with it


def _same(*ranges: range) -> dict[int, tuple[int, int]]:
    return {hour: (0, hour) for hours in ranges for hour in hours}


def _noon_on(hours: range) -> dict[int, tuple[int, int]]:
    return {hour: (0, hour + 12) for hour in hours}


_MIDNIGHT = {0: (1, 0), 12: (1, 0), 24: (1, 0)}
_SMALL = {hour: (1, hour) for hour in range(1, 5)}

DAWN = Part(default=2, hours=_same(range(7)) | {12: (0, 0), 24: (0, 0)})
MORNING = Part(default=9, hours=_same(range(13)))
NOON = Part(default=12, hours=_same(range(10, 15)) | _noon_on(range(1, 4)))
AFTERNOON = Part(default=15, hours=_same(range(12, 20)) | _noon_on(range(1, 12)))
EVENING = Part(default=20, hours=_same(range(16, 24)) | _noon_on(range(4, 12)) | _MIDNIGHT)
DUSK = replace(EVENING, default=18)
NIGHT = Part(default=20, hours=_same(range(17, 24)) | _noon_on(range(5, 12)) | _SMALL | _MIDNIGHT)
LATE = Part(
    default=23,
    hours=_same(range(20, 24)) | _noon_on(range(7, 12)) | _MIDNIGHT | _SMALL | {5: (1, 5), 6: (1, 6)},
    wanders=True,
)
AM = Part(default=9, hours=_same(range(12)) | {12: (0, 0)})
PM = Part(default=15, hours=_same(range(12, 24)) | _noon_on(range(1, 12)))

_HOUR = r"\s*[\d一二两三四五六七八九十]{1,3}\s*[点时:]"

#: Words of a part, longest first where one begins another.
_WORDS: tuple[tuple[str, Part], ...] = (
    (r"凌晨|清晨(?=\s*[1-4一二三四]点)|拂晓", DAWN),
    (r"清晨|清早|早晨|早上(?!好)|上午|早间", MORNING),
    (r"中午(?!饭)|正午|晌午", NOON),
    (r"下午(?!茶)|午后", AFTERNOON),
    (r"傍晚|黄昏", DUSK),
    (r"晚上(?!好)|晚间|夜晚", NIGHT),
    (rf"夜里|半夜|深夜|午夜(?={_HOUR})", LATE),
    (rf"早(?={_HOUR}|\s|$)", MORNING),
    (rf"晚(?={_HOUR}|\s|$)", NIGHT),
    (r"(?:in the |at )?\bmornings?\b", MORNING),
    (r"(?:in the )?\bafternoons?\b", AFTERNOON),
    (r"(?:in the )?\bevenings?\b", EVENING),
    (r"(?:at |in the )?\bnights?\b", NIGHT),
)
_PATTERNS = tuple((re.compile(words), part) for words, part in _WORDS)


def read_part(text: str, pos: int) -> tuple[Part, int] | None:
    """The part of the day that stands at `pos`, and where it ends."""
    for pattern, part in _PATTERNS:
        match = pattern.match(text, pos)
        if match:
            return part, match.end()
    return None
