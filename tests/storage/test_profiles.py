"""Profiles and begun logins, the same on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from storage import logins, profiles, users
from storage.database import Database
from storage.records import Department, Identity, Membership, Profile

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ALICE = Identity(platform="feishu", external_id="ou_alice")
GUEST = Identity(platform="feishu", external_id="ou_guest")
DESIGN = Department(id="od-2", name="设计部", above=(("od-1", "产品中心"),))


@pytest.fixture
def db(migrated_url: str) -> Iterator[Database]:
    with Database.open(migrated_url) as opened:
        yield opened


def test_who_is_to_be_looked_up(db: Database) -> None:
    day = timedelta(days=1)
    for identity in (ALICE, GUEST):
        db.run_sync(users.resolve, identity, "", NOW)
    db.run_sync(profiles.note, GUEST, "other", True)

    def due(at: datetime) -> list[str]:
        return db.read_sync(profiles.outdated, "feishu", ["ou_alice", "ou_guest", "ou_nobody"], at - day)

    assert due(NOW) == ["ou_alice"]
    db.run_sync(profiles.keep, [Profile(identity=ALICE, name="王小墨", departments=(DESIGN,), fetched_at=NOW)])
    assert due(NOW + day) == []
    assert due(NOW + day + timedelta(seconds=1)) == ["ou_alice"]


def test_what_is_kept_comes_back(db: Database) -> None:
    person = db.run_sync(users.resolve, ALICE, "", NOW)
    told = Profile(identity=ALICE, name="王小墨", departments=(DESIGN,), union_id="on_1", fetched_at=NOW)
    db.run_sync(profiles.keep, [told])
    db.run_sync(profiles.greet, ALICE, "王墨", "on_1", "tenant")
    found = db.read_sync(profiles.get, ALICE)
    assert found == Profile(
        identity=ALICE, name="王墨", departments=(DESIGN,), union_id="on_1", tenant_key="tenant", fetched_at=NOW
    )
    names = frozenset({"设计部", "产品中心", "feishu:od-1", "feishu:od-2"})
    assert db.read_sync(profiles.membership, person.id) == Membership(departments=names)
    renamed = db.read_sync(users.get, person.id)
    assert renamed is not None
    assert (renamed.name, renamed.department, renamed.department_set) == ("王墨", "设计部", False)


def test_an_outsider_is_told_once_an_hour(db: Database) -> None:
    minutes = [0, 30, 59, 60, 61, 121]
    told = [db.run_sync(profiles.tell, GUEST, "other", NOW + timedelta(minutes=n)) for n in minutes]
    assert told == [True, False, False, True, False, True]


def test_organisations_and_external_groups(db: Database) -> None:
    assert db.read_sync(profiles.tenant, "feishu") == ""
    for key in ("t1", "t2"):
        db.run_sync(profiles.keep_tenant, "feishu", key)
    assert db.read_sync(profiles.tenant, "feishu") == "t2"
    for _ in range(2):
        db.run_sync(profiles.note_external, "feishu", "oc_1")
    assert db.read_sync(profiles.is_external, "feishu", "oc_1")
    assert not db.read_sync(profiles.is_external, "feishu-design", "oc_1")


def test_a_login_comes_back_once_to_its_browser(db: Database) -> None:
    back = "https://moqi.example/login/feishu"
    state, browser = db.run_sync(logins.begin, "feishu", back, NOW)
    assert db.run_sync(logins.finish, "feishu", state, browser, NOW) == back
    assert db.run_sync(logins.finish, "feishu", state, browser, NOW) is None
    state, browser = db.run_sync(logins.begin, "feishu", back, NOW)
    assert db.run_sync(logins.finish, "feishu", state, "another", NOW) is None
    assert db.run_sync(logins.finish, "feishu", state, browser, NOW) is None  # whatever came of it, it is used up
    state, browser = db.run_sync(logins.begin, "feishu", back, NOW)
    assert db.run_sync(logins.finish, "feishu", state, browser, NOW + logins.LASTS) is None
