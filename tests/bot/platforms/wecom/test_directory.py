"""Names and departments of WeCom's people: kept as told; what may not be told is said once and asked for rarely."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from bot.events import ChatEvent
from bot.platforms.directory import Person, Place
from bot.platforms.wecom.app.client import WecomClient
from bot.platforms.wecom.directory import Directory, open_people, person_of, place_of
from bot.platforms.wecom.people import People
from bot.platforms.wecom.places import PLATFORM
from bot.platforms.wecom.settings import WecomApp
from storage import profiles, users
from storage.database import Database
from storage.migrations import migrate
from storage.records import ChatType, Identity, Membership, Origin, Profile, User, utcnow
from storage.tables import profiles as profiles_table
from tests.simulators.wecom import Department, WecomSimulator


@pytest.fixture(scope="module")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("blank") / "moqi.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def db(blank: Path, tmp_path: Path) -> Iterator[Database]:
    shutil.copy(blank, tmp_path / "moqi.db")
    with Database.open(data=tmp_path) as opened:
        yield opened


@pytest.fixture
def company() -> Iterator[WecomSimulator]:
    """研发部 (2) with 平台组 (5) below it, and 设计部 (3)."""
    with WecomSimulator() as simulator:
        simulator.departments[3] = Department(3, "设计部", 1)
        simulator.departments[5] = Department(5, "平台组", 2)
        simulator.join("ZhangSan", "张三", 5, 3, 1)
        yield simulator


class Pauses:
    """Sleeps that take no time but a turn of the loop, and how long they would have been."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0.001)


@pytest.fixture
def pauses() -> Pauses:
    return Pauses()


class Asking(WecomClient):
    """The app's client, and what it was asked, also where that went wrong on the way."""

    def __init__(self, settings: WecomApp) -> None:
        super().__init__(settings)
        self.asked: list[str] = []

    async def call(self, verb: str, path: str, params: Any = None, data: Any = None) -> dict[str, Any]:
        self.asked.append(path)
        return await super().call(verb, path, params, data)


@pytest.fixture
async def client(company: WecomSimulator) -> AsyncIterator[Asking]:
    opened = Asking(WecomApp(**company.app_settings))
    yield opened
    await opened.close()


@pytest.fixture
async def directory(client: Asking, db: Database, pauses: Pauses) -> AsyncIterator[Directory]:
    made = Directory(client, People(client, db), db, sleep=pauses)
    task = asyncio.create_task(made.run())
    yield made
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def event(userid: str) -> ChatEvent:
    origin = Origin(
        platform=PLATFORM, chat_id=f"app:{userid}", chat_type=ChatType.DIRECT, message_id="1", sender=userid
    )
    return ChatEvent(
        platform=PLATFORM, key="1", kind="message", sender=Identity(platform=PLATFORM, external_id=userid),
        sender_name="", origin=origin, at=utcnow(),
    )  # fmt: skip


async def until(look: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not look():
            await asyncio.sleep(0.01)


def fetched(db: Database, userid: str) -> Profile | None:
    found = db.read_sync(profiles.get, Identity(platform=PLATFORM, external_id=userid))
    return found if found is not None and found.fetched_at is not None else None


async def looked_up(db: Database, directory: Directory, userid: str) -> User:
    """Somebody who has written, once the directory was asked about them."""
    person = await db.run(users.resolve, Identity(platform=PLATFORM, external_id=userid), "", utcnow())
    directory.note(event(userid))
    await until(lambda: fetched(db, userid))
    return db.read_sync(users.get, person.id) or person


def asked(client: Asking, what: str) -> int:
    return client.asked.count(f"{what}/get")


async def test_people_get_their_real_name_and_all_their_departments(
    db: Database, directory: Directory, client: Asking, company: WecomSimulator
) -> None:
    person = await looked_up(db, directory, "zhangsan")
    assert (person.name, person.department) == ("张三", "平台组")
    assert db.read_sync(profiles.membership, person.id) == Membership(
        departments=frozenset({"平台组", "研发部", "设计部", "wecom:2", "wecom:3", "wecom:5"})
    )
    for _ in range(3):
        directory.note(event("zhangsan"))
    await looked_up(db, directory, "bob")  # of a department that is known by now
    assert (asked(client, "user"), asked(client, "department")) == (2, 3)


async def test_a_day_later_what_has_changed_is_learned(
    db: Database, directory: Directory, client: Asking, company: WecomSimulator
) -> None:
    person = await looked_up(db, directory, "zhangsan")
    company.members["zhangsan"].departments[:] = [3]
    yesterday = utcnow() - timedelta(days=2)
    await db.run(lambda conn: conn.execute(update(profiles_table).values(fetched_at=yesterday)))
    directory._known.clear()
    directory.note(event("zhangsan"))
    await until(lambda: (found := fetched(db, "zhangsan")) and found.fetched_at != yesterday)
    known = db.read_sync(users.get, person.id)
    assert known is not None
    assert known.department == "设计部"


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if getattr(one, "action", "") == "hidden"]


async def test_who_is_not_visible_is_told_once_and_not_asked_for_in_a_loop(
    db: Database, directory: Directory, client: Asking, company: WecomSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    company.join("Hidden", "看不见", visible=False)
    company.departments.pop(3)
    with caplog.at_level(logging.WARNING):
        for who in ("hidden", "nobody", "nobody2"):
            assert (await looked_up(db, directory, who)).name == who
        person = await looked_up(db, directory, "zhangsan")
        for who in ("hidden", "nobody"):
            directory.note(event(who))
        await looked_up(db, directory, "bob")
    assert (person.name, person.department) == ("张三", "平台组")
    assert asked(client, "user") == 5
    assert [one.split("WeCom ")[1][:5] for one in told(caplog)] == ["60011", "60111", "60123"]
    assert not [one for one in caplog.records if "stay as they are known" in one.getMessage()]


async def test_an_app_without_the_right_to_ask_asks_once_a_day(
    db: Database, directory: Directory, client: Asking, company: WecomSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    company.fail("code", "user/get", times=99, code=48002)
    assert (await looked_up(db, directory, "alice")).name == "alice"
    person = await db.run(users.resolve, Identity(platform=PLATFORM, external_id="bob"), "", utcnow())
    directory.note(event("bob"))
    await until(lambda: not directory._waiting)
    assert asked(client, "user") == 1
    assert len(told(caplog)) == 1
    directory._barred_until = 0.0
    company.world.faults.clear()
    directory._known.clear()
    directory.note(event("bob"))
    await until(lambda: fetched(db, "bob"))
    assert (db.read_sync(users.get, person.id) or person).name == "鲍勃"


@pytest.mark.parametrize("fault", ["html", "close", "torn"])
async def test_one_who_cannot_be_looked_up_keeps_nobody_else_waiting(
    db: Database, directory: Directory, client: Asking, company: WecomSimulator, pauses: Pauses, fault: str
) -> None:
    """And is left alone after some tries."""
    company.fail(fault, "user/get", times=1)
    await db.run(users.resolve, Identity(platform=PLATFORM, external_id="alice"), "", utcnow())
    assert (await looked_up(db, directory, "bob")).name == "鲍勃"
    person = await looked_up(db, directory, "alice")
    assert person.name == "爱丽丝"
    assert min(pauses.slept) >= 30
    company.fail(fault, "user/get", times=99)
    await db.run(users.resolve, Identity(platform=PLATFORM, external_id="zhangsan"), "", utcnow())
    directory.note(event("zhangsan"))
    await until(lambda: not directory._waiting)
    before = asked(client, "user")
    directory.note(event("zhangsan"))
    await asyncio.sleep(0.05)
    assert asked(client, "user") == before == 3 + 5


async def test_what_the_robot_calls_somebody_is_no_userid(
    db: Database, directory: Directory, client: Asking, company: WecomSimulator
) -> None:
    company.robot.encrypts = True
    robots = company.id_of("alice")
    strange = await People(None, db).recognise(
        ChatEvent(
            platform=PLATFORM, key="1", kind="message", sender=Identity(platform=PLATFORM, external_id=robots),
            sender_name="", at=utcnow(), origin=Origin(
                platform=PLATFORM, chat_id="wrGROUP", chat_type=ChatType.GROUP, message_id="1", sender=robots
            ),
        )
    )  # fmt: skip
    await db.run(users.resolve, strange.sender, "", utcnow())
    directory.note(strange)
    await until(lambda: not directory._waiting)
    assert asked(client, "user") == 0
    assert fetched(db, strange.sender.external_id) is None


def test_without_an_app_there_is_nobody_to_ask(db: Database, client: Asking) -> None:
    assert open_people(None, db)[1] is None
    assert isinstance(open_people(client, db)[1], Directory)


# --- what is told -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "name", "departments"),
    [
        ({"name": " 张三 ", "department": [2, 3], "main_department": 3}, "张三", ("3", "2")),
        ({"name": "张三", "department": [1, 2, 2], "main_department": 1}, "张三", ("2",)),
        ({"name": "张三", "department": [1]}, "张三", ()),
        ({"name": "张三", "department": [2], "main_department": 9}, "张三", ("2",)),  # it may not see that one
        ({"name": "ZhangSan"}, None, None),  # an app that may not see names is told the userid
        ({"name": 5, "department": "2"}, None, None),
        ({"name": "张三", "department": [True, "4", None, -1, 0, 6]}, "张三", ("6",)),
    ],
)
def test_what_user_get_tells(answer: Mapping[str, Any], name: str | None, departments: tuple[str, ...] | None) -> None:
    assert person_of("zhangsan", answer) == Person(id="zhangsan", name=name, departments=departments)


@pytest.mark.parametrize(
    ("answer", "place"),
    [
        ({"department": {"id": 5, "name": "平台组", "parentid": 2}}, Place(id="5", name="平台组", parent="2")),
        ({"department": {"id": 5, "name": "平台组", "parentid": 1}}, Place(id="5", name="平台组", parent="")),
        ({"department": {"parentid": "x"}}, Place(id="5", name="", parent="")),
        ({"department": []}, None),
        ({}, None),
    ],
)
def test_what_department_get_tells(answer: Mapping[str, Any], place: Place | None) -> None:
    assert person_of("zhangsan", {}) is None
    assert place_of("5", answer) == place
