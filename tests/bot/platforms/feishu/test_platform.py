"""The bot against the simulated platform: every fault there is, and each time exactly one visible message."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import random
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest

from bot import app
from bot.context import Pressed
from bot.events import ChatEvent
from bot.platforms.base import Blocked, ChatPlatform, Outgoing, PlatformError, Retry, Unconfigured, Undelivered
from bot.platforms.feishu.client import FeishuClient, pooled
from bot.platforms.feishu.codes import Busy
from bot.platforms.feishu.platform import FeishuPlatform
from bot.platforms.feishu.settings import FeishuSettings
from bot.reply import Button, Picture, Reply
from storage.errors import DiskFull
from storage.records import ChatType, Origin
from tests.simulators import feishu_events as events
from tests.simulators.feishu import FeishuSimulator

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
CARD = Reply(title="排队中", text="一只猫", state="queued", job=1, buttons=(Button(action="cancel", label="取消"),))
DONE = Reply(title="完成", state="done", job=1, pictures=(Picture(asset=7, width=64, height=64, alt="猫"),))
TEXT = Reply(text="好的")


def outgoing(feishu: FeishuSimulator, reply: Reply = CARD, key: str = "job-1-card", **origin: Any) -> Outgoing:
    known = {"message_id": "om_asked", "chat_id": "oc_1", "chat_type": ChatType.GROUP, "sender": "ou_alice", **origin}
    if known["message_id"]:
        feishu.remember(known["message_id"], known["chat_id"])
    return Outgoing(key=key, origin=Origin(platform="feishu", **known), reply=reply, receipt={})


async def until_sent(
    platform: FeishuPlatform, message: Outgoing, images: Mapping[int, bytes]
) -> tuple[dict[str, Any], list[Retry]]:
    """What the delivery loop does, without its waiting: again under the same key, keeping what was achieved."""
    errors: list[Retry] = []
    for _ in range(20):
        try:
            return await platform.post(message, images), errors
        except Retry as error:
            errors.append(error)
            message = Outgoing(key=message.key, origin=message.origin, reply=message.reply, receipt=error.receipt)
    raise AssertionError(errors)


async def test_reply_goes_to_the_message_and_its_card_is_changed(
    feishu: FeishuSimulator, platform: FeishuPlatform
) -> None:
    as_protocol: ChatPlatform = platform
    receipt = await as_protocol.post(outgoing(feishu), {})
    assert receipt == {"message_id": feishu.visible()[0].message_id, "type": "interactive", "images": {}}
    changed = await platform.update(receipt, outgoing(feishu, DONE, "job-1-outcome"), {7: PNG})
    (sent,) = feishu.visible()
    assert (sent.parent_id, sent.chat_id, len(sent.updates)) == ("om_asked", "oc_1", 1)
    assert sent.uuid.startswith("job-1-card-")
    assert changed["message_id"] == sent.message_id
    assert changed["images"]["7"] in sent.text
    assert list(feishu.images.values()) == [PNG]


async def test_short_plain_reply_is_a_text(feishu: FeishuSimulator, platform: FeishuPlatform) -> None:
    receipt = await platform.post(outgoing(feishu, Reply(text='<at user_id="all"></at>')), {})
    (sent,) = feishu.visible()
    assert sent.msg_type == receipt["type"] == "text"
    assert "<at" not in sent.content["text"]


async def test_a_text_that_must_change_is_said_anew(feishu: FeishuSimulator, platform: FeishuPlatform) -> None:
    receipt = await platform.post(outgoing(feishu, TEXT, "a"), {})
    changed = await platform.update(receipt, outgoing(feishu, DONE, "b"), {7: PNG})
    assert [sent.uuid.rpartition("-")[0] for sent in feishu.visible()] == ["a", "b-n"]
    assert changed["type"] == "interactive"


async def test_progress_is_never_said_anew(feishu: FeishuSimulator, platform: FeishuPlatform) -> None:
    receipt = await platform.post(outgoing(feishu), {})
    feishu.recalled.add(receipt["message_id"])
    for known in (receipt, {**receipt, "type": "text"}):
        with pytest.raises(Undelivered):
            await platform.update(known, outgoing(feishu, CARD), {})
    assert len(feishu.visible()) == 1


@pytest.mark.parametrize(
    ("origin", "receiver"),
    [({"message_id": ""}, "oc_1"), ({"message_id": "", "chat_id": ""}, "ou_alice")],
)
async def test_work_without_a_message_is_sent_to_the_chat_or_the_person(
    feishu: FeishuSimulator, platform: FeishuPlatform, origin: dict[str, Any], receiver: str
) -> None:
    await platform.post(outgoing(feishu, CARD, **origin), {})
    assert [(sent.chat_id, sent.parent_id) for sent in feishu.visible()] == [(receiver, "")]


async def test_in_a_topic_the_answer_is_given_in_the_topic(feishu: FeishuSimulator, platform: FeishuPlatform) -> None:
    message = outgoing(feishu, thread_id="omt_1")
    feishu.remember("om_asked", "oc_1", "omt_1")
    await platform.post(message, {})
    (sent,) = feishu.visible()
    assert (sent.parent_id, sent.thread_id) == ("om_asked", "omt_1")


@pytest.mark.parametrize("count", range(1, 10))
async def test_all_pictures_come_in_one_message(feishu: FeishuSimulator, platform: FeishuPlatform, count: int) -> None:
    feishu.limits = False
    pictures = tuple(Picture(asset=asset, width=64, height=64, alt="猫") for asset in range(count))
    reply = Reply(title="画好了", state="done", job=1, pictures=pictures)
    await platform.post(outgoing(feishu, reply), dict.fromkeys(range(count), PNG))
    (sent,) = feishu.visible()
    assert all(key in sent.text for key in feishu.images)
    assert len(feishu.images) == count


@pytest.mark.parametrize("code", [230002, 230013, 230029, 230038, 230053, 232009])
async def test_trap_27_who_can_never_be_reached_is_not_tried_again(
    feishu: FeishuSimulator, platform: FeishuPlatform, code: int
) -> None:
    feishu.refusing["ou_alice"] = code
    with pytest.raises(Undelivered, match=str(code)):
        await platform.post(outgoing(feishu, message_id="", chat_id=""), {})
    assert sum("/im/v1/messages" in call for call in feishu.calls) == 1


@pytest.mark.parametrize("word", ["banned", "leaks"])
async def test_trap_26_the_audit_says_so_for_cards_texts_and_changes(
    feishu: FeishuSimulator, platform: FeishuPlatform, word: str
) -> None:
    receipt = await platform.post(outgoing(feishu), {})
    getattr(feishu, word).update({"好的", "完成"})
    with pytest.raises(Blocked):
        await platform.post(outgoing(feishu, TEXT, "event-1"), {})
    with pytest.raises(Blocked):
        await platform.update(receipt, outgoing(feishu, DONE, "job-1-outcome"), {7: PNG})
    assert len(feishu.visible()) == 1, "no new message takes the place of a card that may not say it"


async def test_recalled_question_is_answered_in_the_chat(feishu: FeishuSimulator, platform: FeishuPlatform) -> None:
    feishu.recalled.add("om_asked")
    await platform.post(outgoing(feishu), {})
    assert [(sent.chat_id, sent.parent_id) for sent in feishu.visible()] == [("oc_1", "")]


@pytest.mark.parametrize("code", [230011, 230031, 230110])
async def test_trap_21_card_gone_or_too_old_becomes_a_new_message(
    feishu: FeishuSimulator, platform: FeishuPlatform, code: int
) -> None:
    receipt = await platform.post(outgoing(feishu), {})
    if code == 230031:
        feishu.token_seconds = 30 * 86400
        feishu.advance(15 * 86400)
    else:
        feishu.fail("code", code=code, on=receipt["message_id"])
    changed = await platform.update(receipt, outgoing(feishu, DONE, "job-1-outcome"), {7: PNG})
    old, new = feishu.visible()
    assert (old.updates, changed["message_id"]) == ([], new.message_id)
    assert new.uuid.startswith("job-1-outcome-n-")
    assert len(feishu.images) == 1  # uploaded once for both tries
    again = await platform.update(changed, outgoing(feishu, CARD, "job-1-later"), {})
    assert again["message_id"] == new.message_id


FAULTS: list[tuple[str, dict[str, Any]]] = [
    ("429", {"seconds": 3.0}),
    ("400", {"seconds": 3.0}),
    ("limit", {"seconds": 3.0}),
    ("500", {}),
    ("html", {}),
    ("garbage", {}),
    ("empty", {}),
    ("close", {}),
    ("cut", {}),
    ("torn", {}),
    ("code", {"code": 230020}),
    ("code", {"code": 11232}),
    ("code", {"code": 230049}),
]


@pytest.mark.parametrize(("kind", "more"), FAULTS)
@pytest.mark.parametrize("origin", [{}, {"message_id": ""}])
async def test_trap_15_every_fault_leaves_one_visible_message(
    feishu: FeishuSimulator,
    settings: FeishuSettings,
    http: httpx.AsyncClient,
    kind: str,
    more: dict[str, Any],
    origin: dict[str, Any],
) -> None:
    """Limits in their three forms, 502 as HTML, cut and torn answers: whether it acted is not known, the uuid is."""
    platform = FeishuPlatform(settings, patient(settings, http))
    feishu.fail(kind, times=2, on="/messages", **more)
    receipt, errors = await until_sent(platform, outgoing(feishu, DONE, **origin), {7: PNG})
    assert len(errors) == 2
    if kind in ("429", "400", "limit"):
        assert [error.after for error in errors] == [3.0, 3.0]
    (sent,) = feishu.visible()
    assert receipt["message_id"] == sent.message_id
    assert len(feishu.images) == 1  # kept by the error's receipt, not uploaded again


async def test_trap_15_answers_that_come_too_late_leave_one_visible_message(
    feishu: FeishuSimulator, settings: FeishuSettings
) -> None:
    """Slow ones: it did act, only nobody waited for its answer."""
    async with pooled(settings, timeout=0.3) as hasty:
        platform = FeishuPlatform(settings, patient(settings, hasty))
        feishu.fail("slow", times=2, on="/messages", seconds=0.5)
        receipt, errors = await until_sent(platform, outgoing(feishu), {})
    assert len(errors) >= 2
    assert all("Timeout" in str(error) for error in errors)
    while sum("/messages" in call for call in feishu.calls) < 3:
        await asyncio.sleep(0.02)  # what we gave up on goes on there: see what it does
    assert [sent.message_id for sent in feishu.visible()] == [receipt["message_id"]]


def patient(settings: FeishuSettings, http: httpx.AsyncClient) -> FeishuClient:
    """A client whose clock jumps, so that holding back takes no time."""
    now = [0.0]

    def clock() -> float:
        now[0] += 5.0
        return now[0]

    return FeishuClient(settings, http, clock=clock)


@pytest.mark.parametrize(("kind", "more"), FAULTS)
async def test_every_fault_of_a_change_leaves_the_last_state(
    feishu: FeishuSimulator, settings: FeishuSettings, http: httpx.AsyncClient, kind: str, more: dict[str, Any]
) -> None:
    platform = FeishuPlatform(settings, patient(settings, http))
    receipt = await platform.post(outgoing(feishu), {})
    feishu.fail(kind, on=receipt["message_id"], **more)
    message = outgoing(feishu, DONE, "job-1-outcome")
    with pytest.raises(Retry) as failed:
        await platform.update(receipt, message, {7: PNG})
    again = Outgoing(key=message.key, origin=message.origin, reply=message.reply, receipt=failed.value.receipt)
    changed = await platform.update(receipt, again, {})  # the picture is there already
    (sent,) = feishu.visible()
    assert changed["message_id"] == sent.message_id
    assert "完成" in sent.text


@pytest.mark.parametrize("kind", ["500", "html", "cut", "close", "garbage"])
async def test_trap_16_failed_upload_is_repeated_with_its_bytes(
    feishu: FeishuSimulator, platform: FeishuPlatform, kind: str
) -> None:
    feishu.fail(kind, on="/images")
    receipt, errors = await until_sent(platform, outgoing(feishu, DONE), {7: PNG})
    assert len(errors) == 1
    assert feishu.images[receipt["images"]["7"]] == PNG
    assert len(feishu.visible()) == 1


async def test_trap_16_an_upload_that_meets_an_expired_token_is_repeated_with_its_bytes(
    feishu: FeishuSimulator, platform: FeishuPlatform
) -> None:
    await platform.post(outgoing(feishu), {})
    feishu.expire_tokens()
    receipt = await platform.post(outgoing(feishu, DONE, "job-2-outcome"), {7: PNG})
    assert feishu.images == {receipt["images"]["7"]: PNG}


async def test_pictures_uploaded_before_a_failure_are_kept(feishu: FeishuSimulator, platform: FeishuPlatform) -> None:
    pictures = tuple(Picture(asset=asset, width=1, height=1, alt="") for asset in (1, 2))
    feishu.fail("code", code=230022, on="/messages")
    with pytest.raises(Undelivered) as failed:
        await platform.post(outgoing(feishu, Reply(title="x", pictures=pictures)), {1: PNG, 2: PNG})
    assert failed.value.receipt.keys() == {"images"}
    assert failed.value.receipt["images"].keys() == {"1", "2"}


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (230022, Undelivered),
        (230028, Undelivered),
        (230002, Undelivered),
        (230053, Undelivered),
        (99991672, Unconfigured),
    ],
)
async def test_traps_26_27_30_permanent_refusals_are_not_tried_again(
    feishu: FeishuSimulator, platform: FeishuPlatform, code: int, kind: type[PlatformError]
) -> None:
    feishu.fail("code", code=code, on="/reply", times=9)
    with pytest.raises(kind, match=str(code)):
        await platform.post(outgoing(feishu), {})
    assert feishu.visible() == []
    assert feishu._faults[0].times == 8


async def test_bot_removed_from_the_group(feishu: FeishuSimulator, platform: FeishuPlatform) -> None:
    feishu.unknown_chats.add("oc_1")
    with pytest.raises(Undelivered, match="not in this group"):
        await platform.post(outgoing(feishu), {})


async def test_trap_25_picture_beyond_10_mb_is_made_smaller(feishu: FeishuSimulator, settings: FeishuSettings) -> None:
    platform = FeishuPlatform(settings)  # with the real patience: eleven megabytes take a moment
    await platform.post(outgoing(feishu, DONE), {7: large_png()})
    (kept,) = feishu.images.values()
    assert kept.startswith(b"\xff\xd8\xff")
    assert len(kept) <= 10_000_000
    await platform.close()


def large_png() -> bytes:
    """A picture of noise: about 11 MB as PNG."""
    from PIL import Image

    picture = Image.frombytes("RGB", (1920, 1920), random.Random(7).randbytes(1920 * 1920 * 3))
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=0)
    return file.getvalue()


async def test_picture_without_a_file(feishu: FeishuSimulator, platform: FeishuPlatform) -> None:
    with pytest.raises(Undelivered, match="picture 7"):
        await platform.post(outgoing(feishu, DONE), {})


async def test_a_renewed_data_folder_counts_from_one_again_and_is_still_heard(
    feishu: FeishuSimulator, platform: FeishuPlatform
) -> None:
    await platform.post(outgoing(feishu, key="event-1", message_id="om_before"), {})
    await platform.post(outgoing(feishu, key="event-1", message_id="om_after"), {})
    assert [sent.parent_id for sent in feishu.visible()] == ["om_before", "om_after"]


async def test_long_keys_are_shortened_always_the_same_way(feishu: FeishuSimulator, platform: FeishuPlatform) -> None:
    first = await platform.post(outgoing(feishu, key="k" * 51), {})
    second = await platform.post(outgoing(feishu, key="k" * 51), {})
    assert first == second
    await platform.post(outgoing(feishu, key="k" * 50), {})
    assert [len(sent.uuid) for sent in feishu.visible()] == [50, 50]


async def test_trap_19_token_refused_is_renewed_once_and_shared(
    feishu: FeishuSimulator, platform: FeishuPlatform
) -> None:
    def renewals() -> int:
        return sum("tenant_access_token" in call for call in feishu.calls)

    messages = [outgoing(feishu, TEXT, f"m{n}", chat_id=f"oc_{n}", message_id=f"om_{n}") for n in range(8)]
    await asyncio.gather(*(platform.post(message, {}) for message in messages))
    assert renewals() == 1
    feishu.expire_tokens()
    later = [outgoing(feishu, TEXT, f"n{n}", chat_id=f"oc_{n}", message_id=f"om_{n}") for n in range(8)]
    await asyncio.gather(*(platform.post(message, {}) for message in later))
    assert renewals() == 2
    assert len(feishu.visible()) == 16


async def test_trap_19_each_app_has_a_token_of_its_own(feishu: FeishuSimulator, platform: FeishuPlatform) -> None:
    """The SDK keeps tokens by app id for the whole process: another platform, or another secret, was refused."""
    await platform.post(outgoing(feishu), {})
    with FeishuSimulator() as other:
        second = FeishuPlatform(FeishuSettings.model_validate(other.settings))
        await second.post(outgoing(other), {})
        await second.close()
        assert len(other.visible()) == 1
        assert not set(other._tokens) & set(feishu._tokens)
        paths = [call.rpartition("/")[2] for call in other.calls]
        assert paths == ["internal", "reply"], "nothing was refused"


async def test_trap_19_token_is_renewed_before_its_end(
    feishu: FeishuSimulator, settings: FeishuSettings, http: httpx.AsyncClient
) -> None:
    now = [0.0]
    client = FeishuClient(settings, http, clock=lambda: now[0])
    for moment, renewals in [(0.0, 1), (6899.0, 1), (6901.0, 2)]:
        now[0] = moment
        await client.bot_info()
        assert sum("tenant_access_token" in call for call in feishu.calls) == renewals
    assert sum("/bot/v3/info" in call for call in feishu.calls) == 3, "none was refused"


async def test_trap_19_a_reset_secret_is_the_operators_and_the_message_waits(
    feishu: FeishuSimulator, platform: FeishuPlatform
) -> None:
    feishu.secret = "rotated"
    with pytest.raises(Unconfigured, match="10014"):
        await platform.post(outgoing(feishu), {})
    feishu.secret = feishu.app.app_secret
    await platform.post(outgoing(feishu), {})
    assert len(feishu.visible()) == 1


async def test_token_endpoint_that_fails_is_tried_again_later(
    feishu: FeishuSimulator, platform: FeishuPlatform
) -> None:
    feishu.fail("html", on="/auth/")
    feishu.fail("garbage", on="/auth/")
    _, errors = await until_sent(platform, outgoing(feishu), {})
    assert len(errors) == 2
    assert len(feishu.visible()) == 1


async def test_trap_17_own_pace_stays_below_the_limit_of_a_chat(
    feishu: FeishuSimulator, settings: FeishuSettings, http: httpx.AsyncClient
) -> None:
    now, slept = [100.0], []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    client = FeishuClient(settings, http, clock=lambda: now[0], sleep=sleep)
    feishu.limits = False  # here only our own pace is looked at
    for number in range(10):
        await client.send("oc_1", "chat_id", "text", '{"text":"x"}', f"k{number}")
    await client.send("oc_2", "chat_id", "text", '{"text":"x"}', "other")
    assert [round(wait, 2) for wait in slept] == [1.05] * 5
    with pytest.raises(Busy) as refused:  # more than two seconds of work waits: back to the queue
        await client.send("oc_1", "chat_id", "text", '{"text":"x"}', "m")
    assert refused.value.after is not None
    assert refused.value.after > 2.0


async def test_limit_said_by_the_platform_holds_the_next_call_back(
    feishu: FeishuSimulator, settings: FeishuSettings, http: httpx.AsyncClient
) -> None:
    client = FeishuClient(settings, http, clock=lambda: 100.0)
    feishu.fail("429", seconds=30.0)
    with pytest.raises(Busy):
        await client.send("oc_1", "chat_id", "text", '{"text":"x"}', "a")
    calls = len(feishu.calls)
    with pytest.raises(Busy) as refused:
        await client.send("oc_2", "chat_id", "text", '{"text":"x"}', "b")
    assert refused.value.after == pytest.approx(30.0)
    assert len(feishu.calls) == calls  # not even tried


async def test_a_chats_limit_holds_only_that_chat_back(
    feishu: FeishuSimulator, settings: FeishuSettings, http: httpx.AsyncClient
) -> None:
    client = FeishuClient(settings, http, clock=lambda: 100.0, sleep=lambda _: asyncio.sleep(0))
    feishu.fail("code", code=230020, on="/messages")
    with pytest.raises(Busy):
        await client.send("oc_1", "chat_id", "text", '{"text":"x"}', "a")
    assert client._targets.wait("oc_1", 100.0) == 1.0
    await client.send("oc_2", "chat_id", "text", '{"text":"x"}', "b")


async def test_no_secret_is_logged_or_raised(
    feishu: FeishuSimulator, platform: FeishuPlatform, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    said = []
    await platform.post(outgoing(feishu), {})
    for kind in ("500", "html", "close"):
        feishu.fail(kind, on="/reply")
        with pytest.raises(Retry) as failed:
            await platform.post(outgoing(feishu, key="x"), {})
        said.append(f"{failed.value!r} {failed.value.__cause__!r}")
    headers, body = events.signed(events.App(encrypt_key="guess"), {"x": 1})
    await platform.handle(headers, body, refuse, never)
    everything = caplog.text + "".join(said)
    assert "refused a request" in everything
    for secret in (feishu.app.app_secret, feishu.app.encrypt_key, feishu.app.verification_token, *feishu._tokens):
        assert secret not in everything


async def refuse(event: ChatEvent) -> None:
    raise AssertionError(event)


async def never(event: ChatEvent) -> Pressed:
    raise AssertionError(event)


class Bot:
    """What the bot's server does with events."""

    def __init__(self, platform: FeishuPlatform, app: events.App) -> None:
        self.platform, self.app = platform, app
        self.kept: list[ChatEvent] = []
        self.pressed: list[ChatEvent] = []
        self.full = False  # the disk

    async def accept(self, event: ChatEvent) -> None:
        if self.full:
            raise OSError("no space left on device")
        self.kept.append(event)

    async def act(self, event: ChatEvent) -> Pressed:
        self.pressed.append(event)
        return Pressed("success", "已重画")

    async def get(self, envelope: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        return await self.platform.handle(*events.signed(self.app, envelope), self.accept, self.act)


@pytest.fixture
def bot(platform: FeishuPlatform, feishu: FeishuSimulator) -> Bot:
    return Bot(platform, feishu.app)


async def test_trap_1_acknowledged_only_once_kept(bot: Bot) -> None:
    assert await bot.get(events.message(bot.app, "/draw 猫", message_id="om_1")) == (200, {})
    assert [event.key for event in bot.kept] == ["om_1"]
    bot.full = True
    with pytest.raises(OSError, match="no space"):  # the route answers 500 and Feishu comes again
        await bot.get(events.message(bot.app, "/draw 猫"))


async def test_trap_2_the_same_message_has_the_same_key_whatever_its_event_id(bot: Bot) -> None:
    for event_id in "abcde":
        await bot.get(events.message(bot.app, "/draw 猫", message_id="om_1", event_id=event_id))
    assert {event.key for event in bot.kept} == {"om_1"}


async def test_trap_4_unknown_events_and_every_message_type_get_200(bot: Bot) -> None:
    for kind in ("im.message.message_read_v1", "im.message.reaction.created_v1", "im.chat.updated_v1", "some.day_v9"):
        assert await bot.get(events.envelope(bot.app, kind, {"chat_id": "oc_1"})) == (200, {})
    assert bot.kept == []
    assert await bot.get(events.message(bot.app, {"image_key": "x"}, kind="image")) == (200, {})
    assert [(event.kind, event.text) for event in bot.kept] == [("ignored", "message type image")]


async def test_trap_8_failures_are_said_by_the_http_status(bot: Bot, platform: FeishuPlatform) -> None:
    refused = {"msg": "not accepted"}
    assert await platform.handle({}, b"{", refuse, never) == (400, {"code": 400, **refused})
    assert await platform.handle({}, b"{}", refuse, never) == (401, {"code": 401, **refused})
    assert await platform.handle({}, b"x" * 1_000_001, refuse, never) == (413, {"code": 413, **refused})
    stale = events.signed(bot.app, events.message(bot.app, "x"), at=1_000_000_000)
    assert await platform.handle(*stale, refuse, never) == (401, {"code": 401, **refused})


async def test_trap_8_an_event_that_cannot_be_kept_is_no_success(bot: Bot, platform: FeishuPlatform) -> None:
    async def full(event: ChatEvent) -> None:
        raise DiskFull

    nothing: Any = None
    web, services = app.build(nothing, nothing), SimpleNamespace(keep=full, act=never)
    app._add_feishu(web, cast(Any, services), platform)
    headers, body = events.signed(bot.app, events.message(bot.app, "/draw 猫"))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(web), base_url="http://moqi") as feishu:
        answer = await feishu.post(platform.path, content=body, headers=headers)
    assert answer.status_code == 503  # Feishu comes again


async def test_trap_23_press_is_answered_with_a_toast(bot: Bot) -> None:
    answer = await bot.get(events.click(bot.app, {"action": "redo", "job": 17, "chat": "group"}, presser="ou_bob"))
    assert answer == (200, {"toast": {"type": "success", "content": "已重画"}})
    (event,) = bot.pressed
    assert (event.action, event.value, event.sender.external_id) == ("redo", {"job": 17}, "ou_bob")
    assert bot.kept == []
    assert (await bot.get(events.click(bot.app, "redo")))[0] == 200
    assert (bot.pressed[-1].action, bot.pressed[-1].value) == ("", {})  # a text as value: somebody says that in words


async def test_trap_23_a_press_that_cannot_be_read_is_answered_all_the_same(bot: Bot, platform: FeishuPlatform) -> None:
    """Unanswered, Feishu shows an error to whoever pressed."""
    press = events.click(bot.app, {"action": "redo", "job": 17})
    del press["event"]["operator"]
    assert await bot.get(press) == (200, {})
    assert await platform.take(json.dumps(press).encode(), refuse, never) == {}


async def test_challenge(bot: Bot, platform: FeishuPlatform) -> None:
    body = events.sealed(bot.app, events.challenge(bot.app, "ajls384kdjx98XX"))
    assert await platform.handle({}, body, refuse, never) == (200, {"challenge": "ajls384kdjx98XX"})


async def test_trap_13_the_bot_learns_its_id_before_its_first_mention_is_read(
    bot: Bot, feishu: FeishuSimulator
) -> None:
    mentions = [events.mention(1, feishu.app.bot_open_id, "墨契"), events.mention(2, "ou_x", "墨契", "bot")]
    await bot.get(events.message(bot.app, "@_user_1 画猫 @_user_2", group=True, mentions=mentions))
    await bot.get(events.message(bot.app, "@_user_1 画狗 @_user_2", group=True, mentions=mentions))
    assert [(event.text, event.mentioned) for event in bot.kept] == [("画猫 @墨契", True), ("画狗 @墨契", True)]
    assert sum("/bot/v3/info" in call for call in feishu.calls) == 1


async def test_events_are_taken_while_feishu_does_not_tell_who_we_are(bot: Bot, feishu: FeishuSimulator) -> None:
    feishu.fail("500", on="/bot/v3/info", times=9)
    mentions = [events.mention(1, feishu.app.bot_open_id, "墨契", "bot")]
    for _ in range(3):
        assert (await bot.get(events.message(bot.app, "@_user_1 画猫", group=True, mentions=mentions)))[0] == 200
    assert [(event.text, event.mentioned) for event in bot.kept] == [("画猫", True)] * 3
    assert next(iter(feishu._faults)).times == 8  # asked once, not by every event


async def test_a_direct_chat_never_waits_for_the_bots_id(bot: Bot, feishu: FeishuSimulator) -> None:
    feishu.fail("slow", seconds=0.2, on="/auth/")
    await bot.get(events.message(bot.app, "你好"))
    assert feishu.calls == []
    await bot.platform.identify()
    assert bot.platform._bot == feishu.app.bot_open_id


async def test_traps_14_25_what_is_sent_is_json_in_a_string_and_pictures_fit(
    feishu: FeishuSimulator, platform: FeishuPlatform
) -> None:
    tricky = '引号" 反斜杠\\ 换行\n 猫😀'
    await platform.post(outgoing(feishu, Reply(text=tricky)), {})
    assert feishu.visible()[0].content == {"text": tricky}
    assert json.loads(feishu.visible()[0].text) == {"text": tricky}
