"""The gateway is faithful: the unmodified lark-oapi `ws.Client` connects, receives, answers and comes back."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from tests.simulators import feishu_events as events
from tests.simulators.feishu import FeishuSimulator
from tests.simulators.feishu_events import App
from tests.simulators.test_feishu import sdk

__all__ = ["sdk"]  # the fixture

SOON = {"ReconnectCount": -1, "ReconnectInterval": 1, "ReconnectNonce": 0, "PingInterval": 120}


class Bot:
    """What handlers of the SDK saw, and what they shall do."""

    def __init__(self, lark: Any) -> None:
        self.texts: list[str] = []
        self.presses: list[Any] = []
        self.fails = 0  # so many of the next messages are not handled
        self.came = threading.Event()
        builder = lark.EventDispatcherHandler.builder("", "")
        builder = builder.register_p2_im_message_receive_v1(self._message)
        self.handler = builder.register_p2_card_action_trigger(self._press).build()

    def _message(self, data: Any) -> None:
        if self.fails:
            self.fails -= 1
            raise RuntimeError("as ordered")
        self.texts.append(json.loads(data.event.message.content)["text"])
        self.came.set()

    def _press(self, data: Any) -> dict[str, Any]:
        self.presses.append(data.event.action.value)
        return {"toast": {"type": "success", "content": "好"}}


class Running(threading.Thread):
    """The SDK's client in a thread on a loop of its own: it has no other way, and no stop."""

    def __init__(self, feishu: FeishuSimulator, handler: Any = None) -> None:
        super().__init__()
        from lark_oapi.ws import client as module

        self.module, self.loop = module, asyncio.new_event_loop()
        self.given = (feishu.app.app_id, feishu.app.app_secret)
        self.more = {"event_handler": handler, "domain": feishu.url}
        self.ended: Exception | None = None  # what start() raised

    def run(self) -> None:
        asyncio.set_event_loop(self.loop)
        before, self.module.loop = self.module.loop, self.loop
        client = self.module.Client(*self.given, **self.more)
        try:
            client.start()
        except Exception as error:  # noqa: BLE001 - to be judged by the test
            self.ended = error
        left = asyncio.all_tasks(self.loop)
        for task in left:
            task.cancel()
        self.loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self.loop.run_until_complete(client._disconnect())
        self.loop.close()
        self.module.loop = before

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.join(10)


@contextmanager
def dialled(sdk: SimpleNamespace, feishu: FeishuSimulator) -> Iterator[Bot]:
    """The SDK's client, connected."""
    bot = Bot(sdk.lark)
    running = Running(feishu, bot.handler)
    running.start()
    try:
        feishu.gateway.connected()
        yield bot
    finally:
        running.stop()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_unmodified_client_receives_answers_and_comes_back(sdk: SimpleNamespace) -> None:
    with FeishuSimulator(App(app_id="cli_00000000000000d1")) as feishu:
        app, gateway = feishu.app, feishu.gateway
        gateway.config = dict(SOON)
        with dialled(sdk, feishu) as bot:
            gateway.wait(lambda each: each.links[0].pings >= 1)  # at once, before the interval
            assert feishu.push(events.message(app, "一")).statuses == [200]
            assert feishu.push(events.message(app, "一")).acknowledged
            gateway.pieces = 4
            assert feishu.push(events.message(app, "/draw 一只很长的猫")).acknowledged
            pressed = feishu.push(events.click(app, {"action": "redo", "job": 17}))
            assert pressed.answer == {"toast": {"type": "success", "content": "好"}}
            assert bot.presses == [{"action": "redo", "job": 17}]
            gateway.pieces = 1
            bot.fails = 1
            refused = feishu.push(events.message(app, "二"))
            assert refused.statuses == [500]
            unknown = feishu.push(events.envelope(app, "im.message.message_read_v1", {}))
            assert unknown.statuses == [500]  # trap 4: nobody registered for it
            gateway.kick()
            gateway.wait(lambda each: each.opened == 2)
            gateway.cut()
            gateway.wait(lambda each: each.opened == 3)
            feishu.advance(15)
            assert refused.statuses == [500, 200]
            assert bot.texts == ["一", "一", "/draw 一只很长的猫", "二"]
            assert gateway.strange == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_unmodified_client_takes_a_new_config_from_a_pong(sdk: SimpleNamespace) -> None:
    with FeishuSimulator(App(app_id="cli_00000000000000d2")) as feishu:
        gateway = feishu.gateway
        gateway.config = SOON | {"PingInterval": 1}
        gateway.news = SOON | {"PingInterval": 120}
        with dialled(sdk, feishu):
            gateway.wait(lambda each: each.links[0].pings >= 2)  # the first sleep had begun with the old one
            time.sleep(1.5)
            assert gateway.links[0].pings == 2


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("refusal", ["wrong domain", "too many", "51st", "forbidden"])
def test_unmodified_client_dies_where_the_facts_say_so(sdk: SimpleNamespace, refusal: str) -> None:
    with FeishuSimulator(App(app_id="cli_00000000000000d3")) as feishu:
        match refusal:
            case "wrong domain":
                feishu.fail("code", on="/callback/", code=1000040351, status=200)
            case "too many":
                feishu.gateway.refuse(514, code=1000040350)
            case "51st":
                feishu.gateway.limit = 0
            case "forbidden":
                feishu.gateway.refuse(403)
        running = Running(feishu)
        running.start()
        running.join(20)
        assert type(running.ended).__name__ == "ClientException"


def test_unmodified_client_lists_messages(sdk: SimpleNamespace) -> None:
    with FeishuSimulator(App(app_id="cli_00000000000000d4")) as feishu:
        app = feishu.app
        for number in range(5):
            feishu.write(events.message(app, f"第{number}", message_id=f"om_{number}", chat_id="oc_1"))
        named = [events.mention(1, "ou_x", "李雷")]
        feishu.write(events.message(app, "@_user_1 hi", group=True, chat_id="oc_2", mentions=named))
        client = sdk.lark.Client.builder().app_id(app.app_id).app_secret(app.app_secret).domain(feishu.url).build()
        builder = sdk.im.ListMessageRequest.builder
        asked = builder().container_id_type("chat").container_id("oc_1").page_size(3)
        first = client.im.v1.message.list(asked.build())
        assert first.success(), (first.code, first.msg)
        assert first.data.has_more
        assert [json.loads(item.body.content)["text"] for item in first.data.items] == ["第0", "第1", "第2"]
        rest = client.im.v1.message.list(asked.page_token(first.data.page_token).build())
        assert [item.message_id for item in rest.data.items] == ["om_3", "om_4"]
        assert not rest.data.has_more
        (group,) = client.im.v1.message.list(
            builder().container_id_type("chat").container_id("oc_2").build()
        ).data.items
        assert (group.sender.sender_type, group.sender.id_type) == ("user", "open_id")
        assert group.mentions[0].id == "ou_x"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, 1000040344),
        ({"AppID": "cli_a1b2c3d4e5f60718", "AppSecret": "wrong"}, 1000040345),
        ({"AppID": "cli_other", "AppSecret": "secret-of-the-app"}, 1000040345),
        ({"AppID": "cli_a1b2c3d4e5f60718", "AppSecret": "secret-of-the-app"}, 0),
    ],
)
def test_the_address_is_for_the_app_only(body: dict[str, str], code: int) -> None:
    with FeishuSimulator() as feishu:
        answer = httpx.post(f"{feishu.url}/callback/ws/endpoint", json=body)
        assert (answer.status_code, answer.json()["code"]) == (200, code)


def test_nobody_is_connected() -> None:
    with FeishuSimulator() as feishu:
        pushed = feishu.push(events.message(feishu.app, "x"))
        assert pushed.statuses == [0]
        assert pushed.due is not None
