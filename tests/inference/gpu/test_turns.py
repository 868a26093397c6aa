"""Whose turn it is with the memory: a table of situations."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest

from inference.gpu.turns import (
    BEGIN,
    IDLE,
    PICTURES_WAIT,
    QUIET,
    Demand,
    Holder,
    Move,
    Situation,
    Verdict,
    decide,
    patience,
)

NOW = 1000.0
NOBODY = Demand()
WAITS = Demand(waiting=True, since=NOW - 1)
LONG = Demand(waiting=True, since=NOW - PICTURES_WAIT)
CLAIMED = Demand(running=True, since=NOW - 1)
COMPUTES = Demand(computing=True, running=True)
JUST_NOW = Demand(used=NOW - QUIET + 1)
LONG_AGO = Demand(used=NOW - QUIET)

TEXT, PICTURES = Verdict(text=True), Verdict(pictures=True)
LEND, BACK, DRAIN = Verdict(move=Move.LEND), Verdict(move=Move.TAKE_BACK), Verdict()


@pytest.mark.parametrize(
    ("text", "pictures", "verdict"),
    [
        (NOBODY, NOBODY, TEXT),
        (COMPUTES, NOBODY, TEXT),
        (WAITS, NOBODY, TEXT),
        (NOBODY, WAITS, LEND),
        (LONG_AGO, WAITS, LEND),
        (JUST_NOW, WAITS, TEXT),  # a conversation: perhaps the next question comes
        (WAITS, WAITS, TEXT),
        (CLAIMED, WAITS, TEXT),
        (COMPUTES, WAITS, TEXT),
        (JUST_NOW, LONG, LEND),  # they have waited enough
        (WAITS, LONG, LEND),
        (COMPUTES, LONG, DRAIN),  # what is being written is finished, nothing more is begun
        (CLAIMED, LONG, DRAIN),
    ],
)
def test_while_the_language_model_has_it(text: Demand, pictures: Demand, verdict: Verdict) -> None:
    situation = Situation(holder=Holder.TEXT, text=text, pictures=pictures, now=NOW)
    assert decide(situation) == verdict
    if verdict == LEND:  # not again at once, where it could not be put to sleep
        assert decide(replace(situation, lend_after=NOW + 1)) == TEXT


@pytest.mark.parametrize(
    ("text", "pictures", "lent", "verdict"),
    [
        (NOBODY, NOBODY, 0, PICTURES),
        (NOBODY, COMPUTES, 100, PICTURES),
        (NOBODY, WAITS, 100, PICTURES),
        (NOBODY, NOBODY, IDLE, BACK),  # the next question shall find it awake
        (NOBODY, Demand(used=NOW - IDLE + 1), 100, PICTURES),
        (NOBODY, Demand(used=NOW - IDLE), 100, BACK),
        (WAITS, NOBODY, 0, BACK),
        (WAITS, COMPUTES, 100, DRAIN),  # what is being drawn is finished, nothing more is begun
        (WAITS, replace(WAITS, used=NOW - 1), 100, BACK),
        (WAITS, replace(WAITS, used=NOW - 50), BEGIN - 1, PICTURES),  # it was lent for them, and they had nothing yet
        (WAITS, replace(CLAIMED, used=NOW - 50), BEGIN - 1, PICTURES),
        (WAITS, replace(WAITS, used=NOW - 50), BEGIN, BACK),  # they do not begin: whatever it is, people wait
        (CLAIMED, NOBODY, 100, BACK),
    ],
)
def test_while_pictures_have_it(text: Demand, pictures: Demand, lent: float, verdict: Verdict) -> None:
    situation = Situation(holder=Holder.PICTURES, text=text, pictures=pictures, now=NOW, moved=NOW - lent)
    assert decide(situation) == verdict


@pytest.mark.parametrize("holder", [Holder.LENDING, Holder.RETURNING])
def test_on_its_way_nobody_begins(holder: Holder) -> None:
    assert decide(Situation(holder=holder, text=WAITS, pictures=LONG, now=NOW)) == Verdict()


def test_without_a_language_model_nobody_waits_for_it() -> None:
    verdict = decide(Situation(holder=Holder.NOBODY, text=WAITS, pictures=WAITS, now=NOW))
    assert verdict == Verdict(text=True, pictures=True)


@pytest.mark.parametrize(
    ("text", "pictures", "seconds"),
    [
        (LONG_AGO, NOBODY, 0),
        (JUST_NOW, NOBODY, PICTURES_WAIT),
        (WAITS, WAITS, PICTURES_WAIT - 1),
        (COMPUTES, LONG, 0),
    ],
)
def test_how_long_pictures_may_have_to_wait(text: Demand, pictures: Demand, seconds: float) -> None:
    assert patience(Situation(holder=Holder.TEXT, text=text, pictures=pictures, now=NOW)) == seconds


@pytest.mark.parametrize("questions", [False, True])
def test_whatever_waits_gets_its_turn(questions: bool) -> None:
    """Both sides always want it: neither waits longer than it was promised."""
    holder, moved, text_since, pictures_since, used = Holder.TEXT, -inf, inf, 0.0, -inf
    turns: list[tuple[Holder, float]] = []
    for now in range(400):
        waiting = Demand(waiting=questions, since=text_since)
        drawing = Demand(waiting=True, since=pictures_since, used=used)
        move = decide(Situation(holder=holder, text=waiting, pictures=drawing, now=now, moved=moved)).move
        if move is Move.LEND:
            holder, moved = Holder.PICTURES, now
            turns.append((holder, now - pictures_since))
        elif move is Move.TAKE_BACK:
            holder, moved, pictures_since = Holder.TEXT, now, now
            turns.append((holder, now))
        if holder is Holder.PICTURES:
            used = now + 0.5
    assert max(waited for whose, waited in turns if whose is Holder.PICTURES) <= PICTURES_WAIT
    assert (len(turns) > 20) is questions, "pictures and questions take turns; without questions it is lent once"
