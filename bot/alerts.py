"""What is wrong with a platform or an engine, told to the admins and to the groups that are named for it: once an hour
and cause, through whatever still works."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Collection
from dataclasses import replace
from datetime import tzinfo

from sqlalchemy import Connection

from bot.delivery import reply_row
from bot.groups import origin
from bot.replies.language import Language
from bot.reply import Reply
from storage import audit, links, outbox, users
from storage.jobs import Lane
from storage.records import ChatType, Identity, Origin, utcnow

log = logging.getLogger("moqi.alerts")

#: E-mail addresses, phone numbers, and what platforms call people, chats and messages.
_PERSONAL = re.compile(
    r"[\w.+-]+@[\w-]+\.[\w.-]+|(?<!\d)1\d{10}(?!\d)|\b(?=\w*\d)[A-Za-z0-9_-]{15,}|\bo[a-z]_[\w-]{4,}"
)

CAUSE = 72  # characters of a subject and problem that tell one cause from another; what follows may differ each time


def tell_admins(
    conn: Connection,
    words: Language,
    platform: str,
    problem: str,
    *,
    working: bool,
    through: Collection[str],
    groups: Collection[str] = (),
) -> None:
    """Put the problem of a `platform` into the outbox for every admin on the platforms it may go `through`, and for
    the `groups` of these names, who are told nothing about anybody.

    `working`: messages arrive all the same.
    """
    named = words.say(f"platform.{platform}") if words.knows(f"platform.{platform}") else platform
    text = words.say("alert.working" if working else "alert.text", platform=named, problem=problem)
    reply = Reply(title=words.say("alert.title", platform=named), state="failed", text=text)
    public = replace(reply, text=words.say("alert.group", platform=named, problem=impersonal(problem)))
    if _tell(conn, f"{platform}/{problem}", reply, public, through, _able(groups, problem)):
        log.error("%s: %s", platform, problem, extra={"action": "platform-problem"})
        audit.append(conn, "delivery", "platform.problem", platform, {"problem": problem}, utcnow())


def tell_resting(
    conn: Connection,
    words: Language,
    lane: Lane,
    zone: tzinfo,
    *,
    through: Collection[str],
    groups: Collection[str] = (),
) -> bool:
    """The same of an engine that rests because job after job failed. Nothing is put into the outbox for one that works.

    Groups are not told the cause: it may be anything an engine says. Returns whether there is something to send.
    """
    if lane.open_until is None or lane.open_until <= utcnow():
        return False
    kind = lane.kind.value
    until = words.moment(lane.open_until.astimezone(zone))
    text = words.say(f"alert.resting.{kind}", n=lane.failures, until=until)
    reply = Reply(
        title=words.say(f"alert.resting.{kind}.title"),
        state="failed",
        text=f"{text}\n{words.say('alert.resting.cause', cause=lane.cause)}\n\n{words.say('alert.resting.step')}",
    )
    public = replace(reply, text=f"{text}\n\n{words.say('alert.resting.step')}")
    told = _tell(conn, f"{kind} rests/{lane.cause}", reply, public, through, groups)
    if told:
        log.error("%s rests after %d failures: %s", kind, lane.failures, lane.cause, extra={"action": "engine-rests"})
        audit.append(conn, "scheduler", "queue.rests", f"lane:{kind}", {"failures": lane.failures}, utcnow())
    return told


def _tell(
    conn: Connection, cause: str, reply: Reply, public: Reply, through: Collection[str], groups: Collection[str]
) -> bool:
    """Put it into the outbox for the admins, and `public` for the groups; False where they know it, or nobody can be
    told."""
    now = utcnow()
    key, people = f"alert-{_key(cause)}-{now:%Y%m%d%H}", _reachable(conn, through)
    told = [*people, *groups]
    if not told or any(outbox.by_key(conn, f"{key}-{number}") is not None for number in range(len(told))):
        return False
    for number, (user_id, identity) in enumerate(people):
        reply_row(conn, f"{key}-{number}", directly(user_id, identity), reply, now)
    for number, name in enumerate(groups, len(people)):
        reply_row(conn, f"{key}-{number}", origin(name), public, now)
    return True


def impersonal(problem: str) -> str:
    """A problem without what may name somebody: the platform's own words, ids, addresses, numbers. Pure."""
    return _PERSONAL.sub("…", problem.partition("; it said:")[0])


def _able(groups: Collection[str], problem: str) -> list[str]:
    """Those that can be told: not the one that the problem is about."""
    return [name for name in groups if f"“{name}”" not in problem]


def _key(cause: str) -> str:
    return hashlib.sha256(cause[:CAUSE].encode()).hexdigest()[:10]


def _reachable(conn: Connection, through: Collection[str]) -> list[tuple[int, Identity]]:
    return [
        (admin.id, identity)
        for admin in users.admins(conn)
        for identity in links.addresses(conn, admin.id)
        if identity.platform in through
    ]


def directly(user_id: int, identity: Identity) -> Origin:
    """A direct chat: on the web it is the person's own page, elsewhere whoever has this id."""
    return Origin(
        platform=identity.platform,
        chat_id=str(user_id) if identity.platform == "web" else "",
        chat_type=ChatType.DIRECT,
        message_id="",
        sender=identity.external_id,
    )
