"""Whose turn it is with the memory of a card that cannot hold both engines awake. Pure: a situation in, a move out.

People who ask are in a conversation and come first: pictures wait until nobody has asked for a moment. They do not wait
for ever: after `PICTURES_WAIT` no further question is begun, and at least one batch is drawn. Whoever asks meanwhile
waits for the end of that batch. When nobody draws any more the language model comes back by itself, so that the next
question finds it awake.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import inf

QUIET = 15.0  # seconds without a question after which no conversation is under way
PICTURES_WAIT = 30.0  # seconds that pictures wait at most for a conversation to pause
IDLE = 10.0  # seconds without a picture after which the language model is woken
BEGIN = 5.0  # seconds in which those who were given the memory must begin with it while others wait


class Holder(StrEnum):
    """Whose the memory is."""

    TEXT = "text"
    LENDING = "lending"  # the language model falls asleep
    PICTURES = "pictures"
    RETURNING = "returning"  # it wakes
    NOBODY = "nobody"  # the language model does not run: it starts, died, or cannot be started


class Move(StrEnum):
    """What is to be done now."""

    STAY = "stay"
    LEND = "lend"
    TAKE_BACK = "take back"


@dataclass(frozen=True, kw_only=True, slots=True)
class Demand:
    """How one side stands. Moments are seconds of one clock."""

    waiting: bool = False  # somebody waits for it to begin
    computing: bool = False  # it uses the memory now
    running: bool = False  # a job is under way which does, or will in a moment
    since: float = inf  # when somebody began to wait; infinity = nobody does
    used: float = -inf  # when it was last at work

    @property
    def wanted(self) -> bool:
        return self.waiting or self.computing or self.running


@dataclass(frozen=True, kw_only=True, slots=True)
class Situation:
    """Everything that a decision needs."""

    holder: Holder
    text: Demand
    pictures: Demand
    now: float
    moved: float = -inf  # when the memory last changed hands
    lend_after: float = -inf  # before this the language model is not put to sleep again: it could not be


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What is to be done, and who may begin something now."""

    move: Move = Move.STAY
    text: bool = False
    pictures: bool = False


def decide(at: Situation) -> Verdict:
    """The next move."""
    match at.holder:
        case Holder.TEXT:
            return _with_text(at)
        case Holder.PICTURES:
            return _with_pictures(at)
        case Holder.NOBODY:  # the gate keeps a start and a picture apart; who asks is told by the engine how it stands
            return Verdict(text=True, pictures=True)
        case _:
            return Verdict()  # it is on its way


def patience(at: Situation) -> float:
    """Seconds until pictures have the language model's memory, at most; handing it over not counted."""
    if not at.text.wanted and at.now - at.text.used >= QUIET:
        return 0.0
    return max(0.0, PICTURES_WAIT - max(0.0, at.now - at.pictures.since))


def _with_text(at: Situation) -> Verdict:
    if not at.pictures.wanted or at.now < at.lend_after:
        return Verdict(text=True)
    patient = at.now - at.pictures.since < PICTURES_WAIT
    if at.text.computing or at.text.running:
        return Verdict(text=patient)
    if patient and (at.text.waiting or at.now - at.text.used < QUIET):
        return Verdict(text=True)
    return Verdict(move=Move.LEND)


def _with_pictures(at: Situation) -> Verdict:
    if at.text.wanted:
        if at.pictures.computing:
            return Verdict()
        fresh = at.pictures.used < at.moved and at.now - at.moved < BEGIN
        return Verdict(pictures=True) if at.pictures.wanted and fresh else Verdict(move=Move.TAKE_BACK)
    if at.pictures.wanted or at.now - max(at.moved, at.pictures.used) < IDLE:
        return Verdict(pictures=True)
    return Verdict(move=Move.TAKE_BACK)
