"""One person, one identity: the robot's ids become the app's userids, whatever the API does meanwhile."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import update

from bot.events import ChatEvent, Mention
from bot.platforms.base import Recognising, Retry, Unconfigured, Undelivered
from bot.platforms.wecom import people
from bot.platforms.wecom.app.client import WecomClient
from bot.platforms.wecom.people import Caller, People
from bot.platforms.wecom.places import PLATFORM, Place, Way
from bot.platforms.wecom.settings import Wecom, WecomApp
from scheduler import joining, queue, quota
from scheduler.policy import Policy
from scheduler.queue import Submission
from storage import links, users
from storage.database import Database
from storage.migrations import migrate
from storage.records import Allowance, ChatType, Identity, Job, Kind, Origin, Unit, utcnow
from storage.tables import links as links_table
from tests.simulators.wecom import WecomSimulator

ZONE = ZoneInfo("Asia/Shanghai")
POLICY = Policy(timezone=ZONE, allowances=dict.fromkeys(Unit, (Allowance(amount=5, period="day"),)))
CONVERT = "POST /cgi-bin/batch/openuserid_to_userid"


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
def wecom() -> Iterator[WecomSimulator]:
    """A company whose robot no super-admin made: it knows people by encrypted ids."""
    with WecomSimulator() as simulator:
        simulator.robot.encrypts = True
        simulator.join("ZhangSan", "张三", 2)
        yield simulator


@pytest.fixture
async def client(wecom: WecomSimulator) -> AsyncIterator[WecomClient]:
    opened = WecomClient(WecomApp(**wecom.app_settings))
    yield opened
    await opened.close()


@pytest.fixture
async def known(client: WecomClient, db: Database) -> AsyncIterator[People]:
    made = People(client, db, patience=20)
    yield made
    await made.close()


class Slow:
    """What asks WeCom's API, held up or failing as a test likes."""

    def __init__(self, client: WecomClient) -> None:
        self.go = asyncio.Event()
        self.error: Exception | None = None
        self.asked: list[list[str]] = []
        self._client = client

    async def call(self, verb: str, path: str, params: Any = None, data: Any = None) -> dict[str, Any]:
        self.asked.append(list(data["open_userid_list"]))
        await self.go.wait()
        if self.error is not None:
            raise self.error
        return await self._client.call(verb, path, params, data)


def event(sender: str, *, chat: str = "", by: str = "robot", mentions: tuple[str, ...] = ()) -> ChatEvent:
    origin = Origin(
        platform=PLATFORM,
        chat_id=chat or f"{by}:{sender}",
        chat_type=ChatType.GROUP if chat else ChatType.DIRECT,
        message_id="m",
        sender=sender,
    )
    named = tuple(Mention(identity=Identity(platform=PLATFORM, external_id=one), name=one) for one in mentions)
    return ChatEvent(
        platform=PLATFORM, key=f"{by}:m", kind="message", sender=Identity(platform=PLATFORM, external_id=sender),
        sender_name="", origin=origin, at=utcnow(), mentions=named,
    )  # fmt: skip


def asked(wecom: WecomSimulator) -> int:
    return wecom.calls.count(CONVERT)


async def order(db: Database, known: People, event: ChatEvent, key: str) -> int:
    """What the router does with somebody's picture; returns whose it is."""
    event = await known.recognise(event)
    user = await db.run(users.resolve, event.sender, "", utcnow())
    wanted = Submission(
        key=key, kind=Kind.DRAW, user=user, origin=event.origin, params={"count": 1}, cost=1, work=1.0, card=None
    )
    job = await db.run(queue.submit, wanted, POLICY, utcnow())
    assert isinstance(job, Job)
    return user.id


async def left(db: Database, user: int) -> int:
    found = await db.run(quota.standing, quota.subject(user), Unit.DRAW, POLICY, utcnow())
    assert found is not None
    return found.total


async def test_trap_16_robot_and_app_are_one_person_and_one_quota(
    wecom: WecomSimulator, known: People, db: Database
) -> None:
    robots = wecom.id_of("zhangsan")
    assert robots.lower() != "zhangsan"
    by_robot = await known.recognise(event(robots, mentions=(wecom.id_of("bob"),)))
    by_app = await known.recognise(event("ZhangSan", by="app"))
    assert by_robot.sender == by_app.sender == Identity(platform=PLATFORM, external_id="zhangsan")
    assert by_robot.origin.sender == "zhangsan"
    assert by_robot.origin.chat_id == f"robot:{robots}"  # nothing could be sent there otherwise
    assert [one.identity.external_id for one in by_robot.mentions] == ["bob"]
    whose = [
        await order(db, known, event(robots), "a"),
        await order(db, known, event(robots, chat="wrGROUP"), "b"),
        await order(db, known, event("zhangsan", by="app"), "c"),
    ]
    assert len(set(whose)) == 1
    assert await left(db, whose[0]) == 5 - 3
    directly = Place(way=Way.ROBOT, target="zhangsan")
    assert await known.address(directly) == replace(directly, target=robots)
    for other in (
        Place(way=Way.APP, target="zhangsan"),
        Place(way=Way.ROBOT, target="wrG", group=True),
        Place(way=Way.ROBOT, target="alice"),
    ):
        assert await known.address(other) == other
    assert isinstance(known, Recognising)
    assert asked(wecom) == 1


async def test_ids_that_are_not_encrypted_are_userids(wecom: WecomSimulator, known: People, db: Database) -> None:
    wecom.robot.encrypts = False
    told = await known.recognise(event(wecom.id_of("zhangsan"), chat="wrGROUP"))
    assert told.sender.external_id == told.origin.sender == "zhangsan"
    assert await db.read(links.count, PLATFORM) == (1, 0)


async def test_many_at_once_are_asked_for_by_few_calls_and_nobody_twice(
    wecom: WecomSimulator, known: People, client: WecomClient, db: Database
) -> None:
    members = [wecom.join(f"User{number}").userid for number in range(40)]
    events = [event(wecom.id_of(one)) for one in members * 3]
    told = await asyncio.gather(*map(known.recognise, events))
    assert [one.sender.external_id for one in told] == [one.lower() for one in members * 3]
    assert asked(wecom) <= 3  # those that came while the first call was out
    before = asked(wecom)
    again = People(client, db, patience=20)  # after a restart
    assert (await again.recognise(events[0])).sender.external_id == "user0"
    assert asked(wecom) == before


@pytest.mark.parametrize("fault", ["html", "close", "garbage", "500", "torn", "code"])
async def test_who_writes_while_the_api_is_down_is_served_and_joined_later(
    wecom: WecomSimulator, client: WecomClient, db: Database, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    robots, known = wecom.id_of("zhangsan"), People(client, db, patience=20)
    wecom.fail(fault, "openuserid_to_userid", times=9, code=60020)
    temporary = [await order(db, known, event(robots), f"a{number}") for number in range(2)]
    assert asked(wecom) <= 1  # while it rests nobody waits for it
    assert known.complaint
    assert await db.read(links.count, PLATFORM) == (1, 1)
    assert await db.read(links.unexplained, PLATFORM) == {robots.lower()}
    theirs = Place(way=Way.ROBOT, target=robots.lower())
    assert await known.address(theirs) == replace(theirs, target=robots)  # their answers find them
    real = await order(db, known, event("zhangsan", by="app"), "b")  # meanwhile by the other door
    assert temporary == [temporary[0]] * 2 != [real] * 2
    wecom.world.faults.clear()
    monkeypatch.setattr(known, "_rests_until", 0.0)
    assert await order(db, known, event(robots), "c") == real
    assert not known.complaint
    assert await db.run(joining.settle, ZONE, utcnow()) == temporary[:1]
    assert await left(db, real) == 5 - 4
    for way, target in ((Way.ROBOT, robots), (Way.APP, "zhangsan")):  # what was ordered meanwhile goes on
        assert (await known.address(replace(theirs, way=way))).target == target
    assert await db.read(links.addresses, real) == [Identity(platform=PLATFORM, external_id="zhangsan")]
    assert len(await db.read(users.identities_of, real)) == 2
    await known.close()


async def test_a_real_id_that_is_nobodys_yet_is_the_same_persons(
    wecom: WecomSimulator, client: WecomClient, db: Database
) -> None:
    robots, slow = wecom.id_of("zhangsan"), Slow(client)
    known = People(slow, db, patience=0.01)
    person = await order(db, known, event(robots), "a")
    slow.go.set()
    await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()})
    assert (
        await order(db, known, event(robots), "b") == person == await order(db, known, event("zhangsan", by="app"), "c")
    )
    assert await left(db, person) == 5 - 3
    assert not await db.read(joining.pending)
    await known.close()


async def test_nobody_waits_longer_than_a_press_can_and_only_the_first_at_all(
    wecom: WecomSimulator, client: WecomClient, db: Database
) -> None:
    assert people.PATIENCE < 2.5
    slow = Slow(client)
    known = People(slow, db, patience=0.2)
    first = event(wecom.id_of("alice"))
    assert (await known.recognise(first)).sender.external_id == first.sender.external_id.lower()
    known._patience = 600.0
    for who in ("bob", "zhangsan", "alice"):
        await known.recognise(event(wecom.id_of(who)))  # would wait ten minutes
    assert len(slow.asked) == 1
    slow.go.set()
    await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()})
    assert slow.asked[1:] == [[wecom.id_of("bob"), wecom.id_of("zhangsan")]]
    assert (await known.recognise(first)).sender.external_id == "alice"
    assert (await known.recognise(event(wecom.id_of("zhangsan")))).sender.external_id == "zhangsan"
    await known.close()


async def test_what_nobody_explained_is_asked_for_in_the_background(
    wecom: WecomSimulator, client: WecomClient, db: Database
) -> None:
    """Also after a restart, and by an app that is configured only now."""
    robots = wecom.id_of("zhangsan")
    assert (await People(None, db).recognise(event(robots))).sender.external_id == robots.lower()
    rested: list[float] = []

    async def sleep(seconds: float) -> None:
        rested.append(seconds)
        await asyncio.sleep(0)
        if len(rested) == 3:
            raise asyncio.CancelledError

    known = People(client, db, sleep=sleep)
    with pytest.raises(asyncio.CancelledError):
        await known.run()
    assert (await db.read(links.of, PLATFORM, [robots]))[robots].external_id == "zhangsan"
    assert asked(wecom) == 1
    await db.run(lambda conn: conn.execute(update(links_table).values(asked_at=utcnow() - timedelta(days=2))))
    rested.clear()
    with pytest.raises(asyncio.CancelledError):
        await People(client, db, sleep=sleep).run()
    assert asked(wecom) == 2  # once a day: somebody may come into the app's range
    await known.close()


@pytest.mark.parametrize(
    ("error", "rest"), [(Unconfigured("60020"), 600), (Retry("later", after=90), 90), (Retry("x"), 30)]
)
async def test_how_long_a_failure_keeps_us_from_asking(
    client: WecomClient, db: Database, error: Exception, rest: float, caplog: pytest.LogCaptureFixture
) -> None:
    slow = Slow(client)
    slow.go.set()
    slow.error = error
    known = People(slow, db, patience=20)
    for who in ("woOne", "woTwo", "woOne"):
        await known.recognise(event(who))
    assert len(slow.asked) == 1
    loop = asyncio.get_running_loop()
    assert rest - 5 < known._rests_until - loop.time() <= rest
    assert len([one for one in caplog.records if getattr(one, "action", "") == "people-unknown"]) == 1
    assert slow.error is not None
    await known.close()


async def test_an_id_for_which_all_are_refused_keeps_nobody_from_being_recognised(db: Database) -> None:
    asked: list[list[str]] = []

    class Picky:
        async def call(self, verb: str, path: str, params: Any = None, data: Any = None) -> dict[str, Any]:
            ids = data["open_userid_list"]
            asked.append(ids)
            await asyncio.sleep(0)
            if "woBad" in ids:
                raise Undelivered("40058")
            return {"userid_list": [{"open_userid": one, "userid": one.removeprefix("wo")} for one in ids]}

    known = People(Picky(), db, patience=20)
    ids = ["woBad", *(f"woUser{number}" for number in range(100))]
    told = await asyncio.gather(*(known.recognise(event(one)) for one in ids))
    assert [one.sender.external_id for one in told] == ["wobad", *(f"user{number}" for number in range(100))]
    calls = len(asked)
    assert calls < 20
    await known.recognise(event("woBad"))
    assert len(asked) == calls  # not at each of their messages
    assert (await known.recognise(event("woNext"))).sender.external_id == "next"
    assert await db.read(links.unexplained, PLATFORM) == {"wobad"}
    await known.close()


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"userid_list": [{"open_userid": "woA", "userid": "ZhangSan"}]}, {"woA": "zhangsan", "LiSi": "lisi"}),
        ({"invalid_open_userid_list": ["woA", "LiSi"]}, {"woA": "woa", "LiSi": "lisi"}),
        ({"userid_list": ["x", None, {"open_userid": "woA"}, {"open_userid": "woA", "userid": " "}]}, None),
        ({"userid_list": [{"open_userid": "other", "userid": "admin"}, {"open_userid": ["woA"], "userid": "x"}]}, None),
        ({"userid_list": {"open_userid": "woA", "userid": "x"}}, None),
        ({}, None),
    ],
)
def test_what_an_answer_says(answer: dict[str, Any], told: dict[str, str] | None) -> None:
    """What makes no sense says nothing."""
    assert people.userids(["woA", "LiSi"], answer) == (told or {"woA": "woa", "LiSi": "lisi"})


def test_what_is_missed_without_an_app(wecom: WecomSimulator) -> None:
    assert "wecom.app" in people.missed(Wecom(aibot=wecom.aibot_settings))
    assert people.missed(Wecom(aibot=wecom.aibot_settings, app=wecom.app_settings)) == ""
    assert people.missed(Wecom(app=wecom.app_settings)) == ""


async def test_doctor_hears_why_it_cannot_be_asked(wecom: WecomSimulator, client: WecomClient) -> None:
    assert await people.trouble(client) == ""
    wecom.fail("code", "openuserid_to_userid", code=48002)
    assert "48002" in await people.trouble(client, [wecom.id_of("alice")])


def test_the_apps_client_is_what_people_need(client: WecomClient) -> None:
    asks: Caller = client
    assert asks is client
