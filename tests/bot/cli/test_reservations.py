"""Reservations on the command line."""

from __future__ import annotations

from datetime import timedelta

from bot.cli.common import Exit
from scheduler import firing
from scheduler.calendar import Once
from storage.records import utcnow
from tests.bot.cli.installation import Installation
from tests.scheduler.booked import POLICY, Front, booked, once, person


def test_they_are_listed_shown_and_cancelled(moqi: Installation) -> None:
    now = utcnow()
    with moqi.database() as db:
        anna, bert = person(db, "anna"), person(db, "bert")
        past = once(db, anna, now - timedelta(minutes=5)).id
        mine = once(db, bert, now + timedelta(days=1)).id
        db.run_sync(firing.fire, past, Front(cost=99), POLICY, now)
    assert [one["reservation"] for one in moqi("reservations", "list", "--json").json] == [mine, past]
    assert [one["who"] for one in moqi("reservations", "list", "--state", "active", "--json").json] == ["bert"]
    assert [one["state"] for one in moqi("reservations", "list", "--who", "web:anna", "--json").json] == ["ended"]
    assert f"r{mine}\tactive\tbert" in moqi("reservations", "list").out
    [fate] = moqi("reservations", "show", str(past), "--json").json["occurrences"]
    assert (fate["fate"], fate["reason"], fate["job"]) == ("refused", "quota", None)
    assert "refused" in moqi("reservations", "show", str(past)).out
    assert moqi("reservations", "cancel", str(mine)).out == f"reservation {mine}: cancelled\n"
    assert [one["state"] for one in moqi("reservations", "list", "--json").json] == ["cancelled", "ended"]
    [entry] = [one for one in moqi("audit", "list", "--json").json if one["action"] == "reservation.cancel"]
    assert entry["subject"] == f"reservation:{mine}"
    assert moqi("verify").code == Exit.DONE


def test_what_cannot_be_done_says_so(moqi: Installation) -> None:
    with moqi.database() as db:
        number = booked(db, person(db), Once(at=utcnow() + timedelta(days=1)), utcnow()).id
    moqi("reservations", "cancel", str(number))
    again = moqi("reservations", "cancel", str(number))
    assert (again.code, "over already" in again.err) == (Exit.REFUSED, True)
    unknown = moqi("reservations", "show", "99")
    assert (unknown.code, "moqi reservations list" in unknown.err) == (Exit.USAGE, True)
    assert moqi("reservations", "list", "--state", "sleeping").code == Exit.USAGE
