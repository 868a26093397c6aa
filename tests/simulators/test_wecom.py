"""The WeCom simulator's API, media and group webhooks, and what they do wrong when told to."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.simulators.wecom import WecomSimulator
from tests.simulators.wecom_cards import judge
from tests.simulators.wecom_client import CARD, PNG, Client, asked, http_client, post, text, token
from tests.simulators.wecom_crypto import decrypt
from tests.simulators.wecom_world import Refused


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


# -- cards -----------------------------------------------------------------------------------------------------------

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
