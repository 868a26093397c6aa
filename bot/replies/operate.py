"""How the house is doing and what admins did to it: /status, /kb, /pause, /resume, /ban and /unban. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from bot.replies import models
from bot.replies.language import Language, short
from bot.reply import Reply
from storage.records import Kind, User

if TYPE_CHECKING:  # for their names only
    from bot.engine import Engine
    from bot.kb_plan import Tally
    from scheduler.pausing import Hold


@dataclass(frozen=True, kw_only=True, slots=True)
class LaneStatus:
    """How a kind of work stands."""

    waiting: int
    running: int
    paused: bool = False
    failures: int = 0  # of the engine, one after the other
    resting_until: datetime | None = None  # it failed too often: nothing is started before; in the team's zone
    cause: str = ""  # of the last failure, for admins


@dataclass(frozen=True, kw_only=True, slots=True)
class Condition:
    """Everything /status says."""

    engines: Mapping[Kind, Engine]
    lanes: Mapping[Kind, LaneStatus]
    reservations: int  # that are to come
    next_at: datetime | None  # when the first of them fires, in the team's zone
    uptime: float  # seconds
    choice: models.Choice = field(default_factory=models.Choice)  # of the image model
    unmarked: tuple[str, ...] = ()  # where pictures bear no visible mark, for admins; * = by default


def held(words: Language, hold: Hold) -> str:
    """Why a waiting job does not start: 已暂停，恢复后继续."""
    if hold.until is None:
        return words.say(f"hold.{hold.why}")
    return words.say(f"hold.{hold.why}", until=words.moment(hold.until))


def status(words: Language, now: Condition) -> Reply:
    """Models, queues, reservations, and how long the program has been up."""
    fields = [(words.say(f"status.engine.{kind}"), engine(words, found)) for kind, found in now.engines.items()]
    fields += [(words.say(f"status.queue.{kind}"), _lane(words, lane)) for kind, lane in now.lanes.items()]
    if now.choice.at is not None:
        fields.append((words.say("status.chosen"), models.why(words, now.choice)))
    if now.reservations:
        coming = words.say("status.reservations.count", n=now.reservations)
        first = words.say("status.reservations.next", at=words.moment(now.next_at)) if now.next_at else ""
        fields.append((words.say("status.reservations"), coming + first))
    if now.unmarked:
        where = [words.say("status.unmarked.default") if one == "*" else one for one in now.unmarked]
        fields.append((words.say("status.unmarked"), words.say("status.unmarked.off", where=words.listed(where))))
    fields.append((words.say("status.uptime"), words.duration(now.uptime)))
    return Reply(title=words.say("status.title"), fields=tuple(fields))


def sources(words: Language, read: Sequence[Tally], documents: int, *, named: bool) -> Reply:
    """Where the knowledge base comes from, and how each source was read last."""
    fields = tuple((_source(words, one.source), _read(words, one)) for one in read)
    found = [pair for one in read for pair in one.why] if named else []
    why = [words.say("sources.left", name=short(name, 60), why=short(reason, 160)) for name, reason in found]
    left_out = "\n".join((words.say("sources.why"), *why[:WHY])) if why else ""
    text = "\n".join(filter(None, (words.say("sources.held", n=documents), left_out)))
    return Reply(title=words.say("sources.title"), text=text, fields=fields)


def _source(words: Language, name: str) -> str:
    kind, _, place = name.partition(":")
    if kind == "url":
        return words.say("sources.url", place=short(place.partition("://")[2], 40))
    return words.say(f"sources.{kind}", place=place.rpartition(":")[2][-6:])


def _read(words: Language, one: Tally) -> str:
    counts = [words.say(f"sources.{name}", n=value) for name in _COUNTED if (value := getattr(one, name))]
    said = words.say("sources.read", at=words.moment(one.at), counts=" · ".join(counts) or words.say("sources.nothing"))
    problem = " ".join(filter(None, (one.problem, one.note)))
    return said + (words.say("sources.problem", problem=short(problem, 200)) if problem else "")


WHY = 5  # pages that /kb names
_COUNTED = ("seen", "added", "changed", "moved", "unchanged", "deleted", "skipped", "failed")


def _lane(words: Language, lane: LaneStatus) -> str:
    said = words.say("status.queue", waiting=lane.waiting, running=lane.running)
    if lane.paused:
        said += words.say("status.paused")
    if lane.resting_until is not None:
        said += words.say("status.resting", n=lane.failures, until=words.moment(lane.resting_until))
    elif lane.failures:
        said += words.say("status.failing", n=lane.failures)
    return said + (words.say("status.cause", cause=short(lane.cause, 200)) if lane.cause else "")


def engine(words: Language, found: Engine) -> str:
    """What an engine is called and whether it works."""
    name = found.name
    if found.builtin:
        name = words.say("status.builtin", name=name)
    elif found.name == "extractive":
        name = words.say("status.extractive", name=name)
    problem = found.problem or words.say("status.no_cause")
    return words.say(f"status.{found.state}", name=name, problem=problem)


def paused(words: Language, kinds: Sequence[Kind], *, at_once: bool, running: int) -> Reply:
    """Nothing more is started; `running`: what goes on to its end, or was put back."""
    what = _what(words, kinds)
    if at_once:
        return Reply(text=words.say("paused.now", what=what, running=running))
    return Reply(text=words.say("paused", what=what, running=running))


def resumed(words: Language, kinds: Sequence[Kind]) -> Reply:
    return Reply(text=words.say("resumed", what=_what(words, kinds)))


def _what(words: Language, kinds: Sequence[Kind]) -> str:
    return words.listed([words.say(f"quota.{kind.value}") for kind in kinds])


def banned(words: Language, person: User, until: datetime | None, jobs: int) -> Reply:
    """Somebody is shut out; `until` is in the team's zone."""
    ends = words.say("ban.until", until=words.moment(until)) if until else words.say("ban.open")
    return Reply(text=words.say("banned", who=short(person.name, 40), until=ends, jobs=jobs))


def unbanned(words: Language, person: User) -> Reply:
    said = "unbanned" if person.banned else "unbanned.already"
    return Reply(text=words.say(said, who=short(person.name, 40)))


def shut_out(words: Language, reason: str, until: str) -> str:
    """What somebody is told who is banned; `until` is an ISO moment in the team's zone, or empty."""
    ends = words.say("refusal.banned.until", until=words.moment(datetime.fromisoformat(until))) if until else ""
    why = words.say("refusal.banned.reason", reason=short(reason, 200)) if reason else ""
    return words.say("refusal.banned", until=ends, reason=why)
