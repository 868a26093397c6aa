"""Opening hours as tables: who may order now, and when reserved work starts."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from scheduler import hours
from scheduler.calendar import window_from_text
from scheduler.policy import Policy
from storage.records import Role

BERLIN = ZoneInfo("Europe/Berlin")
OFFICE, NIGHT = (window_from_text(text) for text in ("mon-fri 09:00-18:00", "22:00-06:00"))
POLICY = Policy(
    timezone=BERLIN, allowances={}, interactive=(OFFICE,), reserved=(NIGHT,), exempt=frozenset({Role.ADMIN})
)
FREE = Policy(timezone=BERLIN, allowances={})


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN)


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        ("2026-11-20T17:59", None),  # a Friday
        ("2026-11-20T18:00", "2026-11-23T09:00:00+01:00"),
        ("2026-11-22T12:00", "2026-11-23T09:00:00+01:00"),
        ("2026-11-23T09:00", None),
        ("2026-03-27T20:00", "2026-03-30T09:00:00+02:00"),  # the clock is set forward in between
    ],
)
def test_who_comes_outside_the_hours_is_told_when_it_opens(now: str, opens: str | None) -> None:
    refusal = hours.closed(POLICY, Role.USER, at(now))
    assert (refusal.detail["opens"] if refusal else None) == opens
    if refusal:
        assert refusal.detail["hours"] == ["mon,tue,wed,thu,fri 09:00-18:00"]
    assert hours.closed(POLICY, Role.ADMIN, at(now)) is None
    assert hours.closed(FREE, Role.USER, at(now)) is None


@pytest.mark.parametrize(
    ("due", "starts"),
    [
        ("2026-11-21T12:00", "2026-11-21T22:00"),
        ("2026-11-21T22:00", None),
        ("2026-11-22T05:59", None),
        ("2026-11-22T06:00", "2026-11-22T22:00"),
    ],
)
def test_reserved_work_waits_for_its_hours(due: str, starts: str | None) -> None:
    assert hours.starts(POLICY, at(due)) == (None if starts is None else at(starts))
    assert hours.starts(FREE, at(due)) is None


def test_what_is_offered_is_the_first_time_that_reserved_work_may_start() -> None:
    evening, opens = at("2026-11-20T19:00"), at("2026-11-23T09:00")
    assert hours.bookable(POLICY, opens, evening) == at("2026-11-20T22:00")
    assert hours.bookable(FREE, opens, evening) == opens
    assert hours.bookable(POLICY, opens, evening + timedelta(hours=4)) == opens  # open already: then as asked
