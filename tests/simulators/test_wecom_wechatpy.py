"""wechatpy 1.8.18, unmodified, on the simulated API and its callbacks: what it passes against is like WeCom's."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.simulators.wecom import Robot, WecomSimulator
from tests.simulators.wecom_client import PNG
from tests.simulators.wecom_tls import Tunnel

enterprise = pytest.importorskip("wechatpy.enterprise", reason="wechatpy is not installed: pip install 'moqi[wecom]'")
crypto = pytest.importorskip("wechatpy.enterprise.crypto")
errors = pytest.importorskip("wechatpy.exceptions")


@pytest.fixture(scope="module")
def wecom() -> Iterator[WecomSimulator]:
    with WecomSimulator() as simulator:
        yield simulator


@pytest.fixture(scope="module")
def tunnel(wecom: WecomSimulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tunnel]:
    """The address is fixed in wechatpy: gettoken and downloads go to https://qyapi.weixin.qq.com whatever one sets."""
    with Tunnel(wecom, tmp_path_factory.mktemp("tls")) as opened:
        thread = threading.Thread(target=opened.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield opened
    thread.join()


@pytest.fixture
def client(wecom: WecomSimulator, tunnel: Tunnel, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("HTTPS_PROXY", tunnel.url)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tunnel.ca))
    made = enterprise.WeChatClient(wecom.app.corp_id, wecom.app.secret, timeout=5)
    yield made
    made._http.close()


def test_it_sends_a_text_and_learns_who_is_not_there(wecom: WecomSimulator, client: Any) -> None:
    told = client.message.send_text(wecom.app.agent_id, ["Alice", "nobody"], "你好")
    assert told["invaliduser"] == "nobody"
    assert wecom.texts("alice")[-1] == "你好"


def test_it_uploads_sends_and_downloads_a_picture(wecom: WecomSimulator, client: Any) -> None:
    media_id = client.media.upload("image", ("山水.png", PNG, "image/png"))["media_id"]
    client.message.send_image(wecom.app.agent_id, "bob", media_id)
    (shown,) = wecom.in_chat("bob")
    assert (shown.kind, shown.data, shown.name) == ("image", PNG, "山水.png")
    assert client.media.download(media_id).content == PNG
    with pytest.raises(errors.WeChatClientException) as refused:
        client.get("media/get", params={"media_id": "gone"})
    assert refused.value.errcode == 40007


def test_it_reads_people_departments_and_addresses(wecom: WecomSimulator, client: Any) -> None:
    assert client.user.get("ALICE")["name"] == "爱丽丝"
    assert {one["name"] for one in client.department.get()} == {"测试公司", "研发部"}
    assert client.agent.get(wecom.app.agent_id)["name"] == "墨契"
    assert client.misc.get_wechat_ips() == wecom.api.callback_ips


def test_it_exchanges_a_log_in_code_once(wecom: WecomSimulator, client: Any) -> None:
    code = wecom.login("alice")
    assert client.get("auth/getuserinfo", params={"code": code})["userid"] == "alice"
    with pytest.raises(errors.WeChatClientException) as refused:
        client.get("auth/getuserinfo", params={"code": code})
    assert refused.value.errcode == 40029


CARD = {
    "card_type": "button_interaction",
    "main_title": {"title": "画好了"},
    "button_list": [{"text": "重画", "key": "redo:17"}],
    "task_id": "task-1",
}


def test_it_sends_a_card_and_updates_it_once(wecom: WecomSimulator, client: Any) -> None:
    wecom.join("carol")
    body = {"msgtype": "template_card", "template_card": CARD}
    code = client.message.send(wecom.app.agent_id, "carol", msg=body)["response_code"]
    update = {"userids": ["carol"], "agentid": wecom.app.agent_id, "response_code": code}
    client.post("message/update_template_card", data=update | {"button": {"replace_name": "已重画"}})
    (shown,) = wecom.in_chat("carol")
    assert (shown.content, shown.buttons) == ("画好了\n[已重画]", [])
    with pytest.raises(errors.WeChatClientException, match="response_code"):
        client.post("message/update_template_card", data=update | {"button": {"replace_name": "又"}})


def test_a_token_that_is_refused_is_fetched_anew(wecom: WecomSimulator, client: Any) -> None:
    client.user.get("alice")
    wecom.revoke_tokens(40014)
    assert client.user.get("alice")["userid"] == "alice"


def test_a_token_is_refused_as_often_as_ordered(wecom: WecomSimulator, client: Any) -> None:
    client.auto_retry = False
    wecom.refuse_tokens(42001, 0, 40014)
    codes = []
    for _ in range(3):
        try:
            codes.append(client.user.get("alice")["errcode"])
        except errors.WeChatClientException as error:
            codes.append(error.errcode)
    assert codes == [42001, 0, 40014]


# -- callbacks -----------------------------------------------------------------------------------------------------


class Receiver(ThreadingHTTPServer):
    """A bot's callback address that knows of WeCom what wechatpy knows."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, token: str, aes_key: str, receive_id: str) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.crypto = crypto.WeChatCrypto(token, aes_key, receive_id)
        self.receive_id = receive_id
        self.heard: list[str] = []
        self.refused: list[str] = []
        self.answer = ""  # what is said to a message, before encryption

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/callback"


class Answering(BaseHTTPRequestHandler):
    server: Receiver

    def log_message(self, format: str, *args: Any) -> None:
        return

    def do_GET(self) -> None:
        signature, timestamp, nonce, query = self._query()
        try:
            self._say(200, self.server.crypto.check_signature(signature, timestamp, nonce, query["echostr"]))
        except errors.WeChatException as error:
            self._refuse(error)

    def do_POST(self) -> None:
        signature, timestamp, nonce, _ = self._query()
        body: Any = self.rfile.read(int(self.headers["Content-Length"]))
        if body.startswith(b"{"):  # a robot's; decrypt_message takes it as a mapping, with a capital
            body = {"Encrypt": json.loads(body)["encrypt"]}
        try:
            heard = self.server.crypto.decrypt_message(body, signature, timestamp, nonce)
        except errors.WeChatException as error:
            self._refuse(error)
            return
        self.server.heard.append(heard if isinstance(heard, str) else heard.decode())
        answer = self.server.answer
        self._say(200, self.server.crypto.encrypt_message(answer, nonce, timestamp) if answer else "")

    def _query(self) -> tuple[str, str, str, dict[str, str]]:
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        return query["msg_signature"], query["timestamp"], query["nonce"], query

    def _refuse(self, error: Exception) -> None:
        self.server.refused.append(type(error).__name__)
        self._say(403, "")

    def _say(self, status: int, body: str | bytes) -> None:
        data = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def listening(token: str, aes_key: str, receive_id: str) -> Iterator[Receiver]:
    with Receiver(token, aes_key, receive_id) as receiver:
        thread = threading.Thread(target=receiver.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield receiver
        receiver.shutdown()
        thread.join()


def test_it_verifies_the_address_and_reads_what_members_write(wecom: WecomSimulator) -> None:
    app = wecom.app
    with listening(app.token, app.aes_key + "=", app.corp_id) as bot:
        app.url = bot.url
        assert wecom.verify() == (True, "")
        assert wecom.verify(plus=True) == (True, "")
        bot.answer = "<xml><MsgType><![CDATA[text]]></MsgType><Content><![CDATA[收到]]></Content></xml>"
        posted = wecom.app_says("/draw ]]> 山水", user="alice")
        assert posted.statuses == [200]
        assert posted.answer == {"MsgType": "text", "Content": "收到"}
        message = enterprise.parse_message(bot.heard[-1])
        assert (message.type, message.content, message.source, message.agent) == (
            "text",
            "/draw ]]> 山水",
            "alice",
            app.agent_id,
        )
        assert str(message.id) == posted.msg_id
        wecom.app_event("enter_agent", "bob")
        event = enterprise.parse_message(bot.heard[-1])
        assert (event.type, event.event, event.id) == ("event", "enter_agent", 0)
    assert not wecom.strange


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"msg_signature": "0" * 40}, "InvalidSignatureException"),
        ({"token": "forged"}, "InvalidSignatureException"),
        ({"receive_id": "wwother"}, "InvalidCorpIdException"),
        ({"receive_id": ""}, "InvalidCorpIdException"),
    ],
)
def test_it_refuses_what_is_forged_and_gets_it_three_times_more(
    wecom: WecomSimulator, wrong: dict[str, Any], error: str
) -> None:
    app = wecom.app
    with listening(app.token, app.aes_key, app.corp_id) as bot:
        app.url = bot.url
        assert wecom.app_says("你好", **wrong).statuses == [403] * 4
        assert bot.refused == [error] * 4


def test_what_is_stale_is_signed_and_what_is_replayed_is_the_same(wecom: WecomSimulator) -> None:
    """wechatpy looks at neither: whoever uses it has to."""
    app = wecom.app
    with listening(app.token, app.aes_key, app.corp_id) as bot:
        app.url = bot.url
        posted = wecom.app_says("你好", timestamp=int(time.time()) - 3600)
        assert posted.statuses == [200]
        assert wecom.replay(posted)[0] == 200
        assert bot.heard[0] == bot.heard[1]


def test_it_reads_what_people_write_to_a_robot(wecom: WecomSimulator) -> None:
    robot = Robot(bot_id="aibCallback", token="T", aes_key=wecom.app.aes_key)
    wecom.robots.append(robot)
    with listening(robot.token, robot.aes_key, "") as bot:
        robot.url = bot.url
        assert wecom.verify_robot(robot) == (True, "")
        said = wecom.say("你好", user="alice", chat="wrGROUP", robot=robot)
        heard = json.loads(bot.heard[-1])
    assert said.statuses == [200]
    assert heard["text"] == {"content": f"@{robot.name} 你好"}
    assert heard["response_url"].startswith(wecom.base_url)
