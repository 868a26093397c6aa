"""Rules and windows as JSON values for a table's column, and back. Pure; rubbish gets a BadRule or BadWindow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from typing import Any, cast

from scheduler.calendar.errors import BadRule, BadWindow
from scheduler.calendar.rules import (
    EveryCron,
    EveryDay,
    EveryInterval,
    EveryMonth,
    EveryWeek,
    EveryWorkday,
    Once,
    Rule,
)
from scheduler.calendar.windows import Window
from scheduler.calendar.workdays import Country

Json = dict[str, Any]


def to_json(rule: Rule) -> Json:
    """`rule` as a dictionary of plain JSON values; "rule" names its kind."""
    match rule:
        case Once():
            return {"rule": "once", "at": _instant_out(rule.at)}
        case EveryDay():
            return {"rule": "day", "times": _times_out(rule.times), **_step_out(rule.step, rule.start)}
        case EveryWeek():
            return {
                "rule": "week",
                "weekdays": list(rule.weekdays),
                "times": _times_out(rule.times),
                **_step_out(rule.step, rule.start),
            }
        case EveryWorkday():
            return {"rule": "workday", "times": _times_out(rule.times), "country": rule.country}
        case EveryMonth():
            return {"rule": "month", "days": list(rule.days), "times": _times_out(rule.times)}
        case EveryInterval():
            return {"rule": "interval", "minutes": rule.minutes, "start": _instant_out(rule.start)}
        case EveryCron():
            return {"rule": "cron", "expression": rule.expression}


def from_json(value: object) -> Rule:
    """The rule that `to_json` wrote. Raises BadRule for anything else."""
    if not isinstance(value, Mapping) or str(value.get("rule")) not in _READERS:
        raise BadRule(f"no rule: {str(value)[:80]}; its kind must be one of {', '.join(_READERS)}")
    fields = {name: part for name, part in value.items() if name != "rule"}
    try:
        return _READERS[value["rule"]](fields)
    except BadRule:
        raise
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
        raise BadRule(f"no rule: {str(value)[:80]} ({error})") from error


def window_to_json(window: Window) -> Json:
    """`window` as a dictionary of plain JSON values."""
    return {"opens": _time_out(window.opens), "closes": _time_out(window.closes), "weekdays": list(window.weekdays)}


def window_from_json(value: object) -> Window:
    """The window that `window_to_json` wrote. Raises BadWindow for anything else."""
    try:
        fields = cast(Json, value)
        weekdays = tuple(fields["weekdays"])
        return Window(opens=_time_in(fields["opens"]), closes=_time_in(fields["closes"]), weekdays=weekdays)
    except BadWindow:
        raise
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise BadWindow(f"no window: {str(value)[:80]} ({error})") from error


def _once(fields: Json) -> Rule:
    return Once(at=_instant_in(fields.pop("at")), **fields)


def _day(fields: Json) -> Rule:
    return EveryDay(times=_times_in(fields.pop("times")), start=_date_in(fields.pop("start", None)), **fields)


def _week(fields: Json) -> Rule:
    return EveryWeek(
        weekdays=tuple(fields.pop("weekdays")),
        times=_times_in(fields.pop("times")),
        start=_date_in(fields.pop("start", None)),
        **fields,
    )


def _workday(fields: Json) -> Rule:
    return EveryWorkday(times=_times_in(fields.pop("times")), country=cast(Country, fields.pop("country")), **fields)


def _month(fields: Json) -> Rule:
    return EveryMonth(days=tuple(fields.pop("days")), times=_times_in(fields.pop("times")), **fields)


def _interval(fields: Json) -> Rule:
    return EveryInterval(start=_instant_in(fields.pop("start")), **fields)


def _cron(fields: Json) -> Rule:
    return EveryCron(**fields)


_READERS: dict[str, Callable[[Json], Rule]] = {
    "once": _once,
    "day": _day,
    "week": _week,
    "workday": _workday,
    "month": _month,
    "interval": _interval,
    "cron": _cron,
}


def _step_out(step: int, start: date | None) -> Json:
    return {"step": step, "start": start.isoformat() if start else None}


def _time_out(clock: time) -> str:
    return clock.strftime("%H:%M")


def _times_out(times: tuple[time, ...]) -> list[str]:
    return [_time_out(clock) for clock in times]


def _instant_out(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _time_in(text: str) -> time:
    return time.fromisoformat(text)


def _times_in(texts: list[str]) -> tuple[time, ...]:
    return tuple(_time_in(text) for text in texts)


def _date_in(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)


def _instant_in(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC) if datetime.fromisoformat(text).tzinfo else _naive(text)


def _naive(text: str) -> datetime:
    raise BadRule(f"{text} has no time zone")
