"""Posting to the web chat, again and again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.platforms.base import ChatPlatform, Outgoing, Undelivered
from bot.platforms.web.feed import Feed
from bot.platforms.web.platform import WebPlatform
from bot.reply import Button, Picture, Reply, SourceLink
from storage import messages, users
from storage.database import Database
from storage.records import ChatType, Identity, Origin, utcnow
from tests.blank import blank

FULL = Reply(
    text="**好** `x` <b>",
    title="画好了",
    state="done",
    job=7,
    fields=(("种子", "7"),),
    pictures=(Picture(asset=3, width=64, height=64, alt="猫"),),
    sources=(SourceLink(mark=1, document="手册.md", heading="", passage=5, quote="年假"),),
    buttons=(Button(action="redo", label="重画", value={"job": 7}),),
    progress=(8, 8),
    note="内容由 AI 生成",
)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    blank(tmp_path / "moqi.db")
    with Database.open(data=tmp_path) as db:
        yield db


@pytest.fixture
async def user_id(db: Database) -> int:
    return (await db.run(users.resolve, Identity(platform="web", external_id="小墨"), "小墨", utcnow())).id


def outgoing(chat_id: object, reply: Reply = FULL, key: str = "job-7-card") -> Outgoing:
    origin = Origin(platform="web", chat_id=str(chat_id), chat_type=ChatType.DIRECT, message_id="x", sender="小墨")
    return Outgoing(key=key, origin=origin, reply=reply, receipt={})


async def test_a_post_is_kept_whole_told_and_idempotent(db: Database, user_id: int) -> None:
    feed = Feed()
    platform: ChatPlatform = WebPlatform(db, feed)
    with feed.subscribe(user_id) as page:
        receipts = [await platform.post(outgoing(user_id), {}) for _ in range(5)]
        news = await page.get()
    kept = await db.read(messages.page, user_id)
    assert receipts == [{"message_id": str(kept[0].id)}] * 5
    assert [Reply.from_json(one.body) for one in kept] == [FULL]
    assert news is not None
    assert news.data["id"] == kept[0].id
    assert news.data["author"] == "bot"
    assert news.data["body"] == kept[0].body  # a page that listens sees what a page that reads sees


async def test_an_update_replaces_in_place_and_is_newer(db: Database, user_id: int) -> None:
    feed = Feed()
    platform = WebPlatform(db, feed)
    receipt = await platform.post(outgoing(user_id, Reply(text="排队中", state="queued", job=7)), {})
    with feed.subscribe(user_id) as page:
        assert await platform.update(receipt, outgoing(user_id), {}) == receipt
        news = await page.get()
    [kept] = await db.read(messages.page, user_id)
    assert Reply.from_json(kept.body) == FULL
    assert kept.updated_at > kept.created_at
    assert news is not None
    assert news.data["version"] > news.data["at"]


async def test_two_keys_are_two_messages(db: Database, user_id: int) -> None:
    platform = WebPlatform(db, Feed())
    await platform.post(outgoing(user_id, key="a"), {})
    await platform.post(outgoing(user_id, key="b"), {})
    assert len(await db.read(messages.page, user_id)) == 2


@pytest.mark.parametrize("chat_id", ["99999", "oc_abc", ""])
async def test_a_chat_that_is_nobodys_is_undeliverable(db: Database, chat_id: str) -> None:
    with pytest.raises(Undelivered):
        await WebPlatform(db, Feed()).post(outgoing(chat_id), {})


async def test_a_message_that_is_gone_cannot_be_updated(db: Database, user_id: int) -> None:
    with pytest.raises(Undelivered):
        await WebPlatform(db, Feed()).update({"message_id": "99"}, outgoing(user_id), {})


async def test_a_browser_cannot_take_the_key_of_an_answer(db: Database, user_id: int) -> None:
    from bot.platforms.web import wire

    assert wire.ID_PATTERN.fullmatch("bot:job-7-card") is None
    assert wire.own_key(user_id, "job-7-card") != wire.bot_key("job-7-card")
