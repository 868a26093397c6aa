"""What members send to the app, and what WeCom tells it, as events."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from bot.events import ChatEvent, Ignored
from bot.platforms.wecom.app import wechat
from bot.platforms.wecom.app.decode import decode, instant, key_of, response_code
from bot.platforms.wecom.render import key_of as button_key
from bot.platforms.wecom.settings import WecomApp
from bot.reply import Button
from storage.records import ChatType

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
AT = 1763798400
SETTINGS = WecomApp(agent_id="1000002")
REDO = Button(action="redo", label="重画", value={"job": 17})
PICKED = Button(action="upscale", label="放大", value={"job": 17, "index": 1})


def fields(kind: str, **more: Any) -> dict[str, Any]:
    """The elements as wechatpy reads them."""
    elements = {
        "ToUserName": "ww1",
        "FromUserName": "ZhangSan",
        "CreateTime": AT,
        "MsgType": kind,
        "AgentID": 1000002,
        **more,
    }
    return wechat.fields(f"<xml>{''.join(map(_element, elements.items()))}</xml>")


def _element(named: tuple[str, Any]) -> str:
    name, value = named
    if isinstance(value, list):
        return "".join(_element((name, each)) for each in value)
    inner = "".join(map(_element, value.items())) if isinstance(value, dict) else f"<![CDATA[{value}]]>"
    return f"<{name}>{inner}</{name}>"


def event(name: str, **more: Any) -> dict[str, Any]:
    return fields("event", **{"Event": name, "EventKey": "", **more})


def chosen(*answers: tuple[str, list[str]]) -> dict[str, Any]:
    items = [{"QuestionKey": key, "OptionIds": {"OptionId": options}} for key, options in answers]
    return {"SelectedItems": {"SelectedItem": items}}


def decoded(found: dict[str, Any]) -> ChatEvent:
    result = decode(found, SETTINGS, NOW)
    assert isinstance(result, ChatEvent), result
    return result


PICTURE = {"images": [{"media": "m-1"}]}
MESSAGES: list[tuple[dict[str, Any], str, dict[str, Any]]] = [
    (fields("text", Content="/draw 一只猫", MsgId=7), "/draw 一只猫", {}),
    (fields("text", Content=" ／draw 山水\u200b\r\n远 ", MsgId=7), "／draw 山水\n远", {}),
    (fields("text", Content="]]&gt;<b>", MsgId=7), "]]&gt;<b>", {}),
    (fields("image", PicUrl="https://x.example/0", MediaId="m-1", MsgId=7), "", PICTURE),
    (fields("voice", MediaId="m-2", Format="amr", MsgId=7), "", {"unusable": "voice"}),
    (fields("voice", MediaId="m-2", Format="amr", Recognition="画一只猫", MsgId=7), "画一只猫", {}),
    (fields("video", MediaId="m-3", ThumbMediaId="t", MsgId=7), "", {"unusable": "video"}),
    (fields("location", Location_X="1", Location_Y="2", Label="这里", MsgId=7), "", {"unusable": "location"}),
    (fields("link", Title="t", Url="https://x.example", MsgId=7), "", {"unusable": "link"}),
    (fields("file", MsgId=7), "", {"unusable": "file"}),
]


@pytest.mark.parametrize(("found", "text", "value"), MESSAGES)
def test_a_message(found: dict[str, Any], text: str, value: dict[str, Any]) -> None:
    event = decoded(found)
    assert (event.kind, event.text, event.value) == ("message", text, value)
    assert (event.key, event.origin.message_id) == ("app:7", "7")
    assert str(event.sender) == "wecom:zhangsan"  # WeCom does not tell their case apart
    assert (event.origin.chat_id, event.origin.chat_type) == ("app:zhangsan", ChatType.DIRECT)
    assert event.mentioned
    assert event.at == datetime.fromtimestamp(AT, UTC)


def test_trap_22_a_message_id_keeps_all_its_digits() -> None:
    event = decoded(fields("text", Content="x", MsgId=9223372036854775807))
    kept = json.loads(json.dumps(event.to_json()))
    assert kept["origin"]["message_id"] == "9223372036854775807"
    assert kept["key"] == "app:9223372036854775807"


EVENTS: list[tuple[dict[str, Any], str, str, str, dict[str, Any]]] = [
    (event("subscribe"), "chat", "entered", "", {}),
    (event("enter_agent"), "chat", "entered", "", {}),
    (event("click", EventKey="quota"), "message", "", "/quota", {}),
    (event("click", EventKey="draw_help"), "message", "", "/help draw", {}),
    (event("click", EventKey="/draw 猫"), "message", "", "/draw 猫", {}),
    (event("template_card_event", EventKey=button_key(REDO), TaskId="t-1"), "action", "redo", "", {"job": 17}),
    (event("template_card_menu_event", EventKey=button_key(REDO), TaskId="t-1"), "action", "redo", "", {"job": 17}),
    (event("template_card_event", EventKey="somebody's", TaskId="t-1"), "action", "", "", {}),
    (  # one list is an object
        event("template_card_event", EventKey=button_key(PICKED), TaskId="t-1", **chosen(("index", ["3"]))),
        "action",
        "upscale",
        "",
        {"job": 17, "index": 3},
    ),
    (  # several are a list, and so are several options
        event(
            "template_card_event",
            EventKey=button_key(PICKED),
            TaskId="t-1",
            **chosen(("other", ["x", "y"]), ("index", ["2", "4"])),
        ),
        "action",
        "upscale",
        "",
        {"job": 17, "index": 2},
    ),
    (  # what is picked cannot make a button mean another job
        event("template_card_event", EventKey=button_key(PICKED), TaskId="t-1", **chosen(("job", ["18"]))),
        "action",
        "upscale",
        "",
        {"job": 17, "index": 1},
    ),
]


@pytest.mark.parametrize(("found", "kind", "action", "text", "value"), EVENTS)
def test_an_event(found: dict[str, Any], kind: str, action: str, text: str, value: dict[str, Any]) -> None:
    event = decoded(found)
    assert (event.kind, event.action, event.text, event.value) == (kind, action, text, value)
    assert event.origin.message_id == ("t-1" if kind == "action" else "")
    assert event.sender.external_id == "zhangsan"


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (event("unsubscribe"), "nobody listens"),
        (event("LOCATION", Latitude="23.1", Longitude="113.3"), "nobody listens"),
        (event("view", EventKey="https://x.example"), "nobody listens"),
        (event("view_miniprogram", EventKey="pages/x"), "nobody listens"),
        (event("scancode_push", EventKey="k", ScanCodeInfo={"ScanType": "qrcode"}), "nobody listens"),
        (event("pic_sysphoto", EventKey="k"), "nobody listens"),
        (event("location_select", EventKey="k"), "nobody listens"),
        (event("batch_job_result", BatchJob={"JobId": "1"}), "nobody listens"),
        (event("open_approval_change"), "nobody listens"),
        (event("inactive_alert"), "nobody listens"),
        (event("change_contact", FromUserName="sys", AgentID=""), "address book"),
        (event("kf_msg_or_event"), "nobody listens"),
        (fields("text", Content="", MsgId=7), "an empty text"),
        (fields("text", Content="\u200b \u00a0", MsgId=7), "an empty text"),
        (fields("text", Content="x", FromUserName="", MsgId=7), "FromUserName is missing"),
        (fields("text", Content="x", AgentID=1000003, MsgId=7), "for app 1000003"),
        (fields("image", MsgId=7), "MediaId is missing"),
        (event("template_card_event", EventKey=button_key(REDO)), "TaskId is missing"),
        (event("click"), "EventKey is missing"),
        (fields("new_kind", MsgId=7), "nobody listens"),
    ],
)
def test_what_is_acknowledged_and_forgotten(found: dict[str, Any], reason: str) -> None:
    ignored = decode(found, SETTINGS, NOW)
    assert isinstance(ignored, Ignored)
    assert reason in ignored.reason


def test_trap_02_events_without_an_id_are_told_apart() -> None:
    first = event("click", EventKey="quota")
    assert key_of(first) == f"app:zhangsan:{AT}:click:quota"
    assert key_of(first) == key_of(event("click", EventKey="quota", FromUserName="zhangsan"))  # sent again
    others = [
        event("click", EventKey="quota", CreateTime=AT + 1),
        event("click", EventKey="help"),
        event("view", EventKey="quota"),
        event("click", EventKey="quota", FromUserName="lisi"),
    ]
    assert len({key_of(each) for each in (first, *others)}) == 5


def test_two_presses_in_one_second_are_two_and_their_code_is_in_no_event() -> None:
    presses = [
        event("template_card_event", EventKey=button_key(REDO), TaskId="t-1", ResponseCode=f"secret-{number}")
        for number in range(2)
    ]
    assert key_of(presses[0]) != key_of(presses[1])
    assert response_code(presses[0]) == "secret-0"
    assert "secret" not in json.dumps(decoded(presses[0]).to_json())


@pytest.mark.parametrize("raw", ["", "x", "-1", "1.5", None, "9" * 12])
def test_a_time_that_is_none(raw: object) -> None:
    assert instant(raw) is None
