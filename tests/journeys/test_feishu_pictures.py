"""Pictures as input through Feishu's webhook: answered ones, varied ones, enlarged ones; and files for the answers."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from html import unescape
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import Connection, select

from inference.images.builtin.judge import look
from storage.database import Database
from storage.records import JobState
from storage.tables import inbox, jobs, sources
from tests.journeys.moqi import Moqi, Person, until
from tests.journeys.test_feishu import NUMBERS, Guest, Member, buttons, pictures
from tests.simulators.feishu import FeishuSimulator, Sent
from tests.simulators.feishu_events import message, post


@pytest.fixture(scope="module")
def platform() -> Iterator[FeishuSimulator]:
    with FeishuSimulator(limits=False) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, platform: FeishuSimulator) -> Iterator[Moqi]:
    settings = {
        "platforms": {"web": {"enabled": True}, "feishu": platform.settings},
        "policy": {"labels": {"visible": False}},  # what is drawn is judged to its edges
    }
    house = Moqi(tmp_path_factory.mktemp("pictures"), settings=settings)
    platform.bot_url = f"{house.url}/feishu/events"
    house.start()
    house.ready()
    yield house
    assert house.stop() == 0
    house.verify()


@pytest.fixture
def admin(house: Moqi) -> Person:
    """Somebody at the web page, the first one there."""
    return house.people[0] if house.people else Person(house, "管理员")


@pytest.fixture
def member(house: Moqi, platform: FeishuSimulator, admin: Person) -> Callable[[], Member]:
    return lambda: Member(platform, next(NUMBERS))


def disc(colour: str = "red", side: int = 256, form: str = "PNG") -> bytes:
    """A round figure on blue, as somebody might have drawn it."""
    image = Image.new("RGB", (side, side), (40, 60, 200))
    ys, xs = np.mgrid[0:side, 0:side]
    mask = (xs - side / 2) ** 2 + (ys - side / 2) ** 2 < (side / 3.4) ** 2
    image.paste(Image.new("RGB", (side, side), colour), mask=Image.fromarray(mask))
    buffer = io.BytesIO()
    image.save(buffer, form)
    return buffer.getvalue()


def seen(data: bytes) -> list[tuple[str, str]]:
    picture = np.array(Image.open(io.BytesIO(data)).convert("RGB"))
    return [(figure.colour, figure.shape) for figure in look(picture)]


def shared(alice: Member, content: dict[str, Any], kind: str = "image", **more: Any) -> str:
    """Somebody sends a picture or a file; returns its message's id."""
    given = {"sender": alice.open_id, "chat_id": alice.chat_id, **more}
    event = message(alice.platform.app, content, kind=kind, **given)
    assert alice.platform.push(event).acknowledged
    return str(event["event"]["message"]["message_id"])


def field(card: Sent, name: str) -> str:
    found = re.search(rf'\*\*{name}\*\* (.*?)(?: · \*\*|\\n|")', card.text)
    return unescape(found[1]) if found else ""


# --- drawing from what was sent ---------------------------------------------------------------------------------


def test_a_picture_that_is_answered_is_redrawn_and_keeps_its_shape(platform: FeishuSimulator, member: Guest) -> None:
    alice = member()
    given = shared(alice, platform.resources.image(disc("red", 200, "JPEG")))
    card = alice.drawn("/draw 绿色的圆，蓝色背景 --from --size 128x128 --seed 7", parent_id=given)
    (key,) = pictures(card)
    assert Image.open(io.BytesIO(platform.images[key])).size == (128, 128)
    assert seen(platform.images[key]) == [("green", "circle")]
    assert field(card, "参考图") == "发来的图片"
    assert "画 5 步" in field(card, "重画程度")
    assert alice.answers(given) == [], "a picture alone is no order"


def test_a_picture_in_the_message_itself_and_its_shape_is_kept(platform: FeishuSimulator, member: Guest) -> None:
    alice = member()
    wide = io.BytesIO()
    Image.new("RGB", (300, 150), "blue").save(wide, "PNG")
    event = post(
        platform.app,
        [
            [{"tag": "text", "text": "/draw 红色的圆，蓝色背景 --from"}],
            [platform.resources.picture_run(wide.getvalue())],
        ],
        sender=alice.open_id,
        chat_id=alice.chat_id,
    )
    assert platform.push(event).acknowledged
    card = alice.ended(event["event"]["message"]["message_id"])
    assert "画好了" in card.text
    width, height = map(int, field(card, "尺寸").split("x"))
    assert abs(width / height - 2) < 0.15


def test_a_card_of_ours_that_is_answered_gives_its_picture(platform: FeishuSimulator, member: Guest) -> None:
    alice = member()
    first = alice.drawn("/draw 红色的圆，蓝色背景 --size 128x128 --seed 7")
    card = alice.drawn("/draw 黄色的圆，蓝色背景 --from", parent_id=first.message_id)
    job = buttons(first)[0]["job"]
    assert field(card, "参考图") == f"#{job} 第 1 张"
    (key,) = pictures(card)
    assert seen(platform.images[key]) == [("yellow", "circle")]
    by_number = alice.drawn(f"/draw 黄色的圆，蓝色背景 --from {job} --seed 3")
    assert field(by_number, "参考图") == f"#{job} 第 1 张"


def test_what_cannot_be_had_is_said_in_plain_words(platform: FeishuSimulator, member: Guest) -> None:
    alice, order = member(), "/draw 猫 --from --size 64x64"
    assert "没有找到参考图" in alice.told(order).text
    words = shared(alice, {"text": "好看吗"}, "text")
    assert "没有找到参考图" in alice.told(order, parent_id=words).text
    gone = shared(alice, platform.resources.image(disc()))
    platform.recalled.add(gone)
    assert "撤回" in alice.told(order, parent_id=gone).text
    platform.resources.restricted.add("oc_secret")
    secret = shared(alice, platform.resources.image(disc()), chat_id="oc_secret")
    assert "防泄密" in alice.told(order, parent_id=secret).text
    paper = shared(alice, platform.resources.file(b"%PDF-1.7 no picture", "cat.png"), "file")
    assert "不是能用的图片" in alice.told(order, parent_id=paper).text
    torn = shared(alice, platform.resources.image(disc()[:500]))
    assert "损坏" in alice.told(order, parent_id=torn).text
    large = shared(alice, platform.resources.image(bytes(21_000_000)))
    assert "最多 20 MB" in alice.told(order, parent_id=large).text
    sticker = shared(alice, {"file_key": "sticker_1"}, "sticker")
    assert "没有找到参考图" in alice.told(order, parent_id=sticker).text
    assert alice.left() == 50


def test_bad_moments_of_the_platform_lose_nothing(platform: FeishuSimulator, member: Guest) -> None:
    alice = member()
    given = shared(alice, platform.resources.image(disc()))
    for kind in ("500", "torn", "html"):
        platform.fail(kind, on="/resources/")
    card = alice.drawn("/draw 绿色的圆，蓝色背景 --from --size 64x64", parent_id=given)
    assert "发来的图片" in card.text
    assert alice.left() == 49


def test_others_are_answered_while_a_picture_is_fetched(platform: FeishuSimulator, member: Guest) -> None:
    alice, bob = member(), member()
    bob.chat_id = alice.chat_id
    given = shared(alice, platform.resources.image(disc()))
    platform.fail("slow", on="/resources/", seconds=3.0)
    order = alice.say("/draw 绿色的圆 --from --size 64x64", parent_id=given)
    assert "还剩" in bob.told("/quota").text
    assert alice.answers(order) == [], "it is still being fetched"
    assert "画好了" in alice.ended(order).text


# --- the buttons ------------------------------------------------------------------------------------------------


def press(alice: Member, action: str, index: int, card: Sent) -> dict[str, str]:
    found = [value for value in buttons(card) if value["action"] == action and value.get("index") == index]
    return alice.pressed(found[0], card.message_id)


def next_card(alice: Member, card: Sent, known: int = 1) -> Sent:
    """The finished card that a press of this one led to."""
    said = f"an answer number {known + 1}"
    until(lambda: len([sent for sent in alice.answers(card.parent_id) if "画好了" in sent.text]) > known, said)
    return alice.answers(card.parent_id)[-1]


def test_a_variation_and_an_enlargement_of_each_picture(platform: FeishuSimulator, member: Guest) -> None:
    alice = member()
    card = alice.drawn("/draw 红色的圆，蓝色背景 --size 128x128 --seed 7 --n 2")
    assert [(value["action"], value["index"]) for value in buttons(card) if "index" in value] == [
        ("variation", 1),
        ("variation", 2),
        ("upscale", 1),
        ("upscale", 2),
    ]
    assert press(alice, "variation", 2, card)["type"] == "success"
    assert press(alice, "variation", 2, card)["type"] == "info", "pressed twice"
    varied = next_card(alice, card)
    job = buttons(card)[0]["job"]
    assert field(varied, "参考图") == f"#{job} 第 2 张"
    (key,) = pictures(varied)
    assert seen(platform.images[key]) == [("red", "circle")]
    assert press(alice, "upscale", 1, card)["type"] == "success"
    larger = next_card(alice, card, known=2)
    (key,) = pictures(larger)
    assert Image.open(io.BytesIO(platform.images[key])).size == (256, 256)
    assert seen(platform.images[key]) == [("red", "circle")]
    assert field(larger, "种子") == "7"
    again = alice.drawn(f"/redo {buttons(larger)[0]['job']}")
    (redone,) = pictures(again)
    first, second = (Image.open(io.BytesIO(platform.images[one])).tobytes() for one in (key, redone))
    assert first == second, "the same recipe is the same picture"
    assert alice.left() == 50 - 5


def test_in_a_group_others_may_vary_what_they_have_seen_at_their_own_cost(member: Guest) -> None:
    alice, bob, outsider = member(), member(), member()
    bob.chat_id = alice.chat_id
    card = alice.drawn("/draw 红色的圆，蓝色背景 --size 64x64", group=True)
    assert press(bob, "variation", 1, card)["type"] == "success"
    next_card(alice, card)
    assert (alice.left(), bob.left()) == (49, 49)
    value = next(value for value in buttons(card) if value["action"] == "variation")
    assert "是别人的" in outsider.pressed(value, card.message_id)["content"]


# --- documents --------------------------------------------------------------------------------------------------


HANDBOOK = "# 咖啡机守则\n\n咖啡机每天十七点清洗，由当天的值日同事负责。\n".encode()


def test_an_admin_adds_a_file_and_everybody_can_ask(
    house: Moqi, platform: FeishuSimulator, admin: Person, member: Guest
) -> None:
    boss, alice = member(), member()
    admin.told(f"/role feishu:{boss.open_id} admin")
    paper = shared(alice, platform.resources.file(HANDBOOK, "../咖啡机.md"), "file")
    before = len([call for call in platform.calls if "/resources/" in call])
    assert "只有管理员能用 /kb" in alice.told("/kb add", parent_id=paper).text
    assert len([call for call in platform.calls if "/resources/" in call]) == before, "nothing was fetched"
    assert "已加入知识库：咖啡机.md" in boss.told("/kb add", parent_id=paper).text
    assert "没有变" in boss.told("/kb add", parent_id=paper).text
    assert "值日同事" in alice.ended(alice.say("咖啡机什么时候清洗?")).text
    assert "咖啡机.md" in boss.told("/kb").text
    assert "已从知识库移除" in boss.told("/kb remove 咖啡机.md").text
    assert "没有文档" in boss.told("/kb remove 咖啡机.md").text
    assert "是同步来的" in boss.told("/kb remove 请假与年假制度.md").text


def test_a_file_that_cannot_be_read_is_said_in_plain_words(
    platform: FeishuSimulator, admin: Person, member: Guest
) -> None:
    boss = member()
    admin.told(f"/role feishu:{boss.open_id} admin")

    def told(data: bytes, name: str) -> str:
        return boss.told("/kb add", parent_id=shared(boss, platform.resources.file(data, name), "file")).text

    assert "没有找到文件" in boss.told("/kb add").text
    assert "损坏了" in told(b"%PDF-1.7 and nothing more", "handbook.md")
    assert "读不了这种文件" in told(b"\x7fELF" + bytes(100), "handbook.txt")
    assert "同名的文档" in told(HANDBOOK, "请假与年假制度.md")
    assert (
        "已加入知识库：守则.md"
        in boss.told(
            "/kb add 守则.md", parent_id=shared(boss, platform.resources.file(HANDBOOK, "请假与年假制度.md"), "file")
        ).text
    )


# --- a crash at any point ---------------------------------------------------------------------------------------


def test_a_crash_loses_neither_the_order_nor_its_picture(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The order is kept, and the program dies before it could fetch what it points to."""
    with FeishuSimulator(limits=False) as platform:
        house = Moqi(tmp_path_factory.mktemp("crash"), settings={"platforms": {"feishu": platform.settings}})
        platform.bot_url = f"{house.url}/feishu/events"
        house.start(faults="inbox-accepted:2")
        alice = Member(platform, next(NUMBERS))
        given = shared(alice, platform.resources.image(disc()))
        order = message(
            platform.app,
            "/draw 绿色的圆，蓝色背景 --from --size 64x64",
            sender=alice.open_id,
            chat_id=alice.chat_id,
            parent_id=given,
        )
        platform.push(order)
        house.died()
        house.start()
        platform.advance(16)  # what was not acknowledged comes again
        card = alice.ended(order["event"]["message"]["message_id"])
        assert "画好了" in card.text
        assert house.stop() == 0
        house.verify()
        with Database.open(data=house.data) as db:
            assert db.read_sync(count) == (1, 1)


def count(conn: Connection) -> tuple[int, int]:
    """Finished jobs, and pictures that were given."""
    done = conn.execute(select(jobs.c.id).where(jobs.c.state == JobState.DONE)).all()
    assert conn.execute(select(inbox.c.id).where(inbox.c.handled_at.is_(None))).all() == []
    return len(done), len(conn.execute(select(sources.c.sha256)).all())
