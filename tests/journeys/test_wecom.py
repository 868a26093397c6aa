"""The same line through WeCom: the robot in groups and alone, the app, and one person behind both."""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from PIL import Image

from inference.images.builtin.judge import look
from tests.journeys.moqi import Moqi, Person, paused, until
from tests.simulators.wecom import Asked, Posted, Shown, WecomSimulator

NUMBERS = itertools.count(1)
ENDED = ("画好了", "没有画成", "已取消", "摘自知识库", "没有找到")


@dataclass(frozen=True)
class Talk:
    """Somebody's chat with Moqi, by one of WeCom's products."""

    wecom: WecomSimulator
    user: str
    way: str  # robot | group | app

    @property
    def chat(self) -> str:
        return f"wr{self.user}" if self.way == "group" else self.user

    @property
    def seen(self) -> list[Shown]:
        """What stands there, oldest first."""
        way = "app" if self.way == "app" else "robot"
        return [message for message in self.wecom.in_chat(self.chat) if message.way == way]

    def say(self, text: str, **more: Any) -> Asked | Posted:
        if self.way == "app":
            return self.wecom.app_says(text, user=self.user, **more)
        return self.wecom.say(text, user=self.user, chat=self.chat if self.way == "group" else None, **more)

    def told(self, text: str, **more: Any) -> str:
        """Write something and wait for its answer."""
        before = len(self.seen)
        self.say(text, **more)

        def answers() -> list[str]:
            whole = (one.content for one in self.seen[before:] if one.finished and one.content)
            return [content for content in whole if not content.strip("*").startswith(("排队中", "正在"))]

        return until(answers, f"an answer to {text!r}")[0]

    def drawn(self, text: str, **more: Any) -> tuple[list[bytes], Shown]:
        """Order pictures and wait for them and the card under them."""
        before = len(self.seen)
        self.say(text, **more)
        return self.finished(before, text)

    def finished(self, before: int, what: str) -> tuple[list[bytes], Shown]:
        def over() -> bool:
            seen = self.seen[before:]
            return any("redo" in key for one in seen for _, key in one.buttons) and any(one.data for one in seen)

        until(over, f"the pictures of {what!r} in {[one.content for one in self.seen[before:]]}")
        seen = self.seen[before:]
        return [one.data for one in seen if one.data], next(one for one in seen if one.buttons)

    def press(self, card: Shown, label: str) -> None:
        if self.way == "app":
            assert self.wecom.app_presses(card, label, user=self.user).acknowledged
        else:
            assert self.wecom.press(card, label, user=self.user).delivered

    def left(self) -> int:
        found = re.search(r"还剩 (\d+) / 50", self.told("/quota"))
        assert found is not None
        return int(found[1])


@pytest.fixture(scope="module")
def wecom() -> Iterator[WecomSimulator]:
    with WecomSimulator() as simulator:
        simulator.limits = False
        simulator.robot.encrypts = True  # a robot that no super-admin made: it calls people by ids of its own
        yield simulator


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, wecom: WecomSimulator) -> Iterator[Moqi]:
    """One server for the whole page; whatever WeCom did to it, the sums are right in the end."""
    wecom.webhook("设计群")
    unmarked = {"labels": {"visible": False}}  # what is drawn is judged to its edges
    settings = {"platforms": {"wecom": wecom.settings}, "policy": unmarked}
    house = Moqi(tmp_path_factory.mktemp("wecom"), settings=settings)
    wecom.app.url = f"{house.url}/wecom/app"
    house.start()
    house.ready()
    wecom.connected()
    yield house
    assert house.stop() == 0
    house.verify()
    assert wecom.strange == []
    log = house.log.read_text(encoding="utf-8")
    secrets = (wecom.app.secret, wecom.app.token, wecom.app.aes_key, wecom.robot.secret, *wecom.api.webhooks.groups)
    assert not [secret for secret in secrets if secret in log]


@pytest.fixture(scope="module")
def admin(house: Moqi) -> Person:
    """Somebody at the web page of the same server."""
    return Person(house, "管理员")


@pytest.fixture(params=["robot", "group", "app"])
def talk(request: pytest.FixtureRequest, house: Moqi, wecom: WecomSimulator) -> Talk:
    """Somebody new."""
    return newcomer(wecom, request.param)


def newcomer(wecom: WecomSimulator, way: str) -> Talk:
    user = f"member{next(NUMBERS)}"
    wecom.join(user, f"员工{user[6:]}", 2)
    return Talk(wecom, user, way)


# --- the line ---------------------------------------------------------------------------------------------------


def test_a_picture_means_what_was_asked_for(talk: Talk) -> None:
    pictures, card = talk.drawn("/draw 一个红色的圆，蓝色背景 --size 128x128 --seed 7")
    (picture,) = pictures
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    assert [(figure.colour, figure.shape) for figure in look(np.array(image))] == [("red", "circle")]
    assert [label for label, _ in card.buttons] == ["重画", "换种子", "变体", "放大", "👍", "👎"]
    texts = [one.content for one in talk.seen if one.content]
    assert any("种子 7" in text and "内容由 AI 生成" in text for text in texts)
    before = len(talk.seen)
    talk.press(card, "换种子")
    if talk.way.startswith("posted"):  # nothing can be pushed there: it says where the picture is
        show = until(
            lambda: re.search(r"/jobs \d+", " ".join(one.content for one in talk.seen[before:])), "where it is"
        )
        again, _ = talk.drawn(show[0])
    else:
        again, _ = talk.finished(before, "the same with another seed")
    assert again[0] != picture


def test_questions_commands_and_mistakes(talk: Talk) -> None:
    talk.say("年假怎么休?")

    def answers() -> list[str]:
        return [one.content for one in talk.seen if one.finished and "满 1 年不满 10 年" in one.content]

    answer = until(answers, "an answer")[0]
    assert "请假与年假制度.md" in answer
    if talk.way == "app":  # the robot's own 👎 asks by itself
        talk.press(pressable(talk, "👎"), "👎")
        talk.press(pressable(talk, "内容不完整"), "内容不完整")
        until(lambda: not any("内容不完整" in labels(one) for one in talk.seen), "the card as it was")
    assert "我会做的事" in talk.told("/help")
    assert "你是不是想用 /draw" in talk.told("／darw 猫")


def labels(message: Shown) -> list[str]:
    return [label for label, _ in message.buttons]


def pressable(talk: Talk, label: str) -> Shown:
    return until(lambda: [one for one in talk.seen if label in labels(one)], f"a card with {label}")[0]


def test_what_waits_can_be_cancelled_and_costs_nothing(talk: Talk, admin: Person) -> None:
    before = talk.left()
    with paused(admin):
        talk.say("/draw 一只猫 --size 128x128")
        until(lambda: "排队中" in talk.seen[-1].content, "the card")
        if talk.seen[-1].buttons:
            talk.press(talk.seen[-1], "取消")
        else:
            job = re.search(r"/cancel (\d+)", talk.seen[-1].content)
            assert job is not None
            talk.say(job[0])
        until(lambda: any("已取消" in one.content for one in talk.seen), "that it is cancelled")
    assert talk.left() == before


def test_what_comes_twice_is_done_once(talk: Talk) -> None:
    before = talk.left()
    said = talk.say("/draw 一只猫 --size 128x128 --n 2")
    if isinstance(said, Asked):
        talk.wecom.again(said)
    else:
        talk.wecom.app_again(said)
    talk.finished(0, "two cats")
    until(lambda: len([one for one in talk.seen if one.data]) == 2, "both")
    assert talk.left() == before - 2


def test_a_killed_server_loses_no_result(talk: Talk, house: Moqi, wecom: WecomSimulator, admin: Person) -> None:
    with paused(admin):
        talk.say("/draw 一个蓝色的方块 --size 128x128")
        until(lambda: any("排队中" in one.content for one in talk.seen), "its card")
        house.kill()
        house.start()
        house.ready()
        wecom.connected()
    pictures, _ = talk.finished(0, "what was ordered before")
    assert len(pictures) == 1
    assert talk.left() == 49


# --- one person -------------------------------------------------------------------------------------------------


def test_one_person_has_one_quota_whichever_way_they_come(house: Moqi, wecom: WecomSimulator) -> None:
    robot = newcomer(wecom, "robot")
    group, app = Talk(wecom, robot.user, "group"), Talk(wecom, robot.user.upper(), "app")
    robot.drawn("/draw 猫 --size 128x128")
    group.drawn("/draw 猫 --size 128x128")
    wecom.app_says("/draw 猫 --size 128x128", user=robot.user.upper())
    app = Talk(wecom, robot.user, "app")
    app.finished(0, "a cat by the app")
    assert [one.left() for one in (robot, group, app)] == [47, 47, 47]
    role = house.command("role", "set", f"wecom:{robot.user.upper()}", "admin")
    assert role.returncode == 0, role.stderr
    assert "已暂停" in robot.told("/pause")
    assert "已恢复" in app.told("/resume")


def test_a_file_of_an_admin_is_known_afterwards_and_a_picture_is_drawn_from(house: Moqi, wecom: WecomSimulator) -> None:
    boss, asker = newcomer(wecom, "robot"), newcomer(wecom, "app")
    house.command("role", "set", f"wecom:{boss.user}", "admin", check=True)
    text = "# 摸鱼条例\n\n每周五下午四点起可以在天台喝咖啡，由行政部的王小明准备。\n"
    quote = wecom.quoting(file=("摸鱼条例.md", text.encode()))
    assert "摸鱼条例" in boss.told("/kb add", quote=quote)
    assert "王小明" in asker.told("周五下午的咖啡由谁准备？")
    buffer = io.BytesIO()
    Image.new("RGB", (256, 256), "blue").save(buffer, "PNG")
    pictures, _ = boss.drawn("/draw 一个红色的圆 --from --size 128x128", image=buffer.getvalue())
    assert pictures
    assert any("参考图" in one.content for one in boss.seen)


def test_a_welcome_once_and_what_people_think_of_an_answer(house: Moqi, wecom: WecomSimulator) -> None:
    talk = newcomer(wecom, "robot")
    wecom.enter(talk.user)
    until(lambda: talk.seen, "a welcome")
    assert "我是墨契" in talk.seen[0].content
    wecom.advance(86400)
    wecom.enter(talk.user)
    answer = talk.told("年假怎么休?")
    assert len(talk.seen) == 2, "greeted once"
    shown = next(one for one in talk.seen if one.content == answer)
    wecom.feedback(shown, 2, user=talk.user, content="太长了", reasons=[2])
    until(lambda: "太长了" in house.command("jobs", "show", shown.feedback.partition(":")[2]).stdout, "the feedback")


# --- later ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["robot", "group", "app"])
def test_what_was_booked_arrives_where_it_was_booked_and_where_it_names(
    house: Moqi, wecom: WecomSimulator, way: str
) -> None:
    talk = newcomer(wecom, way)
    talk.say("/draw 一个绿色的星 --size 128x128 --at 5s后 --to 设计群")
    until(lambda: any("确认" in label for one in talk.seen for label, _ in one.buttons), "a proposal")
    card = next(one for one in talk.seen if one.buttons)
    key = next(iter(wecom.api.webhooks.groups))
    posted = len(wecom.in_chat(key))
    before = len(talk.seen)
    talk.press(card, "确认")
    talk.finished(before, "what was booked")
    until(lambda: any(one.images or one.data for one in wecom.in_chat(key)[posted:]), "the group's copy")
