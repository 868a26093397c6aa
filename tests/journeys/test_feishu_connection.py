"""The whole program over Feishu's long connection: no address of our own, and nothing lost on a bad day."""

from __future__ import annotations

import itertools
import secrets
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from storage.database import Database
from storage.records import utcnow
from storage.tables import leases
from tests.blank import postgres_database
from tests.journeys.light import Light
from tests.journeys.moqi import Moqi, until
from tests.journeys.test_feishu import Member, buttons, pictures
from tests.simulators.feishu import FeishuSimulator, Pushed
from tests.simulators.feishu_events import App, click, message, signed

NUMBERS = itertools.count(1)


@pytest.fixture
def platform() -> Iterator[FeishuSimulator]:
    with FeishuSimulator(limits=False) as simulator:
        simulator.gateway.config |= {"ReconnectInterval": 1, "ReconnectNonce": 0}
        yield simulator


@pytest.fixture
def design() -> Iterator[FeishuSimulator]:
    """The platform of a second app, which posts its events."""
    with FeishuSimulator(App(app_id="cli_00000000000000d5"), limits=False) as simulator:
        yield simulator


@pytest.fixture
def house(tmp_path: Path, platform: FeishuSimulator, design: FeishuSimulator) -> Iterator[Moqi]:
    """A server that dials out, and has a second app by webhook."""
    apps = {"feishu": platform.dialled, "feishu_apps": {"design": design.settings}}
    house = Light(tmp_path, settings={"platforms": {"web": {"enabled": True}, **apps}})
    design.bot_url = f"{house.url}/feishu/design/events"
    house.start()
    platform.gateway.connected(seconds=60)
    yield house
    assert house.stop() == 0
    assert platform.gateway.strange == []


def outlive(db: Database) -> None:
    """Time goes by until the lease of whoever was killed has ended."""
    db.run_sync(lambda conn: conn.execute(leases.update().values(until=utcnow())))


def test_a_picture_without_any_address_of_our_own(house: Moqi, platform: FeishuSimulator) -> None:
    house.ready()
    alice = Member(platform, next(NUMBERS))
    platform.gateway.pieces = 3
    card = alice.drawn("/draw 一只戴红围巾的熊猫 --size 64x64 --seed 7")
    (key,) = pictures(card)
    assert platform.images[key].startswith(b"\x89PNG")
    assert "redo" in [value["action"] for value in buttons(card)]
    assert alice.press("redo", card)["type"] == "success"
    until(lambda: [sent for sent in platform.visible() if sent is not card and "画好了" in sent.text], "the next one")
    event = platform.push(click(platform.app, {"action": "redo", "job": 1}, presser=alice.open_id))
    again = platform.push(event.envelope)
    assert again.answer["toast"]["type"] == "info"  # trap 24: done already
    # Nothing is posted to us, so there is no door for strangers: without an Encrypt Key anybody could forge.
    for app in (platform.app, App(encrypt_key="", verification_token="")):
        given, body = signed(app, message(app, "/draw 猫"))
        assert httpx.post(f"{house.url}/feishu/events", content=body, headers=given).status_code in (404, 405)
    assert 'moqi_platform_connected{platform="feishu"} 1.0' in httpx.get(f"{house.url}/metrics", verify=False).text
    assert httpx.get(f"{house.url}/readyz", verify=False).json() == {"ready": True, "reasons": [], "degraded": []}
    # An outage of Feishu: said, and the rest stays at work.
    platform.fail("code", times=9, on="/callback/", code=1000040351, status=200)
    platform.gateway.cut()
    until(
        lambda: 'connected{platform="feishu"} 0.0' in httpx.get(f"{house.url}/metrics", verify=False).text,
        "the metric to fall",
    )
    assert httpx.get(f"{house.url}/readyz", verify=False).json()["ready"] is True
    until(lambda: "set feishu.domain to https://open.larksuite.com" in house.log.read_text(), "the operator's hint")
    log = house.log.read_text()
    assert "ticket" not in log
    assert platform.app.app_secret not in log


def test_a_second_app_has_its_own_people_and_answers(
    house: Moqi, platform: FeishuSimulator, design: FeishuSimulator
) -> None:
    alice = Member(platform, next(NUMBERS))
    same = Member(design, 0)
    same.open_id, same.chat_id = alice.open_id, alice.chat_id  # the ids of different apps may even be equal
    asked = "om_the_same"
    card, other = alice.told("/quota", message_id=asked), same.told("/quota", message_id=asked)
    assert (len(platform.visible()), len(design.visible())) == (1, 1)
    assert (card.parent_id, other.parent_id) == (asked, asked)
    known = house.command("role", "set", f"feishu-design:{alice.open_id}", "admin")
    assert known.returncode == 0, known.stderr
    assert "管理员" in known.stdout or "admin" in known.stdout
    assert "moqi_platform_connected" in httpx.get(f"{house.url}/metrics", verify=False).text


def test_cuts_kicks_and_a_kill_lose_nothing_and_double_nothing(house: Moqi, platform: FeishuSimulator) -> None:
    people = [Member(platform, next(NUMBERS)) for _ in range(8)]
    pushed: list[Pushed] = []

    def talk(count: int) -> None:
        for number in range(count):
            person = people[number % len(people)]
            pushed.append(person.push("/help", message_id=f"om_{secrets.token_hex(16)}"))

    for end in (platform.gateway.cut, platform.gateway.kick, platform.gateway.cut):
        talking = threading.Thread(target=talk, args=(16,))
        talking.start()
        end()
        talking.join()
        platform.gateway.connected(seconds=60)
    platform.gateway.doubled = True
    talk(8)
    platform.advance(15 + 300, new_event_id=True)
    house.kill()
    platform.gateway.connected(0)
    missed = message(platform.app, "/help", sender=people[0].open_id, chat_id=people[0].chat_id)
    platform.write(missed)  # no event of it will ever come: it is found in the chat
    talk(4)
    with Database.open(data=house.data) as db:
        outlive(db)
    house.start()
    platform.gateway.connected(seconds=60)
    platform.advance(15 + 300 + 3600)
    assert all(item.acknowledged for item in pushed)
    names = [item.envelope["event"]["message"]["message_id"] for item in pushed]
    names.append(missed["event"]["message"]["message_id"])
    until(lambda: all(people[0].answers(name) for name in names), "an answer to each")
    assert [len(people[0].answers(name)) for name in names] == [1] * len(names)
    house.verify()


@pytest.fixture
def url(postgres_url: str) -> Iterator[str]:
    """An empty database of our own."""
    with postgres_database(postgres_url) as url:
        yield url


def test_trap_9_of_two_processes_one_connects_and_the_other_takes_over(
    tmp_path: Path, platform: FeishuSimulator, url: str
) -> None:
    settings = {"platforms": {"web": {"enabled": True}, "feishu": platform.dialled}}
    first, second = (Light(tmp_path / name, settings=settings, database_url=url) for name in ("one", "two"))
    alice = Member(platform, next(NUMBERS))
    first.start()
    platform.gateway.connected(seconds=60)
    second.start()
    alice.told("/help")
    assert platform.gateway.opened == 1
    first.kill()
    platform.gateway.connected(0)
    with Database.open(url) as db:
        outlive(db)
    platform.gateway.wait(lambda gateway: gateway.opened == 2)
    alice.told("/help")
    assert second.stop() == 0


def test_a_command_of_the_terminal_leaves_feishu_alone(tmp_path: Path) -> None:
    """It neither takes events from the server nor looks people up: nobody wrote."""
    with FeishuSimulator() as platform:
        alone = Moqi(tmp_path, settings={"platforms": {"feishu": platform.dialled}})
        assert alone.command("ask", "年假怎么休?").returncode == 0
        assert platform.calls == []
