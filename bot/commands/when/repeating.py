"""A rule out of a recurrence as written. Pure; now and zone are arguments.

Without a time it is 9:00 (每晚 20:00). A bare hour from 7 to 12 is the morning's; one from 1 to 6 is a question, for
nobody plans three at night without saying so, but somebody may. A second bare hour stays in the first one's part of the
day (下午2点和4点). 每隔两天 leaves out two days, so it is every third.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, time, timedelta, tzinfo
from itertools import pairwise

from bot.commands.flags import clip
from bot.commands.when.clocks import Clock
from bot.commands.when.cycles import Repeat, Said
from bot.commands.when.parts import Part
from bot.commands.when.readings import Reading, Readings, readings
from bot.commands.when.values import Code, Problem
from scheduler.calendar import (
    BadRule,
    Country,
    EveryCron,
    EveryDay,
    EveryInterval,
    EveryMonth,
    EveryWeek,
    EveryWorkday,
    Rule,
    next_after,
    shortest_gap,
)
from scheduler.calendar.local import instant, local
from scheduler.calendar.months import last_of

_FIRST_MORNING_HOUR = 7


def resolve(
    repeat: Repeat, said: str, now: datetime, zone: tzinfo, country: Country, least: timedelta
) -> Rule | Problem:
    """The rule that `repeat` means, first firing after `now`, or why there is none. `said` is the phrase as written."""
    if repeat.kind == "interval":
        return _interval(repeat, said, now, zone, least)
    if repeat.kind == "cron":
        return _cron(repeat.expression, said, now, zone, least)
    times = [readings(clock, part) for part, clock in _carried(repeat)]
    known = [reading for reading in times if reading]
    if len(known) < len(times):
        return _problem("time_impossible", said)
    if not _exists(repeat):
        return _problem("date_impossible", said)
    if any(_leaves_its_day(repeat, options) for options in _choices(known)):
        return _problem("recurrence_next_day", said)
    rules = [_rule(repeat, options, now, zone, country) for options in _choices(known)]
    right = [rule for rule in rules if rule]
    if len(right) < len(rules):
        return _problem("recurrence_unreadable", said, near=clip(said))
    return _checked(right, said, now, zone, least)


def _checked(rules: Sequence[Rule], said: str, now: datetime, zone: tzinfo, least: timedelta) -> Rule | Problem:
    firings = [next_after(rule, now, zone) for rule in rules]
    instants = tuple(moment for moment in firings if moment)
    if len(instants) < len(rules):
        return _problem("recurrence_never", said)
    gap = min(shortest_gap(rule) or least for rule in rules)
    if gap < least:
        return _problem("recurrence_too_often", said, minutes=f"{least.total_seconds() / 60:g}")
    if len(rules) > 1:
        return Problem(code="recurrence_ambiguous", values={"given": clip(said)}, rules=tuple(rules), instants=instants)
    return rules[0]


def _problem(code: Code, said: str, **values: str) -> Problem:
    return Problem(code=code, values={"given": clip(said), **values})


# --- times ---


def _carried(repeat: Repeat) -> list[Said]:
    """The times, each with its part of the day: its own, or that of the time before."""
    times = list(repeat.times) or [(None, None)]
    if repeat.part and times[0][0] is None:
        times[0] = (repeat.part, times[0][1])
    carried = times[:1]
    for (_, first), (part, clock) in pairwise(times):
        inherited = carried[-1][0]
        if part is None and inherited and first and clock and _follows(first, clock, inherited):
            part = inherited
        carried.append((part, clock))
    return carried


def _follows(first: Clock, second: Clock, part: Part) -> bool:
    """Whether a bare hour goes on in the part of the day of the time before: 下午2点和4点, but not 早上9点和3点."""
    return second.bare and second.hour > first.hour and second.hour in part.hours


def _choices(times: Sequence[Readings]) -> list[list[Reading]]:
    """The literal times; and, when an hour of them is bare and small, those with it in the afternoon."""
    literal = [reading.options[0] for reading in times]
    small = [r.bare and r.options[0].clock.hour < _FIRST_MORNING_HOUR for r in times]
    if not any(small):
        return [literal]
    return [literal, [r.options[1] if s else first for r, s, first in zip(times, small, literal, strict=True)]]


# --- rules ---


def _exists(repeat: Repeat) -> bool:
    if repeat.kind == "year":
        return 1 <= repeat.month <= 12 and repeat.days[0] <= last_of(2024, repeat.month)
    return all(day == -1 or 1 <= day <= 31 for day in repeat.days)


def _leaves_its_day(repeat: Repeat, options: Sequence[Reading]) -> bool:
    """Whether a time lies on the day after (晚上12点), which only a rule of all days or of weekdays can say."""
    shifts = {option.shift for option in options}
    return shifts != {0} and repeat.kind != "day" and (repeat.kind != "week" or len(shifts) > 1)


def _rule(repeat: Repeat, options: Sequence[Reading], now: datetime, zone: tzinfo, country: Country) -> Rule | None:
    """The rule at the times of `options`; None when a step is out of bounds, or cron cannot name its times."""
    times = tuple(sorted({option.clock for option in options}))
    today = local(now, zone).date()
    try:
        match repeat.kind:
            case "day":
                return _anchored(EveryDay(times=times), repeat.step, now, zone)
            case "week":
                named = repeat.weekdays or (today.weekday(),)
                weekdays = tuple(sorted((day + options[0].shift) % 7 for day in named))
                return _anchored(EveryWeek(weekdays=weekdays, times=times), repeat.step, now, zone)
            case "workday":
                return EveryWorkday(times=times, country=country)
            case "month":
                return EveryMonth(days=repeat.days or (today.day,), times=times)
            case "nth":
                # Cron's names for them: 1#2 is the second Monday, 5L the last Friday.
                which = "L" if repeat.nth < 0 else f"#{repeat.nth}"
                return _by_cron(times, f"* * {repeat.weekdays[0] + 1}{which}")
            case "year":
                return _by_cron(times, f"{repeat.days[0]} {repeat.month} *")
            case _:
                return None
    except BadRule:
        return None


def _anchored(rule: EveryDay | EveryWeek, step: int, now: datetime, zone: tzinfo) -> Rule:
    """`rule` every `step` days or weeks, counted from the first time it could fire."""
    if step == 1:
        return rule
    first = next_after(rule, now, zone)
    assert first  # a rule without an end always fires again
    return replace(rule, step=step, start=local(first, zone).date())


def _by_cron(times: tuple[time, ...], days: str) -> Rule | None:
    """Cron names one minute for all its hours."""
    minutes = {clock.minute for clock in times}
    if len(minutes) > 1:
        return None
    hours = ",".join(str(clock.hour) for clock in times)
    return EveryCron(expression=f"{min(minutes)} {hours} {days}")


def _interval(repeat: Repeat, said: str, now: datetime, zone: tzinfo, least: timedelta) -> Rule | Problem:
    """Counted from the midnight before now, so that every hour is on the hour."""
    if timedelta(minutes=repeat.minutes) < least:
        return _problem("recurrence_too_often", said, minutes=f"{least.total_seconds() / 60:g}")
    today = local(now, zone).date()
    try:
        if repeat.minutes == int(repeat.minutes) and not repeat.times:
            return EveryInterval(minutes=int(repeat.minutes), start=instant(today, time(), zone))
    except BadRule:  # longer than a year
        pass
    return _problem("recurrence_unreadable", said, near=clip(said))


def _cron(expression: str, said: str, now: datetime, zone: tzinfo, least: timedelta) -> Rule | Problem:
    try:
        rule = EveryCron(expression=expression)
    except BadRule as error:
        return _problem("cron_wrong", said, why=str(error))
    return _checked([rule], said, now, zone, least)
