"""What WeCom's robot is told, as events: every type of message and event, as documented and as nobody documents it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot import commands
from bot.commands import Ask, Conversation, Draw, UsageError
from bot.commands.rules import Rules
from bot.events import ChatEvent, Ignored
from bot.platforms.wecom.render import key_of
from bot.platforms.wecom.robot.decode import decode, feedback_id, instant, is_encrypted, person
from bot.platforms.wecom.settings import WecomAibot
from bot.reply import Button
from storage.records import ChatType

NOW = datetime(2026, 11, 22, 7, 0, tzinfo=UTC)
ROBOT = WecomAibot(name="墨契")
ENCRYPTED = "woAJ2GCAAAXtWyujaWJHDDGi0mACAAAA"
URL = "https://ww-aibot-img-1258476243.cos.ap-guangzhou.myqcloud.com/BHoPdA3/757?sign=q%3D1 "  # as documented: a space

Body = dict[str, Any]


def callback(
    kind: str = "text", content: Any = None, *, group: bool = False, sender: Any = "ZhangSan", **more: Any
) -> Body:
    """The body of a callback."""
    body: dict[str, Any] = {
        "msgid": "CAIQ16HMjQYY/NGagIOAgAMgq4KM0AI=",
        "aibotid": "AIBOT",
        "chattype": "group" if group else "single",
        "from": {"userid": sender} if isinstance(sender, str) else sender,
        "response_url": "https://qyapi.weixin.qq.com/cgi-bin/aibot/response?response_code=SECRET",
        "msgtype": kind,
        kind: {"content": content} if isinstance(content, str) else content,
    }
    return {**body, **({"chatid": "wrGROUP"} if group else {}), **more}


def told(kind: str, content: Any = None, **more: Any) -> dict[str, Any]:
    """The body of an event's callback."""
    event = {"eventtype": kind, **({kind: content} if content is not None else {})}
    return callback("event", event, **{"create_time": 1700000000, **more})


def heard(body: dict[str, Any], settings: WecomAibot = ROBOT) -> ChatEvent:
    event = decode(body, settings, NOW)
    assert isinstance(event, ChatEvent), event
    assert ChatEvent.from_json(event.to_json()) == event
    return event


# --- messages ---------------------------------------------------------------------------------------------------------


def test_a_message_to_the_robot_alone() -> None:
    event = heard(callback("text", "/draw 猫"))
    assert (event.kind, event.text, event.mentioned, event.at) == ("message", "/draw 猫", True, NOW)
    assert (event.sender.platform, event.sender.external_id, event.origin.sender) == ("wecom", "zhangsan", "zhangsan")
    assert (event.origin.chat_id, event.origin.chat_type) == ("robot:zhangsan", ChatType.DIRECT)
    assert event.key == "robot:CAIQ16HMjQYY/NGagIOAgAMgq4KM0AI="
    assert event.origin.message_id == "CAIQ16HMjQYY/NGagIOAgAMgq4KM0AI="
    assert event.value == {}, "what opens a way back to the chat is kept nowhere"


def test_a_message_in_a_group_is_for_us() -> None:
    event = heard(callback("text", "@墨契 /draw 猫", group=True))
    assert (event.origin.chat_id, event.origin.chat_type, event.mentioned) == ("wrGROUP", ChatType.GROUP, True)
    assert event.text == "/draw 猫"


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ("@墨契 ／draw 猫", Draw),
        ("@墨契\u2005\u200b/draw 猫", Draw),
        ("  \ufeff/draw 猫", Draw),
        ("\u3000／draw　猫", Draw),
        ("@墨契 画一只猫", Draw),
        ("@墨契 /ask 年假？", Ask),
        ("@墨契 年假怎么休？", Conversation),
        ("@小助手 @墨契 /draw 猫", Draw),
        ("@墨契", UsageError),
    ],
)
def test_trap_15_a_command_is_one_however_it_is_typed(content: str, wanted: type) -> None:
    event = heard(callback("text", content, group=True))
    assert isinstance(commands.parse(event.text, Rules()), wanted)


def test_trap_15_names_in_a_message_stay_but_ours() -> None:
    assert heard(callback("text", "@墨契 /ban @张三 刷屏", group=True)).text == "/ban @张三 刷屏"
    assert heard(callback("text", "@墨契助手 和 @墨契 你好", group=True)).text == "@墨契助手 和 你好"
    assert heard(callback("text", "@Robot A 你好", group=True), WecomAibot(name="Robot A")).text == "你好"
    assert heard(callback("text", "@RobotA 你好", group=True), WecomAibot()).text == "你好"
    assert heard(callback("text", "@张三 是谁"), WecomAibot()).text == "@张三 是谁", (
        "nobody mentions us where we are alone"
    )


def test_words_and_pictures_in_one_message() -> None:
    items = [
        {"msgtype": "text", "text": {"content": "@墨契 /draw 猫 --from"}},
        {"msgtype": "image", "image": {"url": URL, "aeskey": "K1"}},
        {"msgtype": "image", "image": {"url": "https://b.qq.com/2"}},
        {"msgtype": "text", "text": {"content": "要可爱"}},
        {"msgtype": "sticker"},
        "nonsense",
    ]
    event = heard(callback("mixed", {"msg_item": items}, group=True))
    assert event.text == "/draw 猫 --from\n要可爱"
    assert event.value["images"] == [{"url": URL.strip(), "key": "K1"}, {"url": "https://b.qq.com/2", "key": ""}]


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (callback("image", {"url": URL, "aeskey": "K"}), {"images": [{"url": URL.strip(), "key": "K"}]}),
        (
            callback("file", {"url": URL, "aeskey": "K", "filename": "手册.pdf"}),
            {"files": [{"url": URL.strip(), "key": "K", "name": "手册.pdf"}]},
        ),
        (callback("video", {"url": URL}), {"unusable": "video"}),
        (callback("location", {"latitude": 1}), {"unusable": "location"}),
        (callback("voice", ""), {"unusable": "voice"}),
        (callback("card", None), {"unusable": "card"}),
    ],
)
def test_a_message_without_words(body: dict[str, Any], value: dict[str, Any]) -> None:
    event = heard(body)
    assert (event.kind, event.text, event.value) == ("message", "", value)


def test_a_voice_message_is_what_was_said() -> None:
    assert heard(callback("voice", "画一只猫。")).text == "画一只猫。"


def test_a_long_text_is_refused_as_too_long() -> None:
    event = heard(callback("text", "猫" * 300_000))
    assert len(event.text) == 100_000
    refused = commands.parse(event.text, Rules())
    assert isinstance(refused, UsageError)
    assert refused.code == "too_long"


# --- quotes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quote", "value"),
    [
        ({"msgtype": "image", "image": {"url": URL, "aeskey": "K"}}, {"images": [{"url": URL.strip(), "key": "K"}]}),
        ({"msgtype": "file", "file": {"url": URL}}, {"files": [{"url": URL.strip(), "key": "", "name": ""}]}),
        ({"msgtype": "text", "text": {"content": "上周的海报"}}, {"quote": "上周的海报"}),
        ({"msgtype": "voice", "voice": {"content": "上周的海报"}}, {"quote": "上周的海报"}),
        ({"msgtype": "video", "video": {"url": URL}}, {}),
        ({"msgtype": "text"}, {}),
        ({}, {}),
        ("nonsense", {}),
    ],
)
def test_trap_15_what_is_quoted_counts(quote: Any, value: dict[str, Any]) -> None:
    event = heard(callback("text", "@墨契 /draw 猫 --from", group=True, quote=quote))
    assert (event.text, event.value) == ("/draw 猫 --from", value)


def test_a_picture_of_ones_own_comes_before_a_quoted_one() -> None:
    quote = {"msgtype": "mixed", "mixed": {"msg_item": [{"msgtype": "image", "image": {"url": "https://b.qq.com/2"}}]}}
    event = heard(callback("image", {"url": "https://b.qq.com/1"}, quote=quote))
    assert event.value["images"] == [{"url": "https://b.qq.com/1", "key": ""}]
    assert heard(callback("text", "/draw 猫 --from", quote=quote)).value["images"][0]["url"] == "https://b.qq.com/2"


@pytest.mark.parametrize(
    ("quoted", "text"),
    [
        ("年假怎么休？", "年假怎么休？"),
        ("@墨契 年假怎么休？", "年假怎么休？"),
        ("/kb remove 手册.md", ""),  # nobody gives a command by pointing at one
        ("@墨契 ／cancel 17", ""),
    ],
)
def test_to_mention_us_and_say_nothing_is_to_point_at_what_is_quoted(quoted: str, text: str) -> None:
    quote = {"msgtype": "text", "text": {"content": quoted}}
    assert heard(callback("text", "@墨契 ", group=True, quote=quote)).text == text


# --- who and when -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "hidden", "kept"),
    [
        ("ZhangSan", False, "zhangsan"),
        (" lisi ", False, "lisi"),
        (ENCRYPTED, True, ENCRYPTED),
        ("wmAJ2GCAAAXtWyujaWJHDDGi0mACBBBB", True, "wmAJ2GCAAAXtWyujaWJHDDGi0mACBBBB"),
        ("Wolfgang", False, "wolfgang"),
        ("woodworker-in-the-city-of-hangzhou", False, "woodworker-in-the-city-of-hangzhou"),
        ("womenA", False, "womena"),
        ("WOAJ2GCAAAXtWyujaWJHDDGi0mACAAAA", False, "woaj2gcaaaxtwyujawjhddgi0macaaaa"),
        ("zhang@corp.example", False, "zhang@corp.example"),
    ],
)
def test_trap_16_an_encrypted_id_keeps_its_case_and_a_userid_has_none(raw: str, hidden: bool, kept: str) -> None:
    assert is_encrypted(raw.strip()) is hidden
    assert person(raw) == kept
    assert heard(callback("text", "x", sender=raw)).sender.external_id == kept


@pytest.mark.parametrize(
    ("raw", "seconds"),
    [
        (1700000000, 1700000000),
        ("1700000000", 1700000000),
        (1700000000123, 1700000000.123),
        (0, None),
        (True, None),
        (None, None),
        ("soon", None),
        (10**30, None),
        (-1700000000, None),
    ],
)
def test_times_are_in_seconds(raw: object, seconds: float | None) -> None:
    assert instant(raw) == (None if seconds is None else datetime.fromtimestamp(seconds, UTC))


@pytest.mark.parametrize(
    ("msgid", "key"),
    [
        ("M1", "robot:M1"),
        (7350127381034123457, "robot:7350127381034123457"),  # beyond what a double holds
        ("7350127381034123457", "robot:7350127381034123457"),
    ],
)
def test_trap_22_ids_are_texts(msgid: object, key: str) -> None:
    event = heard(callback("text", "x", msgid=msgid))
    assert event.key == key
    assert event.origin.message_id == str(msgid)
    assert event.to_json()["key"] == key


@pytest.mark.parametrize("msgid", [None, "", " ", [], {"a": 1}, True])
def test_an_event_without_an_id_is_known_again_all_the_same(msgid: object) -> None:
    body, other = callback("text", "x", msgid=msgid), callback("text", "y", msgid=msgid)
    assert heard(body).key == heard(dict(reversed(body.items()))).key != heard(other).key
    assert len(heard(callback("text", "x", msgid="M" * 9000)).key) < 250


@pytest.mark.parametrize(
    "body",
    [
        {},
        callback("stream", {"id": "S1"}),
        callback("text", "x", sender={}),
        callback("text", "x", sender=["zhangsan"]),
        callback("", "x"),
        told("disconnected_event", {}),
        told("something_new", {"a": 1}),
        told(""),
        callback("event", "nonsense"),
        told("feedback_event", {"id": "others", "type": 1}),
        told("feedback_event", {"id": feedback_id(17), "type": 9}),
        told("feedback_event", {"id": feedback_id(17), "type": [1]}),
    ],
)
def test_what_is_not_for_us_is_ignored_with_a_reason(body: dict[str, Any]) -> None:
    ignored = decode(body, ROBOT, NOW)
    assert isinstance(ignored, Ignored)
    assert ignored.reason
    assert ignored.key.startswith("robot:")


FIELDS = ["msgtype", "event", "eventtype", "from", "userid", "chatid", "msgid", "text", "content", "quote", "mixed"]
NAMES = st.sampled_from([*FIELDS, "msg_item", "image", "url", "id"])
ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=5)
    | st.sampled_from(["text", "event", "mixed", "image"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)


@given(
    st.sampled_from(["text", "mixed", "file", "quote", "from", "msgid", "create_time", "chatid", "event", "voice"]), ODD
)
def test_nothing_that_comes_breaks_the_decoder(name: str, odd: Any) -> None:
    for body in (
        callback("text", "x"),
        callback("mixed", {"msg_item": [odd]}),
        told("template_card_event", {"event_key": "x"}),
    ):
        decode({**body, name: odd}, ROBOT, NOW)
        decode(told("feedback_event", {"id": odd, "type": odd, "content": odd}), ROBOT, NOW)
        decode(told("template_card_event", {"event_key": UPSCALE, "selected_items": odd, "task_id": odd}), ROBOT, NOW)


# --- events -----------------------------------------------------------------------------------------------------------


def test_somebody_opens_the_chat() -> None:
    body = told("enter_chat")
    del body["chattype"]
    event = heard(body)
    assert (event.kind, event.action) == ("chat", "entered")
    assert (event.origin.chat_id, event.origin.chat_type) == ("robot:zhangsan", ChatType.DIRECT)
    assert event.at == datetime.fromtimestamp(1700000000, UTC)


def press(key: str, selected: Any = None, **more: Any) -> dict[str, Any]:
    card = {"card_type": "button_interaction", "event_key": key, "task_id": "moqi-1", "selected_items": selected}
    return told("template_card_event", card, group=True, **more)


UPSCALE = key_of(Button(action="upscale", label="放大", value={"job": 17, "index": 1}))


def test_trap_21_a_press_is_by_who_pressed_on_the_card_that_was_pressed() -> None:
    event = heard(press(key_of(Button(action="redo", label="重画", value={"job": 17, "from": "boss"}))))
    assert (event.kind, event.action, event.sender.external_id) == ("action", "redo", "zhangsan")
    assert event.value == {"job": 17, "from": "boss"}
    assert (event.origin.chat_id, event.origin.message_id) == ("wrGROUP", "moqi-1")


@pytest.mark.parametrize(
    ("selected", "index"),
    [
        ({"selected_item": [{"question_key": "index", "option_ids": {"option_id": ["3"]}}]}, 3),
        ({"selected_item": [{"question_key": "index", "option_ids": {"option_id": "3"}}]}, 3),
        ({"selected_item": [{"question_key": "index", "option_ids": {"option_id": []}}]}, 1),
        ({"selected_item": [{"question_key": "job", "option_ids": {"option_id": ["99"]}}]}, 1),
        ({"selected_item": {"question_key": "index"}}, 1),
        ({"selected_item": ["nonsense"]}, 1),
        (None, 1),
    ],
)
def test_the_picture_that_was_picked(selected: Any, index: int) -> None:
    assert heard(press(UPSCALE, selected)).value == {"job": 17, "index": index}


def test_a_button_of_nobodys_is_a_press_that_does_nothing() -> None:
    event = heard(press("button_replace_text"))
    assert (event.kind, event.action, event.value) == ("action", "", {})


@pytest.mark.parametrize(("kind", "action"), [(1, "vote_up"), (2, "vote_down"), (3, "vote_none")])
def test_opinions_about_answers(kind: int, action: str) -> None:
    feedback = {
        "id": feedback_id(17),
        "type": kind,
        "content": "能再详细\x00一些么 ",
        "inaccurate_reason_list": [2, "x", 4, True],
    }
    event = heard(told("feedback_event", feedback, group=True))
    assert (event.kind, event.action) == ("action", action)
    assert event.value == {"job": 17, "reasons": [2, 4], "said": "能再详细一些么"}
