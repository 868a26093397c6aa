"""The WeCom simulator's long connection: streams, pushes, windows, limits, uploads, and its bad days."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from tests.simulators.wecom import WecomSimulator
from tests.simulators.wecom_client import CARD, PNG, Client, post, push


@pytest.fixture
def wecom() -> Iterator[WecomSimulator]:
    with WecomSimulator() as simulator:
        yield simulator


@pytest.fixture
def client(wecom: WecomSimulator) -> Iterator[Client]:
    made = Client(wecom)
    assert made.subscribe() == 0
    yield made
    made.line.close()


def test_a_command_is_answered_in_a_stream_and_the_picture_is_pushed(wecom: WecomSimulator, client: Client) -> None:
    said = wecom.say("/draw 山水", user="alice", chat="wrGROUP")
    frame = client.frame()
    assert frame["cmd"] == "aibot_msg_callback"
    assert frame["body"]["text"] == {"content": "@墨契 Moqi /draw 山水"}
    assert client.stream(frame["headers"]["req_id"], "画着") == 0
    assert client.stream(frame["headers"]["req_id"], "画好了", finish=True) == 0
    assert [m.content for m in wecom.messages] == ["画好了"]
    assert wecom.messages[0].versions == ["画着", "画好了"]
    assert wecom.messages[0].finished
    assert wecom.messages[0].answers == said.msgid


# -- streams -------------------------------------------------------------------------------------------------------


def test_a_stream_lives_on_its_connection_for_six_minutes_and_once(wecom: WecomSimulator, client: Client) -> None:
    said = wecom.say("你好")
    first = client.frame()["headers"]["req_id"]
    assert client.stream("made-up", "一") == 846605
    assert client.stream(first, "字" * 6827) == 45002  # 20481 bytes
    assert client.stream(first, "一") == 0
    assert client.stream(first, "另", id="s2") == 6000
    wecom.advance(361)
    assert client.stream(first, "一二", finish=True) == 846608
    wecom.again(said)
    again = client.frame()
    assert again["body"]["msgid"] == said.msgid
    assert again["headers"]["req_id"] != first
    other = Client(wecom)
    assert other.subscribe() == 0
    assert other.stream(again["headers"]["req_id"], "一") == 846605
    other.line.close()
    assert [m.finished for m in wecom.messages] == [False]


def test_a_stream_is_finished_once_and_not_by_blanks(wecom: WecomSimulator, client: Client) -> None:
    for content, finished in (("\u200b ", False), ("", True), ("好了", True)):
        wecom.say("你好", user=f"u{finished}{content}")
        req_id = client.frame()["headers"]["req_id"]
        assert client.stream(req_id, content, finish=True) == 0
        assert wecom.messages[-1].finished is finished
    assert client.stream(req_id, "好了", finish=True) == 0  # the same again does no harm
    assert client.stream(req_id, "又一次", finish=True) == 6000


def test_three_streams_of_a_person_may_be_open(wecom: WecomSimulator, client: Client) -> None:
    requests = []
    for _ in range(4):
        wecom.say("/draw")
        requests.append(client.frame()["headers"]["req_id"])
    assert [client.stream(req_id, "画着") for req_id in requests] == [0, 0, 0, 45033]
    refused = wecom.say("/draw")
    assert (refused.turned_away, refused.delivered) == (True, False)
    assert wecom.say("/draw", user="bob").delivered
    client.frame()
    assert client.stream(requests[0], "好了", finish=True) == 0
    assert wecom.say("/draw").delivered


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"msgtype": "text", "text": {"content": "你好"}}, 40008),
        ({"msgtype": "markdown", "markdown": {"content": "你好"}}, 40008),
        ({"msgtype": "stream_with_template_card", "stream": {"id": "s"}}, 40008),
        ({"msgtype": "stream", "stream": {"id": "s", "finish": True, "msg_item": [{"msgtype": "image"}]}}, 40058),
        ({"msgtype": "stream", "stream": {"content": "没有 id"}}, 40058),
        ({"msgtype": "image", "image": {"media_id": "gone"}}, 40007),
        ({"msgtype": "template_card", "template_card": {"card_type": "button_interaction"}}, 40058),
    ],
)
def test_what_is_no_answer(wecom: WecomSimulator, client: Client, body: dict[str, Any], code: int) -> None:
    wecom.say("你好")
    req_id = client.frame()["headers"]["req_id"]
    assert client.call("aibot_respond_msg", body, req_id)["errcode"] == code
    assert not wecom.messages


# -- pushes, windows, limits -----------------------------------------------------------------------------------------


def test_a_push_needs_an_earlier_message_and_the_right_kind_of_chat(wecom: WecomSimulator, client: Client) -> None:
    assert client.call("aibot_send_msg", push("alice", chat_type=1))["errcode"] == 93006
    wecom.say("你好", user="alice")
    wecom.say("你好", user="alice", chat="wrGROUP")
    client.frame(), client.frame()
    for chat, kind, code in (
        ("alice", 1, 0),
        ("alice", 0, 0),
        ("alice", 2, 93006),
        ("wrGROUP", 2, 0),
        ("wrGROUP", 0, 0),
        ("wrGROUP", 1, 93006),
        ("bob", 1, 93006),
        ("group:wrGROUP", 2, 93006),
        ("alice", 3, 40058),
    ):
        assert client.call("aibot_send_msg", push(chat, chat_type=kind))["errcode"] == code, (chat, kind)


def test_thirty_a_minute_and_a_thousand_an_hour_in_a_chat(wecom: WecomSimulator, client: Client) -> None:
    wecom.say("你好")
    req_id = client.frame()["headers"]["req_id"]
    codes = [client.stream(req_id, "一" * n) for n in range(1, 30)]
    codes += [client.call("aibot_send_msg", push("alice", chat_type=1))["errcode"] for _ in range(2)]
    assert codes == [0] * 30 + [45009]
    wecom.advance(60)
    assert client.call("aibot_send_msg", push("alice", chat_type=1))["errcode"] == 0
    wecom.limits = False
    assert client.call("aibot_send_msg", push("alice", chat_type=1))["errcode"] == 0


def test_a_robot_that_knows_people_by_other_ids(wecom: WecomSimulator, client: Client) -> None:
    wecom.robot.encrypts = True
    wecom.say("你好", user="alice")
    strange = client.frame()["body"]["from"]["userid"]
    assert strange == wecom.id_of("alice") != "alice"
    assert client.call("aibot_send_msg", push(strange, chat_type=1))["errcode"] == 0
    assert wecom.texts("alice") == ["你好"]
    told = post(wecom, "batch/openuserid_to_userid", {"open_userid_list": [strange, "alice"]})
    assert told["userid_list"] == [{"open_userid": strange, "userid": "alice"}]
    assert told["invalid_open_userid_list"] == ["alice"]


def test_a_welcome_and_a_card_update_have_five_seconds(wecom: WecomSimulator, client: Client) -> None:
    welcome = {"msgtype": "text", "text": {"content": "欢迎"}}
    wecom.enter("alice")
    entered = client.frame()
    assert entered["body"]["event"] == {"eventtype": "enter_chat"}
    assert client.call("aibot_respond_welcome_msg", welcome, entered["headers"]["req_id"])["errcode"] == 0
    assert client.call("aibot_respond_welcome_msg", welcome, entered["headers"]["req_id"])["errcode"] == 846605
    wecom.say("你好")
    body = {"msgtype": "template_card", "template_card": CARD}
    assert client.call("aibot_respond_msg", body, client.frame()["headers"]["req_id"])["errcode"] == 0
    card = wecom.messages[-1]
    update = {"response_type": "update_template_card", "template_card": CARD | {"main_title": {"title": "好"}}}
    other = {**update, "template_card": CARD | {"task_id": "another"}}
    for late, body, code in ((0, other, 40058), (0, update, 0), (6, update, 846605)):
        wecom.press(card, "重画")
        pressed = client.frame()
        assert pressed["body"]["event"]["template_card_event"] == {
            "card_type": "button_interaction",
            "event_key": "redo:17",
            "task_id": "task-1",
        }
        wecom.advance(late)
        assert client.call("aibot_respond_update_msg", body, pressed["headers"]["req_id"])["errcode"] == code
    assert card.versions == ["画好了", "好"]


def test_feedback_comes_only_where_it_was_asked_for(wecom: WecomSimulator, client: Client) -> None:
    wecom.say("什么是墨契", chat="wrGROUP")
    req_id = client.frame()["headers"]["req_id"]
    stream = {"id": "s", "content": "一个机器人", "finish": True, "feedback": {"id": "job-17"}}
    assert client.call("aibot_respond_msg", {"msgtype": "stream", "stream": stream}, req_id)["errcode"] == 0
    wecom.feedback(wecom.messages[0], 2, user="bob", content="再详细些", reasons=[2, 4])
    event = client.frame()["body"]
    assert event["from"] == {"userid": "bob"}
    assert event["chatid"] == "wrGROUP"
    told = {"id": "job-17", "type": 2, "content": "再详细些", "inaccurate_reason_list": [2, 4]}
    assert event["event"]["feedback_event"] == told


# -- uploads -----------------------------------------------------------------------------------------------------------


def upload(client: Client, data: bytes, **wrong: object) -> list[int]:
    """The codes of the steps of an upload in two pieces, the second one first and twice."""
    half = len(data) // 2
    told = {"type": "image", "filename": "a.png", "total_size": len(data), "total_chunks": 2}
    told |= {"md5": hashlib.md5(data).hexdigest(), **wrong}
    begun = client.call("aibot_upload_media_init", told)
    upload_id = begun.get("body", {}).get("upload_id")
    codes = [begun["errcode"]]
    for index, piece in ((1, data[half:]), (1, data[half:]), (0, data[:half])):
        body = {"upload_id": upload_id, "chunk_index": index, "base64_data": base64.b64encode(piece).decode()}
        codes.append(client.call("aibot_upload_media_chunk", body)["errcode"])
    codes.append(client.call("aibot_upload_media_finish", {"upload_id": upload_id})["errcode"])
    return codes


def test_an_upload_comes_in_pieces_of_any_order(wecom: WecomSimulator, client: Client) -> None:
    assert upload(client, PNG) == [0, 0, 0, 0, 0]
    (kept,) = wecom.media.kept.values()
    assert kept.data == PNG
    for wrong, codes in (
        ({"md5": "0" * 32}, [0, 0, 0, 0, 40058]),
        ({"total_chunks": 3}, [0, 0, 0, 0, 40058]),
        ({"total_chunks": 101}, [40058] * 5),
        ({"total_size": 11 * 1024 * 1024}, [40006] + [40058] * 4),
        ({"type": "picture"}, [40004] + [40058] * 4),
    ):
        assert upload(client, PNG, **wrong) == codes, wrong
    assert upload(client, b"no picture at all") == [0, 0, 0, 0, 40005]
    wecom.fail("lose", "aibot_upload_media_chunk")
    assert upload(client, PNG) == [0, 40058, 40058, 40058, 40058]


def test_pieces_have_half_a_mebibyte_and_sessions_half_an_hour(wecom: WecomSimulator, client: Client) -> None:
    told = {"type": "file", "filename": "a", "total_size": 2 * 512 * 1024, "total_chunks": 2}
    begun = client.call("aibot_upload_media_init", told)["body"]
    data = base64.b64encode(bytes(512 * 1024 + 1)).decode()
    piece = {"upload_id": begun["upload_id"], "chunk_index": 0, "base64_data": data}
    assert client.call("aibot_upload_media_chunk", piece)["errcode"] == 40006
    wecom.advance(1801)
    piece["base64_data"] = data[:8]
    assert client.call("aibot_upload_media_chunk", piece)["errcode"] == 40058


# -- bad days of the connection ----------------------------------------------------------------------------------------


def test_acknowledgements_are_lost_late_or_never_earned(wecom: WecomSimulator, client: Client) -> None:
    wecom.say("你好")
    client.frame()
    for kind, shown in (("drop", 1), ("lost", 1), ("late", 2)):
        wecom.fail(kind, "aibot_send_msg", seconds=0.05)
        client.line.send(json.dumps({"cmd": "aibot_send_msg", "headers": {"req_id": kind}, "body": push("alice")}))
        assert client.call("ping")["errcode"] == 0  # which came after it
        assert len(wecom.messages) == shown
    assert client.frame()["headers"]["req_id"] == "late"
    wecom.fail("code", "aibot_send_msg", code=-1)
    assert client.call("aibot_send_msg", push("alice"))["errcode"] == -1


@pytest.mark.parametrize(("kind", "code", "shown"), [("close", 0, 0), ("cut", 0, 1), ("bye", 1001, 1)])
def test_the_connection_ends_before_or_after_a_push(
    wecom: WecomSimulator, client: Client, kind: str, code: int, shown: int
) -> None:
    wecom.say("你好")
    client.frame()
    wecom.fail(kind, "aibot_send_msg", code=code)
    with pytest.raises(ConnectionClosed) as ended:
        client.call("aibot_send_msg", push("alice"))
    assert (ended.value.rcvd.code if ended.value.rcvd else 0) == code
    assert len(wecom.messages) == shown
    wecom.wait(lambda: not wecom.gateway.links)
    assert not wecom.say("你好").delivered


def test_a_displaced_connection_hears_of_it_and_ends(wecom: WecomSimulator, client: Client) -> None:
    wecom.gateway.displaced_seconds = 0.05
    other = Client(wecom)
    assert other.subscribe() == 0
    frame = client.frame()
    assert (frame["cmd"], frame["body"]["event"]) == ("aibot_event_callback", {"eventtype": "disconnected_event"})
    assert client.call("aibot_send_msg", push("alice"))["errcode"] == 846609
    with pytest.raises(ConnectionClosed):
        client.frame()
    wecom.say("你好")
    assert other.frame()["body"]["text"]["content"] == "你好"
    other.line.close()


def test_a_wrong_secret_or_a_forgotten_subscription_leaves_the_connection_open(wecom: WecomSimulator) -> None:
    client = Client(wecom)
    assert client.call("aibot_subscribe", {"bot_id": wecom.robot.bot_id, "secret": "wrong"})["errcode"] == 853000
    assert client.call("aibot_send_msg", push("alice"))["errcode"] == 846609
    assert client.subscribe() == 0
    wecom.say("你好")
    client.frame()
    wecom.gateway.forget(wecom.robot)
    assert client.call("ping")["errcode"] == 0
    assert client.call("aibot_send_msg", push("alice"))["errcode"] == 846609
    assert not wecom.say("你好").delivered
    assert client.subscribe() == 0
    assert client.call("aibot_send_msg", push("alice"))["errcode"] == 0
    client.line.close()


def test_a_message_comes_twice_or_with_control_characters(wecom: WecomSimulator, client: Client) -> None:
    wecom.fail("twice", "aibot_msg_callback")
    said = wecom.say("你好")
    frames = [client.frame(), client.frame()]
    assert [frame["body"]["msgid"] for frame in frames] == [said.msgid] * 2
    assert len({frame["headers"]["req_id"] for frame in frames}) == 2
    wecom.fail("control", "aibot_msg_callback")
    wecom.say("你好")
    raw = client.line.recv(timeout=5)
    with pytest.raises(ValueError, match="control character"):
        json.loads(raw)


def test_what_was_missed_is_gone_unless_the_platform_replays(wecom: WecomSimulator, client: Client) -> None:
    wecom.gateway.replays = True
    wecom.gateway.cut()
    wecom.wait(lambda: not wecom.gateway.links)
    assert not wecom.say("你好").delivered
    other = Client(wecom)
    assert other.subscribe() == 0
    assert other.frame()["body"]["text"]["content"] == "你好"
    other.line.close()
