"""The official robot SDK, unmodified, on the simulated long connection: what it passes against is like WeCom's."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.simulators.wecom import WecomSimulator
from tests.simulators.wecom_client import PNG

FOLDER = Path(__file__).parent / "node"
PACKAGE = Path("@wecom", "aibot-node-sdk", "package.json")
VERSION = "1.0.7"


def node() -> str:
    """The path of node, where the SDK is installed for it; else the test is skipped, with the reason."""
    found = shutil.which("node")
    if not found:
        pytest.skip("no node here: the official WeCom SDK runs on it")
    folders = [FOLDER / "node_modules", *map(Path, filter(None, os.environ.get("NODE_PATH", "").split(os.pathsep)))]
    installed = next((folder / PACKAGE for folder in folders if (folder / PACKAGE).is_file()), None)
    if installed is None:
        pytest.skip(f"{PACKAGE.parent} is not installed: npm install --no-package-lock --prefix {FOLDER}")
    assert json.loads(installed.read_text(encoding="utf-8"))["version"] == VERSION
    return found


class Bot:
    """The process of the SDK, and what it says."""

    def __init__(self, path: str, wecom: WecomSimulator, secret: str = "") -> None:
        command = [path, str(FOLDER / "robot.cjs"), wecom.ws_url, wecom.robot.bot_id, secret or wecom.robot.secret]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.said: list[dict[str, Any]] = []
        self._moved = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._moved:
                self.said.append(json.loads(line))
                self._moved.notify_all()

    def wait(self, event: str, number: int = 1, **fields: object) -> dict[str, Any]:
        """The `number`-th thing of this kind that it says."""

        def found() -> list[dict[str, Any]]:
            return [one for one in self.said if {**one, "event": event, **fields} == one]

        with self._moved:
            assert self._moved.wait_for(lambda: len(found()) >= number, 20), self.said
            return found()[number - 1]

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(10)
        self._thread.join(10)
        self.process.stdout.close()


@pytest.fixture(scope="module")
def wecom() -> Iterator[WecomSimulator]:
    node()
    with WecomSimulator() as simulator:
        yield simulator


@pytest.fixture(scope="module")
def bot(wecom: WecomSimulator) -> Iterator[Bot]:
    started = Bot(node(), wecom)
    try:
        started.wait("authenticated")
        yield started
        assert not wecom.strange
    finally:
        started.close()


def test_it_streams_into_a_group(wecom: WecomSimulator, bot: Bot) -> None:
    said = wecom.say("stream", chat="wrGROUP")
    bot.wait("done", what="stream")
    (shown,) = [message for message in wecom.messages if message.answers == said.msgid]
    assert (shown.content, shown.finished, shown.versions) == ("画着,画好了", True, ["画着", "画着,画好了"])


def test_it_uploads_in_three_pieces_and_answers_with_the_picture(wecom: WecomSimulator, bot: Bot) -> None:
    wecom.say("picture", user="bob")
    bot.wait("done", what="picture")
    (shown,) = wecom.in_chat("bob")
    assert (shown.kind, len(shown.data), shown.name) == ("image", 1300008, "山水.png")
    assert wecom.calls.count("aibot_upload_media_chunk") == 3


def test_it_pushes_without_saying_which_kind_of_chat(wecom: WecomSimulator, bot: Bot) -> None:
    wecom.say("push", user="carol")
    bot.wait("done", what="push")
    assert wecom.texts("carol") == ["预约的画**好了**"]


def test_it_welcomes_and_may_not_answer_the_event_as_a_message(wecom: WecomSimulator, bot: Bot) -> None:
    wecom.enter("dave")
    bot.wait("done", what="welcome")
    assert bot.wait("refused", what="misplaced")["code"] == 846605
    assert wecom.texts("dave") == ["欢迎"]


def test_it_changes_the_card_whose_button_was_pressed(wecom: WecomSimulator, bot: Bot) -> None:
    wecom.say("card", user="erin")
    bot.wait("done", what="card")
    (card,) = wecom.in_chat("erin")
    wecom.press(card, "重画")
    bot.wait("done", what="update")
    assert wecom.texts("erin") == ["按了 redo:17"]


def test_it_reads_a_picture_that_somebody_sent(wecom: WecomSimulator, bot: Bot) -> None:
    wecom.say(image=PNG, user="frank")
    told = bot.wait("file")
    assert told["sha256"] == hashlib.sha256(PNG).hexdigest()
    assert told["filename"] == "image.png"


@pytest.mark.parametrize(("word", "code"), [("mixture", 40058), ("text", 40008)])
def test_it_is_refused_what_the_long_connection_does_not_take(
    wecom: WecomSimulator, bot: Bot, word: str, code: int
) -> None:
    wecom.say(word, user="grace")
    assert bot.wait("refused", what=word)["code"] == code
    assert not wecom.in_chat("grace")


def test_it_reads_a_frame_with_control_characters(wecom: WecomSimulator, bot: Bot) -> None:
    wecom.fail("control", "aibot_msg_callback")
    wecom.say("push", user="heidi")
    wecom.wait(lambda: wecom.texts("heidi"))


@pytest.mark.parametrize("how", ["clean", "abrupt", "mute"])
def test_it_comes_back(wecom: WecomSimulator, bot: Bot, how: str) -> None:
    before = sum(one["event"] == "authenticated" for one in bot.said)
    if how == "clean":
        wecom.gateway.close(1001)
    elif how == "abrupt":
        wecom.gateway.cut()
    else:  # two unanswered pings
        wecom.fail("drop", "ping", times=2)
    bot.wait("authenticated", before + 1)
    wecom.connected()
    wecom.say("push", user=f"ivan-{how}")
    wecom.wait(lambda: wecom.texts(f"ivan-{how}"))


def test_a_newer_connection_takes_the_robot_from_it() -> None:
    path = node()
    with WecomSimulator() as wecom:
        first, second = Bot(path, wecom), None
        try:
            first.wait("authenticated")
            second = Bot(path, wecom)
            second.wait("authenticated")
            first.wait("disconnected", reason="New connection established, server disconnected this connection")
            wecom.say("push", user="judy")
            second.wait("done", what="push")
        finally:
            for started in filter(None, (first, second)):
                started.close()
        assert not wecom.strange


def test_a_wrong_secret_is_refused_and_the_connection_stays(wecom: WecomSimulator) -> None:
    stranger = Bot(node(), wecom, "wrong")
    try:
        assert "(code: 853000)" in stranger.wait("error")["message"]
    finally:
        stranger.close()
