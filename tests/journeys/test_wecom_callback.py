"""The same line through the robot in callback mode: everything is fetched from us, nothing can be sent by itself."""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from PIL import Image

from tests.journeys.moqi import Moqi, Person, paused, until
from tests.simulators.wecom import Shown, WecomSimulator

NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def wecom() -> Iterator[WecomSimulator]:
    with WecomSimulator() as simulator:
        simulator.limits = False
        simulator.sender.refresh_seconds = 0.2
        yield simulator


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, wecom: WecomSimulator) -> Iterator[Moqi]:
    """One server for the whole page, without an app: the robot's own ways are all that there is."""
    hooks = {"设计群": wecom.webhook_url(wecom.webhook("设计群"))}
    settings = {"app": {"base_url": wecom.base_url}, "aibot": wecom.callback_settings, "webhooks": hooks}
    house = Moqi(tmp_path_factory.mktemp("callback"), settings={"platforms": {"wecom": settings}})
    wecom.robot.url = f"{house.url}/wecom/aibot"
    house.start()
    house.ready()
    good, why = wecom.verify_robot()
    assert good, why
    yield house
    wecom.sender.stop()
    assert house.stop() == 0
    house.verify()
    assert wecom.strange == []
    log = house.log.read_text(encoding="utf-8")
    assert not [secret for secret in (wecom.robot.token, wecom.robot.aes_key, "response_code") if secret in log]


@pytest.fixture(scope="module")
def admin(house: Moqi) -> Person:
    return Person(house, "管理员")


@dataclass(frozen=True)
class Talk:
    """Somebody's chat with the robot, alone or in a group."""

    wecom: WecomSimulator
    user: str
    group: str = ""

    @property
    def seen(self) -> list[Shown]:
        return self.wecom.in_chat(self.group or self.user)

    def told(self, text: str) -> Shown:
        """Write something and wait for its whole answer."""
        before = len(self.seen)
        self.wecom.say(text, user=self.user, chat=self.group or None)
        return until(lambda: next((one for one in self.seen[before:] if one.finished and one.content), None), text)

    def later(self, before: int, what: str) -> Shown:
        """What comes by itself."""
        return until(lambda: next((one for one in self.seen[before:] if one.kind == "markdown"), None), what)

    def card(self) -> Shown:
        return until(lambda: next((one for one in reversed(self.seen) if one.buttons), None), "a card")


@pytest.fixture
def talk(house: Moqi, wecom: WecomSimulator) -> Talk:
    """Somebody new, alone with the robot."""
    user = f"caller{next(NUMBERS)}"
    wecom.join(user, user, 2)
    return Talk(wecom, user)


@pytest.fixture
def team(talk: Talk) -> Talk:
    """Somebody new, in a group."""
    return replace(talk, group=f"wr{talk.user}")


def test_a_picture_ends_its_answer_and_what_a_button_orders_is_told_separately(talk: Talk) -> None:
    answer = talk.told("/draw 一个红色的圆 --size 128x128 --seed 7")
    (picture,) = answer.images
    assert Image.open(io.BytesIO(picture)).size == (128, 128)
    assert "种子 7" in answer.content
    card = talk.card()
    before = len(talk.seen)
    talk.wecom.press(card, "换种子", user=talk.user)
    until(lambda: "已排队" in talk.card().content, "the press to be answered")
    later = talk.later(before, "the picture with another seed")
    job = re.search(r"/jobs (\d+)", later.content)
    assert job is not None
    again = talk.told(job[0])
    assert again.images
    assert again.images != answer.images


def test_commands_and_questions(talk: Talk) -> None:
    assert "我会做的事" in talk.told("/help").content
    assert "满 1 年不满 10 年" in talk.told("年假怎么休?").content
    assert "没有任务 #999" in talk.told("/cancel 999").content


def test_what_waits_is_ended_early_for_somebodys_third_and_told_separately(team: Talk, admin: Person) -> None:
    talk = team
    with paused(admin):
        for number in range(3):
            talk.wecom.say(f"/draw 一只猫 --size 128x128 --seed {number}", user=talk.user, chat=talk.group or None)
        third = until(lambda: next((one for one in talk.seen if one.finished), None), "the third to end")
        assert third.content.endswith("排队中，好了我发给你")
    until(lambda: len([one for one in talk.seen if one.images]) == 2, "the first two")
    assert "/jobs" in talk.later(0, "the third").content


def test_what_comes_twice_is_done_once_and_what_is_cancelled_costs_nothing(talk: Talk, admin: Person) -> None:
    with paused(admin):
        said = talk.wecom.say("/draw 一只猫 --size 128x128", user=talk.user)
        talk.wecom.again(said)
        until(lambda: "排队中" in talk.seen[0].content, "its card")
        job = re.search(r"/cancel \d+", talk.seen[0].content)
        assert job is not None
        talk.wecom.say(job[0], user=talk.user)
        until(lambda: "已取消" in talk.seen[0].content, "that it is cancelled")
    assert "还剩 50 / 50" in talk.told("/quota").content


def test_a_killed_server_loses_no_result(house: Moqi, wecom: WecomSimulator, admin: Person) -> None:
    talk = Talk(wecom, "alice")
    with paused(admin):
        wecom.say("/draw 一只猫 --size 128x128", user=talk.user)
        until(lambda: any("排队中" in one.content for one in talk.seen), "its card")
        house.kill()
        house.start()
        house.ready()
    until(lambda: talk.seen[-1].images or talk.seen[0].images, "its picture")
    assert len([one for one in talk.seen if one.kind == "stream"]) == 1


def test_what_was_booked_is_told_while_somebody_can_be_and_posted_where_it_names(team: Talk) -> None:
    talk = team
    (key,) = talk.wecom.api.webhooks.groups
    posted = len(talk.wecom.in_chat(key))
    talk.told("/draw 一个绿色的星 --size 128x128 --at 3s后 --to 设计群")
    before = len(talk.seen)
    talk.wecom.press(talk.card(), "确认", user=talk.user)
    assert "/jobs" in talk.later(before, "what was booked").content
    until(lambda: any(one.data for one in talk.wecom.in_chat(key)[posted:]), "the group's copy")
    (text,) = [one.content for one in talk.wecom.in_chat(key)[posted:] if one.content]
    assert "一个绿色的星" in text
    assert talk.user not in text
