"""/draw --at, /draw --every and /reserve: a picture for later; and what is done with a reservation afterwards."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from bot import access, booking, ordering, privacy, remix
from bot.booking import Understood, Wanted
from bot.commands import OnReservation, Reserve, Retime
from bot.commands.when import Problem
from bot.context import Context, Handled
from bot.groups import TO
from bot.handlers.draw import refused
from bot.replies.booked import Shown
from bot.reply import Reply
from scheduler import hours
from scheduler import reservations as acts
from scheduler.calendar import from_json, next_after, window_to_text
from scheduler.policy import Refusal
from scheduler.reservations import Booking
from storage import outbox, reservations
from storage.records import Kind, Origin, Reservation, ReservationState


def reserve(ctx: Context, command: Reserve) -> Handled:
    """Propose a reservation: its card says what was understood and asks for a confirmation."""
    if ctx.event.platform == "terminal":
        return refused(ctx, Refusal(code="reserve_terminal"))
    params = remix.ordered(ctx, command.draw)
    if isinstance(params, Refusal):
        return refused(ctx, params)
    params |= {TO: command.to} if command.to else {}
    origin = privacy.place(ctx.house, params, ctx.event.origin)
    if isinstance(origin, Refusal):
        return refused(ctx, origin)
    wanted = Wanted(kind=Kind.DRAW, work=ordering.work(params))
    zone = _zone(ctx)
    found = (
        booking.every(command.every, zone, ctx.now)
        if command.every
        else booking.at(ctx.conn, command.at, wanted, zone, ctx.now)
    )
    if not isinstance(found, Understood):
        return _not_understood(ctx, found)
    kept = acts.propose(
        ctx.conn,
        Booking(
            user=ctx.user,
            kind=wanted.kind,
            origin=origin,
            params=params,
            work=wanted.work,
            when=found.when,
            late_limit=None if command.late is None else timedelta(minutes=command.late),
        ),
        ctx.house.policy,
        ctx.now,
    )
    if isinstance(kept, Refusal):
        return refused(ctx, kept)
    # The event is known by its reservation: whoever takes the message back takes back what it ordered.
    return replace(_new_card(ctx, kept, found), outcome=f"reservation:{kept.id}")


def retime(ctx: Context, command: Retime) -> Handled:
    """Give a reservation another time: a proposal is shown again, what is booked is booked anew at once."""
    held = _own(ctx, command.reservation)
    if isinstance(held, Refusal):
        return refused(ctx, held)
    wanted = Wanted(kind=held.kind, work=held.work, reservation=held.id)
    found = booking.whenever(ctx.conn, command.when, wanted, ZoneInfo(held.zone), ctx.now)
    if not isinstance(found, Understood):
        return _not_understood(ctx, found)
    changed = acts.change(ctx.conn, held, found.when, _actor(ctx), ctx.now)
    return refused(ctx, changed) if isinstance(changed, Refusal) else _new_card(ctx, changed, found)


def act(ctx: Context, command: OnReservation) -> Handled:
    """Confirm, choose, pause, resume or cancel; the card that shows the reservation is brought up to date."""
    held = _own(ctx, command.reservation)
    if isinstance(held, Refusal):
        return refused(ctx, held)
    if command.act == "time":
        reply = ctx.house.words.how_to_retime(held)
        return _said(ctx, held, reply, "info")
    done = _act(ctx, held, command)
    if isinstance(done, Refusal):
        return refused(ctx, done)
    if done == held:
        return _said(ctx, done, Reply(text=ctx.house.words.already_done()), "info")
    moved = command.act == "confirm" and done.state is ReservationState.PROPOSED
    _revise(ctx, done, notes=("window_filled",) if moved else ())
    reply = ctx.house.words.reservation_done(done, "filled" if moved else command.act, ctx.now)
    return _said(ctx, done, reply, "warning" if moved else "success")


def _act(ctx: Context, held: Reservation, command: OnReservation) -> Reservation | Refusal:
    actor = _actor(ctx)
    match command.act:
        case "confirm":
            return acts.confirm(ctx.conn, held, command.version, actor, ctx.now)
        case "choose":
            return acts.choose(ctx.conn, held, command.version or 0, command.choice, actor, ctx.now)
        case "cancel":
            return acts.cancel(ctx.conn, held, actor, ctx.now)
        case "pause":
            return acts.pause(ctx.conn, held, actor, ctx.now)
        case "resume":
            return acts.resume(ctx.conn, held, actor, ctx.now)
    raise ValueError(f"unknown act {command.act!r}")


def _own(ctx: Context, number: int) -> Reservation | Refusal:
    """The reservation, locked, if this person may do something with it."""
    found = reservations.lock(ctx.conn, number)
    refusal = access.reservation(ctx.user, found)
    if found is None:
        return Refusal(code="unknown_reservation", detail={"reservation": number})
    return refusal or found


def _not_understood(ctx: Context, found: Problem | Refusal) -> Handled:
    if isinstance(found, Refusal):
        return refused(ctx, found)
    reply = ctx.house.words.when_problem(found)
    return Handled(outcome=f"refused:{found.code}", reply=reply, toast=("warning", reply.text))


def _new_card(ctx: Context, reservation: Reservation, found: Understood) -> Handled:
    """Show a reservation in a message of its own."""
    cost = ordering.price(ctx.house, reservation.params)
    origin = privacy.place(ctx.house, reservation.params, ctx.event.origin)
    if isinstance(origin, Refusal):
        return refused(ctx, origin)
    shown = Shown(now=ctx.now, cost=cost, notes=found.notes, asked=found.asked, full=found.full)
    shown = _completed(ctx, reservation, shown)
    key = _post(ctx, reservation, shown, origin)
    reply = None if origin == ctx.event.origin else ctx.house.words.taken_privately()
    return Handled(outcome="reply", reply=reply, card=key, arm=_alarm(reservation))


def _revise(ctx: Context, reservation: Reservation, notes: tuple[str, ...] = ()) -> None:
    """Bring the card that shows a reservation up to date."""
    shown = Shown(now=ctx.now, cost=ordering.price(ctx.house, reservation.params), notes=notes)
    shown = _completed(ctx, reservation, shown)
    _post(ctx, reservation, shown, reservation.origin, replaces=reservation.card)


def _completed(ctx: Context, reservation: Reservation, shown: Shown) -> Shown:
    return replace(shown, hours=_hours(ctx, reservation), groups=ctx.house.groups.given(reservation.params))


def _hours(ctx: Context, reservation: Reservation) -> tuple[str, ...]:
    """The hours of reserved work, when its next time lies outside them."""
    due = next_after(from_json(reservation.rule), ctx.now, ZoneInfo(reservation.zone))
    outside = due is not None and hours.starts(ctx.house.policy, due) is not None
    return tuple(window_to_text(window) for window in ctx.house.policy.reserved) if outside else ()


def _post(ctx: Context, reservation: Reservation, shown: Shown, origin: Origin, replaces: str = "") -> str:
    body = ctx.house.words.reservation(reservation, shown).to_json()
    key = f"res-{reservation.id}-{hashlib.sha256(ctx.key.encode()).hexdigest()[:16]}"
    slot = "revision" if replaces else "reply"
    outbox.add(ctx.conn, key, origin, slot=slot, body=body, now=ctx.now, replaces=replaces)
    reservations.change(ctx.conn, reservation, card=key)
    return key


def _said(ctx: Context, reservation: Reservation, reply: Reply, kind: str) -> Handled:
    """A word about what was done: the toast of a button, the answer to a command."""
    toast = (kind, reply.text)
    return Handled(outcome="reply", reply=reply, toast=toast, arm=_alarm(reservation))


def _alarm(reservation: Reservation) -> tuple[tuple[int, datetime], ...]:
    if reservation.state is not ReservationState.ACTIVE or reservation.next_at is None:
        return ()
    return ((reservation.id, reservation.next_at),)


def _zone(ctx: Context) -> ZoneInfo:
    return ZoneInfo(str(ctx.house.policy.timezone))


def _actor(ctx: Context) -> str:
    return f"user:{ctx.user.id}"
