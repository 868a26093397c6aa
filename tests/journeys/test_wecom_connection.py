"""The robot's long connection on a bad day (cut, closed, displaced, killed): nothing lost or twice, people told."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from storage.database import Database
from storage.records import utcnow
from storage.tables import leases
from tests.journeys.light import Light
from tests.journeys.moqi import Moqi, until
from tests.simulators.wecom import Asked, WecomSimulator

NUMBERS = itertools.count(1)


@pytest.fixture
def wecom() -> Iterator[WecomSimulator]:
    with WecomSimulator() as simulator:
        simulator.limits = False
        simulator.gateway.replays = True
        yield simulator


@pytest.fixture
def house(tmp_path: Path, wecom: WecomSimulator) -> Moqi:
    """A server with the robot alone; not started."""
    return Light(tmp_path, settings={"platforms": {"wecom": {"aibot": wecom.aibot_settings}}})


def ask(wecom: WecomSimulator) -> Asked:
    """Somebody new asks for help."""
    user = f"caller{next(NUMBERS)}"
    wecom.join(user)
    return wecom.say("/help", user=user)


def answers(wecom: WecomSimulator, asked: Asked) -> list[str]:
    return [text for text in wecom.texts(asked.user) if "我会做的事" in text]


def answered(wecom: WecomSimulator, said: list[Asked]) -> None:
    """Wait until each has an answer."""
    until(lambda: all(answers(wecom, one) for one in said), "an answer to each")


def test_cuts_closes_and_a_kill_lose_nothing_and_double_nothing(house: Moqi, wecom: WecomSimulator) -> None:
    house.start()
    wecom.connected(60)
    said = [ask(wecom) for _ in range(4)]
    for end in (wecom.gateway.cut, wecom.gateway.close, wecom.gateway.cut):
        answered(wecom, said)  # what is on its way when the connection ends is lost: WeCom hears of nothing
        end()
        said += [ask(wecom) for _ in range(8)]
        until(lambda: wecom.gateway.of(wecom.robot), "the next connection")
    answered(wecom, said)
    for one in said[:8]:
        wecom.again(one)
    house.kill()
    said += [ask(wecom) for _ in range(4)]  # pushed to whoever connects next
    with Database.open(data=house.data) as db:
        db.run_sync(lambda conn: conn.execute(leases.update().values(until=utcnow())))
    house.start()
    answered(wecom, said)
    assert [len(answers(wecom, one)) for one in said] == [1] * len(said)
    metrics = httpx.get(f"{house.url}/metrics", verify=False).text
    assert 'moqi_platform_connected{platform="wecom"} 1.0' in metrics
    assert house.stop() == 0
    house.verify()
    assert wecom.strange == []


@pytest.mark.parametrize(
    ("fault", "told"),
    [("inbox-handling:1", False), ("delivery-claimed:1", False), ("delivery-sent:1", True), ("delivery-kept:1", False)],
)
def test_killed_around_a_message_it_is_there_once_or_its_writer_is_told(
    house: Moqi, wecom: WecomSimulator, fault: str, told: bool
) -> None:
    """Nothing that the robot sends has a key under which it could be repeated: unconfirmed, it is not repeated."""
    house.start(faults=fault)
    wecom.connected(60)
    asked = ask(wecom)
    until(lambda: not house.alive, f"the server to die at {fault}")
    house.start()
    wecom.connected(60)
    until(lambda: answers(wecom, asked), "the answer")
    if told:
        until(lambda: any("可能没有送到" in text for text in wecom.texts(asked.user)), "that it may be missing")
    assert house.stop() == 0
    assert len(answers(wecom, asked)) == 1
    assert any("可能没有送到" in text for text in wecom.texts(asked.user)) is told
    house.verify()


def test_trap_12_displaced_it_stays_away_and_says_so(house: Moqi, wecom: WecomSimulator) -> None:
    house.start()
    wecom.connected(60)
    opened = wecom.gateway.opened
    intruder = Light(house.data.parent / "other", settings={"platforms": {"wecom": {"aibot": wecom.aibot_settings}}})
    intruder.start()  # another installation with the same robot
    until(lambda: wecom.gateway.opened > opened, "the other one to connect")

    def degraded() -> list[str]:
        return list(httpx.get(f"{house.url}/readyz", verify=False).json()["degraded"])

    said = until(degraded, "the first one to say so")[0]
    assert "wecom" in said
    assert wecom.gateway.opened == opened + 1, "neither takes it back from the other"
    asked = ask(wecom)
    until(lambda: answers(wecom, asked), "the answer of the other one")
    assert intruder.stop() == 0
    assert house.stop() == 0
