"""The least that speaks WeCom's protocols, for the tests of its simulator."""

from __future__ import annotations

import json
from typing import Any

import httpx
from websockets.sync.client import ClientConnection, connect

from tests.simulators.wecom import WecomSimulator

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 100
CARD = {
    "card_type": "button_interaction",
    "main_title": {"title": "画好了"},
    "button_list": [{"text": "重画", "key": "redo:17"}],
    "task_id": "task-1",
}


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


def push(chat: str, content: str = "你好", **more: object) -> dict[str, Any]:
    return {"chatid": chat, "msgtype": "markdown", "markdown": {"content": content}, **more}


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
