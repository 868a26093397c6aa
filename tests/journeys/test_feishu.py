"""The same line through Feishu's webhook: what people see there, and what a bad day of the platform does to it."""

from __future__ import annotations

import io
import itertools
import json
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from sqlalchemy import Connection, func, select

from inference.images.builtin.judge import look
from storage.database import Database
from storage.records import DeliveryState
from storage.tables import jobs, outbox
from tests.journeys.moqi import Moqi, Person, paused, until
from tests.simulators.feishu import FeishuSimulator, Pushed, Sent
from tests.simulators.feishu_events import (
    BOT_OPEN_ID,
    App,
    challenge,
    click,
    headers,
    mention,
    message,
    post,
    recalled,
    sealed,
    signed,
)

NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def platform() -> Iterator[FeishuSimulator]:
    with FeishuSimulator(limits=False) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, platform: FeishuSimulator) -> Iterator[Moqi]:
    """One server for the whole page; whatever the platform did to it, the sums are right in the end."""
    settings = {"platforms": {"web": {"enabled": True}, "feishu": platform.settings}}
    house = Moqi(tmp_path_factory.mktemp("feishu"), settings=settings)
    platform.bot_url = f"{house.url}/feishu/events"
    house.start()
    house.ready()
    yield house
    assert house.stop() == 0
    house.verify()


@pytest.fixture(scope="module")
def admin(house: Moqi) -> Person:
    """Somebody at the web page of the same server."""
    return Person(house, "管理员")


class Member:
    """Somebody in Feishu, in a direct chat with the bot unless a group is named."""

    def __init__(self, platform: FeishuSimulator, number: int) -> None:
        self.platform = platform
        self.open_id = f"ou_{number:032d}"
        self.chat_id = f"oc_{number:032d}"

    def push(self, text: str, **more: Any) -> Pushed:
        given = {"sender": self.open_id, "chat_id": self.chat_id, **more}
        return self.platform.push(message(self.platform.app, text, **given))

    def say(self, text: str, **more: Any) -> str:
        """Write something; returns the message's id."""
        pushed = self.push(text, **more)
        assert pushed.statuses == [200]
        return str(pushed.envelope["event"]["message"]["message_id"])

    def answers(self, message_id: str) -> list[Sent]:
        return [sent for sent in self.platform.visible() if sent.parent_id == message_id]

    def told(self, text: str, **more: Any) -> Sent:
        """Write something and wait for its one answer."""
        message_id = self.say(text, **more)
        until(lambda: self.answers(message_id), f"an answer to {text!r}")
        return self.answers(message_id)[0]

    def ended(self, message_id: str) -> Sent:
        """The one answer to a message, once it shows how it ended."""
        until(lambda: any(over(sent) for sent in self.answers(message_id)), f"an outcome of {message_id}")
        assert len(self.answers(message_id)) == 1, [sent.text for sent in self.answers(message_id)]
        return self.answers(message_id)[0]

    def drawn(self, text: str, **more: Any) -> Sent:
        card = self.ended(self.say(text, **more))
        assert "画好了" in card.text, card.text
        return card

    def left(self) -> int:
        card = self.told("/quota")
        return sum(int(n) for n in re.findall(r"(?:还剩|追加) (\d+)", card.text.partition("回答")[0]))

    def press(self, action: str, card: Sent) -> dict[str, str]:
        """Press a button as it stands on the card; returns the toast."""
        value = next(value for value in buttons(card) if value["action"] == action)
        return self.pressed(value, card.message_id)

    def pressed(self, value: Mapping[str, Any], message_id: str) -> dict[str, str]:
        event = click(self.platform.app, dict(value), presser=self.open_id, chat_id=self.chat_id, message_id=message_id)
        pushed = self.platform.push(event)
        assert pushed.statuses == [200]
        return dict(pushed.answer["toast"])


def over(sent: Sent) -> bool:
    return any(word in sent.text for word in ("画好了", "没有画成", "已取消", "摘自知识库", "没有找到"))


def buttons(card: Sent) -> list[dict[str, Any]]:
    found = re.findall(r'"value": (\{[^{}]*\})', card.text)
    return [json.loads(value) for value in found]


def pictures(card: Sent) -> list[str]:
    return re.findall(r'"img_key": "([^"]+)"', card.text)


@pytest.fixture
def member(house: Moqi, platform: FeishuSimulator) -> Callable[[], Member]:
    """Somebody new."""
    return lambda: Member(platform, next(NUMBERS))


Guest = Callable[[], Member]


# --- the line ---------------------------------------------------------------------------------------------------


def test_a_picture_is_one_card_from_the_queue_to_the_end(
    admin: Person, platform: FeishuSimulator, member: Guest
) -> None:
    alice = member()
    with paused(admin):
        card = alice.told("/draw 一只戴红围巾的熊猫 --size 64x64 --seed 7")
        assert card.msg_type == "interactive"
        assert "排队中 · 第 1 位" in card.text
        assert [value["action"] for value in buttons(card)] == ["cancel"]
    alice.ended(card.parent_id)
    assert "画好了" in card.text
    pressable = ["redo", "reseed", "variation", "upscale", "form_open", "vote_up", "vote_down"]
    assert [value["action"] for value in buttons(card)] == pressable
    (key,) = pictures(card)
    assert Image.open(io.BytesIO(platform.images[key])).size == (64, 64)
    assert alice.answers(card.parent_id) == [card]


def test_the_first_card_tells_place_and_time_even_when_nobody_waits(member: Guest) -> None:
    alice = member()
    alice.ended(alice.say("/draw 猫 --size 64x64"))  # from here on the waiting time is a measured one
    first = alice.told("/draw 猫 --size 512x512")
    assert re.search(r"排队中 · 第 1 位 · 约 \d+ 秒", json.dumps(first.content, ensure_ascii=False))
    alice.ended(first.parent_id)
    assert "画好了" in first.text


def test_one_seed_is_one_picture_wherever_it_is_ordered(
    house: Moqi, admin: Person, platform: FeishuSimulator, member: Guest, tmp_path: Path
) -> None:
    prompt, out = "一个红色的圆，蓝色背景", tmp_path / "circle.png"
    (key,) = pictures(member().drawn(f"/draw {prompt} --size 128x128 --seed 7"))
    web = admin.picture(admin.drawn(f"/draw {prompt} --size 128x128 --seed 7"))
    ended = house.command("draw", prompt, "--size", "128x128", "--seed", "7", "-o", str(out))
    assert ended.returncode == 0, ended.stderr
    feishu, page, terminal = (rgb(found) for found in (platform.images[key], web, out.read_bytes()))
    assert (page == terminal).all()
    assert np.abs(feishu - page).mean() < 2  # a chat gets a smaller copy
    marked = page.astype(np.uint8)
    corner = marked[-24:, -48:]
    assert (corner.min() < 90, corner.max() > 230) == (True, True), "white letters on a dark plate"
    corner[:] = marked[-24:, -50:-49]  # the ground beside it: what the judge is to see
    assert [(figure.colour, figure.shape) for figure in look(marked)] == [("red", "circle")]


def rgb(picture: bytes) -> npt.NDArray[np.int16]:
    return np.array(Image.open(io.BytesIO(picture)).convert("RGB"), dtype=np.int16)


def test_questions_commands_and_formatted_text(platform: FeishuSimulator, member: Guest) -> None:
    alice = member()
    card = alice.ended(alice.say("年假怎么休?"))
    assert "满 1 年不满 10 年" in card.text
    assert "请假与年假制度.md" in card.text
    assert "还剩 50 / 50" in alice.told("/quota").text
    assert "我会做的事" in alice.told("/help").text
    assert alice.told("/new").msg_type == "text"
    assert "你是不是想用 /draw" in alice.told("/darw 猫").text
    formatted = post(
        platform.app,
        [[{"tag": "text", "text": "/draw 一只"}, {"tag": "text", "text": "猫 --size 64x64", "style": ["bold"]}]],
        sender=alice.open_id,
        chat_id=alice.chat_id,
        message_id="om_formatted",
    )
    assert platform.push(formatted).acknowledged
    assert "画好了" in alice.ended("om_formatted").text


def test_every_kind_of_message_is_acknowledged_and_most_are_left_alone(
    platform: FeishuSimulator, member: Guest
) -> None:
    alice = member()
    before = len(platform.visible())
    for kind in ("image", "file", "audio", "media", "sticker", "share_chat", "system", "something_new"):
        content = {"image_key": "img_x", "file_key": "file_x"}
        event = message(platform.app, content, kind=kind, sender=alice.open_id, chat_id=alice.chat_id)
        assert platform.push(event).acknowledged
    assert alice.push("你好", sender_type="app").acknowledged  # another bot: answering it might never end
    card = alice.told("/quota")
    assert platform.visible()[before:] == [card]


def test_in_a_group_only_who_is_addressed_answers(platform: FeishuSimulator, member: Guest) -> None:
    alice = member()
    ours, colleague = mention(1, BOT_OPEN_ID, "墨契", "bot"), mention(1, "ou_colleague", "同事")
    before = len(platform.visible())
    alice.say("画一只猫", group=True)
    alice.say("@_user_1 年假怎么休?", group=True, mentions=[colleague])
    alice.say("@_all 开会了", group=True)
    card = alice.drawn("@_user_1 画一只猫 --size 64x64", group=True, mentions=[ours])
    assert card.chat_id == alice.chat_id
    assert "/jobs" in alice.told("/help", group=True).text
    assert len(platform.visible()) == before + 2


def test_what_people_wrote_can_neither_mention_nor_format(member: Guest) -> None:
    card = member().drawn('/draw 猫</at><at user_id="all">所有人</at> **粗** [x](http://evil.example) --size 64x64')
    for element in card.shown["body"]["elements"]:
        if element["tag"] == "markdown":  # the only place where Feishu reads more than letters
            assert "<at" not in element["content"]
            assert "](http" not in element["content"]


def test_two_members_have_quotas_of_their_own(admin: Person, member: Guest) -> None:
    alice, bob = member(), member()
    admin.told(f"/quota set feishu:{alice.open_id} 1/day")
    alice.drawn("/draw 猫 --size 64x64")
    assert "额度不够" in alice.told("/draw 狗 --size 64x64").text
    assert (alice.left(), bob.left()) == (0, 50)
    bob.drawn("/draw 狗 --size 64x64")
    assert (alice.left(), bob.left()) == (0, 49)


def test_a_group_pays_beside_its_people_when_an_admin_says_so(admin: Person, member: Guest) -> None:
    alice, bob, boss = member(), member(), member()
    bob.chat_id = boss.chat_id = alice.chat_id
    boss.told("/help")
    admin.told(f"/role feishu:{boss.open_id} admin")
    said = boss.told("/quota set 本群 2/week", group=True).text
    assert "本群的画图额度改为每周 2，现在还剩 2。" in said
    alice.drawn("/draw 猫 --size 64x64", group=True)
    quota = alice.told("/quota", group=True).text
    assert "还剩 49 / 50" in quota
    assert re.search(r"画图（本群）.*还剩 1 / 2（每周 2），.*更新，以此为准", quota)
    assert "本群" not in alice.told("/quota").text
    card = bob.drawn("/draw 狗 --size 64x64", group=True)
    assert "本群本周的画图额度已用 100%，还剩 0" in card.text
    assert "本群的画图额度不够：这次需要 1，还剩 0（每周 2）" in alice.told("/draw 鸟 --size 64x64", group=True).text
    alice.drawn("/draw 鸟 --size 64x64")
    assert (alice.left(), bob.left()) == (48, 49)


# --- buttons and recalls ----------------------------------------------------------------------------------------


def test_buttons_answer_with_a_toast_and_do_what_they_say(admin: Person, member: Guest) -> None:
    """Trap 23: who pressed counts, not whom the button names; others may look, and change nothing."""
    alice, bob = member(), member()
    card = alice.drawn("/draw 猫 --size 64x64 --seed 7")
    toast = alice.press("redo", card)
    assert toast["type"] == "success"
    until(lambda: len([s for s in alice.answers(card.parent_id) if "画好了" in s.text]) == 2, "the second picture")
    again = alice.answers(card.parent_id)[1]
    assert "**种子** 7" in again.text
    assert "是别人的" in bob.press("redo", card)["content"]
    cancel = {"action": "cancel", "job": buttons(card)[0]["job"], "chat": "direct"}
    assert "已经结束（已完成）" in alice.pressed(cancel, card.message_id)["content"]
    with paused(admin):
        waiting = alice.told("/draw 狗 --size 64x64")
        assert "是别人的" in bob.press("cancel", waiting)["content"]
        assert "排队中" in waiting.text
        assert alice.press("cancel", waiting)["type"] == "success"
        alice.ended(waiting.parent_id)
    assert "已取消" in waiting.text
    assert alice.left() == 48


@pytest.mark.parametrize(
    "value",
    [
        {"action": "cancel", "job": 999_999},
        {"action": "cancel", "job": -1},
        {"action": "cancel", "job": 2**70},
        {"action": "cancel", "job": "1; DROP TABLE jobs"},
        {"action": "cancel", "job": True},
        {"action": "explode", "job": 1},
        {"action": "cancel"},
    ],
    ids=str,
)
def test_a_button_that_means_nothing_says_so(member: Guest, value: dict[str, Any]) -> None:
    toast = member().pressed(value, "om_nothing")
    assert toast["type"] == "warning"
    assert toast["content"]


def test_a_message_taken_back_takes_its_order_back(admin: Person, platform: FeishuSimulator, member: Guest) -> None:
    alice = member()
    with paused(admin):
        card = alice.told("/draw 猫 --size 64x64")
        platform.recalled.add(card.parent_id)
        assert platform.push(recalled(platform.app, card.parent_id, chat_id=alice.chat_id)).acknowledged
        alice.ended(card.parent_id)
    assert "已取消" in card.text
    assert alice.left() == 50


def test_a_recall_that_overtakes_its_message_still_counts(platform: FeishuSimulator, member: Guest) -> None:
    alice = member()
    assert platform.push(recalled(platform.app, "om_overtaken", chat_id=alice.chat_id)).acknowledged
    alice.say("/draw 猫 --size 64x64", message_id="om_overtaken")
    assert alice.left() == 50
    assert alice.answers("om_overtaken") == []


# --- events that must not count ---------------------------------------------------------------------------------


def test_trap_2_the_same_event_again_and_again_is_one_reply(platform: FeishuSimulator, member: Guest) -> None:
    """Also under another event id, and long after it was dealt with."""
    alice = member()
    event = message(platform.app, "/draw 猫 --size 64x64", sender=alice.open_id, chat_id=alice.chat_id)
    for round_ in range(5):
        fresh = {**event, "header": {**event["header"], "event_id": secrets.token_hex(16)}} if round_ > 2 else event
        assert platform.push(fresh).acknowledged
    alice.ended(event["event"]["message"]["message_id"])
    assert platform.push(event).acknowledged
    assert alice.left() == 49
    assert len(alice.answers(event["event"]["message"]["message_id"])) == 1


def test_trap_6_a_request_that_is_not_feishus_makes_nothing(
    house: Moqi, platform: FeishuSimulator, member: Guest
) -> None:
    alice, app = member(), platform.app
    alice.told("/quota")
    before, shown = count(house), len(platform.visible())
    event = message(app, "/draw 猫", sender=alice.open_id, chat_id=alice.chat_id)
    given, body = signed(app, event)
    bare = App(encrypt_key="")
    plain = json.dumps(event).encode()
    forged = [
        ({**given, "X-Lark-Signature": "0" * 64}, body),
        ({name: value for name, value in given.items() if name != "X-Lark-Signature"}, body),
        ({"Content-Type": "application/json"}, body),
        (headers(app, body, 1_600_000_000), body),  # recorded long ago
        (given, body[: len(body) // 2]),
        (given, body + b" "),
        (headers(app, body[:-20]), body[:-20]),  # signed, but cut
        (headers(app, plain), plain),  # signed, but not encrypted
        (headers(bare, body), body),
        (headers(app, b""), b""),
        (headers(app, b"[1, 2]"), b"[1, 2]"),
        (headers(app, b"\xff\xfe"), b"\xff\xfe"),
        signed(App(encrypt_key="another key"), event),
        signed(app, message(App(verification_token="another app"), "/draw 猫")),
        signed(app, challenge(App(verification_token="another app"), "let me in")),
    ]
    for number, (sent, content) in enumerate(forged):
        status, answer = platform.post_raw(sent, content)
        assert 400 <= status < 500, (number, status, answer)
        assert "challenge" not in (answer or {})
    big = b'{"encrypt": "' + b"A" * 2_000_000 + b'"}'
    assert platform.post_raw(headers(app, big), big)[0] in (0, 413)  # 0: cut while it was still being sent
    assert alice.left() == 50
    assert count(house) == before
    assert len(platform.visible()) == shown + 1
    assert platform.post_raw(*signed(app, challenge(app, "hello"))) == (200, {"challenge": "hello"})


# --- a bad day of the platform ----------------------------------------------------------------------------------


FAULTS = ("429", "limit", "500", "html", "garbage", "empty", "close", "cut", "slow", "code")


def test_whatever_the_api_does_there_is_one_message_in_the_end(
    admin: Person, platform: FeishuSimulator, member: Guest
) -> None:
    """Each fault meets somebody's first card, then the change of it; the uploads of the pictures meet all of them."""
    members = {kind: member() for kind in FAULTS}

    def fail(kind: str, on: str) -> None:
        more: dict[str, Any] = {"code": 230049, "status": 400} if kind == "code" else {"seconds": 0.3}
        platform.fail(kind, on=on, **more)

    with paused(admin):
        for kind, alice in members.items():
            fail(kind, f"om_{alice.open_id}/reply")
            alice.say("/draw 猫 --size 64x64", message_id=f"om_{alice.open_id}")
        cards = {kind: only(alice, f"om_{alice.open_id}") for kind, alice in members.items()}
        for kind, card in cards.items():
            fail(kind, f"/im/v1/messages/{card.message_id}")
            fail(kind, "/im/v1/images")
    for kind, alice in members.items():
        card = alice.ended(cards[kind].parent_id)
        assert card is cards[kind]
        assert "画好了" in card.text, kind
        (key,) = pictures(card)
        assert platform.images[key].startswith(b"\x89PNG")
    for alice in members.values():
        assert alice.left() == 49


def only(member: Member, message_id: str) -> Sent:
    """The one answer there is so far."""
    (card,) = until(lambda: member.answers(message_id), f"an answer to {message_id}")
    assert "排队中" in card.text
    return card


def test_trap_19_an_expired_token_is_renewed(platform: FeishuSimulator, member: Guest) -> None:
    alice = member()
    platform.expire_tokens()
    assert "还剩 50" in alice.told("/quota").text


def test_trap_21_a_card_that_is_gone_is_followed_by_a_new_message(
    admin: Person, platform: FeishuSimulator, member: Guest
) -> None:
    alice = member()
    with paused(admin):
        card = alice.told("/draw 猫 --size 64x64")
        platform.recalled.add(card.message_id)
    until(lambda: len(alice.answers(card.parent_id)) > 1, "the picture in a message of its own")
    assert ["画好了" in sent.text for sent in alice.answers(card.parent_id)] == [False, True]


def test_trap_27_what_can_never_be_delivered_has_its_reason_and_costs_nothing(
    house: Moqi, platform: FeishuSimulator, member: Guest
) -> None:
    alice = member()
    home, alice.chat_id = alice.chat_id, "oc_gone"
    platform.unknown_chats.add("oc_gone")
    message_id = alice.say("/draw 猫 --size 64x64")
    failed = until(lambda: failures(house, message_id).get("outcome"), "the delivery to be given up")
    assert "230002" in failed
    assert alice.answers(message_id) == []
    alice.chat_id = home
    assert alice.left() == 50
    house.verify()


def test_trap_27_a_reservation_comes_into_its_group_and_when_that_is_gone_to_its_owner(
    platform: FeishuSimulator, member: Guest
) -> None:
    alice, bob = member(), member()
    card = alice.told("/draw 猫 --at 5秒后 --size 64x64", group=True)
    assert "请确认预约" in card.text
    assert "别人的" in bob.press("res_confirm", card)["content"]
    assert alice.press("res_confirm", card)["type"] == "success"
    until(lambda: "已预约" in card.text, "the card to change in its place")
    drawn = until(lambda: [s for s in alice.answers(card.parent_id) if "画好了" in s.text], "the picture")
    assert [sent.chat_id for sent in drawn] == [alice.chat_id]
    lonely = alice.told("/draw 狗 --at 5秒后 --size 64x64", group=True)
    alice.press("res_confirm", lonely)
    until(lambda: "已预约" in lonely.text, "the second card to change")
    platform.unknown_chats.add(alice.chat_id)

    def directly() -> list[Sent]:
        return [sent for sent in platform.visible() if sent.chat_id == alice.open_id and "画好了" in sent.text]

    until(directly, "the picture to come to its owner")
    assert len(directly()) == 1
    assert "直接发给你" in directly()[0].text


def failures(house: Moqi, message_id: str) -> dict[str, str]:
    """Why the messages that answer this one were given up, by slot."""

    def look(conn: Connection) -> dict[str, str]:
        rows = conn.execute(select(outbox).where(outbox.c.state == DeliveryState.FAILED))
        return {row.slot: row.reason for row in rows if row.origin["message_id"] == message_id}

    with Database.open(data=house.data) as db:
        return db.read_sync(look)


def count(house: Moqi) -> int:
    """How many jobs there are."""

    def look(conn: Connection) -> int:
        return int(conn.execute(select(func.count()).select_from(jobs)).scalar_one())

    with Database.open(data=house.data) as db:
        return db.read_sync(look)


def test_the_sealed_body_is_what_the_platform_makes(platform: FeishuSimulator) -> None:
    """The forged ones above differ from this in one thing each."""
    assert json.loads(sealed(platform.app, {"a": 1})).keys() == {"encrypt"}
