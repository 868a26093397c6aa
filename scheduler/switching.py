"""Choosing another model while the program runs: what stands in the rows. bot/switcher.py brings the engine there.

    choose      an admin's wish: a row with a version that every process follows; the lane says that it is under way
    settle      the first process that draws with it ends the switch
    take_back   it cannot be loaded: the one before is chosen again, for every process

Jobs are not touched: they wait in their places, and what runs is finished by the model it began with.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from storage import audit, jobs, models
from storage.dialect import serialise
from storage.models import Chosen
from storage.records import Kind, Origin

SYSTEM = "system"
DEFAULT = "default"  # how the audit log calls what model.yaml says


def choose(conn: Connection, name: str, actor: str, now: datetime, *, origin: Origin | None = None) -> Chosen:
    """Choose the model that draws; empty = what model.yaml says."""
    serialise(conn, f"lane:{Kind.DRAW}")
    old = models.chosen(conn, Kind.DRAW)
    before = old.name if old.settled else old.before
    audit.append(conn, actor, "model.use", f"model:{name or DEFAULT}", {"before": before or DEFAULT}, now)
    choice = Chosen(
        version=old.version + 1, name=name, before=before, actor=actor, at=now, origin=origin, settled=False
    )
    _put(conn, choice, switching=True)
    return choice


def settle(conn: Connection, version: int) -> Chosen | None:
    """A process draws with this choice; None when one did before, or another was chosen since."""
    serialise(conn, f"lane:{Kind.DRAW}")
    if not models.settle(conn, Kind.DRAW, version):
        return None
    _mark(conn, switching=False)
    return models.chosen(conn, Kind.DRAW)


def take_back(conn: Connection, version: int, problem: str, now: datetime) -> Chosen | None:
    """Choose again what was in use before a choice that cannot be loaded; None when another was chosen since.

    Returns the choice that failed.
    """
    serialise(conn, f"lane:{Kind.DRAW}")
    failed = models.chosen(conn, Kind.DRAW)
    if failed.version != version:
        return None
    back = failed.before if failed.before != failed.name else ""
    detail = {"problem": problem, "back": back or DEFAULT}
    audit.append(conn, SYSTEM, "model.failed", f"model:{failed.name or DEFAULT}", detail, now)
    if not failed.name:  # there is nothing further to go back to: the engine says what is wrong
        _put(conn, replace(failed, settled=True), switching=False)
    else:
        again = Chosen(version=version + 1, name=back, actor=SYSTEM, at=now, settled=False)
        _put(conn, again, switching=True)
    return failed


def _put(conn: Connection, choice: Chosen, *, switching: bool) -> None:
    models.choose(conn, Kind.DRAW, choice)
    _mark(conn, switching=switching)


def _mark(conn: Connection, *, switching: bool) -> None:
    """Tell those who wait; what was learned of another model's pace is forgotten."""
    jobs.lane(conn, Kind.DRAW)
    jobs.set_lane(conn, Kind.DRAW, switching=switching, samples=0)
