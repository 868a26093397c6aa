"""Held pictures as the people around them meet them: the owner waits, reviewers press, nobody sees anything before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from bot import access, reviewing, router
from bot.bans import ban
from bot.cli.common import Exit, Failed
from bot.cli.work import _wait
from bot.commands import Appeal, Decide, Mistake, ReviewList, Rules, UsageError, parse
from bot.context import Handled
from bot.delivery import Post, Skip, Update, Wait, decide
from bot.moderation import Action, Rule, Screen
from bot.ordering import HELD_BY
from bot.platforms.feishu.render import card
from bot.platforms.feishu.rules import check_card
from bot.render import Renderer
from bot.reply import FORM_OPEN, Reply
from inference.moderation import By, Decision, Verdict
from scheduler import queue
from scheduler.policy import Refusal
from scheduler.progress import ProgressFeed
from scheduler.verify import verify
from scheduler.work import NewAsset, Success
from scheduler.worker import Worker
from storage import audit, jobs, outbox, users
from storage.database import Database
from storage.files import Files
from storage.records import ChatType, Delivery, DeliveryState, Identity, Job, JobState, Kind, Origin, Role, User
from tests.blank import blank
from tests.bot.test_order import IdleRunner
from tests.bot.test_reserve import NOW, Chat, house

if TYPE_CHECKING:  # for its name only
    from bot.services import Services

RULES = (Rule(name="人物", words=frozenset({"某人"}), action=Action.REVIEW),)


@pytest.fixture
def chat(tmp_path: Path) -> Iterator[Chat]:
    """rita reviews, boss is an admin, anna and ben draw."""
    blank(tmp_path / "moqi.db")
    with Database.open(f"sqlite:///{tmp_path / 'moqi.db'}") as db:
        home = replace(house(), screen=Screen(rules=RULES), through=frozenset({"feishu"}))
        chat = Chat(db, home)
        for name, role in (("rita", Role.REVIEWER), ("boss", Role.ADMIN), ("anna", Role.USER), ("ben", Role.USER)):
            db.run_sync(users.set_role, person(chat, name).id, role)
        yield chat


def person(chat: Chat, name: str) -> User:
    return chat.db.run_sync(users.resolve, Identity(platform="feishu", external_id=name), name, NOW)


async def held(chat: Chat, text: str = "/draw 某人的画像") -> Job:
    """An order of anna's, drawn and held for what its words say, by a real worker's transaction."""
    outcome = chat.say(text).outcome
    claim = chat.db.run_sync(queue.claim, Kind.DRAW, lambda head: 1, chat.house.policy, chat.now)
    assert claim is not None, outcome
    [job] = claim.jobs
    why = tuple(Verdict(decision=Decision.REVIEW, by=By.WORDS, label=name) for name in job.params.get(HELD_BY, ()))
    asset = NewAsset(sha256="1" * 64, media_type="image/png", size=1, width=8, height=8)
    worker = Worker(
        chat.db,
        IdleRunner(),
        lambda: chat.house.policy,
        ProgressFeed(),
        lambda conn, key: lambda: None,
        lambda conn, review: _told(reviewing.ask(conn, review, chat.house.through, chat.now)),
    )
    await worker._persist(job, Success(result={"seeds": [7]}, took=1.0, assets=(asset,), held=why))
    return job_of(chat, job.id)


def _told(count: int) -> None:
    assert count


def job_of(chat: Chat, number: int) -> Job:
    found = chat.db.read_sync(jobs.get, number)
    assert found is not None
    return found


def messages(chat: Chat, slot: str) -> dict[str, Reply]:
    """What those messages say now, by their recipient; all of them count as sent."""
    render = Renderer(lambda: chat.house)
    found = [one for one in chat.sent() if one.slot == slot]
    for one in found:
        chat.db.run_sync(outbox.sent, one.id, {"message_id": f"om_{one.key}"}, chat.now)
    return {one.origin.sender: chat.db.read_sync(render.delivery, one) for one in found}


def press(chat: Chat, action: str, who: str, value: dict[str, Any], *, card: str = "", **form: str) -> tuple[str, str]:
    event = chat.event("action", who, action=action, value={**value, **({"form": form} if form else {})})
    event = replace(event, origin=replace(event.origin, message_id=card or event.origin.message_id))
    return chat.db.run_sync(router.press, chat.house, event, chat.now).toast


def whisper(chat: Chat, text: str, who: str) -> Reply:
    """The answer to a command in a direct chat."""
    event = chat.event("message", who, text=text)
    handled = chat.tell(replace(event, origin=replace(event.origin, chat_id=f"p2p_{who}", chat_type=ChatType.DIRECT)))
    assert handled.reply is not None
    return handled.reply


def said(handled: Handled) -> str:
    assert handled.reply is not None
    return handled.reply.text


def noted(chat: Chat, prefix: str) -> list[str]:
    return [one.action for one in chat.db.read_sync(audit.entries) if one.action.startswith(prefix)]


async def test_words_for_review_let_the_order_go_ahead_and_hold_it(chat: Chat) -> None:
    job = await held(chat)
    assert job.params[HELD_BY] == ["人物"]
    assert job.state is JobState.REVIEW
    assert noted(chat, "moderation.") == ["moderation.review"]
    assert chat.say("/ask 某人是谁？").outcome.startswith("job:")
    assert noted(chat, "moderation.") == ["moderation.flag", "moderation.review"]
    chat.house = replace(chat.house, screen=Screen())
    assert HELD_BY not in job_of(chat, int(chat.say(f"/redo {job.id}").outcome.removeprefix("job:"))).params


async def test_the_owner_hears_that_it_waits_and_reviewers_see_it(chat: Chat) -> None:
    await held(chat)
    mine = messages(chat, "held")["anna"]
    assert (mine.title, mine.state, mine.pictures) == ("等待审核", "review", ())
    assert [button.action for button in mine.buttons] == ["cancel"]
    cases = messages(chat, "review")
    assert set(cases) == {"rita", "boss"}
    case = cases["rita"]
    assert (case.title, case.text, len(case.pictures)) == ("请审核 · #1", "某人的画像", 1)
    assert dict(case.fields) == {"谁": "anna", "原因": "用词触及规则“人物”"}
    assert [button.label for button in case.buttons] == ["通过"]
    assert case.form is not None
    assert case.form.label == "驳回"


async def test_a_case_and_its_form_are_cards_that_feishu_takes(chat: Chat) -> None:
    await held(chat)
    case = messages(chat, "review")["rita"]
    assert case.form is not None
    for shown in (case, replace(case, form=replace(case.form, open=True))):
        built = card(shown, {case.pictures[0].asset: "img_1"}, ChatType.DIRECT)
        assert check_card(built) == []
        assert ("reason" in str(built)) is shown.form.open  # type: ignore[union-attr]


async def test_pressed_for_the_reason_a_case_opens_its_form(chat: Chat) -> None:
    """On platforms that show a card anew: only for who may decide, and only the card that shows this case."""
    await held(chat)
    found = next(one for one in chat.sent() if one.slot == "review" and one.origin.sender == "rita")
    messages(chat, "review")
    value = {"job": 1, "review": 1}
    event = chat.event("action", "rita", action=FORM_OPEN, value=value)
    event = replace(event, origin=replace(event.origin, message_id=f"om_{found.key}"))
    shown = chat.db.run_sync(router.press, chat.house, event, chat.now).shown
    assert shown is not None
    assert shown.reply.form is not None
    assert shown.reply.form.open
    assert shown.reply.form.value["nonce"]
    assert press(chat, FORM_OPEN, "rita", value)[1] == "这个按钮已经失效。请直接发命令，如 `/redo 17`。"
    assert press(chat, FORM_OPEN, "anna", value)[1].startswith("只有审核员和管理员")


async def test_the_first_decision_counts_and_every_card_says_whose_it_was(chat: Chat, tmp_path: Path) -> None:
    await held(chat)
    case = messages(chat, "review")["rita"]
    value = case.buttons[0].value
    assert press(chat, "approve", "anna", value)[1].startswith("只有审核员和管理员能用 /review。")
    assert "outcome" not in chat.db.read_sync(outbox.of_job, 1)
    assert press(chat, "approve", "rita", value) == ("success", "任务 #1 已通过，图片这就发出。")
    assert press(chat, "approve", "boss", value) == ("warning", "任务 #1 已经由 rita 通过了。")
    assert "outcome" in chat.db.read_sync(outbox.of_job, 1)
    cards = messages(chat, "revision")
    assert set(cards) == {"rita", "boss"}
    for now in cards.values():
        assert (now.title, now.pictures, now.buttons, now.form) == ("#1 已由 rita 通过", (), (), None)
    broken = [one.broken for one in chat.db.read_sync(verify, Files(tmp_path / "files"), chat.now) if one.broken]
    assert broken == [["asset " + "1" * 64 + ": its file is missing"]], "whose file was never written here"


async def test_a_rejection_says_why_and_is_appealed_against_to_somebody_else(chat: Chat) -> None:
    await held(chat)
    form = messages(chat, "review")["rita"].form
    assert form is not None
    assert press(chat, form.action, "rita", form.value, reason=" ")[1].startswith("为什么驳回？")
    toast = press(chat, form.action, "rita", {**form.value, "nonce": "n1"}, card="om_x", reason="肖像")
    assert toast == ("success", "任务 #1 已驳回，额度已退回，理由会告诉对方。")
    again = press(chat, form.action, "rita", {**form.value, "nonce": "n1"}, card="om_x", reason="肖像")
    assert again == ("info", "已经处理过了。"), "one opening of a form says it once"
    mine = messages(chat, "outcome")["anna"]
    assert mine.text == "某人的画像\n审核没有通过，请换个描述再试，或申诉一次。审核员说：“肖像”。 没有计额度。"
    assert mine.pictures == ()
    assert mine.form is not None
    assert press(chat, mine.form.action, "ben", mine.form.value, reason="x")[1].startswith("任务 #1 是别人的")
    value = {**mine.form.value, "form": {"reason": "本人同意"}}
    event = chat.event("action", "anna", action=mine.form.action, value=value)
    event = replace(event, origin=replace(event.origin, message_id="om_job-1-outcome"))
    pressed = chat.db.run_sync(router.press, chat.house, event, chat.now)
    assert pressed.toast == ("success", "任务 #1 的申诉已提交，有结果会告诉你。")
    assert pressed.shown is not None
    assert pressed.shown.reply.form is not None
    assert not pressed.shown.reply.form.open, "it is sent, and closes"
    cases = messages(chat, "review")
    assert set(cases) == {"boss"}, "who rejected it is not asked again"
    appeal = cases["boss"]
    assert (appeal.title, len(appeal.pictures)) == ("请复审 · #1", 1)
    assert dict(appeal.fields)["上次驳回"] == "rita: 肖像"
    assert dict(appeal.fields)["申诉"] == "本人同意"
    assert press(chat, "approve", "rita", appeal.buttons[0].value)[1] == "任务 #1 是你驳回的，申诉要由别的审核员决定。"
    assert said(chat.say("/审核通过 1", "boss")) == "任务 #1 已通过，图片这就发出。"
    delivered = messages(chat, "appeal")["anna"]
    assert (delivered.state, len(delivered.pictures)) == ("done", 1)
    assert said(chat.say("/review appeal 1 再来")) == "任务 #1 没有被驳回，不用申诉。"


async def test_nothing_is_seen_or_used_before_it_is_approved(chat: Chat) -> None:
    job = await held(chat)
    assert chat.say(f"/draw 一只猫 --from {job.id}").outcome == "refused:under_review"
    assert chat.press("variation", job=job.id, index=1)[1] == "任务 #1 的图还在等审核，通过后才能用。"
    assert chat.press("upscale", job=job.id, index=1)[0] == "warning"
    assert whisper(chat, f"/jobs {job.id}", "anna").pictures == ()
    assert len(whisper(chat, f"/jobs {job.id}", "rita").pictures) == 1
    in_the_group = chat.say(f"/jobs {job.id}", "rita").reply
    assert in_the_group is not None
    assert in_the_group.pictures == (), "others read along"
    assert chat.say(f"/jobs {job.id}", "ben").outcome == "refused:not_yours"
    chat.say(f"/review reject {job.id} 不行", "boss")
    assert chat.say(f"/draw 一只猫 --from {job.id}").outcome == "refused:no_picture"
    assert chat.say(f"/jobs {job.id}", "rita").outcome == "refused:not_yours", "the case is closed"


async def test_who_may_have_the_file(chat: Chat) -> None:
    job, anna, ben = await held(chat), person(chat, "anna"), person(chat, "ben")
    for state in JobState:
        found = replace(job, state=state)
        done = state is JobState.DONE
        assert access.asset(anna, found) is done, state
        assert not access.asset(ben, found), state
        assert access.asset(replace(ben, role=Role.REVIEWER), found) is not done, state
        assert access.asset(replace(ben, role=Role.ADMIN), found), state


async def test_what_is_private_is_seen_by_others_in_a_review_only(chat: Chat) -> None:
    job, boss = await held(chat), person(chat, "boss")
    private = replace(job, params={**job.params, "private": True})
    done = replace(private, state=JobState.DONE)
    assert [access.asset(boss, one) for one in (private, done, replace(job, state=JobState.DONE))] == [
        True,
        False,
        True,
    ]


async def test_what_waits_is_listed_and_told_only_where_nobody_else_reads(chat: Chat) -> None:
    assert said(chat.say("/review", "rita")) == "没有等待审核的图片。"
    await held(chat)
    assert chat.say("/review list").outcome == "refused:not_reviewer"
    assert said(chat.say("/review", "rita")).startswith("#1 · anna · 等了 ")
    assert "某人" not in said(chat.say("/review", "rita"))
    assert whisper(chat, "/review", "rita").text.endswith("某人的画像")


async def test_its_owner_may_cancel_and_so_does_a_ban(chat: Chat) -> None:
    job = await held(chat)
    messages(chat, "review")
    assert said(chat.say(f"/cancel {job.id}")) == "已取消任务 #1，没有计额度。"
    assert messages(chat, "revision")["rita"].title == "#1 已取消，不用审核了"
    again = await held(chat)
    chat.db.run_sync(ban, "user:99", person(chat, "anna"), "", None, chat.now)
    assert job_of(chat, again.id).state is JobState.CANCELLED


async def test_a_group_gets_its_copy_only_after_the_approval(chat: Chat) -> None:
    job = await held(chat)
    group = Origin(platform="wecom", chat_id="g", chat_type=ChatType.GROUP, message_id="", sender="").to_json()
    chat.db.run_sync(_copied, job.id, {**job.params, queue.COPIES: {"设计群": group}})
    assert not any(slot.startswith(queue.COPY) for slot in chat.db.read_sync(outbox.of_job, job.id))
    chat.say(f"/review approve {job.id}", "rita")
    assert f"{queue.COPY}设计群" in chat.db.read_sync(outbox.of_job, job.id)


def _copied(conn: Any, job: int, params: dict[str, Any]) -> None:
    from storage.tables import jobs as table

    conn.execute(table.update().where(table.c.id == job).values(params=params))


def delivery(slot: str, state: DeliveryState, attempts: int = 1) -> Delivery:
    origin = Origin(platform="web", chat_id="1", chat_type=ChatType.DIRECT, message_id="m", sender="1")
    return Delivery(
        id=1,
        key=f"job-1-{slot}",
        origin=origin,
        job_id=1,
        slot=slot,
        body={},
        state=state,
        attempts=attempts,
        receipt={"message_id": slot},
        reason="",
        created_at=NOW,
        sent_at=None,
        replaces="",
    )


SENT, PENDING = DeliveryState.SENT, DeliveryState.PENDING


@pytest.mark.parametrize(
    ("about", "others", "wanted"),
    [
        (delivery("held", PENDING), [delivery("card", SENT)], Update),
        (delivery("held", PENDING), [], Post),
        (delivery("held", PENDING), [delivery("card", PENDING)], Wait),
        (delivery("held", PENDING), [delivery("card", SENT), delivery("outcome", PENDING)], Skip),
        (delivery("held", PENDING, attempts=2), [delivery("card", SENT), delivery("outcome", PENDING)], Update),
        (delivery("outcome", PENDING), [delivery("card", SENT), delivery("held", PENDING)], Wait),
        (delivery("outcome", PENDING), [delivery("card", SENT), delivery("held", SENT)], Update),
        (delivery("appeal", PENDING), [delivery("card", SENT), delivery("outcome", SENT)], Post),
    ],
)
def test_which_message_takes_whose_place(about: Delivery, others: list[Delivery], wanted: type) -> None:
    assert isinstance(decide(about, {one.slot: one for one in (*others, about)}), wanted)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("/review", ReviewList()),
        ("/审核 列表", ReviewList()),
        ("/review approve 17", Decide(job=17, approve=True)),
        ("/审核通过17", Decide(job=17, approve=True)),
        ("/review reject #17 太像了", Decide(job=17, approve=False, reason="太像了")),
        ("/审核 驳回 任务17，太像了", Decide(job=17, approve=False, reason="太像了")),
        ("/审核 申诉 17：没有人", Appeal(job=17, plea="没有人")),
        ("/REVIEW APPEAL 17 no person in it", Appeal(job=17, plea="no person in it")),
        ("/review reject 17", "review_reason"),
        ("/review appeal 17", "appeal_reason"),
        ("/review approve", "review_job"),
        ("/review approve 99999999999", "review_job"),
        ("/review aprove 17", "review_form"),
        ("/review 17", "review_form"),
    ],
)
def test_what_is_written(text: str, wanted: object) -> None:
    found = parse(text, Rules())
    assert (found.code if isinstance(found, UsageError) else found) == wanted


def test_a_refusal_and_a_mistake_are_what_they_say() -> None:
    """Each sentence that the tests above do not read exists in both languages."""
    words = house().words
    codes = ("review_own", "review_again", "review_withdrawn", "no_review", "appeal_open", "appeal_over", "no_appeal")
    for code in codes:
        assert "#7" in words.refusal(Refusal(code=code).code, {"job": 7}).text
    assert words.usage(Mistake("review_form", given="x", near="list").about("review")).text.endswith("`/review list`？")


async def test_a_command_of_the_terminal_does_not_wait_for_a_reviewer(chat: Chat) -> None:
    job = await held(chat)
    with pytest.raises(Failed, match="waits for a reviewer: `moqi jobs show 1`") as caught:
        await _wait(cast("Services", SimpleNamespace(db=chat.db)), job.id, lambda item: None)
    assert caught.value.code is Exit.REFUSED
