"""A reservation as a card, in any state, and what is said when one of its times was not run. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from bot.commands.when import Problem
from bot.replies import rhythm
from bot.replies.cards import particulars
from bot.replies.language import Language, short
from bot.reply import Button, Reply
from scheduler.calendar import EveryWorkday, Once, Opening, Rule, from_json, known_until, next_after, upcoming
from storage.records import Occurrence, Reservation, ReservationState

PROMPT_SHOWN = 300
FIRINGS = 3  # shown of those to come
_OPEN = (ReservationState.PROPOSED, ReservationState.ACTIVE, ReservationState.PAUSED)


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """What a card says beside the reservation itself."""

    now: datetime
    cost: int | None  # units of one firing with the present model; None: there is none
    notes: tuple[str, ...] = ()
    asked: Problem | None = None  # what its owner is to choose
    full: Opening | None = None  # the opening that was meant, and has no room
    groups: tuple[str, ...] = ()  # that are given its pictures, too
    hours: tuple[str, ...] = ()  # in which alone it may start, when it falls due outside them


def card(reservation: Reservation, words: Language, shown: Shown) -> Reply:
    """What was understood, the next three firings with weekday and zone, the price, and what can be done."""
    zone, rule = ZoneInfo(reservation.zone), from_json(reservation.rule)
    asking = bool(reservation.choices) and reservation.state in _OPEN
    text = _prompt(reservation)
    if asking:
        text = f"{text}\n{_question(words, reservation, shown, zone)}"
    return Reply(
        title=words.say(
            "reservation.choose" if asking else f"reservation.{reservation.state.value}", id=reservation.id
        ),
        state="cancelled" if reservation.state is ReservationState.CANCELLED else "",
        text=text,
        fields=_fields(reservation, words, shown, rule, zone),
        buttons=_choices(reservation, words, shown, zone) if asking else _buttons(reservation, words, rule),
        note=_notes(reservation, words, shown, rule, zone),
    )


def not_fired(reservation: Reservation, words: Language, fate: Occurrence, why: str) -> Reply:
    """Why one of its times was not run, and when the next one is."""
    zone, rule = ZoneInfo(reservation.zone), from_json(reservation.rule)
    late = rhythm.lateness(words, fate.at - fate.due_at)
    key = f"not_fired.{fate.reason}"
    because = words.say(key, late=late) if words.knows(key) else why
    when = rhythm.instant(words, fate.due_at, zone, fate.at)
    text = words.say("not_fired.text", what=_prompt(reservation), when=when, why=because)
    following = next_after(rule, fate.at, zone)
    if following is not None:
        text = f"{text}\n{words.say('not_fired.next', when=rhythm.instant(words, following, zone, fate.at))}"
    return Reply(title=words.say("not_fired", id=reservation.id), state="failed", text=text)


def row(reservation: Reservation, words: Language, now: datetime) -> str:
    """One line of /jobs."""
    zone = ZoneInfo(reservation.zone)
    next_at = reservation.next_at if reservation.state is ReservationState.ACTIVE else None
    when = rhythm.instant(words, next_at, zone, now) if next_at else said(reservation, words, now)
    state = words.say(f"reservation.state.{reservation.state.value}")
    if reservation.choices and next_at is None:
        when = " / ".join(rhythm.rule(words, from_json(choice), zone, now) for choice in reservation.choices)
        state = words.say("reservation.state.choosing")
    return words.say(
        "reservations.row",
        id=reservation.id,
        state=state,
        when=when,
        what=short(str(reservation.params["prompt"]), 40),
    )


def said(reservation: Reservation, words: Language, now: datetime) -> str:
    """When it fires, in words: its window, or its rule."""
    zone, rule = ZoneInfo(reservation.zone), from_json(reservation.rule)
    if reservation.closes_at is not None and isinstance(rule, Once):
        return rhythm.opening(words, rule.at, reservation.closes_at, zone, now)
    return rhythm.rule(words, rule, zone, now)


def _prompt(reservation: Reservation) -> str:
    return short(str(reservation.params["prompt"]), PROMPT_SHOWN)


def _question(words: Language, reservation: Reservation, shown: Shown, zone: ZoneInfo) -> str:
    if shown.asked is not None and shown.asked.code == "time_past":
        asked, following = (rhythm.instant(words, at, zone, shown.now) for at in shown.asked.instants)
        return words.say("reservation.ask.past", asked=asked, next=following)
    return words.say("reservation.ask")


def _fields(
    reservation: Reservation, words: Language, shown: Shown, rule: Rule, zone: ZoneInfo
) -> tuple[tuple[str, str], ...]:
    fields = []
    if not reservation.choices:
        fields.append((words.say("field.when"), said(reservation, words, shown.now)))
        coming = _coming(reservation, rule, zone, shown.now)
        if coming and not isinstance(rule, Once):
            listed = " · ".join(rhythm.instant(words, at, zone, shown.now) for at in coming)
            fields.append((words.say("field.coming"), listed))
    fields.append((words.say("field.zone"), reservation.zone))
    if reservation.state in _OPEN:
        fields.append((words.say("field.price"), _price(words, shown.cost, rule)))
        fields.append((words.say("field.late"), _late(words, reservation)))
    params = reservation.params
    fields.append((words.say("field.size"), f"{params['width']}x{params['height']}"))
    if params["count"] > 1:
        fields.append((words.say("field.count"), str(params["count"])))
    fields += [(words.say("field.to"), words.listed(shown.groups))] if shown.groups else []
    return (*fields, *particulars(params, words))


def _coming(reservation: Reservation, rule: Rule, zone: ZoneInfo, now: datetime) -> list[datetime]:
    return upcoming(rule, now, zone, FIRINGS) if reservation.state in _OPEN else []


def _price(words: Language, cost: int | None, rule: Rule) -> str:
    if cost is None:
        return words.say("price.unknown")
    return words.say("price.once" if isinstance(rule, Once) else "price.each", cost=cost)


def _late(words: Language, reservation: Reservation) -> str:
    if reservation.closes_at is not None:
        return words.say("late.window")
    if reservation.late_limit is None:
        return words.say("late.run")
    return words.say("late.skip", time=rhythm.lateness(words, timedelta(seconds=reservation.late_limit)))


def _choices(reservation: Reservation, words: Language, shown: Shown, zone: ZoneInfo) -> tuple[Button, ...]:
    labels = [rhythm.rule(words, from_json(choice), zone, shown.now) for choice in reservation.choices]
    made = [_button("choose", reservation, words, label=label, choice=n) for n, label in enumerate(labels)]
    return (*made, _button("time", reservation, words), _button("cancel", reservation, words, style="danger"))


def _buttons(reservation: Reservation, words: Language, rule: Rule) -> tuple[Button, ...]:
    change, cancel = _button("time", reservation, words), _button("cancel", reservation, words, style="danger")
    match reservation.state:
        case ReservationState.PROPOSED:
            return (_button("confirm", reservation, words, style="primary"), change, cancel)
        case ReservationState.ACTIVE if not isinstance(rule, Once):
            return (_button("pause", reservation, words), change, cancel)
        case ReservationState.ACTIVE:
            return (change, cancel)
        case ReservationState.PAUSED:
            return (_button("resume", reservation, words, style="primary"), change, cancel)
    return ()


def _button(
    act: str, reservation: Reservation, words: Language, *, style: str = "default", label: str = "", choice: int = 0
) -> Button:
    value = {"reservation": reservation.id, "version": reservation.version, "choice": choice}
    label = label or words.say(f"button.res_{act}")
    return Button(action=f"res_{act}", label=label, value=value, style=style)


def _notes(reservation: Reservation, words: Language, shown: Shown, rule: Rule, zone: ZoneInfo) -> str:
    if reservation.state not in _OPEN:
        return ""
    notes = [words.say(f"note.{name}", time=_clock(reservation, rule, zone)) for name in shown.notes]
    if shown.full is not None:
        full = rhythm.instant(words, shown.full.opens, zone, shown.now)
        notes.append(words.say("note.window_full", when=full))
    guess = _guessed_from(reservation, rule, zone, shown.now)
    notes += [words.say("note.holidays", year=guess)] if guess else []
    notes += [words.say("note.reserved_hours", hours=words.listed(shown.hours))] if shown.hours else []
    notes += [words.say("note.unconfirmed")] if reservation.state is ReservationState.PROPOSED else []
    return " · ".join(notes)


def _clock(reservation: Reservation, rule: Rule, zone: ZoneInfo) -> str:
    return f"{rule.at.astimezone(zone):%H:%M}" if isinstance(rule, Once) else ""


def _guessed_from(reservation: Reservation, rule: Rule, zone: ZoneInfo, now: datetime) -> int | None:
    """The last year whose holidays are known, when firings shown lie beyond it."""
    last = known_until(rule.country) if isinstance(rule, EveryWorkday) else None
    if last is None:
        return None
    beyond = any(at.astimezone(zone).year > last for at in _coming(reservation, rule, zone, now))
    return last if beyond else None
