"""Pictures and files of messages against the simulated platform, whose handing out is proved with lark-oapi."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bot.events import ChatEvent
from bot.platforms.base import TOO_LARGE, Enclosed, Enclosing, Retry, Unconfigured, Undelivered
from bot.platforms.feishu.client import FeishuClient
from bot.platforms.feishu.decode import decode
from bot.platforms.feishu.platform import FeishuPlatform
from storage.records import utcnow
from tests.simulators.feishu import FeishuSimulator
from tests.simulators.feishu_events import BOT_OPEN_ID, message, post

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40
LIMIT = 100_000


def event(feishu: FeishuSimulator, envelope: dict[str, Any]) -> ChatEvent:
    """What somebody wrote, as the bot gets it; the platform has it too."""
    feishu.resources.keep(envelope["event"]["message"])
    decoded = decode(envelope, BOT_OPEN_ID, utcnow())
    assert isinstance(decoded, ChatEvent)
    return decoded


def answering(feishu: FeishuSimulator, content: dict[str, Any], kind: str, text: str = "/draw 猫 --from") -> ChatEvent:
    """A message that answers one with this content."""
    parent = message(feishu.app, content, kind=kind)["event"]["message"]
    feishu.resources.keep(parent)
    return event(feishu, message(feishu.app, text, parent_id=parent["message_id"]))


def downloads(feishu: FeishuSimulator) -> list[str]:
    return [call for call in feishu.calls if "/resources/" in call]


def test_the_platform_can_fetch(platform: FeishuPlatform) -> None:
    assert isinstance(platform, Enclosing)


async def test_the_picture_of_the_message_that_is_answered(feishu: FeishuSimulator, platform: FeishuPlatform) -> None:
    asked = answering(feishu, feishu.resources.image(PICTURE), "image")
    assert await platform.enclosed(asked, "picture", LIMIT) == Enclosed(data=PICTURE)
    assert [call.partition(" ")[0] for call in feishu.calls if "/im/v1/messages/" in call] == ["GET", "GET"]


async def test_a_picture_in_the_message_itself_comes_first(feishu: FeishuSimulator, platform: FeishuPlatform) -> None:
    words = {"tag": "text", "text": "/draw 猫 --from"}
    asked = event(feishu, post(feishu.app, [[words], [feishu.resources.picture_run(PICTURE)]]))
    assert asked.text == "/draw 猫 --from"
    assert await platform.enclosed(asked, "picture", LIMIT) == Enclosed(data=PICTURE)
    assert len([call for call in feishu.calls if "/im/v1/messages/" in call]) == 1, "nothing is looked up"


async def test_the_first_picture_of_a_formatted_message_that_is_answered(
    feishu: FeishuSimulator, platform: FeishuPlatform
) -> None:
    runs = [feishu.resources.picture_run(PICTURE), feishu.resources.picture_run(b"another")]
    asked = answering(feishu, {"title": "", "content": [runs]}, "post")
    assert await platform.enclosed(asked, "picture", LIMIT) == Enclosed(data=PICTURE)


async def test_a_file_with_its_name_and_a_picture_sent_as_one(
    feishu: FeishuSimulator, platform: FeishuPlatform
) -> None:
    asked = answering(feishu, feishu.resources.file("手册".encode(), "手册.md"), "file", "/kb add")
    assert await platform.enclosed(asked, "file", LIMIT) == Enclosed(data="手册".encode(), name="手册.md")
    asked = answering(feishu, feishu.resources.file(PICTURE, "photo.exe"), "file")
    found = await platform.enclosed(asked, "picture", LIMIT)
    assert found is not None
    assert found.data == PICTURE, "what it is, is told by its bytes"


async def test_a_picture_is_no_file_and_words_are_neither(feishu: FeishuSimulator, platform: FeishuPlatform) -> None:
    assert await platform.enclosed(answering(feishu, feishu.resources.image(PICTURE), "image"), "file", LIMIT) is None
    assert await platform.enclosed(answering(feishu, {"text": "你好"}, "text"), "picture", LIMIT) is None
    assert await platform.enclosed(event(feishu, message(feishu.app, "/draw 猫 --from")), "picture", LIMIT) is None
    assert downloads(feishu) == []


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda f, m: f.unknown_chats.add(m["chat_id"]), 234004),
        (lambda f, m: f.resources.restricted.add(m["chat_id"]), 234038),
        (lambda f, m: f.resources.messages[m["message_id"]].update(content=json.dumps({"image_key": "img_x"})), 234003),
        (lambda f, m: f.recalled.add(m["message_id"]), 230011),
    ],
    ids=["not in the chat", "restricted", "not in the message", "recalled"],
)
async def test_what_the_platform_refuses_is_told_apart(
    feishu: FeishuSimulator, platform: FeishuPlatform, spoil: Any, code: int
) -> None:
    asked = answering(feishu, feishu.resources.image(PICTURE), "image")
    known = feishu.resources.messages[str(asked.value["parent"])]
    key = json.loads(known["content"])["image_key"]
    spoil(feishu, known)
    if code == 234003:  # the key that was read is another one than the message has by now
        asked = ChatEvent.from_json({**asked.to_json(), "value": {"images": [key]}})
    with pytest.raises(Undelivered) as refused:
        await platform.enclosed(asked, "picture", LIMIT)
    assert refused.value.code == code


async def test_the_pictures_of_a_card_cannot_be_had(feishu: FeishuSimulator, client: FeishuClient) -> None:
    with pytest.raises(Undelivered) as refused:
        await client.download("/im/v1/messages/om_card/resources/img_v3_x", {"type": "image"}, LIMIT)
    assert refused.value.code == 234043


async def test_no_more_is_read_than_is_taken(feishu: FeishuSimulator, platform: FeishuPlatform) -> None:
    asked = answering(feishu, feishu.resources.file(bytes(5_000_000), "large.md"), "file", "/kb add")
    with pytest.raises(Undelivered) as refused:
        await platform.enclosed(asked, "file", 1_000_000)
    assert refused.value.code == TOO_LARGE
    assert await platform.enclosed(asked, "file", 5_000_000) is not None, "exactly as many are taken"


@pytest.mark.parametrize("kind", ["429", "limit", "500", "html", "garbage", "empty", "close", "cut", "torn"])
async def test_a_bad_moment_is_one_to_try_again_in(
    feishu: FeishuSimulator, platform: FeishuPlatform, kind: str
) -> None:
    """Half a file is no file, whatever it looks like."""
    asked = answering(feishu, feishu.resources.image(PICTURE), "image")
    feishu.fail(kind, on="/resources/", seconds=0.2)
    with pytest.raises(Retry):
        await platform.enclosed(asked, "picture", LIMIT)
    assert await platform.enclosed(asked, "picture", LIMIT) == Enclosed(data=PICTURE)


async def test_a_slow_answer_is_waited_for(feishu: FeishuSimulator, platform: FeishuPlatform) -> None:
    feishu.fail("slow", on="/resources/", seconds=0.2)
    asked = answering(feishu, feishu.resources.image(PICTURE), "image")
    assert await platform.enclosed(asked, "picture", LIMIT) == Enclosed(data=PICTURE)


async def test_trap_19_an_expired_token_is_renewed_once(feishu: FeishuSimulator, platform: FeishuPlatform) -> None:
    own = event(feishu, message(feishu.app, feishu.resources.image(PICTURE), kind="image"))
    await platform.enclosed(own, "picture", LIMIT)
    feishu.expire_tokens()
    assert await platform.enclosed(own, "picture", LIMIT) == Enclosed(data=PICTURE)
    feishu.fail("code", on="/resources/", code=99991663, times=2)
    with pytest.raises(Unconfigured):
        await platform.enclosed(own, "picture", LIMIT)


async def test_a_missing_scope_is_the_operators(feishu: FeishuSimulator, platform: FeishuPlatform) -> None:
    asked = answering(feishu, feishu.resources.image(PICTURE), "image")
    feishu.fail("code", on="/resources/", code=99991672)
    with pytest.raises(Unconfigured):
        await platform.enclosed(asked, "picture", LIMIT)


async def test_a_key_from_a_message_stays_one_piece_of_the_address(
    feishu: FeishuSimulator, platform: FeishuPlatform
) -> None:
    """Somebody's client may write anything into a message."""
    asked = answering(feishu, {"image_key": "../../../auth/v3/x?y=1#z"}, "image")
    feishu.resources.files["../../../auth/v3/x?y=1#z"] = PICTURE
    assert await platform.enclosed(asked, "picture", LIMIT) == Enclosed(data=PICTURE)


@pytest.mark.parametrize(
    ("kind", "content", "value"),
    [
        ("image", {"image_key": "img_1"}, {"images": ["img_1"]}),
        ("file", {"file_key": "file_1", "file_name": "a\nb.md"}, {"files": [{"key": "file_1", "name": "a b.md"}]}),
        ("file", {"file_name": "a.md"}, {}),
        ("image", {"image_key": 5}, {}),
        ("image", [], {}),
        ("sticker", {"file_key": "file_1"}, {}),
        ("interactive", {"elements": []}, {}),
    ],
)
def test_what_a_message_carries(feishu: FeishuSimulator, kind: str, content: Any, value: dict[str, Any]) -> None:
    found = event(feishu, message(feishu.app, content, kind=kind, parent_id="om_root"))
    assert found.kind == "ignored", "a picture alone orders nothing"
    assert found.value == {**value, "parent": "om_root"}
