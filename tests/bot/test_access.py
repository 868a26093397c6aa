"""Roles and ownership, as tables."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bot import access
from bot.commands import (
    Ask,
    Cancel,
    Command,
    Conversation,
    Help,
    Jobs,
    New,
    Pause,
    QuotaGrant,
    QuotaSet,
    QuotaShow,
    Redo,
    Resume,
    SetRole,
    Status,
)
from storage.records import ChatType, Job, JobState, Kind, Origin, Role, Unit, User

NOW = datetime(2026, 11, 21, tzinfo=UTC)
FOR_ALL = [
    Ask(question="?"),
    Conversation(text="?"),
    Help(),
    Jobs(),
    New(),
    Status(),
    Cancel(job=1),
    Redo(job=1),
    QuotaShow(),
]
FOR_ADMINS = [
    QuotaShow(who="x"),
    QuotaSet(who="x", unit=Unit.DRAW, amount=1, period="day"),
    QuotaGrant(who="x", unit=Unit.DRAW, amount=1),
    SetRole(who="x", role=Role.USER),
    Pause(),
    Resume(),
]


def person(role: Role = Role.USER, *, number: int = 1, banned: bool = False) -> User:
    return User(id=number, name="x", role=role, department="", banned=banned, created_at=NOW)


def job(owner: int, kind: Kind = Kind.DRAW) -> Job:
    origin = Origin(platform="web", chat_id="c", chat_type=ChatType.DIRECT, message_id="m", sender="x")
    return Job(
        id=7,
        kind=kind,
        user_id=owner,
        state=JobState.DONE,
        params={},
        origin=origin,
        cost=1,
        weight=1.0,
        priority=0,
        vtag=0.0,
        batch_key="",
        attempt=1,
        lost=0,
        token="",
        cancel_requested=False,
        parent_id=None,
        result=None,
        error=None,
        cause=None,
        created_at=NOW,
        not_before=None,
        started_at=None,
        finished_at=None,
    )


@pytest.mark.parametrize("command", FOR_ALL, ids=lambda c: type(c).__name__)
@pytest.mark.parametrize("role", Role)
def test_everybody_may(command: Command | Conversation, role: Role) -> None:
    assert access.allowed(person(role), command) is None


@pytest.mark.parametrize("command", FOR_ADMINS, ids=lambda c: type(c).__name__)
@pytest.mark.parametrize(("role", "may"), [(Role.USER, False), (Role.REVIEWER, False), (Role.ADMIN, True)])
def test_only_admins_may(command: Command, role: Role, may: bool) -> None:
    refusal = access.allowed(person(role), command)
    assert (refusal is None) is may
    if refusal:
        assert refusal.code == "not_admin"
        assert refusal.detail["command"].startswith("/")


@pytest.mark.parametrize("command", [*FOR_ALL, *FOR_ADMINS], ids=lambda c: type(c).__name__)
def test_the_banned_may_nothing(command: Command | Conversation) -> None:
    refusal = access.allowed(person(Role.ADMIN, banned=True), command)
    assert refusal is not None
    assert refusal.code == "banned"


@pytest.mark.parametrize(
    ("who", "kind", "cancel", "redo"),
    [
        (person(number=1), Kind.DRAW, None, None),
        (person(number=2), Kind.DRAW, "not_yours", "not_yours"),
        (person(Role.REVIEWER, number=2), Kind.DRAW, "not_yours", "not_yours"),
        (person(Role.ADMIN, number=2), Kind.DRAW, None, None),
        (person(number=1), Kind.ASK, None, "not_a_picture"),
        (person(number=2), Kind.ASK, "not_yours", "not_yours"),
    ],
)
def test_jobs_belong_to_their_owner(who: User, kind: Kind, cancel: str | None, redo: str | None) -> None:
    stopped, again = access.cancel(who, job(1, kind)), access.redo(who, job(1, kind))
    assert (stopped.code if stopped else None) == cancel
    assert (again.code if again else None) == redo


def test_a_job_that_does_not_exist_is_nobodys() -> None:
    assert access.cancel(person(), None) is None
    assert access.redo(person(), None) is None
