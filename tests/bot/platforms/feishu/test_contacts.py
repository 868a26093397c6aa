"""Who people are: what the directory tells is kept, what it does not tell is no error, and nobody waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.events import ChatEvent
from bot.platforms.feishu import contacts
from bot.platforms.feishu.client import FeishuClient
from bot.platforms.feishu.codes import Busy
from bot.platforms.feishu.directory import CALLS, Directory
from bot.platforms.feishu.settings import FeishuSettings
from storage import profiles, users
from storage.database import Database
from storage.records import ChatType, Department, Identity, Membership, Origin, Profile, User, utcnow
from tests.blank import blank
from tests.simulators.feishu import FeishuSimulator

NAME = "feishu"


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    blank(tmp_path / "moqi.db")
    with Database.open(data=tmp_path) as opened:
        yield opened


@pytest.fixture
def company(feishu: FeishuSimulator) -> FeishuSimulator:
    """研发部 with 平台组 below it, and 设计部."""
    feishu.directory.open("od-1", "研发部")
    feishu.directory.open("od-2", "平台组", "od-1")
    feishu.directory.open("od-3", "设计部")
    return feishu


class Pauses:
    """Sleeps that take no time, and how long they would have been."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)


@pytest.fixture
def pauses() -> Pauses:
    return Pauses()


@pytest.fixture
async def directory(
    settings: FeishuSettings, client: FeishuClient, db: Database, pauses: Pauses
) -> AsyncIterator[Directory]:
    made = Directory(NAME, settings, client, db, sleep=pauses)
    task = asyncio.create_task(made.run())
    yield made
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def who(open_id: str) -> Identity:
    return Identity(platform=NAME, external_id=open_id)


def event(open_id: str, *, group: str = "", tenant: str = "tenant", home: str = "tenant") -> ChatEvent:
    origin = Origin(
        platform=NAME,
        chat_id=group or f"oc_{open_id}",
        chat_type=ChatType.GROUP if group else ChatType.DIRECT,
        message_id="om_1",
        sender=open_id,
    )
    return ChatEvent(
        platform=NAME, key="om_1", kind="message", sender=who(open_id), sender_name="", origin=origin, at=utcnow(),
        tenant=tenant, home=home,
    )  # fmt: skip


async def known(db: Database, open_id: str) -> User:
    return await db.run(users.resolve, who(open_id), "", utcnow())


async def until(look: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not look():
            await asyncio.sleep(0.01)


def fetched(db: Database, open_id: str) -> Profile | None:
    found = db.read_sync(profiles.get, who(open_id))
    return found if found is not None and found.fetched_at is not None else None


async def looked_up(db: Database, directory: Directory, open_id: str) -> User:
    """Somebody who has written, once the directory was asked about them."""
    person = await known(db, open_id)
    directory.note(event(open_id))
    await until(lambda: fetched(db, open_id))
    return db.read_sync(users.get, person.id) or person


async def test_people_get_their_real_name_and_first_department(
    db: Database, directory: Directory, company: FeishuSimulator
) -> None:
    company.directory.join("ou_alice", "王小墨", "od-3", "od-2", primary="od-2")
    person = await looked_up(db, directory, "ou_alice")
    assert (person.name, person.department) == ("王小墨", "平台组")
    profile = fetched(db, "ou_alice")
    assert profile is not None
    assert profile.union_id == "on_alice"
    assert [one.name for one in profile.departments] == ["平台组", "设计部"]
    assert db.read_sync(profiles.membership, person.id) == Membership(
        departments=frozenset({"平台组", "研发部", "设计部", "feishu:od-1", "feishu:od-2", "feishu:od-3"})
    )


async def test_a_department_that_an_admin_set_stays(
    db: Database, directory: Directory, company: FeishuSimulator
) -> None:
    company.directory.join("ou_alice", "王小墨", "od-3")
    person = await known(db, "ou_alice")
    await db.run(users.set_department, person.id, "外包")
    assert (await looked_up(db, directory, "ou_alice")).department == "外包"
    assert db.read_sync(profiles.department, person.id) == "设计部"


async def test_who_leaves_a_department_leaves_its_quota(db: Database) -> None:
    person = await known(db, "ou_alice")
    place = Department(id="od-3", name="设计部")
    for places, department in [((place,), "设计部"), ((), "")]:
        profile = Profile(identity=who("ou_alice"), name="王小墨", departments=places, fetched_at=utcnow())
        await db.run(profiles.keep, [profile])
        found = db.read_sync(users.get, person.id)
        assert found is not None
        assert found.department == department


@pytest.mark.parametrize(
    ("missing", "name", "department"),
    [
        ("contact:user.base:readonly", "ou_alice", "设计部"),
        ("contact:user.department:readonly", "王小墨", ""),
        ("contact:department.base:readonly", "王小墨", ""),
        ("contact:department.organize:readonly", "王小墨", "设计部"),
        ("tenant:tenant:readonly", "王小墨", "设计部"),
        ("im:chat:readonly", "王小墨", "设计部"),
    ],
)
async def test_a_missing_scope_is_a_field_less_and_no_error(
    db: Database, directory: Directory, company: FeishuSimulator, missing: str, name: str, department: str
) -> None:
    company.console.granted.discard(missing)
    company.directory.join("ou_alice", "王小墨", "od-3")
    person = await looked_up(db, directory, "ou_alice")
    assert (person.name, person.department) == (name, department)
    await until(lambda: directory.tenancy.own == "tenant")  # from Feishu, else from the event


async def test_what_an_event_says_while_it_is_looked_up_is_not_lost(
    settings: FeishuSettings,
    client: FeishuClient,
    db: Database,
    company: FeishuSimulator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    company.console.granted.discard("tenant:tenant:readonly")
    made, read = Directory(NAME, settings, client, db), db.read

    async def meanwhile(look: Callable[..., Any], *given: Any) -> Any:
        found = await read(look, *given)
        made.note(event("ou_alice"))
        return found

    monkeypatch.setattr(db, "read", meanwhile)
    assert await made.organisation() == "tenant"


async def test_what_was_known_stays_when_it_is_not_told_any_more(
    db: Database, directory: Directory, company: FeishuSimulator
) -> None:
    company.directory.join("ou_alice", "王小墨", "od-3")
    await known(db, "ou_alice")
    old = Profile(
        identity=who("ou_alice"),
        name="王墨",
        departments=(Department(id="od-3", name="设计部"),),
        fetched_at=utcnow() - timedelta(days=2),
    )
    await db.run(profiles.keep, [old])
    company.console.granted -= {"contact:user.base:readonly", "contact:user.department:readonly"}
    directory.note(event("ou_alice"))
    await until(lambda: (found := fetched(db, "ou_alice")) and found.fetched_at != old.fetched_at)
    found = fetched(db, "ou_alice")
    assert found is not None
    assert (found.name, found.departments) == ("王墨", old.departments)


async def test_nobody_is_asked_for_twice_a_day_and_many_by_one_call(
    db: Database, directory: Directory, company: FeishuSimulator
) -> None:
    people = [f"ou_{number}" for number in range(60)]
    for open_id in people:
        company.directory.join(open_id, f"同事{open_id[3:]}", "od-3")
        await known(db, open_id)
    for _ in range(3):
        for open_id in people:
            directory.note(event(open_id))
    await until(lambda: fetched(db, "ou_59"))
    for open_id in people:
        directory.note(event(open_id))
    await asyncio.sleep(0.05)
    asked = [call for call in company.calls if "/contact/v3/" in call]
    assert sorted(asked) == [
        "GET /open-apis/contact/v3/departments/batch",
        *["GET /open-apis/contact/v3/users/batch"] * 2,
    ]


async def test_few_calls_a_minute(db: Database, directory: Directory, company: FeishuSimulator, pauses: Pauses) -> None:
    for number in range(CALLS + 3):
        company.directory.open(f"od-9{number}", "部", f"od-9{number + 1}" if number < CALLS + 2 else "0")
    company.directory.join("ou_deep", "深", "od-90")
    await looked_up(db, directory, "ou_deep")
    assert any(pause > 30 for pause in pauses.slept)


async def test_trap_29_outsiders_and_the_unseen_are_no_errors(
    db: Database, directory: Directory, company: FeishuSimulator
) -> None:
    company.directory.join("ou_guest", "外人", tenant_key="other")
    company.directory.join("ou_hidden", "看不见", hidden=True)
    assert (await looked_up(db, directory, "ou_hidden")).name == "ou_hidden"
    await db.run(profiles.note, who("ou_guest"), "other", True)
    await known(db, "ou_guest")
    directory.note(event("ou_guest", tenant="other"))
    company.directory.join("ou_alice", "王小墨")
    await looked_up(db, directory, "ou_alice")
    assert fetched(db, "ou_guest") is None  # the directory is not asked about them


async def test_one_bad_id_does_not_hide_the_others(client: FeishuClient, company: FeishuSimulator) -> None:
    company.directory.join("ou_alice", "王小墨", "od-3")
    company.directory.join("ou_bob", "李四")
    found = await contacts.people(client, ["ou_alice", "not-an-id", "ou_bob"])
    assert [(one.name, one.departments) for one in found] == [("王小墨", ("od-3",)), ("李四", ())]


@pytest.mark.parametrize("fault", ["html", "500", "empty", "garbage", "close", "limit", "429"])
async def test_a_bad_day_of_the_directory_ends(
    db: Database, directory: Directory, company: FeishuSimulator, pauses: Pauses, fault: str
) -> None:
    company.directory.join("ou_alice", "王小墨", "od-3")
    company.fail(fault, times=2, on="/contact/")
    person = await looked_up(db, directory, "ou_alice")
    assert (person.name, person.department) == ("王小墨", "设计部")
    assert min(pauses.slept) >= 30


async def test_looking_people_up_leaves_room_for_messages(client: FeishuClient, company: FeishuSimulator) -> None:
    company.directory.join("ou_alice", "王小墨")
    asking = [contacts.people(client, ["ou_alice"]) for _ in range(60)]
    assert any(isinstance(one, Busy) for one in await asyncio.gather(*asking, return_exceptions=True))
    assert await client.send("oc_1", "chat_id", "text", '{"text":"好"}', "u1")


async def test_our_organisation_is_asked_for_and_outlives_a_restart(
    db: Database, settings: FeishuSettings, client: FeishuClient, directory: Directory, company: FeishuSimulator
) -> None:
    await until(lambda: directory.tenancy.own == "tenant")
    await until(lambda: db.read_sync(profiles.tenant, NAME) == "tenant")
    company.console.granted.discard("tenant:tenant:readonly")
    again = Directory(NAME, settings, client, db)
    assert await again.organisation() == "tenant"


async def test_an_external_group_is_found_out(db: Database, directory: Directory, company: FeishuSimulator) -> None:
    company.directory.external_chats.add("oc_mixed")
    for chat in ("oc_ours", "oc_mixed"):
        directory.note(event("ou_alice", group=chat))
    await until(lambda: db.read_sync(profiles.is_external, NAME, "oc_mixed"))
    assert not db.read_sync(profiles.is_external, NAME, "oc_ours")


async def test_an_id_of_another_app_changes_nothing(
    db: Database, directory: Directory, company: FeishuSimulator
) -> None:
    """99992361: after a change of the app every open_id is another one."""
    company.fail("code", times=1, on="/users/batch", code=99992361)
    assert (await looked_up(db, directory, "ou_old")).name == "ou_old"
