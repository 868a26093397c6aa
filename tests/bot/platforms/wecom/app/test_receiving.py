"""What members do in the app, posted by WeCom over a real socket: kept first, answered with nothing, never twice."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from functools import partial
from io import BytesIO
from typing import Any

import pytest
from PIL import Image

from bot.context import Pressed, Shown
from bot.platforms.wecom.app.channel import AppChannel
from bot.platforms.wecom.app.codes import MediaGone
from bot.reply import Button, Reply
from tests.bot.platforms.wecom.app.conftest import ALICE, Clock, Inbox, Kept
from tests.simulators.wecom import Shown as Message
from tests.simulators.wecom import WecomSimulator

CANCEL = Button(action="cancel", label="取消", value={"job": 17})
REDO = Button(action="redo", label="重画", value={"job": 17})
QUEUED = Reply(title="排队中", state="queued", job=17, text="一只猫", buttons=(CANCEL,))
STOPPED = Reply(title="已取消", state="cancelled", job=17, text="一只猫", buttons=(REDO,))


async def card(app: AppChannel, wecom: WecomSimulator, key: str = "job-17-card") -> tuple[dict[str, Any], Message]:
    receipt = await app.post(ALICE, Kept(key=key).message(QUEUED), {})
    return receipt, wecom.in_chat("alice")[-1]


async def settled(app: AppChannel) -> None:
    """Wait until every press is answered."""
    while app._presses._under_way:
        await asyncio.gather(*app._presses._under_way)
        await asyncio.sleep(0)


async def test_trap_03_the_address_proves_itself(wecom: WecomSimulator, inbox: Inbox) -> None:
    for right in ({}, {"plus": True}):
        assert await asyncio.to_thread(partial(wecom.verify, **right)) == (True, "")
    for wrong in ({"token": "x"}, {"receive_id": ""}, {"timestamp": "1700000000"}, {"msg_signature": "0"}):
        assert await asyncio.to_thread(partial(wecom.verify, **wrong)) == (False, "status 401")


async def test_trap_01_a_message_is_kept_and_answered_with_nothing(wecom: WecomSimulator, inbox: Inbox) -> None:
    posted = await asyncio.to_thread(wecom.app_says, "/draw 一只猫", user="Alice")
    assert (posted.statuses, posted.body) == ([200], b"")
    (event,) = inbox.events
    assert (event.key, event.text, str(event.sender)) == (f"app:{posted.msg_id}", "/draw 一只猫", "wecom:alice")


async def test_trap_01_what_could_not_be_kept_comes_again(wecom: WecomSimulator, inbox: Inbox) -> None:
    inbox.broken = RuntimeError("the disk is full")
    posted = await asyncio.to_thread(wecom.app_says, "/draw 一只猫", tries=2)
    assert posted.statuses == [503, 503]
    inbox.broken = None
    await asyncio.to_thread(wecom.app_again, posted)
    assert [event.key for event in inbox.events] == [f"app:{posted.msg_id}"]


async def test_trap_02_a_repetition_has_the_same_key(wecom: WecomSimulator, inbox: Inbox) -> None:
    for posted in (
        await asyncio.to_thread(wecom.app_says, "x"),
        await asyncio.to_thread(wecom.app_event, "enter_agent"),
        await asyncio.to_thread(wecom.app_event, "click", fields={"EventKey": "quota"}),
    ):
        await asyncio.to_thread(wecom.app_again, posted)
        assert posted.statuses == [200, 200]
    assert len(inbox.events) == 6
    assert len({event.key for event in inbox.events}) == 3


async def test_trap_04_what_is_for_another_organisation_is_not_let_in(wecom: WecomSimulator, inbox: Inbox) -> None:
    for wrong in ({"receive_id": ""}, {"receive_id": "ww2"}, {"token": "x"}, {"msg_signature": "0" * 40}):
        posted = await asyncio.to_thread(partial(wecom.app_says, "x", tries=1, **wrong))  # type: ignore[arg-type]
        assert posted.statuses == [401], wrong
    assert (await asyncio.to_thread(lambda: wecom.app_says("x", tries=1, timestamp="1700000000"))).statuses == [401]
    assert (await asyncio.to_thread(lambda: wecom.app_says("x", tries=1, body=b"<xml>"))).statuses == [400]
    assert inbox.events == []


async def test_what_nobody_listens_to_is_acknowledged(wecom: WecomSimulator, inbox: Inbox) -> None:
    for event in ("unsubscribe", "LOCATION", "change_contact"):
        posted = await asyncio.to_thread(wecom.app_event, event, "sys" if event == "change_contact" else "alice")
        assert posted.statuses == [200]
    assert inbox.events == []


async def test_an_app_that_only_sends_has_no_door(app: AppChannel, inbox: Inbox) -> None:
    app._settings = app._settings.model_copy(update={"token": type(app._settings.token)("")})
    assert await app.handle("GET", b"", b"", inbox.accept, inbox.act) == (404, "text/plain; charset=utf-8", "")


async def test_trap_21_a_press_is_done_once_and_its_card_shows_it(
    app: AppChannel, wecom: WecomSimulator, inbox: Inbox
) -> None:
    receipt, shown = await card(app, wecom)
    inbox.answer = Pressed("success", "已取消任务 17", Shown(reply=STOPPED, receipt=receipt))
    posted = await asyncio.to_thread(wecom.app_presses, shown, "取消")
    await asyncio.to_thread(wecom.app_again, posted)
    await settled(app)
    assert (posted.statuses, posted.body) == ([200, 200], b"")
    (press,) = inbox.presses
    assert (press.action, press.value, press.origin.message_id) == ("cancel", {"job": 17}, receipt["message_id"])
    assert shown.card["main_title"]["title"] == "已取消"
    assert shown.card["sub_title_text"] == "已取消任务 17"
    assert [text for text, _ in shown.buttons] == ["重画"]
    assert wecom.calls.count("POST /cgi-bin/message/update_template_card") == 1
    assert len(wecom.messages) == 1

    outcome = await app.update(ALICE, receipt, Kept(key="job-17-done").message(STOPPED), {})
    assert outcome["message_id"] == receipt["message_id"]  # its own code was not used by the press
    assert len(wecom.messages) == 1


async def test_a_press_on_a_card_that_cannot_be_changed_is_answered_in_words(
    app: AppChannel, wecom: WecomSimulator, inbox: Inbox
) -> None:
    receipt, shown = await card(app, wecom)
    wecom.fail("code", "update_template_card", code=42045, times=2)
    inbox.answer = Pressed("success", "已取消任务 17", Shown(reply=STOPPED, receipt=receipt))
    await asyncio.to_thread(wecom.app_presses, shown, "取消")
    await settled(app)
    inbox.answer = Pressed("warning", "这张卡片太旧了")
    await asyncio.to_thread(wecom.app_presses, shown, "取消")
    await settled(app)
    assert wecom.texts("alice")[1:] == ["已取消任务 17", "这张卡片太旧了"]


async def test_an_answer_to_a_press_survives_a_lost_connection(
    app: AppChannel, wecom: WecomSimulator, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.platforms.wecom.app.presses._AGAIN", (0.0, 0.0))
    receipt, shown = await card(app, wecom)
    wecom.fail("close", "update_template_card", times=2)
    inbox.answer = Pressed("success", "", Shown(reply=STOPPED, receipt=receipt))
    await asyncio.to_thread(wecom.app_presses, shown, "取消")
    await settled(app)
    assert shown.card["main_title"]["title"] == "已取消"


async def test_an_outcome_is_not_covered_by_an_older_press(
    app: AppChannel, wecom: WecomSimulator, inbox: Inbox
) -> None:
    receipt, shown = await card(app, wecom)
    done = Reply(title="画好了", state="done", job=17, text="一只猫", buttons=(REDO,))

    async def finish() -> None:
        await app.update(ALICE, receipt, Kept(key="job-17-done").message(done), {})

    inbox.answer = Pressed("info", "正在停", Shown(reply=QUEUED, receipt=receipt))
    inbox.meanwhile = finish
    await asyncio.to_thread(wecom.app_presses, shown, "取消")
    await settled(app)
    assert shown.card["main_title"]["title"] == "画好了"


async def test_a_picture_is_what_the_next_message_is_about(
    app: AppChannel, wecom: WecomSimulator, inbox: Inbox, clock: Clock
) -> None:
    data = BytesIO()
    Image.new("RGB", (8, 8), "red").save(data, "PNG")
    await asyncio.to_thread(lambda: wecom.app_says(image=data.getvalue()))
    await asyncio.to_thread(wecom.app_says, "/draw 换成水彩 --from")
    picture, order = inbox.events
    assert (picture.text, list(picture.value)) == ("", ["images"])
    found = await app.enclosed(order, "picture", 1_000_000)
    assert found is not None
    assert found.data == data.getvalue()
    assert await app.enclosed(order, "file", 1_000_000) is None

    await asyncio.to_thread(wecom.app_says, "/draw 换成水彩 --from", user="bob")
    assert inbox.events[-1].value == {}  # hers, not his
    clock.advance(timedelta(minutes=11).total_seconds())
    await asyncio.to_thread(wecom.app_says, "/draw 换成水彩 --from")
    assert inbox.events[-1].value == {}
    wecom.advance(3 * 24 * 3600)
    with pytest.raises(MediaGone):
        await app.enclosed(order, "picture", 1_000_000)


async def test_keys_and_codes_are_in_no_log(
    app: AppChannel, wecom: WecomSimulator, inbox: Inbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    _, shown = await card(app, wecom)
    wecom.fail("code", "update_template_card", code=42045)
    posted = await asyncio.to_thread(wecom.app_presses, shown, "取消")
    await asyncio.to_thread(lambda: wecom.app_says("x", tries=1, token="another"))
    await settled(app)
    for secret in (posted.fields["ResponseCode"], wecom.app.token, wecom.app.aes_key, wecom.app.secret):
        assert secret not in caplog.text
