"""The WeCom simulator's own rules, by plain sockets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from websockets.sync.client import ClientConnection, connect

from tests.simulators.wecom import WecomSimulator

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 100


@pytest.fixture
def wecom() -> Iterator[WecomSimulator]:
    with WecomSimulator() as simulator:
        yield simulator


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
    with httpx.Client(base_url=wecom.base_url) as http:
        asked = {"corpid": wecom.app.corp_id, "corpsecret": wecom.app.secret}
        token = http.get("/cgi-bin/gettoken", params=asked).json()["access_token"]
        body = {"touser": "Alice|nobody", "agentid": wecom.app.agent_id, "msgtype": "text", "text": {"content": "你好"}}
        content = json.dumps(body, ensure_ascii=False).encode()
        told = http.post("/cgi-bin/message/send", params={"access_token": token}, content=content).json()
    assert told["errcode"] == 0
    assert told["invaliduser"] == "nobody"
    assert wecom.texts("alice") == ["你好"]
