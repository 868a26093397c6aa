"""What people press in Feishu, and what happens around its chats: the whole program against the platform."""

from __future__ import annotations

import itertools
import json
import re
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.journeys.moqi import Moqi, Person, paused, until
from tests.journeys.test_feishu import Member, buttons, pictures
from tests.simulators.feishu import FeishuSimulator, Sent
from tests.simulators.feishu_events import chat_event, entered, menu, message_read, reaction, recalled, submit

NUMBERS = itertools.count(500)

Guest = Callable[[], Member]


@pytest.fixture(scope="module")
def platform() -> Iterator[FeishuSimulator]:
    with FeishuSimulator(limits=False) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, platform: FeishuSimulator) -> Iterator[Moqi]:
    """One server for the whole page; in the end the sums are right, whatever was pressed."""
    settings = {"platforms": {"web": {"enabled": True}, "feishu": platform.settings}}
    house = Moqi(tmp_path_factory.mktemp("cards"), settings=settings)
    platform.bot_url = f"{house.url}/feishu/events"
    house.start()
    house.ready()
    yield house
    assert house.stop() == 0
    house.verify()


@pytest.fixture(scope="module")
def admin(house: Moqi) -> Person:
    return Person(house, "管理员")


@pytest.fixture
def member(house: Moqi, platform: FeishuSimulator) -> Guest:
    """Somebody new."""
    return lambda: Member(platform, next(NUMBERS))


def form_of(card: Sent) -> dict[str, Any] | None:
    return next((element for element in card.shown["body"]["elements"] if element["tag"] == "form"), None)


def answer(member: Member, action: str, card: Sent) -> dict[str, Any]:
    """Press a button; the whole answer."""
    value = next(value for value in buttons(card) if value["action"] == action)
    event = submit(
        member.platform.app, value, {}, presser=member.open_id, chat_id=card.chat_id, message_id=card.message_id
    )
    pushed = member.platform.push(event)
    assert pushed.statuses == [200]
    return dict(pushed.answer)


def send(member: Member, card: Sent, value: dict[str, Any], **filled: str) -> dict[str, str]:
    """Send the open form of a card; returns the toast."""
    event = submit(
        member.platform.app, value, filled, presser=member.open_id, chat_id=card.chat_id, message_id=card.message_id
    )
    pushed = member.platform.push(event)
    assert pushed.statuses == [200]
    return dict(pushed.answer["toast"])


def directly(platform: FeishuSimulator, member: Member) -> list[Sent]:
    return [sent for sent in platform.visible() if sent.chat_id == member.open_id]


def test_a_picture_is_drawn_again_in_other_words(platform: FeishuSimulator, member: Guest) -> None:
    alice, bob = member(), member()
    card = alice.drawn("/draw 一只猫 --size 64x64 --seed 7")
    assert "别人的" in answer(bob, "form_open", card)["toast"]["content"]
    assert form_of(card) is None
    assert answer(alice, "form_open", card).keys() == {"card"}
    form = form_of(card)
    assert form is not None
    assert len(pictures(card)) == 1  # still there, the same upload
    opened = next(value for value in buttons(card) if value["action"] == "redo_form")
    filled = {one["name"]: one["default_value"] for one in inputs(form)}
    assert filled == {"prompt": "一只猫", "size": "64x64", "seed": "7"}
    toast = send(alice, card, opened, **{**filled, "size": "7 厘米"})
    assert (toast["type"], "宽x高" in toast["content"]) == ("warning", True)
    assert form_of(card) == form  # nothing is lost
    assert "别人的" in send(bob, card, opened, **filled)["content"]
    said = {"prompt": "一个红色的圆", "size": "128x128", "seed": ""}
    assert send(alice, card, opened, **said)["type"] == "success"
    assert form_of(card) is None
    assert "已经处理过了" in send(alice, card, opened, **said)["content"]
    drawn = until(lambda: [s for s in alice.answers(card.parent_id) if "画好了" in s.text and s is not card], "it")
    assert len(drawn) == 1
    assert "一个红色的圆" in drawn[0].text
    assert "128x128" in drawn[0].text
    assert "**种子** 7 ·" not in drawn[0].text  # one of its own
    assert alice.left() == 48
    answer(alice, "form_open", card)
    answer(alice, "form_close", card)
    assert form_of(card) is None
    assert pictures(card)


def inputs(element: dict[str, Any]) -> list[dict[str, Any]]:
    children = [*element.get("columns", ()), *element.get("elements", ())]
    return [one for child in children for one in ([child] if child["tag"] == "input" else inputs(child))]


def test_everybody_may_say_what_they_think(house: Moqi, member: Guest) -> None:
    alice, bob = member(), member()
    card = alice.drawn("/draw 猫 --size 64x64")
    assert alice.press("vote_up", card) == {"type": "success", "content": "谢谢，已记下 👍"}
    assert "👎" in bob.press("vote_down", card)["content"]
    job = str(next(value["job"] for value in buttons(card)))
    shown = json.loads(house.command("jobs", "show", job, "--json", check=True).stdout)
    assert shown["votes"] == {"up": 1, "down": 1}
    said = alice.ended(alice.say("年假怎么休?"))
    assert "👍" in alice.press("vote_up", said)["content"]
    assert "哪里不好" in answer(bob, "vote_down", said)["toast"]["content"]
    choice = next(value for value in buttons(said) if value.get("reason") == 2)
    assert send(bob, said, choice)["type"] == "success"
    assert form_of(said) is None, "what was asked is answered"
    answer(alice, "vote_down", said)
    assert send(alice, said, {"job": choice["job"], "action": "why_form"}, reason="旧了")["type"] == "success"
    opinions = json.loads(house.command("kb", "feedback", "--json", check=True).stdout)
    assert [(one["vote"], one["reasons"], one["said"]) for one in opinions] == [
        ("down", [], "旧了"),
        ("down", ["incomplete"], ""),
    ]
    assert {one["question"] for one in opinions} == {"年假怎么休?"}
    assert opinions[0]["answer"]
    assert opinions[0]["offered"][0]["text"]
    [waiting] = json.loads(house.command("kb", "unanswered", "--json", check=True).stdout)
    assert (waiting["question"], waiting["disliked"]) == ("年假怎么休?", 2)
    assert alice.left() == 49  # it costs nothing, and nothing was said in the chat
    assert len(alice.answers(card.parent_id)) == 1


def test_the_web_page_has_the_same_form_and_thumbs(house: Moqi, admin: Person) -> None:
    """Its opening and closing is the page's own."""
    person = Person(house, "网友")
    card = person.drawn("/draw 一只猫 --size 64x64 --seed 7")
    assert person.push("👍") == {"kind": "success", "text": "谢谢，已记下 👍"}
    assert card["form"]["action"] == "redo_form"
    filled = {one["name"]: one["value"] for one in card["form"]["fields"]}
    body = {"action": "redo_form", "value": card["form"]["value"], "message": 1}

    def sent(form: dict[str, str]) -> dict[str, str]:
        answer = person.http.post("/api/actions", json={**body, "id": uuid.uuid4().hex, "form": form})
        assert answer.status_code == 200, answer.text
        return dict(answer.json()["toast"])

    assert "宽x高" in sent({**filled, "size": "large"})["text"]
    assert sent({**filled, "prompt": "一个红色的圆"})["kind"] == "success"
    again = until(lambda: [one for one in person.replies() if one["state"] == "done"][1:], "the second picture")
    assert (again[0]["text"], dict(map(tuple, again[0]["fields"]))["种子"]) == ("一个红色的圆", "7")
    wrong = {**body, "id": uuid.uuid4().hex, "form": {"Prompt": "x"}}
    assert person.http.post("/api/actions", json=wrong).status_code == 422


def test_trap_24_a_card_forwarded_elsewhere_does_nothing(platform: FeishuSimulator, member: Guest) -> None:
    alice, bob = member(), member()
    card = alice.drawn("/draw 猫 --size 64x64", group=True)
    for action in ("redo", "vote_up", "form_open"):
        value = next(value for value in buttons(card) if value["action"] == action)
        for someone in (alice, bob):
            someone.chat_id = "oc_elsewhere"
            toast = someone.pressed(value, "om_the_copy")
            assert (toast["type"], "转发" in toast["content"]) == ("warning", True)
    assert alice.answers(card.parent_id) == [card]


@pytest.mark.parametrize("value", ["redo", "", ["redo"], None, {"action": "explode"}, {"job": 1}], ids=str)
def test_trap_23_a_press_that_means_nothing_is_answered_in_words(
    platform: FeishuSimulator, member: Guest, value: Any
) -> None:
    alice = member()
    event = submit(platform.app, value, {}, presser=alice.open_id, chat_id=alice.chat_id)
    pushed = platform.push(event)
    assert pushed.statuses == [200]
    assert "失效" in pushed.answer["toast"]["content"]


def test_trap_23_the_card_of_a_press_changes_after_its_answer(admin: Person, member: Guest) -> None:
    """The platform drops what comes before."""
    alice = member()
    with paused(admin):
        card = alice.told("/draw 猫 --size 64x64")
        assert alice.press("cancel", card)["type"] == "success"
        until(lambda: "已取消" in card.text, "the card to say so")


def test_hello_once_in_a_group_and_once_to_a_person(platform: FeishuSimulator, member: Guest) -> None:
    alice = member()
    for at in (0, 1):
        assert platform.push(chat_event(platform.app, "member.bot.added", "oc_new", at=1_790_000_000 + at)).acknowledged
    hello = until(lambda: [sent for sent in platform.visible() if sent.chat_id == "oc_new"], "hello to the group")
    assert "大家好，我是墨契" in hello[0].text
    assert "年假怎么休" in hello[0].text
    for _ in range(2):
        assert platform.push(entered(platform.app, operator=alice.open_id, chat_id=alice.chat_id)).acknowledged
    mine = until(lambda: [sent for sent in platform.visible() if sent.chat_id == alice.chat_id], "hello to her")
    assert "你好，我是墨契" in mine[0].text
    alice.told("/help")
    assert [sent.chat_id for sent in platform.visible()].count("oc_new") == 1
    assert len([sent for sent in platform.visible() if sent.chat_id == alice.chat_id and "你好" in sent.text]) == 1


@pytest.mark.parametrize(
    ("key", "said"), [("quota", "还剩 50 / 50"), ("/help draw", "--size"), ("nothing", "没有 /no")]
)
def test_the_menu_of_the_bot(platform: FeishuSimulator, member: Guest, key: str, said: str) -> None:
    alice = member()
    assert platform.push(menu(platform.app, key, operator=alice.open_id)).acknowledged
    (sent,) = until(lambda: directly(platform, alice), "an answer to the menu")
    assert said in sent.text


def test_trap_27_a_group_that_is_gone_stops_what_was_planned_there(
    house: Moqi, admin: Person, platform: FeishuSimulator, member: Guest
) -> None:
    alice, bob = member(), member()
    booked = alice.told("/draw 早安图 --every 工作日9:00 --size 64x64", group=True)
    alice.press("res_confirm", booked)
    number = re.findall(r"r(\d+)", booked.text)[0]
    with paused(admin):
        waiting = alice.told("/draw 猫 --size 64x64", group=True)
        elsewhere = bob.told("/draw 狗 --size 64x64", group=True)
        platform.unknown_chats.add(alice.chat_id)
        for kind in ("member.bot.deleted", "disbanded"):
            assert platform.push(chat_event(platform.app, kind, alice.chat_id, name="设计组")).acknowledged
        (told,) = until(lambda: directly(platform, alice), "alice to be told")
    assert "“设计组”群" in told.text
    assert f"r{number}" in told.text
    assert f"&#35;{buttons(waiting)[0]['job']}" in told.text
    assert "画好了" in bob.ended(elsewhere.parent_id).text
    platform.unknown_chats.discard(alice.chat_id)
    alice.chat_id = f"{alice.chat_id}d"  # her direct chat
    assert alice.left() == 50
    shown = json.loads(house.command("reservations", "show", number, "--json", check=True).stdout)
    assert (shown["state"], shown["reason"]) == ("paused", "chat_gone")
    assert len(directly(platform, alice)) == 1
    house.verify()


def test_a_message_taken_back_stops_what_runs(platform: FeishuSimulator, member: Guest) -> None:
    alice = member()
    message_id = alice.say("/draw 猫 --size 512x512 --steps 50")
    until(lambda: any("正在画" in sent.text for sent in alice.answers(message_id)), "it to run")
    assert platform.push(recalled(platform.app, message_id, chat_id=alice.chat_id)).acknowledged
    assert "已取消" in alice.ended(message_id).text
    assert alice.left() == 50


def test_trap_4_what_nobody_listens_to_is_acknowledged(platform: FeishuSimulator, member: Guest) -> None:
    alice = member()
    before = len(platform.visible())
    for event in (
        reaction(platform.app, "om_x", operator=alice.open_id),
        reaction(platform.app, "om_x", operator=alice.open_id, kind="deleted"),
        message_read(platform.app, "om_x", reader=alice.open_id),
        chat_event(platform.app, "updated", alice.chat_id),
        chat_event(platform.app, "member.user.added", alice.chat_id),
    ):
        assert platform.push(event).acknowledged
    assert platform.visible()[before:] == []


def test_the_web_page_asks_why_and_looks_up_what_answers_are_made_from(house: Moqi, admin: Person) -> None:
    person = Person(house, "问问")
    job = person.finished(person.ordered("报销要在多少天内提交？"))["job"]
    message = next(m for m in person.history() if m["author"] == "bot" and m["body"]["job"] == job)
    press = {"value": {"job": job}, "message": message["id"]}
    told = person.http.post("/api/actions", json={**press, "id": uuid.uuid4().hex, "action": "vote_down"}).json()
    assert "哪里不好" in told["toast"]["text"]
    choice = told["form"]["choices"][3]
    filled = {"value": choice["value"], "form": {"reason": "天数变了"}, "message": message["id"]}
    told = person.http.post("/api/actions", json={**filled, "id": uuid.uuid4().hex, "action": "why_form"}).json()
    assert (told["toast"]["kind"], "form" in told) == ("success", False)
    waiting = admin.http.get("/api/knowledge/unanswered").json()["questions"]
    mine = next(one for one in waiting if one["jobs"] == [job])
    assert (mine["reasons"], mine["said"], mine["askers"]) == ({"figures": 1}, ["天数变了"], ["问问"])
    assert (mine["hidden"], bool(mine["answer"]), bool(mine["documents"])) == (False, True, True)
    found = person.http.post("/api/search", json={"question": "报销要在多少天内提交？"}).json()
    assert found["answerable"]
    assert found["passages"][0]["document"] in mine["documents"]
    assert person.http.get("/api/knowledge/unanswered").status_code == 403
