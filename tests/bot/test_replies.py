"""Sentences exist in both languages, say their numbers, and name a next step."""

from __future__ import annotations

import json
import re
import string
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from types import ModuleType
from typing import Any, get_args
from zoneinfo import ZoneInfo

import pytest

from bot.commands import ADMIN_COMMANDS, COMMANDS, LATER, REVIEWER_COMMANDS, Rules, UsageError, parse
from bot.commands.when import Code, Note, Problem
from bot.engine import Engine
from bot.manage import Holder
from bot.replies import Words, en, job_reply, practice_remark, zh
from bot.replies.language import TABLES
from bot.replies.operate import Condition, LaneStatus
from bot.reply import PREVIEW, Reply
from bot.settings import Parameters
from inference.images.builtin.world import known
from inference.images.model import ModelCard
from scheduler.pausing import Hold
from scheduler.policy import Demand, Policy, Refusal, admit
from scheduler.progress import Progress
from scheduler.queue import Preview
from scheduler.quota import Allowed
from scheduler.runners.draw import CODES
from scheduler.standing import Granted, Limit, Standing
from storage.records import Allowance, Asset, ChatType, Job, JobState, Kind, Origin, Place, Role, Unit

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ZH, EN = Words("zh"), Words("en")
CARD = ModelCard(name="builtin", path="", builtin=True, device="cpu", dtype="float32")
DAILY = Allowance(amount=50, period="day")


def job(state: JobState = JobState.QUEUED, kind: Kind = Kind.DRAW, **changes: Any) -> Job:
    drawing = {
        "prompt": "一只戴红围巾的熊猫",
        "width": 256,
        "height": 512,
        "count": 1,
        "seed": 7,
        "steps": 8,
        "cfg": 0.0,
    }
    params = {**drawing, "negative": ""} if kind is Kind.DRAW else {"question": "年假怎么休?"}
    origin = Origin(platform="web", chat_id="c", chat_type=ChatType.DIRECT, message_id="m", sender="x")
    plain = Job(
        id=17,
        kind=kind,
        user_id=1,
        state=state,
        params=params,
        origin=origin,
        cost=1,
        weight=1.0,
        priority=0,
        vtag=0.0,
        batch_key="",
        attempt=1,
        lost=0,
        token="",
        cancel_requested=False,
        parent_id=None,
        result=None,
        error=None,
        cause=None,
        created_at=NOW,
        not_before=None,
        started_at=None,
        finished_at=None,
    )
    return replace(plain, **changes)


def asset(number: int, index: int) -> Asset:
    return Asset(
        id=number,
        sha256="0" * 64,
        media_type="image/png",
        size=1,
        width=256,
        height=512,
        job_id=17,
        index=index,
        created_at=NOW,
    )


def day(left: int = 47, allowance: Allowance = DAILY) -> Limit:
    renews = datetime(2026, 11, 22, tzinfo=ZoneInfo("Asia/Shanghai"))
    return Limit(allowance=allowance, bucket="day:2026-11-21", left=left, renews=renews)


def month(left: int) -> Limit:
    renews = datetime(2026, 12, 1, tzinfo=ZoneInfo("Asia/Shanghai"))
    return Limit(allowance=Allowance(amount=500, period="month"), bucket="month:2026-11", left=left, renews=renews)


def standing(*limits: Limit, **changes: Any) -> Standing:
    plain = Standing(subject="user:1", unit=Unit.DRAW, own=False, limits=limits or (day(),))
    return replace(plain, **changes)


def granted(left: int, until: date | None = None) -> Granted:
    return Granted(left=left, until=until)


WANG = Holder(subject="user:7", name="小王")
HERE = Holder(subject="group:feishu:oc_1")
THERE = Holder(subject="group:feishu:oc_1", name="feishu:oc_1")
DESIGN = Holder(subject="dept:设计部", name="设计部", people=3)
EVERYBODY = Holder(subject="default")


def placeholders(sentence: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name is not None}


# --- the tables ---------------------------------------------------------------------------------------------------


def test_both_languages_say_the_same_things() -> None:
    assert list(TABLES["zh"]) == list(TABLES["en"])


@pytest.mark.parametrize("language", [zh, en])
def test_a_sentence_stands_in_one_file_only(language: ModuleType) -> None:
    assert sum(len(part.TABLE) for part in language.PARTS) == len(language.TABLE)


@pytest.mark.parametrize("key", TABLES["zh"])
def test_both_languages_fill_in_the_same_values(key: str) -> None:
    assert placeholders(TABLES["zh"][key]) == placeholders(TABLES["en"][key])


def codes(pattern: str, *folders: str) -> set[str]:
    """The codes that the program itself gives, read from its source."""
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    return {code for path in files for code in re.findall(pattern, path.read_text(encoding="utf-8"))}


def test_every_code_of_the_program_has_its_sentence() -> None:
    mistakes = codes(r'(?:Mistake\(|UsageError\(code=|_incomplete\()"(\w+)"', "bot/commands", "bot/router.py")
    mistakes |= {"prompt_in_neg", "empty_prompt", "ambiguous", "unknown_command", "unknown_button"}
    mistakes |= {f"size_{why}" for why in ("range", "multiple", "pixels", "choice")}
    refusals = codes(r'Refusal\(code="(\w+)"', "bot", "scheduler") | {"unknown_person", "ambiguous_person"}
    failures = codes(r'error="(\w+)"', "scheduler") | {"disk_full", *CODES.values()}
    wanted = {f"usage.{m}" for m in mistakes} | {f"refusal.{r}" for r in refusals} | {f"failure.{f}" for f in failures}
    assert len(mistakes) > 30
    assert len(refusals) > 8
    assert wanted - set(TABLES["zh"]) == set()


def test_every_problem_with_a_time_has_its_sentence_and_every_note_its_words() -> None:
    assert {f"when.{code}" for code in get_args(Code)} <= set(TABLES["zh"])
    assert {f"note.{note}" for note in get_args(Note)} <= set(TABLES["zh"])
    for words in (ZH, EN):
        for code in get_args(Code):
            assert words.when_problem(Problem(code=code, values={"days": "400", "minutes": "5", "why": "x"})).text


def waits(place: int, seconds: float | None, low: int | None = None, high: int | None = None) -> Place:
    return Place(place=place, seconds=seconds, low=low, high=high)


def test_an_unknown_sentence_is_a_defect() -> None:
    with pytest.raises(KeyError):
        ZH.say("no such thing")


# --- cards --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "zh", "en"),
    [
        (None, "排队中", "Queued"),
        (waits(1, 2.2, 2, 3), "排队中 · 第 1 位 · 约 2–3 秒", "Queued · number 1 · about 2–3 s"),
        (waits(1, 0.1, 1, 1), "排队中 · 第 1 位 · 约 1 秒", "Queued · number 1 · about 1 s"),
        (waits(3, 55, 40, 70), "排队中 · 第 3 位 · 约 40–70 秒", "Queued · number 3 · about 40–70 s"),
        (waits(40, 200, 120, 240), "排队中 · 第 40 位 · 约 2–4 分钟", "Queued · number 40 · about 2–4 min"),
        (waits(999, 9000, 7200, 10800), "排队中 · 第 999 位 · 约 2–3 小时", "Queued · number 999 · about 2–3 h"),
        (
            waits(2, 200),
            "排队中 · 第 2 位 · 约 3 分钟（样本还少，可能不准）",
            "Queued · number 2 · about 3 min (measured too rarely to be sure)",
        ),
        (
            waits(3, None),
            "排队中 · 第 3 位 · 还没测过速度，说不准多久",
            "Queued · number 3 · not measured yet, no telling how long",
        ),
    ],
)
def test_the_headline_of_a_queued_card(place: Place | None, zh: str, en: str) -> None:
    assert job_reply(job(), ZH, place=place).title == zh
    assert job_reply(job(), EN, place=place).title == en


def previewed(refusal: Refusal | None = None, have: tuple[Standing, ...] = ()) -> Preview:
    return Preview(cost=2, have=have, refusal=refusal, place=waits(3, 55, 40, 70))


def test_a_dry_run_tells_price_place_and_time() -> None:
    params = job().params
    reply = ZH.preview(params, previewed(have=(standing(day(48, Allowance(amount=50, period="day"))),)))
    assert reply.title == "试算 · 没有下单"
    assert reply.buttons == ()
    said = dict(reply.fields)
    assert (said["价格"], said["排位"], said["预计"]) == ("2（还剩 48）", "第 3 位", "约 40–70 秒")
    assert dict(EN.preview(params, previewed()).fields)["Price"] == "2 (no limit)"
    assert dict(ZH.preview(params, previewed(), Hold(why="paused")).fields)["预计"] == "管理员已暂停，恢复后继续"


def test_a_dry_run_tells_what_would_refuse_the_order() -> None:
    refused = previewed(Refusal(code="queue_full", detail={"limit": 9}))
    said = ZH.preview(job().params, refused).text
    assert said.endswith("现在下单会被拒绝：排队的任务已满（上限 9 个）。请过一会儿再试。")


def test_a_queued_card_shows_the_recipe_the_model_and_how_to_cancel() -> None:
    reply = job_reply(job(), ZH, place=Place(place=1, seconds=2), card=CARD)
    assert reply.fields == (("种子", "7"), ("尺寸", "256x512"), ("步数", "8"))
    assert [(b.action, b.label, b.value) for b in reply.buttons] == [("cancel", "取消", {"job": 17})]
    assert (reply.state, reply.job, reply.text) == ("queued", 17, "一只戴红围巾的熊猫")


def test_a_running_card_counts_steps() -> None:
    reply = job_reply(job(JobState.RUNNING), ZH, progress=Progress(job=17, user_id=1, done=3, total=8))
    assert (reply.title, reply.progress) == ("正在画 · 第 3/8 步", (3, 8))
    assert [b.action for b in reply.buttons] == ["cancel"]
    assert job_reply(job(JobState.RUNNING), EN).title == "Drawing"


def test_a_running_card_shows_what_the_picture_looks_like_so_far() -> None:
    progress = Progress(job=17, user_id=1, done=4, total=8, preview=b"jpeg")
    (picture,) = job_reply(job(JobState.RUNNING), ZH, progress=progress).pictures
    assert (picture.asset, picture.width, picture.height) == (PREVIEW, 256, 512)
    assert picture.alt == "还没画完的预览：一只戴红围巾的熊猫"
    (picture,) = job_reply(job(JobState.RUNNING), EN, progress=progress).pictures
    assert picture.alt == "Preview, not finished yet: 一只戴红围巾的熊猫"
    assert job_reply(job(JobState.RUNNING), ZH, progress=Progress(job=17, user_id=1, done=4, total=8)).pictures == ()
    for state in (JobState.DONE, JobState.QUEUED, JobState.CANCELLED, JobState.FAILED):
        assert job_reply(job(state), ZH, progress=progress).pictures == ()


def test_a_job_that_is_being_stopped_has_no_cancel_button() -> None:
    reply = job_reply(job(JobState.RUNNING, cancel_requested=True), ZH)
    assert (reply.title, reply.buttons) == ("正在取消", ())


def test_a_finished_picture() -> None:
    result = {"seeds": [7, 8], "seconds": 2.345, "model": "builtin", "builtin": True}
    params = {**job().params, "count": 2}
    reply = job_reply(job(JobState.DONE, result=result, params=params), ZH, assets=[asset(5, 1), asset(4, 0)])
    assert dict(reply.fields) == {
        "种子": "7, 8",
        "尺寸": "256x512",
        "步数": "8",
        "张数": "2",
        "用时": "2.3 秒",
        "模型": "builtin",
    }
    assert [p.asset for p in reply.pictures] == [4, 5]
    assert reply.pictures[0].alt == "一只戴红围巾的熊猫"
    assert [(b.action, b.label) for b in reply.buttons[:2]] == [("redo", "重画"), ("reseed", "换种子")]
    assert [(b.action, b.label) for b in reply.buttons if b.quiet] == [("vote_up", "👍"), ("vote_down", "👎")]
    assert reply.form is not None
    assert (reply.form.action, reply.form.label, reply.form.value) == ("redo_form", "改词重画", {"job": 17})
    assert {f.name: f.value for f in reply.form.fields} == {
        "prompt": "一只戴红围巾的熊猫",
        "size": "256x512",
        "seed": "7",
    }
    assert Reply.from_json(json.loads(json.dumps(reply.to_json()))) == reply
    assert reply.note.startswith("内容由 AI 生成 · 内置练习模型")


# --- the practice model -------------------------------------------------------------------------------------------


def drawn(prompt: str, *, builtin: bool = True, negative: str = "") -> Job:
    result = {"seeds": [7], "seconds": 1.0, "model": "m", "builtin": builtin}
    return job(JobState.DONE, result=result, params={**job().params, "prompt": prompt, "negative": negative})


@pytest.mark.parametrize("state", [JobState.QUEUED, JobState.RUNNING])
def test_the_practice_model_introduces_itself_while_one_waits(state: JobState) -> None:
    zh, en = (job_reply(job(state), words, card=CARD).note for words in (ZH, EN))
    assert ["练习模型" in zh, "“左边红色的圆，右边绿色的星”" in zh, "image.path" in zh, "Z-Image-Turbo" in zh] == [
        True
    ] * 4
    assert ["Practice model" in en, "red circle" in en, "image.path" in en, "Z-Image-Turbo" in en] == [True] * 4
    assert job_reply(job(state), ZH, card=replace(CARD, builtin=False)).note == ""
    assert job_reply(job(state), ZH).note == ""


@pytest.mark.parametrize(
    ("prompt", "stranger"),
    [
        ("红色的圆，蓝色背景", False),
        ("左边红色的圆，右边绿色的星", False),
        ("a red circle on the left, a green star on the right", False),
        ("赛博朋克城市夜景", True),
        ("一只戴红围巾的熊猫", True),
        ("a cat on a red circle", True),
    ],
)
def test_a_picture_of_what_the_practice_model_does_not_know_says_so(prompt: str, stranger: bool) -> None:
    zh, en = (job_reply(drawn(prompt), words, card=CARD).note for words in (ZH, EN))
    unknown = "内置练习模型不认识这个描述里的东西，只会画简单图形，如“红色的圆，蓝色背景”"
    assert zh == f"内容由 AI 生成 · {unknown if stranger else '内置练习模型'}"
    assert ("does not know this" in en) is stranger
    assert practice_remark(drawn(prompt), ZH) == (unknown if stranger else "")
    assert job_reply(drawn(prompt, builtin=False), ZH, card=CARD).note == "内容由 AI 生成"
    assert practice_remark(drawn(prompt, builtin=False), ZH) == ""


@pytest.mark.parametrize("words", [ZH, EN], ids=["zh", "en"])
def test_what_the_practice_model_says_fits_the_small_print_and_its_examples_are_ones_it_knows(words: Words) -> None:
    waiting = job(params={**job().params, "negative": "狗"})
    for reply in (job_reply(waiting, words, card=CARD), job_reply(drawn("熊猫", negative="狗"), words, card=CARD)):
        assert "--neg" in reply.note
        assert len(reply.note) <= 200  # Feishu's card shows no more
    said = [words.say(key) for key in ("note.builtin.queued", "note.builtin.unknown", "help.practice")]
    examples = [found for text in said for found in re.findall(r"“([^”]+)”|`/draw ([^`]+)`", text)]
    assert [known(quoted or ordered) for quoted, ordered in examples] == [True] * 3


@pytest.mark.parametrize(("words", "name"), [(ZH, "内置练习模型"), (EN, "built-in practice model")])
@pytest.mark.parametrize("topic", ["", "draw"])
def test_help_introduces_the_practice_model_in_one_line(topic: str, words: Words, name: str) -> None:
    line = words.say("help.practice")
    assert all(part in line for part in (name, "Z-Image-Turbo", "image.path", "model.yaml", "README"))
    assert line in words.help(topic, Role.USER, Rules().narrowed(CARD)).text.splitlines()
    assert name not in words.help(topic, Role.USER, Rules().narrowed(replace(CARD, builtin=False))).text
    assert name not in words.help("ask", Role.USER, Rules().narrowed(CARD)).text


def test_a_picture_names_the_model_that_drew_it_not_the_present_one() -> None:
    result = {"seeds": [7], "seconds": 1.0, "model": "Z-Image-Turbo", "builtin": False}
    assert "练习" not in job_reply(job(JobState.DONE, result=result), ZH, card=CARD).note


def test_a_negative_prompt_that_did_nothing_is_said() -> None:
    asked = job(params={**job().params, "negative": "狗"})
    assert "--neg" in job_reply(asked, ZH, card=CARD).note
    guided = replace(CARD, guidance=True)
    assert "--cfg 是 0，--neg 没有起作用" in job_reply(asked, ZH, card=guided).note
    heard = replace(asked, params={**asked.params, "cfg": 4.0})
    assert "--neg" not in job_reply(heard, ZH, card=guided).note


@pytest.mark.parametrize("code", [key.removeprefix("failure.") for key in TABLES["zh"] if key.startswith("failure.")])
@pytest.mark.parametrize(("words", "steps"), [(ZH, "再试|管理员"), (EN, "[Tt]ry|admin")])
def test_every_failure_names_a_next_step(code: str, words: Words, steps: str) -> None:
    reply = job_reply(job(JobState.FAILED, error=code, cause="secret path"), words)
    assert re.search(steps, reply.text)
    assert "secret path" not in str(reply)
    assert reply.state == "failed"


def test_a_failure_without_a_sentence_is_an_internal_one() -> None:
    assert "内部出错" in job_reply(job(JobState.FAILED, error="brand_new"), ZH).text


def test_a_cancelled_job_cost_nothing() -> None:
    reply = job_reply(job(JobState.CANCELLED), ZH)
    assert reply.title == "已取消"
    assert "没有计额度" in reply.text


def test_an_answer_while_it_is_written_and_when_it_stands() -> None:
    asked = job(JobState.RUNNING, Kind.ASK)
    assert job_reply(asked, ZH).title == "正在查找和回答"
    writing = job_reply(asked, ZH, progress=Progress(job=17, user_id=1, text="年假"))
    assert (writing.text, writing.streaming) == ("年假", True)
    citation = {"mark": 1, "document": "handbook.md", "passage": 9, "heading": "年假", "quote": "满一年"}
    result = {"text": "满一年 [1]", "grounded": True, "citations": [citation], "nearest": [], "engine": "extractive"}
    done = job_reply(job(JobState.DONE, Kind.ASK, result=result), ZH)
    assert (done.text, done.streaming) == ("满一年 [1]", False)
    assert [b.action for b in done.buttons if b.quiet] == ["vote_up", "vote_down"]
    assert len(done.buttons) == 2
    assert (done.sources[0].mark, done.sources[0].document, done.sources[0].passage) == (1, "handbook.md", 9)
    assert "摘自" in done.note
    written = job_reply(job(JobState.DONE, Kind.ASK, result={**result, "engine": "vllm"}), ZH)
    assert "AI 生成" in written.note


def test_an_answer_that_rests_on_nothing_says_so_and_names_the_nearest() -> None:
    result = {"text": "", "grounded": False, "citations": [], "nearest": ["a.md", "b.md"], "engine": "extractive"}
    reply = job_reply(job(JobState.DONE, Kind.ASK, result=result), ZH)
    assert "没有找到" in reply.text
    assert reply.text.endswith("最接近的文档：a.md、b.md")
    assert reply.note == ""


def test_a_long_prompt_is_shown_in_part() -> None:
    reply = job_reply(job(params={**job().params, "prompt": "猫" * 2000}), ZH)
    assert len(reply.text) == 300


# --- sentences ----------------------------------------------------------------------------------------------------

MESSAGES = [
    "",
    "/",
    "/darw 猫",
    "/re",
    "/xyzzyx",
    "/reserve x",
    "/draw 猫 --at",
    "/draw 猫 --late",
    "/draw 猫 --every",
    "/draw 猫 --at 22:00 --every 每天",
    "/draw 猫 --late 30",
    "/draw 猫 --at 22:00 --late x",
    "/redo 17 --at 22:00",
    "/reserve",
    "/reserve 明天9:00",
    "/reserve 明天9:00 猫 --at 10:00",
    "/draw",
    "/draw --neg a b",
    "/ask",
    "/ask " + "x" * 2001,
    '/draw "a',
    "/draw 猫 --sise 1",
    "/draw 猫 --quality 1",
    "/draw 猫 --seed 1 --seed 2",
    "/draw 猫 --seed",
    "/draw 猫 --seed x",
    "/draw 猫 --seed -1",
    "/draw 猫 --size x",
    "/draw 猫 --size 0x0",
    "/draw 猫 --size 1000x1000",
    "/draw 猫 --size 512 --ar 1:1",
    "/draw 猫 --ar x",
    "/draw 猫 --ar 999:1",
    "/draw 猫 --cfg 2",
    "/cancel",
    "/cancel x",
    "/cancel 1 2",
    "/jobs x",
    "/help xyzzyx",
    "/help darw",
    "/quota sett",
    "/quota set @x",
    "/quota grant @x",
    "/quota set @x -1/day",
    "/quota set @ 1/day",
    "/quota grant default 3",
    "/quota grant @x 3 9999 days",
    "/role @x",
    "/role @x king",
]


@pytest.mark.parametrize("text", MESSAGES, ids=[m[:30] for m in MESSAGES])
@pytest.mark.parametrize("words", [ZH, EN], ids=["zh", "en"])
def test_every_mistake_is_explained(text: str, words: Words) -> None:
    error = parse(text, Rules())
    assert isinstance(error, UsageError)
    said = words.usage(error).text
    assert said
    assert "{" not in said


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("/darw 猫", ["/darw", "你是不是想用 /draw", "`/draw 猫`"]),
        ("/draw " + "猫" * 5000, ["5000", "2000", "3000"]),
        ("/draw 猫 --size 1000x1000", ["16", "--size 992x992"]),
        ("/draw 猫 --seed -1", ["4294967295", "--seed 0"]),
        ("/draw 猫 --sise 1x1", ["--sise", "--size"]),
        ("/draw 猫 --size", ["--size 1024x768"]),
        ("/cancel", ["/cancel 17", "/jobs"]),
        ("/quota set @小王 5", ["/quota set @小王 5/day"]),
        ("/draw {x} --size {0}", ["{0}"]),
    ],
)
def test_mistakes_say_the_numbers_and_the_way_out(text: str, parts: list[str]) -> None:
    error = parse(text, Rules())
    assert isinstance(error, UsageError)
    said = ZH.usage(error).text
    assert [part for part in parts if part not in said] == []


def test_choices_are_listed() -> None:
    values = {"flag": "--steps", "given": "7", "choices": "4, 8", "nearest": "8"}
    assert "4, 8" in ZH.usage(UsageError(code="not_a_choice", values=values)).text
    size = {"given": "1x1", "choices": "512x512", "nearest": "512x512"}
    assert "512x512" in EN.usage(UsageError(code="size_choice", values=size)).text
    pixels = {"given": "2048x2048", "pixels": "1048576", "nearest": "1024x1024"}
    assert "1048576" in ZH.usage(UsageError(code="size_pixels", values=pixels)).text


@pytest.mark.parametrize(
    ("have", "cost", "zh", "en"),
    [
        (
            standing(day(1)),
            2,
            "你的画图额度不够：这次需要 2，还剩 1（每天 50）。11月22日 00:00 更新；急用可请管理员追加。",
            (
                "Not enough quota (Pictures): this needs 2, your account has 1 left (50 a day). "
                "It renews 11/22 00:00; an admin can grant more."
            ),
        ),
        (
            standing(day(1), subject="group:feishu:oc_1", unit=Unit.ASK),
            2,
            "本群的回答额度不够：这次需要 2，还剩 1（每天 50）。11月22日 00:00 更新；急用可请管理员追加。",
            "this group has 1 left",
        ),
        (
            standing(day(3), month(1), subject="dept:设计部"),
            4,
            "你所在部门的画图额度不够：这次需要 4，还剩 1（每月 500）。12月1日 00:00 更新；急用可请管理员追加。",
            "your department has 1 left",
        ),
        (standing(day(50)), 51, "一次就超过了每天 50，等更新也不够", "more than 50 a day ever gives"),
        (standing(day(0, Allowance(amount=0, period="day"))), 1, "没有开放", "not open"),
    ],
)
def test_a_quota_refusal_says_whose_what_is_left_and_what_helps(have: Standing, cost: int, zh: str, en: str) -> None:
    policy = Policy(timezone=UTC, allowances={Unit.DRAW: (DAILY,)})
    refusal = admit(Demand(cost=cost, waiting_user=0, waiting_total=0), (have,), policy)
    assert refusal is not None
    assert zh in ZH.refusal(refusal.code, refusal.detail).text
    assert en in EN.refusal(refusal.code, refusal.detail).text


@pytest.mark.parametrize(
    ("code", "detail", "part"),
    [
        ("banned", {}, "管理员"),
        ("queue_full", {"limit": 2000}, "2000"),
        ("too_many_waiting", {"limit": 200}, "/cancel"),
        ("image_model_unavailable", {"problem": "文件缺失。"}, "文件缺失。"),
        ("not_admin", {"command": "/role"}, "/role"),
        ("not_yours", {"job": 7}, "#7"),
        ("unknown_job", {"job": 7}, "/jobs"),
        ("already_ended", {"job": 7, "state": "done"}, "已完成"),
        ("not_a_picture", {"job": 7}, "#7"),
        ("unknown_person", {"who": "小王", "names": []}, "小王"),
        ("ambiguous_person", {"who": "小王", "names": ["小王", "小王 2"]}, "小王、小王 2"),
        ("not_limited", {"holder": HERE, "unit": Unit.DRAW}, "本群的画图没有设额度"),
        ("unknown_chat", {"who": "oc_1"}, "“oc_1”不是群聊"),
        ("unknown_chat", {}, "这里不是群聊"),
        ("day_over", {}, "7天"),
    ],
)
def test_refusals(code: str, detail: dict[str, Any], part: str) -> None:
    assert part in ZH.refusal(code, detail).text
    assert EN.refusal(code, detail).text


def test_the_quota_with_what_was_granted() -> None:
    asks = standing(day(-2), unit=Unit.ASK, granted=(granted(2, date(2026, 12, 31)), granted(1)))
    reply = ZH.quota(None, {Unit.DRAW: [standing()], Unit.ASK: [asks]})
    assert reply.title == "我的额度"
    assert reply.fields == (
        ("画图", "还剩 47 / 50（每天 50），11月22日 00:00 更新"),
        ("回答", "还剩 0 / 50（每天 50），11月22日 00:00 更新，另有追加 3（其中 2 有效到 2026年12月31日）"),
    )
    assert ZH.quota(WANG, {Unit.DRAW: [standing(granted=(granted(3),))]}).title == "小王 的额度"
    assert EN.quota(None, {Unit.ASK: [asks]}).fields[0][1].endswith(", and 3 granted (2 of them until 2026-12-31)")


def test_the_quota_shows_all_that_count_and_marks_the_one_that_binds() -> None:
    group = standing(day(12), subject="group:feishu:oc_1")
    design = standing(day(40), month(9), subject="dept:设计部")
    reply = ZH.quota(None, {Unit.DRAW: [standing(), group, design], Unit.ASK: [standing(unit=Unit.ASK)]})
    assert reply.fields == (
        ("画图", "还剩 47 / 50（每天 50），11月22日 00:00 更新"),
        ("画图（本群）", "还剩 12 / 50（每天 50），11月22日 00:00 更新"),
        (
            "画图（设计部）",
            "还剩 40 / 50（每天 50），11月22日 00:00 更新；还剩 9 / 500（每月 500），12月1日 00:00 更新，以此为准",
        ),
        ("回答", "还剩 47 / 50（每天 50），11月22日 00:00 更新"),
    )
    english = EN.quota(None, {Unit.DRAW: [standing(day(3)), group]}).fields
    assert [label for label, _ in english] == ["Pictures", "Pictures (this group)"]
    assert [text.endswith(", this one binds") for _, text in english] == [True, False]


@pytest.mark.parametrize(
    ("holder", "title"),
    [
        (HERE, "本群的额度"),
        (THERE, "群 feishu:oc_1 的额度"),
        (DESIGN, "部门“设计部”（3 人）的额度"),
    ],
)
def test_the_quota_of_others(holder: Holder, title: str) -> None:
    found = {Unit.DRAW: [standing(subject=holder.subject)], Unit.ASK: []}
    reply = ZH.quota(holder, found)
    assert reply.title == title
    assert [label for label, _ in reply.fields] == ["画图", "回答"]
    assert reply.fields[1][1] == "没有设额度，不限"


def test_the_quota_of_everybody() -> None:
    reply = ZH.quota_default({Unit.DRAW: (DAILY, Allowance(amount=500, period="month")), Unit.ASK: (DAILY,)})
    assert reply.title == "默认的额度"
    assert reply.fields == (("画图", "每天 50、每月 500"), ("回答", "每天 50"))


def test_an_allowance_that_is_nearly_used_up_is_told_on_every_card() -> None:
    nearly = ({"code": "quota_used", "subject": "user:1", "unit": "draw", "period": "day", "percent": 80, "left": 10},)
    shared = ({**nearly[0], "subject": "group:feishu:oc_1", "period": "month", "percent": 92},)
    queued = job_reply(job(notices=nearly), ZH)
    assert queued.note == "今天的画图额度已用 80%，还剩 10"
    assert job_reply(job(JobState.RUNNING, notices=nearly), ZH).note == queued.note
    assert job_reply(job(JobState.DONE, notices=nearly), ZH).note.endswith(f" · {queued.note}")
    assert job_reply(job(notices=shared), ZH).note == "本群本月的画图额度已用 92%，还剩 10"
    answered = job(JobState.DONE, Kind.ASK, notices=shared, result={"text": "满一年", "grounded": True})
    assert "92% of this group's quota for this month is used (Pictures), 10 left" in job_reply(answered, EN).note


def test_what_admins_did() -> None:
    five, both = Allowance(amount=5, period="day"), (DAILY, Allowance(amount=500, period="month"))
    own = Allowed(limits=(five,), own=True)

    def said(holder: Holder, limits: Allowed | None, standing: Standing | None) -> str:
        return ZH.quota_set(holder, Unit.DRAW, limits, standing)

    assert said(WANG, own, standing(day(5, five))) == "小王 的画图额度改为每天 5，现在还剩 5。"
    assert said(DESIGN, own, standing(day(5, five))) == "部门“设计部”（3 人）的画图额度改为每天 5，现在还剩 5。"
    mistyped = said(replace(DESIGN, people=0), own, standing(day(5, five)))
    assert mistyped.endswith("现在还剩 5。\n这个部门现在还没有人，名字要和人员所属的部门写得一样。")
    back = Allowed(limits=both, own=False)
    assert said(WANG, back, standing()) == "小王 的画图额度不再单独设，现在按每天 50、每月 500，还剩 47。"
    assert said(HERE, None, None) == "本群的画图现在不限额度。"
    assert said(EVERYBODY, back, None) == "默认的画图额度现在是每天 50、每月 500，没有单独设过的人都按这个算。"
    more = standing(granted=(granted(3),))
    assert ZH.quota_granted(WANG, 3, None, more).text == "小王 的画图额度追加了 3，用完为止，现在共剩 50。"
    lapsing = ZH.quota_granted(HERE, 3, date(2026, 12, 31), more).text
    assert lapsing == "本群的画图额度追加了 3，有效到 2026年12月31日（含当天），现在共剩 50。"
    assert "until the end of 2026-12-31" in EN.quota_granted(HERE, 3, date(2026, 12, 31), more).text
    assert ZH.role_set("小王", Role.ADMIN).text == "小王 现在是管理员。"
    assert "/resume" in ZH.paused(tuple(Kind), at_once=False, running=1).text
    assert ZH.resumed((Kind.ASK,)).text == "已恢复回答，排队的任务继续。"
    assert ZH.new_conversation().text


def test_cancelling_and_toasts() -> None:
    assert "#7" in ZH.cancelled(7, running=False).text
    assert "这一步" in ZH.cancelled(7, running=True).text
    assert "#7" in ZH.toast_queued(7)
    assert ZH.already_done()
    assert ZH.cut().startswith("…")


def test_the_list_of_jobs() -> None:
    mine = [job(), job(JobState.DONE, Kind.ASK, id=16), job(JobState.FAILED, id=15)]
    reply = ZH.jobs(mine, {17: waits(1, 2.0, 2, 2)})
    assert reply.text.splitlines() == [
        "#17 画图 · 排队中 · 第 1 位 · 约 2 秒 · 一只戴红围巾的熊猫",
        "#16 回答 · 已完成 · 年假怎么休?",
        "#15 画图 · 失败 · 一只戴红围巾的熊猫",
    ]
    assert "/draw" in ZH.jobs([], {}).text


def test_the_status() -> None:
    engines = {
        Kind.DRAW: Engine(name="builtin", state="ready", builtin=True),
        Kind.ASK: Engine(name="extractive", state="ready"),
    }
    lanes = {Kind.DRAW: LaneStatus(waiting=3, running=1, paused=True), Kind.ASK: LaneStatus(waiting=3, running=1)}
    reply = ZH.status(Condition(engines=engines, lanes=lanes, reservations=0, next_at=None, uptime=7300.0))
    said = dict(reply.fields)
    assert said["画图模型"] == "builtin（内置练习模型） · 就绪"
    assert said["回答引擎"] == "extractive（摘录原文，不用语言模型） · 就绪"
    assert said["画图队列"] == "排队 3 · 进行 1 · 已暂停，管理员可用 /resume 恢复"
    assert said["回答队列"] == "排队 3 · 进行 1"
    assert said["已运行"] == "2 小时"


@pytest.mark.parametrize("state", ["loading", "ready", "failed", "closed"])
def test_the_status_of_an_engine_in_trouble(state: str) -> None:
    engines = {Kind.DRAW: Engine(name="Z", state=state, problem="checkpoint broken: moqi models verify")}
    now = Condition(engines=engines, lanes={}, reservations=0, next_at=None, uptime=1.0)
    said = dict(EN.status(now).fields)["Image model"]
    assert said.startswith("Z · ")
    assert ("moqi models verify" in said) is (state == "failed")


# --- help ---------------------------------------------------------------------------------------------------------


def test_help_lists_what_exists_and_nothing_that_comes_later() -> None:
    user, admin = ZH.help("", Role.USER, Rules()).text, ZH.help("", Role.ADMIN, Rules()).text
    for name in COMMANDS:
        assert (f"/{name}" in user) is (name not in ADMIN_COMMANDS | REVIEWER_COMMANDS), name
        assert f"/{name}" in admin
    assert not [name for name in LATER if f"/{name}" in admin]
    reviewer = ZH.help("", Role.REVIEWER, Rules()).text
    assert [name for name in COMMANDS if f"/{name}" in reviewer and f"/{name}" not in user] == ["review"]
    assert "/quota grant" in admin
    assert "/quota grant" not in user


def test_hints_for_a_page_that_completes_commands() -> None:
    assert ZH.hints()[0] == ("draw", "画", "画图")
    assert [name for name, _, _ in EN.hints()] == list(COMMANDS)


@pytest.mark.parametrize("words", [ZH, EN], ids=["zh", "en"])
@pytest.mark.parametrize("topic", [*COMMANDS, "size", "count", "seed", "steps", "cfg_scale", "prompt"])
def test_every_topic_has_a_page(words: Words, topic: str) -> None:
    reply = words.help(topic, Role.ADMIN, Rules())
    assert reply.title
    assert reply.text


def test_help_shows_the_operators_texts_and_the_bounds_that_hold() -> None:
    parameters = Parameters.model_validate({"steps": {"description": {"zh": "步数很重要", "en": "steps matter"}}})
    rules = Rules().narrowed(replace(CARD, max_side=512, max_pixels=512 * 512, max_steps=12))
    page = Words("zh", parameters).help("draw", Role.USER, rules).text
    assert "步数很重要（1–12，默认 8）" in page
    assert "256–512" in page
    assert "默认 512x512" in page
    assert "steps matter" in Words("en", parameters).help("steps", Role.USER, rules).text
