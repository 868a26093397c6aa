"""What a part of the day and a clock time can mean together: a day's shift and a time each. Pure.

The rules, in the order of their strength:

- A colon is the clock of 24 hours: 9:00 is in the morning, whenever it is said.
- A part of the day (早上, 下午, tonight, pm) decides; an hour that it does not have is impossible.
- 12 without a part is noon, 0 and 13 to 24 are what they are.
- A bare hour from 1 to 11 (8点, at 8) is literal or twelve hours later; whoever knows the day chooses.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import time

from bot.commands.when.clocks import Clock
from bot.commands.when.parts import Part

#: The hour meant by a day without a time.
DEFAULT_HOUR = 9


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """A time of the day, so many days after the day it was said with."""

    clock: time
    shift: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Readings:
    """Everything a time can mean. More than one: `bare` for halves of the day, else days."""

    options: tuple[Reading, ...]
    bare: bool = False
    default: bool = False  # no time was said


def readings(clock: Clock | None, part: Part | None) -> Readings | None:
    """What `clock` in `part` of the day can mean; None when there is no such time."""
    if clock is None:
        hour = part.default if part else DEFAULT_HOUR
        return Readings(options=(Reading(clock=time(hour)),), default=True)
    if not clock.exists:
        return None
    if clock.midnight:
        ends = (Reading(clock=time(), shift=1),)
        return Readings(options=ends if part else (Reading(clock=time()), *ends))
    if part:
        return _in_part(clock, part)
    if clock.bare and 1 <= clock.hour <= 11:
        return Readings(options=(_at(clock, clock.hour), _at(clock, clock.hour + 12)), bare=True)
    return Readings(options=(_at(clock, clock.hour),))


def _in_part(clock: Clock, part: Part) -> Readings | None:
    if clock.hour not in part.hours:
        return None
    shift, hour = part.hours[clock.hour]
    reading = _at(clock, hour, shift)
    if part.wanders and shift:
        return Readings(options=(_at(clock, hour), reading))
    return Readings(options=(reading,))


def _at(clock: Clock, hour: int, shift: int = 0) -> Reading:
    return Reading(clock=time(hour % 24, clock.minute, clock.second), shift=shift + hour // 24)
