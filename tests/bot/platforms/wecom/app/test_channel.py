"""What a member sees of a reply, once and whole, whatever happens on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from io import BytesIO
from typing import Any

import pytest
from PIL import Image

from bot.platforms.base import PROBLEM, Retry, Undelivered
from bot.platforms.wecom.app.channel import AppChannel
from bot.platforms.wecom.app.codes import Busy
from bot.platforms.wecom.places import Place, Way
from bot.reply import Button, Picture, Reply, SourceLink
from tests.bot.platforms.wecom.app.conftest import ALICE, Clock, Kept
from tests.simulators.wecom import WecomSimulator

NOTHING: Mapping[int, bytes] = {}
CANCEL = Button(action="cancel", label="取消", value={"job": 17}, style="danger", hint="发送 `/cancel 17` 取消")
REDO = Button(action="redo", label="重画", value={"job": 17})
QUEUED = Reply(title="排队中：前面 2 个，约 1 分钟", state="queued", job=17, text="一只猫", buttons=(CANCEL,))
DONE = Reply(
    title="画好了",
    state="done",
    job=17,
    text="一只猫",
    fields=(("种子", "42"), ("尺寸", "1024x1024")),
    pictures=(Picture(asset=5, width=8, height=8, alt="猫"),),
    buttons=(REDO,),
    note="内容由 AI 生成",
)
HELP = Reply(text="发送 `/draw 一只猫`")


def jpeg(side: int = 8) -> bytes:
    data = BytesIO()
    Image.new("RGB", (side, side), "red").save(data, "JPEG")
    return data.getvalue()


IMAGES = {5: jpeg()}


def kinds(wecom: WecomSimulator) -> list[str]:
    return [message.kind for message in wecom.in_chat("alice")]


async def deliver(app: AppChannel, kept: Kept, reply: Reply, images: Mapping[int, bytes] = NOTHING) -> dict[str, Any]:
    """One try, as the outbox makes it."""
    try:
        receipt = await app.post(ALICE, kept.message(reply), images)
    except (Retry, Undelivered) as error:
        kept.receipt |= error.receipt
        raise
    kept.receipt = receipt
    return receipt


async def change(
    app: AppChannel, kept: Kept, card: Mapping[str, Any], reply: Reply, images: Mapping[int, bytes] = NOTHING
) -> dict[str, Any]:
    try:
        receipt = await app.update(ALICE, card, kept.message(reply), images)
    except (Retry, Undelivered) as error:
        kept.receipt |= error.receipt
        raise
    kept.receipt = receipt
    return receipt


async def test_a_short_answer_is_one_text_with_its_mark(app: AppChannel, wecom: WecomSimulator) -> None:
    await deliver(app, Kept(), HELP)
    (message,) = wecom.in_chat("alice")
    assert message.kind == "text"
    assert message.content.startswith("发送 /draw 一只猫\n#")
    assert message.raw["enable_duplicate_check"] == 1
    assert not wecom.strange


async def test_the_same_answer_to_the_same_command_is_seen_twice(app: AppChannel, wecom: WecomSimulator) -> None:
    await deliver(app, Kept(key="reply-1"), HELP)
    await deliver(app, Kept(key="reply-2"), HELP)
    assert kinds(wecom) == ["text", "text"]
    assert wecom.dropped == []


@pytest.mark.parametrize("kind", ["cut", "torn"])
async def test_what_was_sent_without_an_answer_is_seen_once(app: AppChannel, wecom: WecomSimulator, kind: str) -> None:
    for number, reply in enumerate((HELP, QUEUED, DONE)):
        kept = Kept(key=f"job-{number}")
        wecom.fail(kind, "message/send")
        with pytest.raises(Retry):
            await deliver(app, kept, reply, IMAGES)
        await deliver(app, kept, reply, IMAGES)
    assert kinds(wecom) == ["text", "template_card", "image", "template_card"]


async def test_what_nobody_answered_is_not_forgotten_by_a_refusal(
    app: AppChannel, wecom: WecomSimulator, clock: Clock
) -> None:
    kept = Kept(key="job-17-card")
    wecom.fail("cut", "message/send")
    with pytest.raises(Retry):
        await deliver(app, kept, QUEUED)
    for number in range(29):
        await deliver(app, Kept(key=f"reply-{number}"), HELP)
    with pytest.raises(Busy):  # before anything is sent
        await deliver(app, kept, QUEUED)
    clock.advance(64)
    wecom.fail("code", "message/send", code=-1)
    with pytest.raises(Retry):
        await deliver(app, kept, QUEUED)
    await deliver(app, kept, replace(QUEUED, title="排队中：前面 1 个"))
    assert kinds(wecom).count("template_card") == 1


async def test_what_was_sent_before_a_crash_is_seen_once(app: AppChannel, wecom: WecomSimulator) -> None:
    kept = Kept()
    await app.post(ALICE, kept.message(DONE), IMAGES)  # its receipt is lost; what was kept on the way is not
    assert kept.receipt["app"]["trying"]["step"] == "card"
    again = await app.post(ALICE, kept.message(DONE), IMAGES)
    assert kinds(wecom) == ["image", "template_card"]
    assert again["message_id"] == wecom.messages[-1].task_id
    assert wecom.calls.count("POST /cgi-bin/media/upload") == 1


async def test_trap_06_a_long_text_is_split_by_bytes(app: AppChannel, wecom: WecomSimulator) -> None:
    text = "".join(f"{number:04d}猫🐱" for number in range(500))
    await deliver(app, Kept(), Reply(text=text, job=17))
    shown = wecom.texts("alice")
    assert len(shown) > 2
    pieces = [each.rpartition("\n") for each in shown]
    assert "".join(piece for piece, _, _ in pieces) == text
    assert [mark.partition(" ")[2] for *_, mark in pieces] == [f"{n}/{len(shown)}" for n in range(1, len(shown) + 1)]
    assert all(mark.startswith("#17·") for *_, mark in pieces)
    assert max(len(each.encode()) for each in shown) <= 2048


async def test_a_text_without_end_has_one(app: AppChannel, wecom: WecomSimulator) -> None:
    await deliver(app, Kept(), Reply(text="很长的回答。" * 3000))
    assert len(wecom.texts("alice")) < 10
    assert wecom.texts("alice")[-1].rpartition("\n")[0].endswith("(…)")


async def test_what_waits_is_one_card_and_becomes_its_outcome(app: AppChannel, wecom: WecomSimulator) -> None:
    card = await deliver(app, Kept(key="job-17-card"), QUEUED)
    (shown,) = wecom.in_chat("alice")
    assert shown.card["main_title"] == {"title": QUEUED.title, "desc": "一只猫"}
    assert card["message_id"] == shown.task_id

    calls = len(wecom.calls)
    running = Reply(title="正在画 3/8", state="running", job=17, buttons=(CANCEL,))
    assert await change(app, Kept(), card, running) == card  # WeCom shows no progress
    assert len(wecom.calls) == calls

    done = await change(app, Kept(key="job-17-done"), card, DONE, IMAGES)
    assert kinds(wecom) == ["template_card", "image"]
    assert shown.card["main_title"]["title"] == "画好了"
    assert [text for text, _ in shown.buttons] == ["重画"]
    assert done["message_id"] == shown.task_id
    assert wecom.messages[-1].data == IMAGES[5]
    assert "种子 42" in shown.content, "the card says how it was drawn; a text beside it would say it twice"
    assert not wecom.strange


@pytest.mark.parametrize("kind", ["code", "cut"])  # it is not there, or nobody knows
async def test_a_card_that_its_outcome_overtakes_says_nothing_twice(
    app: AppChannel, wecom: WecomSimulator, kind: str
) -> None:
    kept = Kept(key="job-17-card")
    wecom.fail(kind, "message/send", code=-1)
    with pytest.raises(Retry):
        await deliver(app, kept, QUEUED)
    card = await deliver(app, kept, DONE, IMAGES)  # what the job has become meanwhile
    assert kinds(wecom) == ["template_card"]
    await change(app, Kept(key="job-17-outcome"), card, DONE, IMAGES)
    assert kinds(wecom)[:2] == ["template_card", "image"]
    if kind == "code":  # else its code is lost with the answer, and the buttons need another card
        assert kinds(wecom) == ["template_card", "image"]
        assert wecom.in_chat("alice")[0].card["main_title"]["title"] == "画好了"


async def test_an_overtaken_card_without_a_button_leaves_all_to_its_outcome(
    app: AppChannel, wecom: WecomSimulator
) -> None:
    gone = Reply(title="已取消", state="cancelled", job=17, text="一只猫")
    card = await deliver(app, Kept(key="job-17-card"), gone)
    assert wecom.messages == []
    outcome = await change(app, Kept(key="job-17-outcome"), card, gone)
    assert kinds(wecom) == ["text"]
    assert outcome["message_id"]


async def test_a_waiting_time_has_room_on_its_card(app: AppChannel, wecom: WecomSimulator) -> None:
    title = "Queued · number 3 · about 12 minutes"
    await deliver(app, Kept(), Reply(title=title, state="queued", job=17, note="Costs 2 units", buttons=(CANCEL,)))
    (shown,) = wecom.in_chat("alice")
    assert shown.card["sub_title_text"] == f"{title} Costs 2 units"
    assert not shown.clipped


async def test_a_card_that_says_it_all_needs_no_text(app: AppChannel, wecom: WecomSimulator) -> None:
    ask = Reply(title="预约这个？", text="明天 9:00", buttons=(Button(action="res_confirm", label="确认"),))
    card = await deliver(app, Kept(key="res-1"), ask)
    assert kinds(wecom) == ["template_card"]
    booked = Reply(title="已预约", text="明天 9:00")
    await change(app, Kept(key="res-1-rev"), card, booked)
    assert wecom.in_chat("alice")[0].card["replaced"] == "已预约"
    assert kinds(wecom) == ["template_card", "text"]


async def test_a_failure_is_heard_of_although_its_card_says_it_all(app: AppChannel, wecom: WecomSimulator) -> None:
    card = await deliver(app, Kept(key="job-17-card"), QUEUED)
    await change(app, Kept(), card, Reply(title="没画成", state="failed", job=17, text="一只猫", buttons=(REDO,)))
    assert kinds(wecom) == ["template_card", "text"]


async def test_a_card_of_four_days_ago_is_followed_by_a_new_one(
    app: AppChannel, wecom: WecomSimulator, clock: Clock
) -> None:
    card = await deliver(app, Kept(key="job-17-card"), QUEUED)
    clock.advance(73 * 3600)
    done = await change(app, Kept(key="job-17-done"), card, DONE, IMAGES)
    assert kinds(wecom) == ["template_card", "image", "template_card"]
    assert done["message_id"] == wecom.messages[-1].task_id != card["message_id"]


async def test_a_used_code_is_followed_by_a_new_card_and_a_lost_answer_is_not(
    app: AppChannel, wecom: WecomSimulator
) -> None:
    card = await deliver(app, Kept(key="job-17-card"), QUEUED)
    kept = Kept(key="job-17-done")
    wecom.fail("cut", "update_template_card")
    with pytest.raises(Retry):
        await change(app, kept, card, DONE, IMAGES)
    await change(app, kept, card, DONE, IMAGES)
    assert kinds(wecom) == ["template_card", "image"]

    await change(app, Kept(key="job-17-again"), card, DONE, IMAGES)  # the code is used
    assert kinds(wecom) == ["template_card", "image", "image", "template_card"]


async def test_what_only_tidies_makes_no_message(app: AppChannel, wecom: WecomSimulator, clock: Clock) -> None:
    card = await deliver(app, Kept(key="res-1"), QUEUED)
    gone = Reply(title="已失效", text="没有确认", tidies=True)
    await change(app, Kept(key="res-1-rev"), card, gone)
    assert wecom.in_chat("alice")[0].card["replaced"] == "已失效"
    clock.advance(73 * 3600)
    await change(app, Kept(key="res-1-rev2"), card, gone)
    assert kinds(wecom) == ["template_card"]


async def test_an_upload_is_used_again_until_wecom_has_forgotten_it(app: AppChannel, wecom: WecomSimulator) -> None:
    kept, reply = Kept(), Reply(pictures=DONE.pictures)
    for _ in range(2):
        wecom.fail("code", "message/send", code=-1)
        with pytest.raises(Retry):
            await deliver(app, kept, reply, IMAGES)
    assert wecom.calls.count("POST /cgi-bin/media/upload") == 1
    wecom.advance(4 * 24 * 3600)  # for WeCom alone: we still take it for good
    await deliver(app, kept, reply, IMAGES)
    assert kinds(wecom) == ["image"]
    assert wecom.calls.count("POST /cgi-bin/media/upload") == 2


async def test_trap_09_a_picture_is_made_to_fit(app: AppChannel, wecom: WecomSimulator) -> None:
    data = BytesIO()
    Image.new("RGB", (8, 8), "red").save(data, "WEBP")
    await deliver(app, Kept(), Reply(text="x", pictures=DONE.pictures), {5: data.getvalue()})
    assert wecom.messages[-1].data.startswith(b"\xff\xd8\xff")


async def test_a_picture_without_a_file_is_no_riddle(app: AppChannel) -> None:
    with pytest.raises(Undelivered, match="picture 5 has no file"):
        await deliver(app, Kept(), DONE)


async def test_trap_05_success_for_nobody_is_none(app: AppChannel, wecom: WecomSimulator) -> None:
    wecom.join("carol", visible=False)
    with pytest.raises(Undelivered, match="可见范围") as unreached:
        await app.post(Place(way=Way.ANY, target="carol"), Kept().message(HELP), NOTHING)
    assert "carol" in unreached.value.receipt[PROBLEM]


@pytest.mark.parametrize("name", ["invaliduser", "unlicenseduser"])
async def test_trap_05_whom_a_success_leaves_out_has_nothing(
    app: AppChannel, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    async def left_out(*_: object, **__: object) -> dict[str, Any]:
        return {"errcode": 0, "errmsg": "ok", "msgid": "1", name: "bob|alice"}

    monkeypatch.setattr(app.client, "call", left_out)
    with pytest.raises(Undelivered) as unreached:
        await app.post(ALICE, Kept().message(HELP), NOTHING)
    assert name in unreached.value.receipt[PROBLEM]
    assert "sent" not in unreached.value.receipt["app"]


async def test_trap_05_nothing_is_sent_that_wecom_would_drop(
    app: AppChannel, wecom: WecomSimulator, clock: Clock
) -> None:
    pending = [Kept(key=f"reply-{number}") for number in range(40)]
    put_off = []
    for kept in pending:
        try:
            await deliver(app, kept, HELP)
        except Busy as busy:
            put_off.append((kept, busy.after))
    assert len(wecom.messages) == 30
    assert {round(after or 0) for _, after in put_off} == {63}
    clock.advance(64)
    for kept, _ in put_off:
        await deliver(app, kept, HELP)
    assert len(wecom.messages) == 40
    assert wecom.dropped == []


@pytest.mark.parametrize("target", ["@all", "alice|bob", "", "a b", "x" * 65, "爱丽丝"])
async def test_a_message_is_for_one_member(app: AppChannel, wecom: WecomSimulator, target: str) -> None:
    with pytest.raises(Undelivered):
        await app.post(Place(way=Way.ANY, target=target), Kept().message(HELP), NOTHING)
    with pytest.raises(Undelivered):
        await app.post(Place(way=Way.ROBOT, target="alice"), Kept().message(HELP), NOTHING)
    assert wecom.calls == []


async def test_nothing_that_a_person_wrote_is_a_link(app: AppChannel, wecom: WecomSimulator) -> None:
    source = SourceLink(
        mark=1, document="手册.md", heading="年假", passage=1, quote="五天", url="https://wiki.example/1"
    )
    said = 'x <a href="https://evil.example">点我</a>'
    await deliver(app, Kept(), Reply(text=said, sources=(source,)))
    (text,) = wecom.texts("alice")
    assert '<a href="https://evil' not in text
    assert '<a href="https://wiki.example/1">' in text


async def test_many_at_once_do_not_wait_for_each_other(app: AppChannel, wecom: WecomSimulator) -> None:
    wecom.limits = False
    people = [f"user{number}" for number in range(20)]
    for person in people:
        wecom.join(person)
    await asyncio.gather(
        *(app.post(Place(way=Way.ANY, target=person), Kept(key=person).message(HELP), NOTHING) for person in people)
    )
    assert sorted(message.chat for message in wecom.messages) == sorted(people)
