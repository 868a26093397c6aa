"""One time out of a phrase: `parse_time` and what it is built of. Pure; now and zone are arguments.

When a phrase can mean two instants, one is chosen where any reasonable person would choose it, else both are readings:

- No day: a bare hour (8点) is today's if still ahead; 1 to 6, once past, is this afternoon's; else it is a question.
  Everything else is the next such time.
- A day: a bare hour from 7 to 11 is in the morning; from 1 to 6 it is a question. Today, what is past is not meant.
- "next friday" within this week, a weekend, midnight with a day, 夜里两点 with a day: a question.
- 周五, 12月25日, 25号: the next one whose time is ahead; a bare hour that passed today is a question here too.
- 这周五, 今天, 月底: that day, and past is past. When no time was said, the rest of today counts.
- 12/5 is 5 December, as in China; 25/12 can only be 25 December.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, tzinfo

from bot.commands.clean import clean
from bot.commands.flags import clip
from bot.commands.when.dates import Dates, dates
from bot.commands.when.days import Later, Offset, Vague
from bot.commands.when.phrase import Phrase
from bot.commands.when.readings import Reading, Readings, readings
from bot.commands.when.values import At, Note, Problem
from scheduler.calendar.local import instant, is_repeated, is_skipped, local

#: Nothing is booked further ahead.
FARTHEST = timedelta(days=400)
#: Until this hour "tomorrow" may be said by somebody who has not slept yet.
_SMALL_HOURS = 4
#: A bare hour from here on, with a day, is in the morning.
_FIRST_MORNING_HOUR = 7
_DAY = timedelta(days=1)

#: A date and a time that a phrase can mean.
Option = tuple[date, time]


def resolve(phrase: Phrase, said: str, now: datetime, zone: tzinfo) -> At | Problem:
    """The instant that `phrase` means at `now` in `zone`, or why there is none. `said` is the phrase as written."""
    try:
        return _checked(_resolve(phrase, said, now, zone), now)
    except OverflowError:  # a date beyond the calendar's end
        return Problem(code="date_impossible", values={"given": clip(said)})


def _resolve(phrase: Phrase, said: str, now: datetime, zone: tzinfo) -> At | Problem:
    if phrase.instant:
        return _exact(phrase.instant.astimezone(UTC), now, zone)
    if phrase.span:
        return At(at=_after(phrase, now, zone))
    times = _times(phrase, now, zone)
    if times is None:
        return Problem(code="time_impossible", values={"given": clip(said)})
    if isinstance(phrase.day, Vague):
        return Problem(code="day_missing", values={"given": clip(said)})
    if phrase.day is None:
        return _without_day(phrase, times, now, zone)
    days = dates(phrase.day, local(now, zone).date())
    if not days.options:
        return Problem(code="date_impossible", values={"given": clip(said)})
    return _with_day(phrase, days, times, now, zone)


def _times(phrase: Phrase, now: datetime, zone: tzinfo) -> Readings | None:
    if isinstance(phrase.day, Later) and phrase.clock is None and phrase.part is None:
        same = local(now, zone).time().replace(microsecond=0)
        return Readings(options=(Reading(clock=same),))
    return readings(phrase.clock, phrase.part)


def _after(phrase: Phrase, now: datetime, zone: tzinfo) -> datetime:
    assert phrase.span
    span = phrase.span
    start = now.astimezone(UTC).replace(microsecond=0)
    if span.days or span.months:
        day = dates(Later(span=span), local(now, zone).date()).options[0]
        start = instant(day, local(start, zone).time(), zone)
    return start + span.elapsed


def _exact(moment: datetime, now: datetime, zone: tzinfo) -> At | Problem:
    if moment > now:
        return At(at=moment)
    return _past(moment, local(moment, zone).time(), _DAY, now, zone)


def _without_day(phrase: Phrase, times: Readings, now: datetime, zone: tzinfo) -> At | Problem:
    today = local(now, zone).date()
    literal = times.options[0].clock
    if times.default and instant(today, literal, zone) <= now:
        rest = _rest_of_today(phrase, now, zone)
        if rest:
            return rest
    if times.bare and instant(today, literal, zone) <= now:
        later = times.options[1].clock
        if literal.hour >= _FIRST_MORNING_HOUR or instant(today, later, zone) <= now:
            return _ambiguous([_next(option.clock, now, zone) for option in times.options])
        literal = later
    return _told(_next_day(literal, now, zone), literal, zone, _notes_without_day(times, literal, now, zone))


def _next_day(clock: time, now: datetime, zone: tzinfo) -> date:
    today = local(now, zone).date()
    return today if instant(today, clock, zone) > now else today + _DAY


def _next(clock: time, now: datetime, zone: tzinfo) -> datetime:
    return instant(_next_day(clock, now, zone), clock, zone)


def _notes_without_day(times: Readings, clock: time, now: datetime, zone: tzinfo) -> tuple[Note, ...]:
    default: tuple[Note, ...] = ("default_time",) if times.default else ()
    # Midnight always is tomorrow's, and nobody needs to be told.
    tomorrow = clock != time() and _next_day(clock, now, zone) > local(now, zone).date()
    return (*default, "next_day") if tomorrow else default


def _with_day(phrase: Phrase, days: Dates, times: Readings, now: datetime, zone: tzinfo) -> At | Problem:
    tonight = phrase.day == Offset(days=0)
    shifted = _shifted(times, tonight=tonight)
    options = [(day + reading.shift * _DAY, reading.clock) for day in days.options for reading in shifted]
    ahead = [option for option in options if instant(*option, zone) > now]
    if not ahead:
        return _too_late(phrase, days, times, options[-1], now, zone)
    chosen = _choose(ahead, days, times, tonight=tonight)
    if len(chosen) > 1:
        return _ambiguous([instant(*option, zone) for option in chosen])
    return _told(*chosen[0], zone, _notes_with_day(phrase, times, now, zone))


def _shifted(times: Readings, *, tonight: bool) -> tuple[Reading, ...]:
    """The readings; said in the small hours, tonight's small hours may be today's."""
    first = times.options[0]
    if tonight and len(times.options) == 1 and first.shift:
        return (Reading(clock=first.clock), first)
    return times.options


def _choose(ahead: list[Option], days: Dates, times: Readings, *, tonight: bool) -> list[Option]:
    """The options that a reasonable person could mean."""
    if tonight:
        return ahead[:1]
    literal = times.options[0].clock
    if times.bare and literal.hour >= _FIRST_MORNING_HOUR:
        mornings = [option for option in ahead if option[1] == literal]
        if not days.rolling:
            return mornings or ahead
        # Said on Wednesday at ten, 周三9点 is tonight or in a week; on any other day it is in the morning.
        return list(dict.fromkeys([ahead[0], *mornings[:1]]))
    return [option for option in ahead if _near(option, ahead[0], times)] if days.rolling else ahead


def _near(option: Option, first: Option, times: Readings) -> bool:
    """Whether both are readings of the same day."""
    spread = max(reading.shift for reading in times.options)
    return (option[0] - first[0]).days <= spread


def _too_late(phrase: Phrase, days: Dates, times: Readings, last: Option, now: datetime, zone: tzinfo) -> At | Problem:
    """Every reading is past, unless no time was said and some of the day is left."""
    today = days.options[-1] == local(now, zone).date()
    rest = _rest_of_today(phrase, now, zone) if times.default and today else None
    return rest or _past(instant(*last, zone), last[1], days.again, now, zone)


def _rest_of_today(phrase: Phrase, now: datetime, zone: tzinfo) -> At | None:
    """The next full hour, if it is still of today and of the part of the day that was said."""
    now_local = local(now, zone)
    hour = now_local.hour + 1
    if hour > 23 or (phrase.part and (0, hour) not in phrase.part.hours.values()):
        return None
    return _told(now_local.date(), time(hour), zone, ("default_time",))


def _past(moment: datetime, clock: time, again: timedelta, now: datetime, zone: tzinfo) -> Problem:
    """What was asked for, and the next such time: as many whole steps later as it takes."""
    day = local(moment, zone).date()
    steps = max(1, (local(now, zone).date() - day) // again)
    while instant(day + steps * again, clock, zone) <= now:
        steps += 1
    return Problem(code="time_past", instants=(moment, instant(day + steps * again, clock, zone)))


def _notes_with_day(phrase: Phrase, times: Readings, now: datetime, zone: tzinfo) -> tuple[Note, ...]:
    notes: list[Note] = ["default_time"] if times.default else []
    relative = isinstance(phrase.day, Offset) and phrase.day.days > 0
    if relative and local(now, zone).hour < _SMALL_HOURS:
        notes.append("after_midnight")
    return tuple(notes)


def _told(day: date, clock: time, zone: tzinfo, notes: tuple[Note, ...]) -> At:
    extra: tuple[Note, ...] = ()
    if is_skipped(day, clock, zone):
        extra = ("gap_moved",)
    elif is_repeated(day, clock, zone):
        extra = ("fold_first",)
    return At(at=instant(day, clock, zone), notes=(*notes, *extra))


def _ambiguous(moments: list[datetime]) -> Problem:
    return Problem(code="time_ambiguous", instants=tuple(sorted(set(moments)))[:3])


def _checked(result: At | Problem, now: datetime) -> At | Problem:
    if isinstance(result, At) and result.at - now > FARTHEST:
        return Problem(code="time_too_far", instants=(result.at,), values={"days": str(FARTHEST.days)})
    return result


def tidy(text: str) -> str:
    """`text` without what people put around a phrase: blanks, and a full stop at its end."""
    return clean(text).strip().rstrip("。.!！?？ ")
