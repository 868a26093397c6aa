"""The WeCom simulator's own rules, by plain sockets."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.simulators.wecom import Robot, WecomSimulator
from tests.simulators.wecom_cards import judge
from tests.simulators.wecom_crypto import decrypt, seal, signature, unseal
from tests.simulators.wecom_world import Refused

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 100


@pytest.fixture
def wecom() -> Iterator[WecomSimulator]:
    with WecomSimulator() as simulator:
        yield simulator


def http_client(base_url: str = "") -> httpx.Client:
    """Without loading the system's certificates, which takes longer than most tests here."""
    return httpx.Client(base_url=base_url, verify=False)


def asked(method: str, url: str, **more: Any) -> httpx.Response:
    with http_client() as http:
        return http.request(method, url, **more)


class Client:
    """The least that speaks the protocol."""

    def __init__(self, wecom: WecomSimulator) -> None:
        self.line: ClientConnection = connect(wecom.ws_url, max_size=None)
        self.wecom, self.number = wecom, 0

    def frame(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.line.recv(timeout=5), strict=False)
        return told

    def call(self, cmd: str, body: object = None, req_id: str = "") -> dict[str, Any]:
        self.number += 1
        req_id = req_id or f"{cmd}_{self.number}"
        self.line.send(json.dumps({"cmd": cmd, "headers": {"req_id": req_id}, "body": body}))
        answer = self.frame()
        assert answer["headers"]["req_id"] == req_id
        assert "cmd" not in answer
        return answer

    def subscribe(self) -> int:
        robot = self.wecom.robot
        code = self.call("aibot_subscribe", {"bot_id": robot.bot_id, "secret": robot.secret})["errcode"]
        return int(code)

    def stream(self, req_id: str, content: str, *, finish: bool = False, id: str = "s1") -> int:
        body = {"msgtype": "stream", "stream": {"id": id, "content": content, "finish": finish}}
        return int(self.call("aibot_respond_msg", body, req_id)["errcode"])


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


def test_the_api_gives_a_token_and_shows_a_text(wecom: WecomSimulator) -> None:
    with http_client(wecom.base_url) as http:
        asked = {"corpid": wecom.app.corp_id, "corpsecret": wecom.app.secret}
        token = http.get("/cgi-bin/gettoken", params=asked).json()["access_token"]
        body = {"touser": "Alice|nobody", "agentid": wecom.app.agent_id, "msgtype": "text", "text": {"content": "你好"}}
        content = json.dumps(body, ensure_ascii=False).encode()
        told = http.post("/cgi-bin/message/send", params={"access_token": token}, content=content).json()
    assert told["errcode"] == 0
    assert told["invaliduser"] == "nobody"
    assert wecom.texts("alice") == ["你好"]


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


def push(chat: str, content: str = "你好", **more: object) -> dict[str, Any]:
    return {"chatid": chat, "msgtype": "markdown", "markdown": {"content": content}, **more}


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


# -- cards -----------------------------------------------------------------------------------------------------------

CARD = {
    "card_type": "button_interaction",
    "main_title": {"title": "画好了"},
    "button_list": [{"text": "重画", "key": "redo:17"}],
    "task_id": "task-1",
}
BUTTON = {"text": "重画", "key": "redo"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"card_type": "button"},
        {"main_title": {}},
        {"task_id": "字"},
        {"task_id": "a" * 129},
        {"button_list": []},
        {"button_list": [{"text": "重画", "key": str(n)} for n in range(7)]},
        {"button_list": [BUTTON, BUTTON]},
        {"button_list": [{"text": "重画", "key": "k" * 1025}]},
        {"button_list": [{"key": "redo"}]},
        {"horizontal_content_list": [{"keyname": "尺寸"}] * 7},
        {"horizontal_content_list": [{"value": "1024"}]},
        {"card_type": "text_notice"},
    ],
)
def test_a_card_is_refused(wrong: dict[str, Any]) -> None:
    assert judge(CARD) == []
    with pytest.raises(Refused, match="template_card"):
        judge(CARD | wrong)


def test_a_card_says_what_clients_clip() -> None:
    long = CARD | {"button_list": [{"text": "一二三四五六七八九十一", "key": "k"}]}
    assert judge(long) == ["button_list.text: 一二三四五六七八九十一"]


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


# -- the API -----------------------------------------------------------------------------------------------------------


def token(wecom: WecomSimulator, http: httpx.Client) -> str:
    asked = {"corpid": wecom.app.corp_id, "corpsecret": wecom.app.secret}
    return str(http.get("/cgi-bin/gettoken", params=asked).json()["access_token"])


def post(wecom: WecomSimulator, path: str, body: object, **params: str) -> dict[str, Any]:
    with http_client(wecom.base_url) as http:
        params = params or {"access_token": token(wecom, http)}
        told: dict[str, Any] = http.post(f"/cgi-bin/{path}", params=params, json=body).json()
        return told


def text(wecom: WecomSimulator, content: str = "你好", **more: object) -> dict[str, Any]:
    plain = {"touser": "alice", "agentid": wecom.app.agent_id, "msgtype": "text", "text": {"content": content}}
    return plain | more


def test_what_the_app_sends_too_often_or_twice_is_swallowed(wecom: WecomSimulator) -> None:
    checked = text(wecom, "你好 #17", enable_duplicate_check=1)
    assert [post(wecom, "message/send", checked)["errcode"] for _ in range(2)] == [0, 0]
    assert [reason for reason, _ in wecom.dropped] == ["duplicate"]
    wecom.advance(1801)
    assert post(wecom, "message/send", checked)["errcode"] == 0
    assert wecom.texts("alice") == ["你好 #17"] * 2
    for _ in range(30):
        assert post(wecom, "message/send", text(wecom))["errcode"] == 0
    assert len(wecom.texts("alice")) == 31
    assert [reason for reason, _ in wecom.dropped] == ["duplicate", "30 a minute"]


def test_the_app_is_told_what_is_wrong(wecom: WecomSimulator) -> None:
    wecom.join("hidden", visible=False)
    for wrong, code in (
        ({"touser": "nobody|hidden"}, 81013),
        ({"agentid": 1}, 40056),
        ({"msgtype": "stream"}, 40008),
        ({"text": {"content": ""}}, 44004),
        ({"msgtype": "markdown", "markdown": {"content": "字" * 683}}, 45002),
        ({"msgtype": "image", "image": {"media_id": "gone"}}, 40007),
        ({"msgtype": "template_card", "template_card": CARD | {"task_id": ""}}, 40058),
    ):
        assert post(wecom, "message/send", text(wecom, **wrong))["errcode"] == code, wrong
    assert post(wecom, "message/send", text(wecom), access_token="old")["errcode"] == 40014
    wecom.app.trusted_ip = False
    told = post(wecom, "message/send", text(wecom))
    assert (told["errcode"], "from ip: 203.0.113.7" in told["errmsg"]) == (60020, True)
    wecom.app.trusted_ip, wecom.app.enabled = True, False
    assert post(wecom, "message/send", text(wecom))["errcode"] == 50003
    assert not wecom.messages


def test_a_long_text_is_cut_without_a_word(wecom: WecomSimulator) -> None:
    assert post(wecom, "message/send", text(wecom, "字" * 683))["errcode"] == 0
    assert wecom.texts("alice") == ["字" * 682]


def test_ascii_escapes_are_refused_and_backslashes_are_not(wecom: WecomSimulator) -> None:
    with http_client(wecom.base_url) as http:
        params = {"access_token": token(wecom, http)}
        escaped = json.dumps(text(wecom))
        assert http.post("/cgi-bin/message/send", params=params, content=escaped).json()["errcode"] == 40033
    assert post(wecom, "message/send", text(wecom, "C:\\users\\u4f60"))["errcode"] == 0


def test_faults_of_the_api(wecom: WecomSimulator) -> None:
    with http_client(wecom.base_url) as http:
        url, params = "/cgi-bin/message/send", {"access_token": token(wecom, http)}
        for kind, shown in (("close", 0), ("reset", 0), ("cut", 1), ("torn", 2)):
            wecom.fail(kind, "message/send")
            with pytest.raises(httpx.TransportError):
                http.post(url, params=params, json=text(wecom))
            wecom.wait(lambda shown=shown: len(wecom.messages) == shown)  # type: ignore[misc]
        for kind, status in (("html", 502), ("500", 500), ("garbage", 200), ("empty", 200), ("redirect", 302)):
            wecom.fail(kind, "message/send")
            assert http.post(url, params=params, json=text(wecom)).status_code == status
        wecom.fail("code", "message/send", code=-1)
        assert http.post(url, params=params, json=text(wecom)).json()["errcode"] == -1
        assert len(wecom.messages) == 2
        wecom.fail("slow", "message/send", seconds=0.01)
        assert http.post(url, params=params, json=text(wecom)).json()["errcode"] == 0
        wecom.advance(7201)
        assert http.post(url, params=params, json=text(wecom)).json()["errcode"] == 42001


def test_media_are_pictures_for_three_days(wecom: WecomSimulator) -> None:
    with http_client(wecom.base_url) as http:
        params = {"access_token": token(wecom, http), "type": "image"}

        def send(data: bytes) -> dict[str, Any]:
            told: dict[str, Any] = http.post(
                "/cgi-bin/media/upload", params=params, files={"media": ("a.png", data)}
            ).json()
            return told

        assert send(b"no picture")["errcode"] == 40005
        assert send(b"")["errcode"] == 44001
        assert send(PNG + bytes(10 * 1024 * 1024))["errcode"] == 40006
        wanted = {"access_token": params["access_token"], "media_id": send(PNG)["media_id"]}
        part = http.get("/cgi-bin/media/get", params=wanted, headers={"Range": "bytes=1-3"})
        assert (part.status_code, part.content) == (206, b"PNG")
        wecom.advance(3 * 86400 + 1)
        wanted["access_token"] = token(wecom, http)
        gone = http.get("/cgi-bin/media/get", params=wanted)
        assert (gone.status_code, gone.json()["errcode"]) == (200, 40007)


def test_what_people_send_is_encrypted_and_there_for_five_minutes(wecom: WecomSimulator, client: Client) -> None:
    wecom.say("看看", image=PNG, quote=wecom.quoting(file=("表.xlsx", b"123")))
    body = client.frame()["body"]
    assert body["msgtype"] == "mixed"
    assert body["quote"]["file"]["filename"] == "表.xlsx"
    image = body["mixed"]["msg_item"][1]["image"]
    raw = asked("GET", image["url"]).content
    assert len(raw) % 32 == 0
    assert decrypt(base64.b64decode(image["aeskey"] + "="), raw) == PNG
    wecom.advance(301)
    assert asked("GET", image["url"]).status_code == 403


def test_a_group_robot_posts_twenty_a_minute(wecom: WecomSimulator) -> None:
    key = wecom.webhook("值班群")
    said = {"msgtype": "markdown_v2", "markdown_v2": {"content": "好了"}}
    assert post(wecom, "webhook/send", said, key="wrong")["errcode"] == 93000
    assert [post(wecom, "webhook/send", said, key=key)["errcode"] for _ in range(21)] == [0] * 20 + [45009]
    assert len(wecom.in_chat(key)) == 20
    wecom.advance(60)
    base64_data, md5 = base64.b64encode(PNG).decode(), hashlib.md5(PNG).hexdigest()
    for image, code in (
        ({"base64": base64_data, "md5": md5}, 0),
        ({"base64": base64_data, "md5": hashlib.md5(base64_data.encode()).hexdigest()}, 301019),
    ):
        assert post(wecom, "webhook/send", {"msgtype": "image", "image": image}, key=key)["errcode"] == code
    long = {"msgtype": "markdown", "markdown": {"content": "字" * 1366}}
    assert post(wecom, "webhook/send", long, key=key)["errcode"] == 40058


# -- callbacks -----------------------------------------------------------------------------------------------------


class Bot(ThreadingHTTPServer):
    """The callback address of a robot in URL mode; `answers` are what it says to each post, in turn."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, robot: Robot) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.robot = robot
        self.heard: list[dict[str, Any]] = []
        self.answers: list[dict[str, Any]] = []
        self.statuses: list[int] = []
        self.slow = 0.0  # seconds before the next answer


class Answering(BaseHTTPRequestHandler):
    server: Bot

    def log_message(self, format: str, *args: Any) -> None:
        return

    def do_POST(self) -> None:
        bot = self.server
        sealed = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["encrypt"]
        bot.heard.append(json.loads(unseal(bot.robot.aes_key, sealed)[0]))
        slow, bot.slow = bot.slow, 0.0
        time.sleep(slow)
        said = b""
        if bot.answers:
            nonce = parse_qs(urlsplit(self.path).query)["nonce"][0]
            encrypted = seal(bot.robot.aes_key, json.dumps(bot.answers.pop(0)).encode(), "")
            good = signature(bot.robot.token, "1700000000", nonce, encrypted)
            said = json.dumps(
                {"encrypt": encrypted, "msgsignature": good, "timestamp": 1700000000, "nonce": nonce}
            ).encode()
        self.send_response(bot.statuses.pop(0) if bot.statuses else 200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(said)


@pytest.fixture
def bot(wecom: WecomSimulator) -> Iterator[Bot]:
    with Bot(wecom.robot) as made:
        wecom.robot.url = f"http://127.0.0.1:{made.server_address[1]}/wecom/aibot"
        wecom.sender.refresh_seconds = 0.01
        thread = threading.Thread(target=made.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield made
        wecom.sender.stop()
        made.shutdown()
        thread.join()


def stream(content: str, *, finish: bool = False, **more: object) -> dict[str, Any]:
    return {"msgtype": "stream", "stream": {"id": "s", "content": content, "finish": finish, **more}}


def test_a_stream_is_asked_for_until_it_is_finished(wecom: WecomSimulator, bot: Bot) -> None:
    image = {"base64": base64.b64encode(PNG).decode(), "md5": hashlib.md5(PNG).hexdigest()}
    bot.answers = [stream("一"), stream("一二"), stream("一二三", finish=True, msg_item=[{"image": image}])]
    said = wecom.say("/draw", chat="wrGROUP")
    wecom.wait(lambda: wecom.messages and wecom.messages[0].finished)
    (shown,) = wecom.messages
    assert (shown.versions, shown.images) == (["一", "一二", "一二三"], [PNG])
    assert [one["msgtype"] for one in bot.heard] == ["text", "stream", "stream"]
    assert bot.heard[1]["stream"] == {"id": "s"}
    assert bot.heard[1]["chatid"] == "wrGROUP"
    assert len({one["msgid"] for one in bot.heard}) == 3
    assert said.statuses == [200]
    assert not wecom.strange


@pytest.mark.parametrize("answer", [stream("一", msg_item=[{"image": {}}]), {"msgtype": "text", "text": {}}])
def test_a_wrong_answer_is_not_shown(wecom: WecomSimulator, bot: Bot, answer: dict[str, Any]) -> None:
    bot.answers = [answer]
    wecom.say("/draw")
    assert not wecom.messages
    assert len(wecom.strange) == 1


def test_a_message_comes_again_and_a_press_does_not(wecom: WecomSimulator, bot: Bot) -> None:
    wecom.sender.patience = 0.1
    bot.slow, bot.statuses = 0.3, [500]
    said = wecom.say("/draw")
    assert said.statuses == [0, 500, 200]
    assert [one["msgid"] for one in bot.heard] == [said.msgid] * 3
    bot.answers = [{"msgtype": "template_card", "template_card": CARD}]
    wecom.say("/draw")
    bot.statuses = [500]
    assert wecom.press(wecom.messages[0], "重画").statuses == [500]


def test_response_url_is_good_once_within_an_hour_for_two_kinds(wecom: WecomSimulator, bot: Bot) -> None:
    bot.statuses = [200, 200]
    for late, code in ((0, 0), (3601, 40058)):
        said = wecom.say("/draw", chat="wrGROUP")
        url = bot.heard[-1]["response_url"]
        assert asked("POST", url, json={"msgtype": "text", "text": {"content": "好"}}).json()["errcode"] == 40008
        wecom.advance(late)
        body = {"msgtype": "markdown", "markdown": {"content": "好了"}}
        assert asked("POST", url, json=body).json()["errcode"] == code
        assert asked("POST", url, json=body).json()["errcode"] == 40058
    assert wecom.messages[0].answers != said.msgid
    assert [m.kind for m in wecom.messages] == ["markdown"]
