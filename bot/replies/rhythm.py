"""When something fires, in words: instants with weekday, rules, windows. Pure."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from bot.replies.language import Language
from scheduler.calendar import (
    LAST_DAY,
    EveryCron,
    EveryDay,
    EveryInterval,
    EveryMonth,
    EveryWeek,
    EveryWorkday,
    Once,
    Rule,
)

_HOUR = 60


def instant(words: Language, at: datetime, zone: ZoneInfo, now: datetime) -> str:
    """11月23日 周一 09:00, with the year when it is not this one."""
    local = at.astimezone(zone)
    key = "time.day" if local.year == now.astimezone(zone).year else "time.day.year"
    weekday = words.say(f"weekday.{local.weekday()}")
    month = words.say(f"month.{local.month}")
    return words.say(key, year=local.year, month=month, day=local.day, weekday=weekday, clock=f"{local:%H:%M}")


def opening(words: Language, opens: datetime, closes: datetime, zone: ZoneInfo, now: datetime) -> str:
    """Any time from … to …"""
    return words.say("rule.window", opens=instant(words, opens, zone, now), closes=instant(words, closes, zone, now))


def rule(words: Language, value: Rule, zone: ZoneInfo, now: datetime) -> str:
    """A rule as a person would say it."""
    match value:
        case Once():
            return instant(words, value.at, zone, now)
        case EveryDay():
            return words.say(_stepped("rule.day", value.step), step=value.step, times=_times(words, value.times))
        case EveryWeek():
            days = words.listed([words.say(f"weekday.{day}") for day in value.weekdays])
            times = _times(words, value.times)
            return words.say(_stepped("rule.week", value.step), step=value.step, days=days, times=times)
        case EveryWorkday():
            return words.say(f"rule.workday.{value.country}", times=_times(words, value.times))
        case EveryMonth():
            # The last day is -1 and sorts first; people say it last.
            ordered = sorted(value.days, key=lambda day: (day == LAST_DAY, day))
            days = words.listed([_day(words, day) for day in ordered])
            return words.say("rule.month", days=days, times=_times(words, value.times))
        case EveryInterval():
            return words.say("rule.interval", time=_length(words, value.minutes))
        case EveryCron():
            return words.say("rule.cron", expression=value.expression)


def lateness(words: Language, late: timedelta) -> str:
    """A length of time to the minute: 12 分钟, 1 小时 5 分钟."""
    return _length(words, max(1, round(late.total_seconds() / 60)))


def _length(words: Language, minutes: int) -> str:
    if minutes >= 2 * 24 * _HOUR and minutes % (24 * _HOUR) == 0:
        return words.say("time.days", n=minutes // (24 * _HOUR))
    hours, rest = divmod(minutes, _HOUR)
    parts = [words.say("time.hours", n=hours)] if hours else []
    parts += [words.say("time.minutes", n=rest)] if rest or not hours else []
    return " ".join(parts)


def _stepped(key: str, step: int) -> str:
    return key if step == 1 else f"{key}s"


def _times(words: Language, times: tuple[time, ...]) -> str:
    return words.listed([f"{clock:%H:%M}" for clock in times])


def _day(words: Language, day: int) -> str:
    return words.say("rule.last_day") if day == LAST_DAY else words.say("rule.day_of_month", n=day)
