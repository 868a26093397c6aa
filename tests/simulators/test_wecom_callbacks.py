"""The WeCom simulator's callbacks to a robot: refreshes, repetitions, answers, response_url."""

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

import pytest

from tests.simulators.wecom import Robot, WecomSimulator
from tests.simulators.wecom_client import CARD, PNG, asked
from tests.simulators.wecom_crypto import seal, signature, unseal


@pytest.fixture
def wecom() -> Iterator[WecomSimulator]:
    with WecomSimulator() as simulator:
        yield simulator


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
        self.quotes = b""  # around the echo
        self.careless = False  # about a + in it


class Answering(BaseHTTPRequestHandler):
    server: Bot

    def log_message(self, format: str, *args: Any) -> None:
        return

    def do_GET(self) -> None:
        bot = self.server
        time.sleep(bot.slow)
        sealed = parse_qs(urlsplit(self.path).query)["echostr"][0]
        if bot.careless:  # decoded once too often
            sealed = sealed.replace("+", " ")
        try:
            self._say(200, bot.quotes + unseal(bot.robot.aes_key, sealed)[0] + bot.quotes)
        except ValueError:
            self._say(400, b"")

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
        self._say(bot.statuses.pop(0) if bot.statuses else 200, said)

    def _say(self, status: int, said: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(said)))
        with suppress(OSError):  # nobody waits any more
            self.end_headers()
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


def test_a_stream_is_asked_for_no_longer_than_six_minutes(wecom: WecomSimulator, bot: Bot) -> None:
    bot.answers = [stream("一")]
    wecom.say("/draw")
    wecom.wait(lambda: wecom.calls.count("refresh") >= 3)
    wecom.advance(361)
    wecom.sender.finished()
    assert not wecom.messages[0].finished


def test_an_address_proves_itself_only_in_time_bare_and_decoded_once(wecom: WecomSimulator, bot: Bot) -> None:
    assert wecom.verify_robot(plus=True) == (True, "")
    bot.quotes = b'"'
    assert not wecom.verify_robot()[0]
    bot.quotes, bot.careless = b"", True
    assert wecom.verify_robot(plus=True) == (False, "status 400")
    bot.careless, bot.slow, wecom.sender.echo_patience = False, 0.2, 0.05
    assert wecom.verify_robot() == (False, "status 0")


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
