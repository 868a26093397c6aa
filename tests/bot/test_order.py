"""Keeping the house in order, as admins and everybody else meet it: /ban, /pause, /status."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from bot import bans, commands, gate
from bot.commands import Draw, Reserve
from bot.context import Handled
from bot.moderation import Action, Rule, Screen
from bot.render import Renderer
from bot.reply import Reply
from bot.settings import Limits, Parameters
from bot.settings.rules import rules as rules_of
from scheduler import queue, quota
from scheduler.calendar import window_from_text
from scheduler.pausing import Hold, hold
from scheduler.policy import Rate
from scheduler.progress import ProgressFeed
from scheduler.queue import Claim, Failure
from scheduler.verify import verify
from scheduler.work import NewAsset, Outcome, Success
from scheduler.worker import Worker
from storage import assets, audit, jobs, outbox, users
from storage.database import Database
from storage.files import Files
from storage.jobs import Lane
from storage.records import Fate, Identity, Job, JobState, Kind, Role, Unit, User
from storage.reservations import occurrences_of
from tests.blank import blank
from tests.bot.test_reserve import CARD, NOW, Chat, house


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    blank(tmp_path / "moqi.db")
    with Database.open(f"sqlite:///{tmp_path / 'moqi.db'}") as opened:
        yield opened


@pytest.fixture
def chat(db: Database) -> Chat:
    """A chat in which `boss` is an admin; anna and ben have written before."""
    chat = Chat(db, house())
    boss = person(chat, "boss")
    db.run_sync(users.set_role, boss.id, Role.ADMIN)
    for name in ("anna", "ben li"):
        person(chat, name)
    return chat


def person(chat: Chat, name: str) -> User:
    return chat.db.run_sync(users.resolve, Identity(platform="feishu", external_id=name), name, NOW)


def order(chat: Chat, who: str = "anna", text: str = "/draw 一只猫") -> Job:
    outcome = chat.say(text, who).outcome
    assert outcome.startswith("job:"), outcome
    return job(chat, int(outcome.removeprefix("job:")))


def job(chat: Chat, number: int) -> Job:
    found = chat.db.read_sync(jobs.get, number)
    assert found is not None
    return found


def card(chat: Chat, number: int) -> Reply:
    """What the job's card says now."""
    return chat.db.read_sync(Renderer(lambda: chat.house).job, job(chat, number), None)


def claim(chat: Chat, room: int = 1) -> Claim | None:
    return chat.db.run_sync(queue.claim, Kind.DRAW, lambda head: room, chat.house.policy, chat.now)


def left(chat: Chat, who: str = "anna") -> int:
    subject = quota.subject(person(chat, who).id)
    standing = chat.db.run_sync(quota.standing, subject, Unit.DRAW, chat.house.policy, chat.now)
    assert standing is not None
    return standing.total


def text(handled: Handled) -> str:
    assert handled.reply is not None
    return handled.reply.text


def sound(chat: Chat, tmp_path: Path) -> list[Any]:
    """What `moqi verify` finds broken."""
    found = chat.db.read_sync(verify, Files(tmp_path / "files"), chat.now)
    return [check for check in found if check.broken]


# --- /ban ---------------------------------------------------------------------------------------------------------


def test_a_ban_cancels_what_waits_stops_what_runs_and_gives_everything_back(chat: Chat, tmp_path: Path) -> None:
    running, waiting = order(chat), order(chat)
    assert claim(chat) is not None
    handled = chat.say("/ban @anna 刷屏 7天", "boss")
    assert text(handled) == (
        "已停用 anna，到 11月28日 12:00。取消了没做完的任务 2 个，额度已退回；预约到时不会画。恢复：/unban"
    )
    assert handled.stop == (running.id,)
    assert job(chat, waiting.id).state is JobState.CANCELLED
    chat.db.run_sync(queue.cancelled, job(chat, running.id), chat.now)  # as its worker does at the next step
    for one in (running, waiting):
        assert card(chat, one.id).text == "一只猫\n账号已被停用，任务取消，没有计额度。"
        assert "outcome" in chat.db.read_sync(outbox.of_job, one.id)
    assert left(chat) == 50
    assert sound(chat, tmp_path) == []


def test_the_banned_are_told_why_and_until_when_and_may_do_nothing(chat: Chat) -> None:
    chat.say("/禁用 @anna 原因：刷屏，到 12月31日", "boss")
    told = "你的账号已被停用，到 1月1日 00:00 恢复（原因：刷屏）。有疑问请联系管理员。"
    for said in ("/draw 一只猫", "/ask 年假？", "/quota", "/help", "你好"):
        assert text(chat.say(said)) == told
    assert chat.press("redo", job=1)[1] == told
    assert chat.say("/draw 一只狗", "ben li").outcome.startswith("job:")


def test_a_ban_without_an_end_lasts_until_it_is_lifted(chat: Chat) -> None:
    assert "直到用 /unban 恢复" in text(chat.say("/ban anna", "boss"))
    chat.db.run_sync(bans.lift, chat.now + timedelta(days=9999))
    assert text(chat.say("/draw 一只猫")) == "你的账号已被停用。有疑问请联系管理员。"
    assert text(chat.say("/解禁 @anna", "boss")) == "anna 可以继续用了。停用时取消的任务要重新发。"
    assert text(chat.say("/unban anna", "boss")) == "anna 本来就没有停用。"
    order(chat)


def test_a_ban_ends_by_itself(chat: Chat) -> None:
    chat.say("/ban anna 2小时", "boss")
    assert chat.db.run_sync(bans.lift, chat.now + timedelta(hours=1, minutes=59)) == []
    assert chat.db.run_sync(bans.lift, chat.now + timedelta(hours=2)) == [person(chat, "anna").id]
    order(chat)


@pytest.mark.parametrize(
    ("said", "who", "why"),
    [
        ("/ban @ben li", "ben li", ""),
        ("/ban @ben li too many pictures", "ben li", "too many pictures"),
        ("/ban ben li because: spam 3 days", "ben li", "spam"),
        ("/封禁@anna，刷屏", "anna", "刷屏"),
        ("/ban feishu:anna 因为刷屏", "anna", "刷屏"),
        ("/ban ann 刷屏", "anna", "刷屏"),  # the beginning of one name only
    ],
)
def test_whom_and_why(chat: Chat, said: str, who: str, why: str) -> None:
    chat.say(said, "boss")
    found = person(chat, who)
    assert (found.banned, found.ban_reason) == (True, why)
    entry = next(one for one in chat.db.read_sync(audit.entries) if one.action == "user.ban")
    assert (entry.subject, entry.detail["reason"]) == (f"user:{found.id}", why)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("/ban @boss", "ban_self"),
        ("/ban 谁也不是", "unknown_person"),
        ("/unban 谁也不是", "unknown_person"),
        ("/ban", "ban_form"),
        ("/ban anna 0天", "ban_span"),
        ("/ban anna 到 2020年1月1日", "day_over"),
    ],
)
def test_bans_that_are_refused(chat: Chat, said: str, code: str) -> None:
    assert chat.say(said, "boss").outcome == f"refused:{code}"
    assert chat.db.read_sync(users.banned) == []


def test_the_last_admin_cannot_be_banned(chat: Chat) -> None:
    boss = person(chat, "boss")
    with pytest.raises(bans.Untouchable, match="moqi role set"):
        chat.db.run_sync(bans.ban, "cli:root", boss, "", None, NOW)
    chat.db.run_sync(users.set_role, person(chat, "anna").id, Role.ADMIN)
    assert chat.db.run_sync(bans.ban, "cli:root", boss, "", None, NOW).person.banned


def test_only_admins_ban(chat: Chat) -> None:
    assert chat.say("/ban boss").outcome == "refused:not_admin"
    assert chat.say("/unban boss").outcome == "refused:not_admin"


def test_a_reservation_of_the_banned_is_refused_with_a_reason_when_it_falls_due(chat: Chat, tmp_path: Path) -> None:
    chat.say("/draw 一只猫 --every 每天9:00")
    chat.push("确认")
    chat.say("/ban anna 刷屏", "boss")
    due = chat.kept().next_at
    assert due is not None
    chat.now = due
    chat.fire()
    fate = chat.db.read_sync(occurrences_of, 1)[0]
    assert (fate.fate, fate.reason) == (Fate.REFUSED, "banned")
    assert "你的账号已被停用（原因：刷屏）" in chat.said()
    assert sound(chat, tmp_path) == []


# --- /pause and /resume -------------------------------------------------------------------------------------------


def test_pausing_lets_what_runs_end_and_starts_nothing(chat: Chat) -> None:
    running, waiting = order(chat), order(chat)
    held = claim(chat)
    assert held is not None
    assert "进行中的 1 个会做完" in text(chat.say("/pause", "boss"))
    assert claim(chat) is None
    assert chat.db.run_sync(queue.succeed, held.jobs[0], {"seeds": [1]}, 1.0, chat.now)
    assert job(chat, running.id).state is JobState.DONE
    assert card(chat, waiting.id).title == "排队中 · 第 1 位 · 管理员已暂停，恢复后继续"
    accepted = order(chat, "ben li")
    body = chat.db.read_sync(outbox.of_job, accepted.id)["card"].body
    assert Reply.from_json(body).title == "排队中 · 第 1 位 · 管理员已暂停，恢复后继续"
    assert "#2 画图 · 排队中 · 第 2 位 · 管理员已暂停，恢复后继续" in text(chat.say("/jobs"))
    assert chat.say("/resume", "boss").work == tuple(Kind)
    assert claim(chat) is not None


def test_pausing_at_once_puts_running_work_back_and_charges_it_once(chat: Chat, tmp_path: Path) -> None:
    first, second = order(chat), order(chat, "ben li")
    held = claim(chat)
    assert held is not None
    before = left(chat)
    handled = chat.say("/pause now", "boss")
    assert "1 个放回了队列" in text(handled)
    assert handled.stop == (first.id,)
    back = job(chat, first.id)
    assert (back.state, back.token, back.attempt, back.vtag) == (JobState.QUEUED, "", 0, first.vtag)
    # What its worker still brings is dropped, whatever it is.
    lost = held.jobs[0]
    assert not chat.db.run_sync(queue.succeed, lost, {"seeds": [1]}, 1.0, chat.now)
    assert not chat.db.run_sync(queue.cancelled, lost, chat.now)
    assert not chat.db.run_sync(queue.fail, lost, Failure(error="x", cause="x"), chat.house.policy, chat.now)
    assert job(chat, first.id).state is JobState.QUEUED
    chat.say("/resume", "boss")
    again = claim(chat, room=2)
    assert again is not None
    assert again.jobs[0].id == first.id  # at its old place
    for one in again.jobs:
        assert chat.db.run_sync(queue.succeed, one, {"seeds": [1]}, 1.0, chat.now)
    assert {job(chat, one.id).state for one in (first, second)} <= {JobState.DONE, JobState.QUEUED}
    assert left(chat) == before == 49
    assert sound(chat, tmp_path) == []


def test_what_was_to_be_cancelled_is_cancelled_by_a_pause_at_once(chat: Chat) -> None:
    wanted = order(chat)
    claim(chat)
    chat.say(f"/cancel {wanted.id}")
    chat.say("/pause 立即", "boss")
    assert job(chat, wanted.id).state is JobState.CANCELLED
    assert left(chat) == 50


async def test_a_worker_that_lost_its_job_leaves_no_picture_behind(chat: Chat) -> None:
    """The one that has it now may bring its pictures first: the same place cannot be taken twice."""
    wanted = order(chat)
    held = claim(chat)
    assert held is not None
    chat.say("/pause now", "boss")
    chat.say("/resume", "boss")
    again = claim(chat)
    assert again is not None
    worker = Worker(chat.db, IdleRunner(), lambda: chat.house.policy, ProgressFeed(), lambda conn, key: lambda: None)
    for claimed, seed in ((again, 1), (held, 2)):
        await worker._persist(claimed.jobs[0], Success(result={"seeds": [seed]}, took=1.0, assets=(picture(seed),)))
    assert [asset.sha256 for asset in chat.db.read_sync(assets.of_job, wanted.id)] == ["1" * 64]
    assert job(chat, wanted.id).result == {"seeds": [1], "assets": [1]}


class IdleRunner:
    """Runs nothing: its worker only writes outcomes here."""

    kind, parallel = Kind.DRAW, 1

    def room(self, head: Job) -> int:
        return 1

    async def ready(self) -> bool:
        return False

    async def run(self, batch: Any) -> list[Outcome]:
        await asyncio.sleep(0)
        return []


def picture(seed: int) -> NewAsset:
    return NewAsset(sha256=str(seed) * 64, media_type="image/png", size=1, width=8, height=8)


@pytest.mark.parametrize(
    ("said", "paused"),
    [
        ("/pause draw", {Kind.DRAW}),
        ("/暂停 问答", {Kind.ASK}),
        ("/pause ask now", {Kind.ASK}),
        ("/pause 画图和问答", {Kind.DRAW, Kind.ASK}),
        ("/暂停立即", {Kind.DRAW, Kind.ASK}),
        ("/pause tomorrow", set()),
    ],
)
def test_one_kind_of_work_can_be_paused(chat: Chat, said: str, paused: set[Kind]) -> None:
    chat.say(said, "boss")
    assert {kind for kind in Kind if chat.db.read_sync(jobs.peek_lane, kind).paused} == paused
    chat.say("/resume", "boss")
    assert not [kind for kind in Kind if chat.db.read_sync(jobs.peek_lane, kind).paused]


def test_one_kind_of_work_can_be_resumed(chat: Chat) -> None:
    chat.say("/pause", "boss")
    assert chat.say("/resume ask", "boss").work == (Kind.ASK,)
    assert [chat.db.read_sync(jobs.peek_lane, kind).paused for kind in Kind] == [True, False]
    assert chat.say("/resume now", "boss").outcome == "refused:resume_form"


# --- the circuit breaker and /status ------------------------------------------------------------------------------


def broken(chat: Chat, times: int) -> None:
    """Let the engine fail so often."""

    def fail(conn: Connection) -> None:
        held = queue.claim(conn, Kind.DRAW, lambda head: 1, chat.house.policy, chat.now)
        assert held is not None
        failure = Failure(error="internal", cause="CUDA error: device-side assert")
        queue.fail(conn, held.jobs[0], failure, chat.house.policy, chat.now)

    for _ in range(times):
        order(chat)
        chat.db.run_sync(fail)


def fields(chat: Chat, who: str = "anna") -> dict[str, str]:
    reply = chat.say("/status", who).reply
    assert reply is not None
    return dict(reply.fields)


LANE = Lane(
    kind=Kind.DRAW, rate=0.0, variance=0.0, samples=0, early=0.0, middle=0.0, late=0.0, failing=(), open_until=None
)
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("lane", "not_before", "wanted"),
    [
        ({}, None, None),
        ({}, NOW + timedelta(seconds=2), None),  # another try, in a moment
        ({}, NOW + MINUTE, Hold(why="later", until=NOW + MINUTE)),
        ({"paused": True, "open_until": NOW + MINUTE}, NOW + MINUTE, Hold(why="paused")),
        ({"open_until": NOW + MINUTE}, None, Hold(why="resting", until=NOW + MINUTE)),
        ({"open_until": NOW - MINUTE}, None, None),
        ({"open_until": NOW + MINUTE}, NOW + 2 * MINUTE, Hold(why="later", until=NOW + 2 * MINUTE)),
    ],
)
def test_why_a_job_does_not_start(lane: dict[str, Any], not_before: datetime | None, wanted: Hold | None) -> None:
    assert hold(replace(LANE, **lane), not_before, NOW) == wanted


def test_an_open_circuit_is_told_to_who_waits_and_its_cause_to_admins(chat: Chat) -> None:
    broken(chat, chat.house.policy.breaker_failures - 1)
    assert fields(chat)["画图队列"] == "排队 0 · 进行 0 · 连续出错 2 次"
    broken(chat, 1)
    waiting = order(chat)
    assert claim(chat) is None
    assert card(chat, waiting.id).title.startswith("排队中 · 第 1 位")
    until = "11月21日 12:05"
    assert fields(chat)["画图队列"] == f"排队 1 · 进行 0 · 连续出错 3 次，停到 {until} 再试"
    assert fields(chat, "boss")["画图队列"].endswith("再试（CUDA error: device-side assert）")
    chat.say("/resume draw", "boss")  # whoever resumes has looked at it
    assert claim(chat) is not None


def test_the_status_tells_what_is_paused_and_what_is_to_come(chat: Chat) -> None:
    chat.say("/draw 一只猫 --at 明天9:00")
    assert "预约" not in fields(chat)  # not confirmed yet
    chat.push("确认")
    chat.say("/pause draw", "boss")
    said = fields(chat)
    assert said["预约"] == "1 个待执行，最近的在 11月22日 09:00"
    assert said["画图队列"] == "排队 0 · 进行 0 · 已暂停，管理员可用 /resume 恢复"
    assert said["回答队列"] == "排队 0 · 进行 0"


# --- rates --------------------------------------------------------------------------------------------------------


def test_who_orders_too_fast_is_told_when_to_come_back_and_can_still_cancel(chat: Chat, tmp_path: Path) -> None:
    rate = {"draw": Rate(count=2, name="minute")}
    chat.house = replace(chat.house, policy=replace(chat.house.policy, rates=rate))
    first, _ = order(chat), order(chat)
    refused = chat.say("/draw 一只猫")
    assert text(refused) == (
        "太快了：画图每人每分钟最多 2 次。请过 30 秒 再发；/cancel、/jobs、/quota、/help 随时可用。"
    )
    assert left(chat) == 48
    assert chat.press("reseed", job=first.id) == ("warning", text(refused))
    assert chat.say("画一只狗").outcome == "refused:too_fast"
    for said in (f"/cancel {first.id}", "/help", "/quota", "/jobs", "/status"):
        assert chat.say(said).outcome == "reply", said
    assert chat.say("年假怎么休？").outcome.startswith("job:")  # only pictures are limited
    order(chat, "ben li")
    chat.now += timedelta(seconds=30)
    order(chat)
    assert sound(chat, tmp_path) == []


# --- opening hours ------------------------------------------------------------------------------------------------


def opened(chat: Chat, interactive: str = "mon-fri 09:00-18:00", reserved: str = "", **changes: Any) -> None:
    """Give the house hours; it is Saturday noon."""
    kept = (window_from_text(reserved),) if reserved else ()
    policy = replace(chat.house.policy, interactive=(window_from_text(interactive),), reserved=kept, **changes)
    chat.house = replace(chat.house, policy=policy)


def test_outside_the_hours_a_picture_can_be_reserved_with_what_is_offered(chat: Chat, tmp_path: Path) -> None:
    opened(chat)
    refused = chat.say("画一只猫")
    offered = "/draw 一只猫 --at 2026-11-23T09:00"
    assert text(refused) == (
        f"现在不在开放时间（mon,tue,wed,thu,fri 09:00-18:00），11月23日 09:00 起可以用。想先约好，就发：`{offered}`"
    )
    assert left(chat) == 50
    assert chat.say(offered).outcome == "reservation:1"
    chat.push("确认")
    assert chat.kept().next_at == datetime(2026, 11, 23, 1, tzinfo=UTC)
    assert "没有计额度" in text(chat.say("年假怎么休？"))
    chat.now = datetime(2026, 11, 23, 1, tzinfo=UTC)
    done = order(chat)
    assert chat.press("redo", job=done.id)[0] == "success"
    chat.now = datetime(2026, 11, 23, 10, tzinfo=UTC)
    assert chat.press("redo", job=done.id)[1].endswith("加上 `--at 2026-11-24T09:00` 再发一次。")
    assert claim(chat) is not None  # what was accepted in time is done
    chat.fire()
    assert sound(chat, tmp_path) == []


@pytest.mark.parametrize(
    "said",
    [
        "一只猫 --size 512x768 --n 2 --seed 7 --steps 9",
        "--seed 7 -- 9点的城市 --at --n",
        'a quoted "word" --neg "blurry, bad hands"',
        "明天9:00的城市",
    ],
)
def test_the_offered_command_means_the_same_picture(chat: Chat, said: str) -> None:
    meant = commands.parse(f"/draw {said}", chat.house.rules)
    assert isinstance(meant, Draw), meant
    written = gate.reservation(meant, "2026-11-23T09:00", chat.house.rules)
    assert commands.parse(written, chat.house.rules) == Reserve(draw=meant, at="2026-11-23T09:00")


def test_a_command_too_long_to_be_written_out_is_not(chat: Chat) -> None:
    opened(chat)
    assert text(chat.say("/draw " + "很长" * 200)).endswith("在原来的命令后面加上 `--at 2026-11-23T09:00` 再发一次。")


def test_roles_may_be_exempt(chat: Chat) -> None:
    opened(chat, exempt=frozenset({Role.ADMIN}))
    assert chat.say("/draw 一只猫").outcome == "refused:closed"
    order(chat, "boss")


def test_reserved_work_that_falls_due_outside_its_hours_waits_for_them(chat: Chat) -> None:
    opened(chat, reserved="22:00-06:00")
    assert "--at 2026-11-21T22:00" in text(chat.say("/draw 一只猫"))
    chat.say("/draw 一只猫 --at 20:00")
    assert "预约的任务只在 22:00-06:00 开始，到时先排队" in chat.card().note
    chat.push("确认")
    chat.now = datetime(2026, 11, 21, 12, tzinfo=UTC)
    chat.fire()
    fired = job(chat, 1)
    assert fired.not_before == datetime(2026, 11, 21, 14, tzinfo=UTC)
    assert claim(chat) is None
    chat.now = fired.not_before
    assert claim(chat) is not None
    chat.say("/draw 一只猫 --at 23:00", "ben li")
    assert "22:00-06:00" not in chat.card().note


# --- the largest order --------------------------------------------------------------------------------------------


def test_more_pictures_than_allowed_are_sent_several_times(chat: Chat) -> None:
    assert text(chat.say("/draw 一只猫 --n 9")) == (
        "--n 只能是 1 到 2，9 超出了。最接近的是 `--n 2`。想要更多就分几次发，会接着排队。"
    )
    assert "分几次" not in text(chat.say("/draw 一只猫 --n 0"))
    reply = chat.say("/help draw").reply
    assert reply is not None
    assert "一次最多 2 张；同一人同时做 3 个任务，其余的排队。" in reply.text


def test_the_largest_size_is_set_by_the_policy_whatever_the_model_can(chat: Chat) -> None:
    rules = rules_of(Parameters(), Limits(pixels=512 * 512), replace(CARD, builtin=False))
    chat.house = replace(chat.house, rules=rules)
    assert rules.size.default == (512, 512)
    assert text(chat.say("/draw 一只猫 --size 1024x512")) == (
        "1024x512 太大，总像素最多 262144。最接近的是 `--size 720x352`。"
    )
    assert job(chat, order(chat).id).params["width"] == 512


def test_a_lowered_limit_holds_for_what_was_ordered_before(chat: Chat) -> None:
    many, large = order(chat, text="/draw 一只猫 --n 2"), order(chat, text="/draw 一只猫 --size 1024x1024")
    chat.say("/draw 一只猫 --at 明天9:00 --n 2")
    chat.push("确认")
    chat.house = replace(chat.house, rules=rules_of(Parameters(), Limits(count=1, pixels=512 * 512), None))
    assert text(chat.say(f"/redo {many.id}")) == (
        "现在一次最多画 1 张，这个任务是 2 张。请用 `--n 1` 再发，其余分几次。"
    )
    assert chat.press("redo", job=large.id)[1] == "1024x1024 超过了现在允许的大小。最接近的是 `--size 512x512`。"
    assert chat.say(f"/redo {large.id} --size 512x512").outcome.startswith("job:")
    chat.now = datetime(2026, 11, 22, 1, tzinfo=UTC)
    chat.fire()
    assert "现在一次最多画 1 张" in chat.notice().text


# --- words --------------------------------------------------------------------------------------------------------


def screening(chat: Chat, *, tell: bool = False, action: Action = Action.REFUSE) -> None:
    rule = Rule(name="竞品", words=frozenset({"某牌"}), action=action)
    chat.house = replace(chat.house, screen=Screen(rules=(rule,), tell=tell))


def noted(chat: Chat) -> list[tuple[str, dict[str, Any]]]:
    found = chat.db.read_sync(audit.entries)
    return [(one.action, one.detail) for one in found if one.action.startswith("moderation.")]


def test_an_order_against_the_teams_rules_is_refused_costs_nothing_and_is_noted(chat: Chat, tmp_path: Path) -> None:
    before = order(chat, text="/draw 某 牌的海报")
    chat.say("/draw 某牌 --every 每天9:00")
    chat.push("确认")
    screening(chat)
    told = "这段内容不符合团队的使用规定，没有处理，也没有计额度。请换个说法再试，有疑问请联系管理员。"
    orders = ("/draw 某牌的海报", "画一张某 牌的海报", "/ask 某牌怎么样？", "某。牌好吗？", "/reserve 明天9:00 某牌")
    for said in (*orders, f"/redo {before.id}", f"/redo {before.id} 某牌 红色"):
        assert text(chat.say(said)) == told, said
    assert chat.press("redo", job=before.id) == ("warning", told)
    assert noted(chat) == [("moderation.refuse", {"rule": "竞品"})] * 8
    assert left(chat) == 49
    assert chat.say(f"/redo {before.id} 一只猫").outcome.startswith("job:")
    chat.now = datetime(2026, 11, 22, 1, tzinfo=UTC)
    chat.fire()  # what was booked before the word was listed
    assert told in chat.said()
    assert sound(chat, tmp_path) == []
    screening(chat, tell=True)
    assert "（“某牌”）" in text(chat.say("/draw 某牌"))


def test_a_flagged_order_goes_ahead_and_is_noted(chat: Chat) -> None:
    screening(chat, action=Action.FLAG)
    order(chat, text="/draw 某牌的海报")
    assert noted(chat) == [("moderation.flag", {"rule": "竞品"})]


@pytest.mark.parametrize(("minutes", "said"), [(14, ""), (16, "晚了 16 分钟"), (366, "晚了 6 小时 6 分钟")])
def test_trap_3_what_comes_late_is_done_and_its_writer_is_told(chat: Chat, minutes: int, said: str) -> None:
    """Dropping it would lose what a platform brings again after an outage."""
    event = chat.event("message", "anna", text="/draw 猫")
    chat.now += timedelta(minutes=minutes)
    assert chat.tell(event).outcome.startswith("job:")
    told = [Reply.from_json(one.body).text for one in chat.sent() if one.key.startswith("late-")]
    assert len(told) == bool(said)
    assert not told or said in told[0]


def test_what_comes_late_and_is_not_for_us_is_left_alone(chat: Chat) -> None:
    event = replace(chat.event("message", "anna", text="吃了吗"), mentioned=False)
    chat.now += timedelta(hours=6)
    assert chat.tell(event).outcome == "ignored:not addressed to us"
    assert [one for one in chat.sent() if one.key.startswith("late-")] == []
