"""Group robots: what they post, what they keep to, and what is said when nobody knows whether it arrived."""

from __future__ import annotations

import io
import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from PIL import Image

from bot.platforms.base import Outgoing, PlatformError, Retry, Unconfigured, Undelivered
from bot.platforms.wecom import posting
from bot.platforms.wecom.places import Place, Way
from bot.platforms.wecom.settings import WecomWebhook
from bot.platforms.wecom.webhooks import PICTURE_MAX, Webhooks
from bot.replies import Words
from bot.reply import Picture, Reply
from storage.records import ChatType, Origin
from tests.simulators.wecom import WecomSimulator

WORDS = Words("zh")
GROUP = Place(way=Way.WEBHOOK, target="设计群", group=True)


def picture(kind: str = "PNG", side: int = 8, *, noise: bool = False) -> bytes:
    raw = io.BytesIO()
    image = Image.effect_noise((side, side), 90).convert("RGB") if noise else Image.new("RGB", (side, side), "red")
    image.save(raw, kind)
    return raw.getvalue()


def drawn(*assets: int) -> Reply:
    pictures = tuple(Picture(asset=one, width=8, height=8, alt="猫") for one in assets)
    return Reply(title="画好了", state="done", job=17, text="一只猫", pictures=pictures)


@dataclass
class Posted:
    """A message over its tries, with what the outbox keeps of it."""

    reply: Reply
    receipt: dict[str, Any] = field(default_factory=dict)

    def message(self) -> Outgoing:
        async def keep(receipt: Mapping[str, Any]) -> None:
            self.receipt.update(receipt)

        where = Origin(platform="wecom", chat_id="webhook:设计群", chat_type=ChatType.GROUP, message_id="", sender="")
        return Outgoing(key="job-17-to-设计群", origin=where, reply=self.reply, receipt=dict(self.receipt), keep=keep)


class Group:
    """The group and the robot that posts into it; time passes only when it is waited for."""

    def __init__(self, wecom: WecomSimulator) -> None:
        self.wecom = wecom
        self.key = wecom.webhook("设计群")
        self.time = 0.0
        settings = {"设计群": WecomWebhook.model_validate(wecom.webhook_url(self.key))}
        self.robot = Webhooks(settings, wecom.base_url, WORDS, clock=lambda: self.time, sleep=self.sleep)

    async def sleep(self, seconds: float) -> None:
        self.time += seconds
        self.wecom.advance(seconds)

    async def post(self, posted: Posted, images: Mapping[int, bytes] | None = None) -> dict[str, Any]:
        try:
            posted.receipt.update(await self.robot.post(GROUP, posted.message(), images or {}))
        except PlatformError as error:
            posted.receipt.update(error.receipt)
            raise
        return posted.receipt

    @property
    def kinds(self) -> list[str]:
        return [message.kind for message in self.wecom.in_chat(self.key)]


@pytest.fixture(scope="module")
def server() -> Iterator[WecomSimulator]:
    with WecomSimulator() as simulator:
        yield simulator


@pytest.fixture
async def group(server: WecomSimulator) -> AsyncIterator[Group]:
    server.world.faults.clear()
    found = Group(server)
    yield found
    await found.robot.close()


async def test_a_picture_stands_under_its_text(group: Group) -> None:
    await group.post(Posted(drawn(1, 2)), {1: picture(), 2: picture("JPEG")})
    assert group.kinds == ["markdown_v2", "image", "image"]
    assert [message.data for message in group.wecom.in_chat(group.key)[1:]] == [picture(), picture("JPEG")]
    assert "画好了" in group.wecom.texts(group.key)[0]


async def test_a_key_alone_is_an_address_too(group: Group) -> None:
    settings = {"设计群": WecomWebhook.model_validate(group.key)}
    robot = Webhooks(settings, group.wecom.base_url, WORDS)
    await robot.post(GROUP, Posted(Reply(text="你好")).message(), {})
    await robot.close()
    assert group.wecom.texts(group.key) == ["你好"]


async def test_trap_06_a_long_text_is_split_by_bytes(group: Group) -> None:
    await group.post(Posted(Reply(text="很长的一句话。" * 400)))  # 2800 characters, 8400 bytes
    texts = group.wecom.texts(group.key)
    assert len(texts) == 3
    assert all(len(text.encode()) <= 4096 for text in texts)
    assert "".join(texts) == "很长的一句话。" * 400


async def test_trap_09_a_picture_beyond_2_mb_goes_as_a_jpeg(group: Group) -> None:
    large = picture(side=940, noise=True)
    assert len(large) > PICTURE_MAX
    await group.post(Posted(drawn(1)), {1: large})
    sent = group.wecom.in_chat(group.key)[1].data
    assert sent.startswith(b"\xff\xd8\xff")
    assert len(sent) <= PICTURE_MAX


async def test_twenty_a_minute_and_then_it_waits(group: Group) -> None:
    for _ in range(20):
        await group.post(Posted(Reply(text="一")))
    with pytest.raises(Retry) as raised:
        await group.post(Posted(Reply(text="二")))
    assert raised.value.after is not None
    await group.sleep(raised.value.after)
    await group.post(Posted(Reply(text="二")))
    assert len(group.kinds) == 21


async def test_what_it_takes_no_more_of_is_sent_later_and_nothing_twice(group: Group) -> None:
    message = Posted(drawn(1))
    await group.robot._pace("设计群")
    group.wecom.fail("code", "webhook/send", code=45009)
    with pytest.raises(Retry) as raised:
        await group.post(message, {1: picture()})
    assert raised.value.after == 60.0
    with pytest.raises(Retry):  # it holds for all that goes there
        await group.post(message, {1: picture()})
    await group.sleep(60)
    await group.post(message, {1: picture()})
    assert group.kinds == ["markdown_v2", "image"]


async def test_a_wrong_key_is_for_the_operator_and_stands_nowhere(
    group: Group, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "moqi")
    settings = {"设计群": WecomWebhook.model_validate(group.wecom.webhook_url("gone-from-the-group"))}
    robot = Webhooks(settings, group.wecom.base_url, WORDS)
    with pytest.raises(Unconfigured, match=r"wecom\.webhooks\.设计群") as raised:
        await robot.post(GROUP, Posted(Reply(text="你好")).message(), {})
    await robot.close()
    assert "gone-from" not in f"{raised.value!r} {raised.value.__cause__!r} {caplog.text} {settings!r}"


async def test_the_address_is_in_no_error(group: Group) -> None:
    for fault in ("reset", "html"):
        group.wecom.fail(fault, "webhook/send")
        http, url = posting.client(), group.wecom.webhook_url(group.key)
        with pytest.raises(Retry) as raised:
            await posting.post(http, url, {})
        await http.aclose()
        assert group.key not in f"{raised.value!r} {raised.value.__cause__!r}"
        assert raised.value.__suppress_context__ or raised.value.__context__ is None


async def test_trap_10_what_nobody_knows_of_is_not_sent_again_and_the_group_is_told(group: Group) -> None:
    group.wecom.fail("cut", "webhook/send")  # the text arrives, its answer does not
    message = Posted(drawn(1))
    await group.post(message, {1: picture()})
    assert group.kinds == ["markdown_v2", "image", "markdown_v2"]
    assert "/jobs 17" in group.wecom.texts(group.key)[-1]
    await group.post(message, {1: picture()})  # the outbox does not know that it was sent
    assert len(group.kinds) == 3


async def test_a_crash_between_two_messages_goes_on_with_the_second(group: Group) -> None:
    message = Posted(drawn(1))
    group.wecom.fail("code", "webhook/send", code=-1)
    with pytest.raises(Retry):
        await group.post(message, {1: picture()})
    await group.post(message, {1: picture()})
    assert group.kinds == ["markdown_v2", "image"]


async def test_a_group_that_is_not_set_gets_nothing(group: Group) -> None:
    with pytest.raises(Undelivered, match="“别的群”"):
        await group.robot.post(
            Place(way=Way.WEBHOOK, target="别的群", group=True), Posted(Reply(text="x")).message(), {}
        )


async def test_what_was_said_stays_as_it_is(group: Group) -> None:
    running = Posted(Reply(state="running", text="正在画", job=17))
    assert await group.robot.update(GROUP, {"message_id": "m"}, running.message(), {}) == {"message_id": "m"}
    assert group.kinds == []
