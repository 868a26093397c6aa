"""What happens around chats: the bot comes into one, somebody opens one, the bot is taken out.

A chat that is gone takes nothing: what waits there for somebody's eyes is cancelled and costs nothing, what was booked
there rests until its owner says otherwise, and each of them hears of it directly, once.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection

from bot import bans
from bot.context import Handled, House
from bot.delivery import reply_row
from bot.events import ChatEvent
from bot.ordering import BOOKED
from bot.replies import hello
from scheduler import queue
from scheduler.reservations import OPEN, cancel, pause
from storage import chats, jobs, outbox, reservations
from storage.chats import ChatState
from storage.records import ChatType, JobState, Origin, ReservationState

GONE = "chat_gone"  # why something stopped: see bot.replies
_OUT = {"left": ChatState.REMOVED, "disbanded": ChatState.DISBANDED}


@dataclass(slots=True)
class Stopped:
    """What stopped of one person's."""

    origin: Origin
    paused: list[int] = field(default_factory=list)  # reservations that can be resumed
    dropped: list[int] = field(default_factory=list)  # proposals
    cancelled: list[int] = field(default_factory=list)  # jobs


def deal(conn: Connection, house: House, event: ChatEvent, now: datetime) -> Handled:
    """Deal with a chat's event."""
    where = event.platform, event.origin.chat_id
    name = str(event.value.get("name", ""))
    if event.action in _OUT:
        if not chats.moved(conn, *where, _OUT[event.action], name, event.at):
            return Handled(outcome="ignored:known already")
        return _stop(conn, house, event, now)
    if event.action == "entered" and (known := chats.get(conn, *where)) is not None and known.greeted_at is not None:
        return Handled(outcome="ignored:greeted before")
    if not chats.moved(conn, *where, ChatState.MEMBER, name, event.at):
        return Handled(outcome="ignored:known already")
    return _greet(conn, house, event, now)


def _greet(conn: Connection, house: House, event: ChatEvent, now: datetime) -> Handled:
    """Hello, the first time; later only what has stopped meanwhile."""
    rests = [
        one.id
        for one in reservations.in_chat(conn, event.platform, event.origin.chat_id, (ReservationState.PAUSED,))
        if one.reason == GONE
    ]
    if chats.greet(conn, event.platform, event.origin.chat_id, now):
        group = event.origin.chat_type is ChatType.GROUP
        return Handled(outcome="reply", reply=hello.greeting(house.words, group, house.rules.practice, rests))
    if rests:
        return Handled(outcome="reply", reply=hello.back(house.words, rests))
    return Handled(outcome="ignored:greeted before")


def _stop(conn: Connection, house: House, event: ChatEvent, now: datetime) -> Handled:
    actor = f"{event.platform}:chat"
    stopped: dict[int, Stopped] = {}
    for found in reservations.in_chat(conn, event.platform, event.origin.chat_id, OPEN):
        _rest(conn, stopped, found.id, actor, now)
    running = _cancel(conn, stopped, event, actor, now)
    for user_id, mine in sorted(stopped.items()):
        reply = hello.gone(
            house.words,
            str(event.value.get("name", "")),
            disbanded=event.action == "disbanded",
            paused=mine.paused,
            dropped=mine.dropped,
            cancelled=mine.cancelled,
        )
        mark = hashlib.sha256(event.key.encode()).hexdigest()[:16]
        reply_row(conn, f"gone-{mark}-{user_id}", mine.origin, reply, now)
    return Handled(outcome=f"ignored:{event.action}", stop=running)


def _rest(conn: Connection, stopped: dict[int, Stopped], number: int, actor: str, now: datetime) -> None:
    """Let a reservation rest. What its owner had paused already stays so; what nobody confirmed is dropped."""
    held = reservations.lock(conn, number)
    if held is None or held.state.terminal or held.state is ReservationState.PAUSED:
        return
    mine = stopped.setdefault(held.user_id, Stopped(_direct(held.origin)))
    if held.state is ReservationState.PROPOSED:
        cancel(conn, held, actor, now, reason=GONE)
        mine.dropped.append(held.id)
    else:
        pause(conn, held, actor, now, reason=GONE)
        mine.paused.append(held.id)


def _cancel(
    conn: Connection, stopped: dict[int, Stopped], event: ChatEvent, actor: str, now: datetime
) -> tuple[int, ...]:
    """Cancel what was ordered there; what was booked goes to its owner instead. Returns those that still run."""
    running = []
    for job in jobs.in_chat(conn, event.platform, event.origin.chat_id, bans.UNDER_WAY):
        if BOOKED in job.params or job.cancel_requested:
            continue
        if queue.cancel(conn, job, actor, now, why=GONE) is JobState.RUNNING:
            running.append(job.id)
        elif (outcome := outbox.by_key(conn, queue.message_key(job.id, "outcome"))) is not None:
            outbox.gave_up(conn, outcome.id, f"the bot is no longer in chat {event.origin.chat_id}", {})
        stopped.setdefault(job.user_id, Stopped(_direct(job.origin))).cancelled.append(job.id)
    return tuple(running)


def _direct(origin: Origin) -> Origin:
    """To the person alone."""
    return Origin(platform=origin.platform, chat_id="", chat_type=ChatType.DIRECT, message_id="", sender=origin.sender)
