"""Previews on Feishu's running cards: few, passing, forgotten at the end, and never a reason to fail."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from bot.platforms.base import Outgoing, Previewing, Retry, Undelivered
from bot.platforms.feishu import previews as previews_module
from bot.platforms.feishu.client import FeishuClient
from bot.platforms.feishu.codes import Busy
from bot.platforms.feishu.platform import FeishuPlatform
from bot.platforms.feishu.previews import CARDS, EVERY, REFUSED, Previews
from bot.platforms.feishu.settings import FeishuSettings
from bot.reply import PREVIEW, Picture, Reply
from storage.records import ChatType, Origin
from tests.simulators.feishu import FeishuSimulator

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
JPEGS = [b"\xff\xd8\xff\xe0" + bytes([number]) * 100 for number in range(4)]
ORIGIN = Origin(platform="feishu", chat_id="oc_1", chat_type=ChatType.GROUP, message_id="om_asked", sender="ou_alice")
QUEUED = Reply(title="排队中", text="一只猫", state="queued", job=1)
RUNNING = Reply(
    title="正在画",
    text="一只猫",
    state="running",
    job=1,
    progress=(4, 8),
    pictures=(Picture(asset=PREVIEW, width=64, height=64, alt="还没画完的预览：一只猫"),),
)
DONE = Reply(title="画好了", state="done", job=1, pictures=(Picture(asset=7, width=64, height=64, alt="一只猫"),))


class Clock:
    """Moved by hand; waiting moves it too."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def app(
    feishu: FeishuSimulator, settings: FeishuSettings, http: httpx.AsyncClient, clock: Clock
) -> AsyncIterator[FeishuPlatform]:
    feishu.limits = False
    feishu.remember("om_asked", "oc_1")
    made = FeishuPlatform(settings, FeishuClient(settings, http, clock=clock, sleep=clock.sleep), clock=clock)
    yield made
    await made.close()


def says(reply: Reply, key: str = "job-1-card") -> Outgoing:
    return Outgoing(key=key, origin=ORIGIN, reply=reply, receipt={})


def keys(shown: dict[str, Any]) -> list[str]:
    """The pictures of a card."""
    return [element["img_key"] for element in shown["body"]["elements"] if element["tag"] == "img"]


async def test_a_running_card_shows_its_latest_preview_and_the_outcome_the_picture_only(
    feishu: FeishuSimulator, app: FeishuPlatform, clock: Clock
) -> None:
    assert isinstance(app, Previewing)
    receipt = await app.post(says(QUEUED), {})
    (sent,) = feishu.visible()
    await app.update(receipt, says(RUNNING), {})
    assert keys(sent.shown) == [], "what was not uploaded is not named"
    for jpeg in JPEGS[:2]:
        clock.now += EVERY
        await app.preview(receipt, jpeg)
        kept = await app.update(receipt, says(RUNNING), {})
        assert [feishu.images[key] for key in keys(sent.shown)] == [jpeg]
        assert kept["images"] == {}, "a preview is for one update"
    (image,) = [element for element in sent.shown["body"]["elements"] if element["tag"] == "img"]
    assert image["alt"]["content"] == "还没画完的预览：一只猫"
    final = await app.update(receipt, says(DONE, "job-1-outcome"), {7: PNG})
    assert [feishu.images[key] for key in keys(sent.shown)] == [PNG]
    assert list(final["images"]) == ["7"]


async def test_at_most_one_upload_a_card_in_three_seconds_and_none_of_what_it_shows(
    feishu: FeishuSimulator, app: FeishuPlatform, clock: Clock
) -> None:
    receipt = await app.post(says(QUEUED), {})
    for jpeg in JPEGS:  # a second apart
        await app.preview(receipt, jpeg)
        clock.now += 1.0
    assert list(feishu.images.values()) == [JPEGS[0], JPEGS[3]]
    clock.now += EVERY
    await app.preview(receipt, JPEGS[3])
    assert len(feishu.images) == 2
    await app.preview({**receipt, "message_id": "om_other"}, JPEGS[3])
    assert len(feishu.images) == 3, "another card has its own time"


async def test_without_room_for_progress_there_is_none_and_the_outcome_finds_its_room(
    feishu: FeishuSimulator, app: FeishuPlatform, clock: Clock
) -> None:
    receipt = await app.post(says(QUEUED), {})
    for _ in range(29):
        await app.client.call("GET", "/bot/v3/info", "", passing=True)
    calls = len(feishu.calls)
    await app.preview(receipt, JPEGS[0])
    assert len(feishu.calls) == calls, "not even tried"
    with pytest.raises(Busy):
        await app.update(receipt, says(RUNNING), {})
    await app.update(receipt, says(DONE, "job-1-outcome"), {7: PNG})
    (sent,) = feishu.visible()
    assert [feishu.images[key] for key in keys(sent.shown)] == [PNG]
    assert list(feishu.images.values()) == [PNG]


async def test_an_app_that_may_not_upload_is_asked_again_after_a_minute(
    feishu: FeishuSimulator, app: FeishuPlatform, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "bot.platforms.feishu.previews")
    receipt = await app.post(says(QUEUED), {})
    feishu.fail("code", code=99991672, on="/im/v1/images")
    for _ in range(3):
        await app.preview(receipt, JPEGS[0])
        await app.update(receipt, says(RUNNING), {})
        clock.now += EVERY
    assert feishu.images == {}, "a second try would have gone through"
    assert [record.levelname for record in caplog.records] == ["INFO"]
    clock.now += REFUSED
    await app.preview(receipt, JPEGS[0])
    assert list(feishu.images.values()) == [JPEGS[0]]


@pytest.mark.parametrize("error", [Retry("gone"), Busy("full", after=1.0), Undelivered("no"), None])
async def test_nothing_of_an_upload_comes_out(
    error: Exception | None, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(previews_module, "PATIENCE", 0.01)

    async def upload(data: bytes, *, passing: bool = False) -> str:
        assert passing
        if error is None:
            await asyncio.Event().wait()
            raise AssertionError("cut off before")
        raise error

    previews = Previews(upload, clock=clock)
    await previews.offer("om_1", JPEGS[0])
    assert previews.key("om_1") == ""


async def test_only_so_many_cards_are_remembered(clock: Clock) -> None:
    async def upload(data: bytes, *, passing: bool = False) -> str:
        return json.dumps(len(data))

    previews = Previews(upload, clock=clock)
    for number in range(CARDS + 1):
        await previews.offer(f"om_{number}", JPEGS[0])
    assert previews.key("om_0") == ""
    assert previews.key("om_1") == previews.key(f"om_{CARDS}") == "104"
