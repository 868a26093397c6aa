"""Trap 21: what was booked weeks ago comes as a message of its own, for its card cannot be changed any more."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from bot.delivery import Cards, Sender
from bot.platforms.feishu.platform import FeishuPlatform
from bot.render import Renderer
from storage import outbox
from storage.database import Database
from storage.records import utcnow
from tests.blank import blank
from tests.bot.test_reserve import Chat, house
from tests.simulators.feishu import FeishuSimulator

DAYS = timedelta(days=15)  # Feishu lets a card be changed for 14


@pytest.fixture
def chat(tmp_path: Path) -> Iterator[Chat]:
    url = blank(tmp_path / "moqi.db")
    with Database.open(url) as db:
        chat = Chat(db, house())
        chat.now = utcnow() - DAYS
        yield chat


async def sent(chat: Chat, platform: FeishuPlatform) -> None:
    """Everything that waits in the outbox is sent."""
    await chat.db.run(outbox.release_all)  # what the chat looked at
    sender = Sender(
        chat.db, {"feishu": platform}, Renderer(lambda: chat.house).delivery, lambda asset, origin: b"", Cards()
    )
    running = asyncio.create_task(sender.run())
    async with asyncio.timeout(20):
        while await chat.db.read(outbox.next_due) is not None:
            await asyncio.sleep(0.02)
    await sender.stop(20)
    await running


@pytest.mark.parametrize("days", [0, 15])
async def test_trap_21_a_picture_booked_long_ago_comes_in_a_new_message(
    chat: Chat, platform: FeishuPlatform, feishu: FeishuSimulator, days: int
) -> None:
    feishu.remember("om_1", "oc_team")
    chat.say("/draw 猫 --at 15天后")
    chat.push("确认")
    await sent(chat, platform)
    (card,) = feishu.visible()
    assert "已预约" in card.text
    card.at -= days * 86400
    chat.now = utcnow()
    chat.fire()
    await sent(chat, platform)
    first, second = feishu.visible()
    assert (first, second.chat_id, "排队中" in second.text) == (card, "oc_team", True)
    assert ("预约已结束" in card.text) is (days < 14)
