"""What is said against what is meant, as tables."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot import commands
from bot.commands import (
    Ask,
    Ban,
    Bounds,
    Cancel,
    Conversation,
    Draw,
    From,
    Help,
    Jobs,
    KbAdd,
    KbList,
    KbRemove,
    KbUnanswered,
    ModelList,
    ModelUse,
    New,
    OnReservation,
    Pause,
    Preview,
    QuotaClear,
    QuotaGrant,
    QuotaSet,
    QuotaShow,
    Redo,
    Reserve,
    Resume,
    Retime,
    Rules,
    SetRole,
    SizeRule,
    Sources,
    Status,
    Unban,
    Until,
    UsageError,
    parse,
)
from bot.commands.names import distance
from bot.commands.rules import shape
from bot.settings import Limits, Parameters
from bot.settings.rules import rules as rules_of
from inference.images.model import ModelCard
from storage.records import Kind, Payer, Role, Unit

RULES = Rules(size=SizeRule(min_side=64))
GUIDED = replace(RULES, guidance=True)


def booked(prompt: str, *, at: str = "", every: str = "", late: int | None = None, **changes: Any) -> Reserve:
    return Reserve(draw=drawn(prompt, **changes), at=at, every=every, late=late)


def granted(until: Until) -> QuotaGrant:
    return QuotaGrant(who="x", unit=Unit.DRAW, amount=3, until=until)


def drawn(prompt: str, **changes: Any) -> Draw:
    """A Draw with the defaults of RULES."""
    defaults: dict[str, Any] = {"width": 1024, "height": 1024, "count": 1, "seed": None, "steps": 8, "cfg": 0.0}
    return Draw(prompt=prompt, **{**defaults, **changes})


def sized(width: int, height: int) -> Draw:
    return drawn("猫", width=width, height=height)


RESERVED: list[tuple[str, Reserve | Retime | OnReservation]] = [
    # a flag's value ends where its time ends
    ("/draw 猫 --at 今晚10点", booked("猫", at="今晚10点")),
    ("/draw --at tomorrow 9am a cat on a roof", booked("a cat on a roof", at="tomorrow 9am")),
    ("/draw --at 明天 9:00 猫 --n 2", booked("猫", at="明天 9:00", count=2)),
    ("/draw 猫 --at=22:00", booked("猫", at="22:00")),
    ("/draw 猫 --at：２２：００", booked("猫", at="２２：００")),
    ('/draw 猫 --at "2026-11-23 09:00" 坐着', booked("猫 坐着", at="2026-11-23 09:00")),
    ("/draw 海报 --at 22:00-06:00 --size 512x512", booked("海报", at="22:00-06:00", width=512, height=512)),
    ("/draw 海报 --at 晚上10点到早上6点", booked("海报", at="晚上10点到早上6点")),
    ("/draw 猫 --every 每周一、周三 9点 --n 2", booked("猫", every="每周一、周三 9点", count=2)),
    ("/draw --every weekdays 9:00 a sunrise", booked("a sunrise", every="weekdays 9:00")),
    ("/draw 猫 --every 0 9 * * mon", booked("猫", every="0 9 * * mon")),
    ("/draw 猫 --every 每天", booked("猫", every="每天")),
    ("画一只猫 --at 今晚10点", booked("一只猫", at="今晚10点")),
    # what is no time stays a word, and is explained later
    ("/draw 猫 --at blah", booked("猫", at="blah")),
    ("/draw 猫 --at 每天9:00", booked("猫", at="每天9:00")),
    ("/draw 猫 --every 明天9:00", booked("猫", every="明天9:00")),
    ("/draw 猫 --at 22:00 --late 30", booked("猫", at="22:00", late=30)),
    ("/draw 猫 --at 22:00 --late 30分钟", booked("猫", at="22:00", late=30)),
    ("/draw 猫 --at 22:00 --late run", booked("猫", at="22:00")),
    # /reserve: the time first
    ("/reserve tomorrow 9:00 a cat", booked("a cat", at="tomorrow 9:00")),
    ("/预约 明天9:00 画 一只猫", booked("一只猫", at="明天9:00")),
    ("/预约明天9点画一只猫", booked("一只猫", at="明天9点")),
    ("/预约 每天9点 早安图", booked("早安图", every="每天9点")),
    ("/reserve 22:00-06:00 一只猫", booked("一只猫", at="22:00-06:00")),
    ("/reserve in 2h a cat --size 512x512", booked("a cat", at="in 2h", width=512, height=512)),
    ("/reserve 12点 猫", booked("猫", at="12点")),
    # another time, and the rest of what is done with one
    ("/reserve r12 明天9:00", Retime(reservation=12, when="明天9:00")),
    ("/预约 R12 每天9:00", Retime(reservation=12, when="每天9:00")),
    ("/reserve 12 明天9:00", Retime(reservation=12, when="明天9:00")),
    ("/reserve #12 22:00-06:00", Retime(reservation=12, when="22:00-06:00")),
    ("/reserve r12", Retime(reservation=12, when="")),
    ("/cancel r12", OnReservation(reservation=12, act="cancel")),
    ("/取消 预约12", OnReservation(reservation=12, act="cancel")),
    ("/cancel R #12", OnReservation(reservation=12, act="cancel")),
    ("/pause r3", OnReservation(reservation=3, act="pause")),
    ("/恢复 r3", OnReservation(reservation=3, act="resume")),
]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("/draw 猫 --dry-run", Preview(draw=drawn("猫"))),
        ("/draw --dry-run 猫 --n 2", Preview(draw=drawn("猫", count=2))),
        ("/画 猫 —dry-run --steps 4", Preview(draw=drawn("猫", steps=4))),
        ("/draw a cat --Dry_Run on a roof", Preview(draw=drawn("a cat on a roof"))),
        ("画一只猫 --dryrun", Preview(draw=drawn("一只猫"))),
        ("/draw 干跑的人 -- --dry-run", drawn("干跑的人 --dry-run")),
    ],
)
def test_a_dry_run_is_a_question_about_an_order(text: str, meant: object) -> None:
    assert parse(text, RULES) == meant


def begun(prompt: str = "猫", job: int = 0, picture: int = 1, **changes: Any) -> Draw:
    """A Draw that begins with a picture, in its shape unless a size is named."""
    return drawn(prompt, source=From(job=job, picture=picture), **{"sized": False, **changes})


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        # the picture that comes with the message, wherever the flag stands
        ("/draw 猫 --from", begun()),
        ("/draw --from 猫", begun()),
        ("/画 猫 —from", begun()),
        ("／draw 猫 －－from", begun()),
        ("/draw 猫 --ref", begun()),
        ("画一只猫 --from", begun("一只猫")),
        ("/draw --from= 猫", begun("= 猫")),
        ("/draw a cat --from on a roof", begun("a cat on a roof")),
        ('/draw --from "猫 17"', begun("猫 17")),
        # a picture of a job
        ("/draw 猫 --from 17", begun(job=17)),
        ("/draw --from 17 猫", begun(job=17)),
        ("/draw 猫 --from #17", begun(job=17)),
        ("/draw 猫 --from=17.2", begun(job=17, picture=2)),
        ("/draw 猫 --from １７．２", begun(job=17, picture=2)),
        ("/draw 猫 --from 任务17，", begun("猫 ，", job=17)),
        ("/draw 猫 --from17", begun(job=17)),
        # numbers that belong to the words
        ("/draw --from 3d 猫", begun("3d 猫")),
        ("/draw --from 3只猫", begun("3只猫")),
        ("/draw --from 16:9 猫", begun("16:9 猫")),
        # with the other flags
        ("/draw 猫 --from --size 512x512", begun(width=512, height=512, sized=True)),
        ("/draw 猫 --from 17 --strength 0.3 --n 2", begun(job=17, strength=0.3, count=2)),
        ("/draw 猫 --from --strength .5", begun(strength=0.5)),
        ("/draw 猫 --from --strength=１", begun(strength=1.0)),
        ("/draw 猫 --from --dry-run", Preview(draw=begun())),
        ("/draw 猫 --from --at 22:00", Reserve(draw=begun(), at="22:00")),
        ("/预约 22:00 猫 --from 17", Reserve(draw=begun(job=17), at="22:00")),
        ("/redo 17 --strength 0.3", Redo(job=17, strength=0.3)),
        ("/draw 猫 -- --from 17", drawn("猫 --from 17")),
        ("/draw a cat from 17 streets", drawn("a cat from 17 streets")),
    ],
)
def test_orders_that_begin_with_a_picture(text: str, meant: object) -> None:
    assert parse(text, RULES) == meant


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("/kb", KbList()),
        ("/kb list", KbList()),
        ("/知识库", KbList()),
        ("/知识库列表", KbList()),
        ("/model", ModelList()),
        ("/model list", ModelList()),
        ("/模型列表", ModelList()),
        ("/模型", ModelList()),
        ("/model use default", ModelUse(name="default")),
        ("/MODEL USE Tongyi-MAI/Z-Image-Turbo", ModelUse(name="Tongyi-MAI/Z-Image-Turbo")),
        ("/模型 换成 素描", ModelUse(name="素描")),
        ("/模型用素描", ModelUse(name="素描")),
        ("/kb add", KbAdd()),
        ("/KB ADD 员工 手册.md", KbAdd(name="员工 手册.md")),
        ("/知识库 添加", KbAdd()),
        ("/kb remove 员工 手册.md", KbRemove(name="员工 手册.md")),
        ("/kb remove “手册.md”", KbRemove(name="手册.md")),
        ("/知识库 删除 手册.md", KbRemove(name="手册.md")),
        ("/kb unanswered", KbUnanswered()),
        ("/知识库 没答上的", KbUnanswered()),
    ],
)
def test_what_admins_say_of_documents(text: str, meant: object) -> None:
    assert parse(text, RULES) == meant


@pytest.mark.parametrize(("text", "expected"), RESERVED, ids=[text for text, _ in RESERVED])
def test_orders_for_later(text: str, expected: Reserve | Retime | OnReservation) -> None:
    assert parse(text, RULES) == expected


DRAWS: list[tuple[str, Draw]] = [
    # the command itself
    ("/draw 猫", drawn("猫")),
    ("/DRAW 猫", drawn("猫")),
    ("/Draw  猫 ", drawn("猫")),
    ("／draw 猫", drawn("猫")),
    ("/ draw 猫", drawn("猫")),
    ("／ｄｒａｗ　猫", drawn("猫")),
    ("/画 猫", drawn("猫")),
    ("/画猫", drawn("猫")),
    ("/画一只猫", drawn("一只猫")),
    ("／画　猫", drawn("猫")),
    ("、画 猫", drawn("猫")),
    ("/画图 猫", drawn("猫")),
    ("/画：猫", drawn("猫")),
    ("/draw: a cat", drawn("a cat")),
    ("/draw，猫", drawn("猫")),
    ("/draw一只猫", drawn("一只猫")),
    ("@墨契 /draw 猫", drawn("猫")),
    ("＠墨契　/draw 猫", drawn("猫")),
    ("@a @b /画 猫", drawn("猫")),
    ("/draw\n猫\n在树上", drawn("猫 在树上")),
    ("/draw\ta  cat", drawn("a cat")),
    # sizes
    ("/draw 猫 --size 256x256", sized(256, 256)),
    ("/draw 猫 --size=1024x768", sized(1024, 768)),
    ("/draw 猫 --size:1024x768", sized(1024, 768)),
    ("/draw 猫 --size：1024x768", sized(1024, 768)),
    ("/draw 猫 --size ＝ 1024x768", sized(1024, 768)),
    ("/draw 猫 --size 1024*768", sized(1024, 768)),
    ("/draw 猫 --size 1024X768", sized(1024, 768)),
    ("/draw 猫 --size 1024×768", sized(1024, 768)),
    ("/draw 猫 --size 1024＊768", sized(1024, 768)),
    ("/draw 猫 --size 1024ｘ768", sized(1024, 768)),
    ("/draw 猫 --size １０２４×７６８", sized(1024, 768)),
    ("/draw 猫 --size 1024 x 768", sized(1024, 768)),
    ("/draw 猫 --size 512", sized(512, 512)),
    ("/draw 猫 --size 512px", sized(512, 512)),
    ("/draw 猫 --size 512x256px", sized(512, 256)),
    ("/draw 猫 --size 512x512，", sized(512, 512)),
    ('/draw 猫 --size "512x256"', sized(512, 256)),
    ("/draw 猫 --SIZE 512x256", sized(512, 256)),
    ("/draw --size 512x256 猫", sized(512, 256)),
    ("/draw 猫 —size 512x256", sized(512, 256)),
    ("/draw 猫 ——size 512x256", sized(512, 256)),
    ("/draw 猫 –size 512x256", sized(512, 256)),
    ("/draw 猫 －－size 512x256", sized(512, 256)),
    ("/draw 猫 −−size 512x256", sized(512, 256)),
    ("/draw 猫 ---size 512x256", sized(512, 256)),
    ("/draw 猫 -size 512x256", sized(512, 256)),
    ("/draw 猫 --size 64x64", sized(64, 64)),
    ("/draw 猫 --size 2048x2048", sized(2048, 2048)),
    # ratios: near the default pixel count, never above it
    ("/draw 猫 --ar 1:1", sized(1024, 1024)),
    ("/draw 猫 --ar 16:9", sized(1360, 768)),
    ("/draw 猫 --ar 9:16", sized(768, 1360)),
    ("/draw 猫 --ar 16：9", sized(1360, 768)),
    ("/draw 猫 --ar=16/9", sized(1360, 768)),
    ("/draw 猫 --ar 1.777:1", sized(1360, 768)),
    # the other flags
    ("/draw 猫 --seed 7", drawn("猫", seed=7)),
    ("/draw 猫 --seed ７", drawn("猫", seed=7)),
    ("/draw 猫 --seed 0", drawn("猫", seed=0)),
    ("/draw 猫 --seed 4294967295", drawn("猫", seed=4294967295)),
    ("/draw 猫 --seed random", drawn("猫")),
    ("/draw 猫 --seed 随机", drawn("猫")),
    ("/draw 猫 --seed7", drawn("猫", seed=7)),
    ("/draw 猫 --n 2", drawn("猫", count=2)),
    ("/draw 猫 -n 2", drawn("猫", count=2)),
    ("/draw 猫 --count=2", drawn("猫", count=2)),
    ("/draw 猫 --steps 12", drawn("猫", steps=12)),
    ("/draw 猫 --cfg 0", drawn("猫")),
    ("/draw 猫 --cfg 0.0", drawn("猫")),
    ("/draw 猫 --neg 狗", drawn("猫", negative="狗")),
    ("/draw 猫 --neg ugly, blurry hands --seed 3", drawn("猫", negative="ugly, blurry hands", seed=3)),
    ("/draw --neg “丑 陋” 猫", drawn("猫", negative="丑 陋")),
    ("/draw --neg 'not this' 猫", drawn("猫", negative="not this")),
    ("/draw 猫 --neg=狗 -- --n 5", drawn("猫 --n 5", negative="狗")),
    ("/draw 一只 --seed 7 猫 --n 2 在树上", drawn("一只 猫 在树上", seed=7, count=2)),
    # what stays text
    ("/draw 猫 -- --size 1x1", drawn("猫 --size 1x1")),
    ("/draw a state-of-the-art robot - red", drawn("a state-of-the-art robot - red")),
    ("/draw 猫——黑色的", drawn("猫——黑色的")),
    ("/draw 猫 —— 黑色的", drawn("猫 —— 黑色的")),
    ("/draw 猫 ——黑色的", drawn("猫 ——黑色的")),
    ("/draw cat —sitting", drawn("cat —sitting")),
    ("/draw cat -sitting", drawn("cat -sitting")),
    ('/draw 写着 "--size 1x1" 的牌子', drawn('写着 "--size 1x1" 的牌子')),
    ('/draw 写着"你好"的牌子', drawn('写着"你好"的牌子')),
    ("/draw 写着“你好”的牌子", drawn("写着“你好”的牌子")),
    ('/draw "a cat"', drawn("a cat")),
    ("/draw “一只 猫” --seed 1", drawn("一只 猫", seed=1)),
    ('/draw "a" and "b"', drawn('"a" and "b"')),
    ('/draw “你好"', drawn("你好")),
    ("/draw the cat's hat", drawn("the cat's hat")),
    ("/draw rock 'n roll dogs' bowl", drawn("rock 'n roll dogs' bowl")),
    ('/draw a 5" disk', drawn('a 5" disk')),
    ('/draw 猫 -- 写着"你好', drawn('猫 写着"你好')),
    ("/draw 👨‍👩‍👧 和 🐱️", drawn("👨‍👩‍👧 和 🐱️")),
    ("/draw <script>alert(1)</script>", drawn("<script>alert(1)</script>")),
    ("/draw 猫</at> <at id=all>", drawn("猫</at> <at id=all>")),
    ("/draw a\x00b\x1b[31mc\u202ed\ud800", drawn("ab[31mcd")),
    ("/draw {prompt} %s $HOME `x`", drawn("{prompt} %s $HOME `x`")),
    ("/draw " + "猫" * 2000, drawn("猫" * 2000)),
    # orders without a slash
    ("画一只猫", drawn("一只猫")),
    ("画 猫", drawn("猫")),
    ("画：猫", drawn("猫")),
    ("画图：猫", drawn("猫")),
    ("画图 一只猫", drawn("一只猫")),
    ("画个苹果", drawn("个苹果")),
    ("画日落时的大海", drawn("日落时的大海")),
    ("画中国山水", drawn("中国山水")),
    ("画面包", drawn("面包")),
    ("画一下日落", drawn("日落")),
    ("画出一只猫", drawn("一只猫")),
    ("帮我画一只猫", drawn("一只猫")),
    ("请画一只猫", drawn("一只猫")),
    ("麻烦帮我画一只戴帽子的狗，谢谢", drawn("一只戴帽子的狗")),
    ("能帮我画一只猫吗？", drawn("一只猫")),
    ("你可以给我画一只猫吗", drawn("一只猫")),
    ("画一只猫好吗？", drawn("一只猫")),
    ("再画一只猫", drawn("一只猫")),
    ("我想画一只猫", drawn("一只猫")),
    ("生成一张猫的图", drawn("一张猫的图")),
    ("生成图片：猫", drawn("猫")),
    ("来一张赛博朋克城市的壁纸", drawn("一张赛博朋克城市的壁纸")),
    ("给我一张海边日落的照片", drawn("一张海边日落的照片")),
    ("绘制一幅山水画", drawn("一幅山水画")),
    ("用水墨风格画一只熊猫", drawn("用水墨风格画一只熊猫")),
    ("画一块写着“为什么？”的牌子", drawn("一块写着“为什么？”的牌子")),
    ("画一只猫 --size 512x512 --seed 7", drawn("一只猫", width=512, height=512, seed=7)),
    ("draw a cat", drawn("a cat")),
    ("Draw me a cat wearing a hat", drawn("a cat wearing a hat")),
    ("please draw two cats", drawn("two cats")),
    ("can you draw a cat?", drawn("a cat")),
    ("draw 一只猫", drawn("一只猫")),
    ("generate an image of a red fox", drawn("an image of a red fox")),
    ("draw a cat --n 2", drawn("a cat", count=2)),
]

OTHERS: list[tuple[str, object]] = [
    ("/ask 年假怎么休?", Ask(question="年假怎么休?")),
    ("/问 年假怎么休?", Ask(question="年假怎么休?")),
    ("/问年假怎么休", Ask(question="年假怎么休")),
    ("/ASK what does --size do?", Ask(question="what does --size do?")),
    ('/ask 什么是"年假', Ask(question='什么是"年假')),
    ("/ask 第一行\n第二行", Ask(question="第一行\n第二行")),
    ("/jobs", Jobs()),
    ("/任务", Jobs()),
    ("/jobs？", Jobs()),
    ("/jobs 17", Jobs(job=17)),
    ("/任务 #17", Jobs(job=17)),
    ("/cancel 17", Cancel(job=17)),
    ("/cancel #17", Cancel(job=17)),
    ("/cancel ＃１７", Cancel(job=17)),
    ("/取消17", Cancel(job=17)),
    ("/取消 任务 17。", Cancel(job=17)),
    ("/redo 17", Redo(job=17)),
    ("/重画17", Redo(job=17)),
    ("/redo 17 --seed 8 --steps 4", Redo(job=17, seed=8, steps=4)),
    ("/redo 17 --seed random", Redo(job=17, reseed=True)),
    ("/redo 17 一只狗 --size 512x256", Redo(job=17, prompt="一只狗", width=512, height=256)),
    ("/redo 17，一只狗", Redo(job=17, prompt="一只狗")),
    ("/redo 17 --neg 猫 --n 2 --cfg 0", Redo(job=17, negative="猫", count=2, cfg=0.0)),
    ("/quota", QuotaShow()),
    ("/额度", QuotaShow()),
    ("/quota @张三", QuotaShow(who="张三")),
    ("/quota show @Zhang San", QuotaShow(who="Zhang San")),
    ("/quota feishu:ou_123", QuotaShow(who="feishu:ou_123")),
    ("/quota set @x 5/day", QuotaSet(who="x", unit=Unit.DRAW, amount=5, period="day")),
    ("/quota set @x 5/天", QuotaSet(who="x", unit=Unit.DRAW, amount=5, period="day")),
    ("/quota set @x 5/日", QuotaSet(who="x", unit=Unit.DRAW, amount=5, period="day")),
    ("/quota set @x ５／天", QuotaSet(who="x", unit=Unit.DRAW, amount=5, period="day")),
    ("/quota set @x 每天5", QuotaSet(who="x", unit=Unit.DRAW, amount=5, period="day")),
    ("/quota set @x 每天5张", QuotaSet(who="x", unit=Unit.DRAW, amount=5, period="day")),
    ("/quota set @x 5张/天", QuotaSet(who="x", unit=Unit.DRAW, amount=5, period="day")),
    ("/quota set @x 5 per day", QuotaSet(who="x", unit=Unit.DRAW, amount=5, period="day")),
    ("/quota set @x 20/week", QuotaSet(who="x", unit=Unit.DRAW, amount=20, period="week")),
    ("/quota set @x 20/周", QuotaSet(who="x", unit=Unit.DRAW, amount=20, period="week")),
    ("/quota set @x 100/Month", QuotaSet(who="x", unit=Unit.DRAW, amount=100, period="month")),
    ("/quota set @x 100/月", QuotaSet(who="x", unit=Unit.DRAW, amount=100, period="month")),
    ("/quota set @x ask 50/day", QuotaSet(who="x", unit=Unit.ASK, amount=50, period="day")),
    ("/quota set @x 问 50/天", QuotaSet(who="x", unit=Unit.ASK, amount=50, period="day")),
    ("/quota set @x draw 0/day", QuotaSet(who="x", unit=Unit.DRAW, amount=0, period="day")),
    ("/quota set @Zhang San ask 50/day", QuotaSet(who="Zhang San", unit=Unit.ASK, amount=50, period="day")),
    ("/quota set feishu:ou_123 5/day", QuotaSet(who="feishu:ou_123", unit=Unit.DRAW, amount=5, period="day")),
    ("/额度 设置 @张三 每周20", QuotaSet(who="张三", unit=Unit.DRAW, amount=20, period="week")),
    ("/quota show", QuotaShow()),
    ("/quota group", QuotaShow(of=Payer.GROUP)),
    ("/额度 本群", QuotaShow(of=Payer.GROUP)),
    ("/quota group feishu:oc_1", QuotaShow(of=Payer.GROUP, who="feishu:oc_1")),
    ("/quota dept R & D", QuotaShow(of=Payer.DEPARTMENT, who="R & D")),
    ("/额度 部门 设计部", QuotaShow(of=Payer.DEPARTMENT, who="设计部")),
    ("/额度 部门设计部", QuotaShow(of=Payer.DEPARTMENT, who="设计部")),
    ("/quota default", QuotaShow(of=Payer.DEFAULT)),
    ("/额度 查看 默认", QuotaShow(of=Payer.DEFAULT)),
    ("/quota @default", QuotaShow(who="default")),  # somebody who calls themselves so
    ("/quota set @group 5/day", QuotaSet(who="group", unit=Unit.DRAW, amount=5, period="day")),
    ("/quota set group 100/week", QuotaSet(of=Payer.GROUP, who="", unit=Unit.DRAW, amount=100, period="week")),
    ("/额度 设 本群 问 每周100", QuotaSet(of=Payer.GROUP, who="", unit=Unit.ASK, amount=100, period="week")),
    (
        "/quota set group feishu:oc_1 5/day",
        QuotaSet(of=Payer.GROUP, who="feishu:oc_1", unit=Unit.DRAW, amount=5, period="day"),
    ),
    (
        "/quota set dept 设计部 1000/month",
        QuotaSet(of=Payer.DEPARTMENT, who="设计部", unit=Unit.DRAW, amount=1000, period="month"),
    ),
    (
        "/quota set dept:R & D ask 5/day",
        QuotaSet(of=Payer.DEPARTMENT, who="R & D", unit=Unit.ASK, amount=5, period="day"),
    ),
    ("/额度 设 默认 50/天", QuotaSet(of=Payer.DEFAULT, who="", unit=Unit.DRAW, amount=50, period="day")),
    ("/quota set @x default", QuotaClear(who="x", unit=None)),
    ("/quota set @Zhang San 默认", QuotaClear(who="Zhang San", unit=None)),
    ("/quota set @x ask default", QuotaClear(who="x", unit=Unit.ASK)),
    ("/quota set @x none/day", QuotaClear(who="x", unit=Unit.DRAW, period="day")),
    ("/quota set @x ask 取消/月", QuotaClear(who="x", unit=Unit.ASK, period="month")),
    ("/quota set group default", QuotaClear(of=Payer.GROUP, who="", unit=None)),
    ("/quota set default default", QuotaClear(of=Payer.DEFAULT, who="", unit=None)),
    ("/quota grant @x 3", QuotaGrant(who="x", unit=Unit.DRAW, amount=3)),
    ("/quota grant @x ask 3", QuotaGrant(who="x", unit=Unit.ASK, amount=3)),
    ("/额度 给@张三 3张", QuotaGrant(who="张三", unit=Unit.DRAW, amount=3)),
    ("/额度 给本群 30张", QuotaGrant(of=Payer.GROUP, who="", unit=Unit.DRAW, amount=30)),
    ("/quota grant dept 设计部 ask 30", QuotaGrant(of=Payer.DEPARTMENT, who="设计部", unit=Unit.ASK, amount=30)),
    ("/quota grant @x 3 7 days", granted(Until(days=7))),
    ("/quota grant @x 3 for 1 day", granted(Until(days=1))),
    ("/额度 给 @x 3张，7天内有效", granted(Until(days=7))),
    ("/额度 给 @x 3张（有效7天）", granted(Until(days=7))),
    ("/quota grant @x 3 until 2026-12-31", granted(Until(year=2026, month=12, day=31))),
    ("/quota grant @x 3 2026/12/31", granted(Until(year=2026, month=12, day=31))),
    ("/额度 给 @x 3 到 12月31日", granted(Until(month=12, day=31))),
    ("/额度 给 @x 3张 有效到2026年12月31日", granted(Until(year=2026, month=12, day=31))),
    ("/额度 给 @x 3 截至12-31", granted(Until(month=12, day=31))),
    ("/help", Help()),
    ("/帮助", Help()),
    ("/help draw", Help(topic="draw")),
    ("/help /画", Help(topic="draw")),
    ("/help 额度", Help(topic="quota")),
    ("/help --steps", Help(topic="steps")),
    ("/help cfg", Help(topic="cfg_scale")),
    ("/new", New()),
    ("/新对话", New()),
    ("/status", Status()),
    ("/kb sources", Sources()),
    ("／知识库 来源", Sources()),
    ("/状态", Status()),
    ("/role @x admin", SetRole(who="x", role=Role.ADMIN)),
    ("/role @Zhang San 管理员", SetRole(who="Zhang San", role=Role.ADMIN)),
    ("/角色 feishu:ou_1 user", SetRole(who="feishu:ou_1", role=Role.USER)),
    ("/pause", Pause()),
    ("/暂停", Pause()),
    ("/resume", Resume()),
    ("/pause now", Pause(now=True)),
    ("/暂停 画图 立即", Pause(kinds=(Kind.DRAW,), now=True)),
    ("/resume ask", Resume(kinds=(Kind.ASK,))),
    ("/ban @x", Ban(said="x")),
    ("/ban @Zhang San 刷屏 7天", Ban(said="Zhang San 刷屏", span=timedelta(days=7))),
    ("/禁用 @x 2小时", Ban(said="x", span=timedelta(hours=2))),
    ("/ban x spam until 2026-12-31", Ban(said="x spam", until=Until(year=2026, month=12, day=31))),
    ("/封禁@x，刷屏，到 12月31日", Ban(said="x,刷屏", until=Until(month=12, day=31))),
    ("/解禁 @x", Unban(who="x")),
]

#: Looks like an order to draw, and is none.
QUESTIONS = [
    "年假怎么休?",
    "画册在哪里领?",
    "画展几点开门",
    "画图额度怎么算?",
    "画一张图要多少额度",
    "画一只猫需要多久？",
    "画面太暗了",
    "画质不错",
    "画家是谁",
    "画像素材在共享盘",
    "画的什么",
    "画完了",
    "画得真好",
    "画图太慢了",
    "画画好难",
    "你能画什么？",
    "能画1024的图吗",
    "请问画图额度怎么算",
    "请问画展几点开门",
    "draw的额度是多少",
    "draw 额度",
    "draw.io 在哪下载",
    "drawing quota",
    "how do I draw a cat?",
    "draw limits per day",
    "what can you draw",
    "不要画猫",
    "别画了",
    "重画一张",
    "生成报告的流程",
    "设计一个流程",
    "来一份年假说明",
    "我要申请三张图片的额度",
    "绘本在哪借",
    "、然后呢",
    "你好",
    "@张三 是谁",
]

WRONG: list[tuple[str, str, dict[str, str]]] = [
    ("", "nothing_said", {}),
    (" \n\u200b", "nothing_said", {}),
    ("/", "bare_slash", {}),
    ("／ ", "bare_slash", {}),
    ("/darw 猫", "typo", {"given": "/darw", "near": "/draw", "corrected": "/draw 猫"}),
    ("/DRWA 猫", "typo", {"near": "/draw"}),
    ("/dra 猫", "typo", {"near": "/draw"}),
    ("/d 猫", "typo", {"near": "/draw"}),
    ("/draws 猫", "typo", {"near": "/draw"}),
    ("/aks 猫", "typo", {"near": "/ask"}),
    ("/cancle 3", "typo", {"near": "/cancel", "corrected": "/cancel 3"}),
    ("/stauts", "typo", {"near": "/status"}),
    ("/hlep", "typo", {"near": "/help"}),
    ("/额渡", "typo", {"near": "/quota"}),
    ("/取肖 3", "typo", {"near": "/cancel"}),
    ("/imagine a cat", "typo", {"near": "/draw", "corrected": "/draw a cat"}),
    ("/re", "ambiguous", {"near": "/reserve /redo /review /resume"}),
    ("/etc/passwd", "unknown_command", {"given": "/etc"}),
    ("/🐱", "unknown_command", {}),
    ("/17", "unknown_command", {}),
    ("/图库 " + "猫" * 201, "too_long", {"limit": "200", "over": "1"}),
    ("/gallery ..", "gallery_days", {}),
    ("/review foo", "review_form", {"given": "foo"}),
    ("/ban", "ban_form", {}),
    ("/ban x 99999天", "ban_span", {"given": "99999天"}),
    ("/pause tomorrow", "pause_form", {"given": "tomorrow"}),
    ("/resume now", "resume_form", {}),
    ("/model sketch", "model_form", {"given": "sketch"}),
    ("/model use", "model_name", {}),
    ("/model list all", "takes_nothing", {"given": "all"}),
    ("/kb foo", "kb_form", {"given": "foo"}),
    ("/kb remove", "kb_name", {}),
    ("/kb list all", "takes_nothing", {"given": "all"}),
    ("/kb unanswered 5", "takes_nothing", {"given": "5"}),
    ("/kb unansweredx", "kb_form", {"given": "unansweredx"}),
    ("/kb add " + "x" * 201, "too_long", {"limit": "200", "over": "1"}),
    ("/draw 猫 --strength 0.5", "strength_alone", {}),
    ("/draw 猫 --from --strength 0", "out_of_range", {"nearest": "0.1", "flag": "--strength"}),
    ("/draw 猫 --from --strength 1.1", "out_of_range", {"nearest": "1"}),
    ("/draw 猫 --from --strength 一半", "not_a_number", {"given": "一半"}),
    ("/draw 猫 --from --strength", "missing_value", {"flag": "--strength"}),
    ("/draw 猫 --from --from 17", "repeated_flag", {"flag": "--from"}),
    ("/draw --from 17", "empty_prompt", {}),
    ("/draw 猫 --from 99999999999", "bad_job", {"given": "99999999999"}),
    ("/draw 猫 --from 0", "bad_job", {"given": "0"}),
    ("/draw 猫 --from 4294967295", "bad_job", {"given": "4294967295"}),
    ("/redo 17 --from", "redo_from", {}),
    ("/redo 17 --from 18", "redo_from", {}),
    ("/audit", "later_command", {}),
    ("/help audit", "later_command", {}),
    ("/reserve", "reserve_form", {}),
    ("/预约 猫", "reserve_time", {"given": "猫"}),
    ("/reserve 30 个苹果", "reserve_time", {"given": "30"}),
    ("/reserve 明天9:00", "reserve_prompt", {"given": "明天9:00"}),
    ("/reserve 明天9:00 猫 --at 10:00", "time_twice", {}),
    ("/reserve 99999999999 明天9:00", "bad_job", {}),
    ("/draw 猫 --at 22:00 --every 每天", "at_and_every", {}),
    ("/draw 猫 --at", "missing_value", {"flag": "--at"}),
    ("/draw 猫 --late 30", "late_alone", {}),
    ("/draw 猫 --at 22:00 --dry-run", "dry_later", {}),
    ("/预约 明天9:00 画猫 --dry-run", "dry_later", {}),
    ("/redo 17 --dry-run", "dry_redo", {}),
    ("/draw 猫 --dry-run --dry-run", "repeated_flag", {"flag": "--dry-run"}),
    ("/draw --dry-run", "empty_prompt", {}),
    ("/draw 猫 --at 22:00 --late soon", "late_form", {"given": "soon"}),
    ("/draw 猫 --at 22:00 --late 0", "late_form", {}),
    ("/redo 17 --at 22:00", "redo_later", {}),
    ("/cancel r12 r13", "one_job", {"given": "r13"}),
    ("/cancel r0", "bad_job", {}),
    ("/draw 猫 --lora x:1", "no_adapters", {"given": "x"}),
    ("/draw 猫 --lora", "missing_value", {"flag": "--lora"}),
    ("/draw 猫 --private --private", "repeated_flag", {"flag": "--private"}),
    ("/ask 年假 --kb", "missing_value", {"flag": "--kb"}),
    ("/ask --kb hr", "empty_question", {}),
    ("/ask 年假 --kb hr --kb it", "repeated_flag", {"flag": "--kb"}),
    ("/draw", "empty_prompt", {}),
    ("/画", "empty_prompt", {}),
    ("/draw --size 512x512", "empty_prompt", {}),
    ('/draw ""', "empty_prompt", {}),
    ("画", "empty_prompt", {}),
    ("画一张图", "empty_prompt", {}),
    ("/draw --neg ugly a cat", "prompt_in_neg", {}),
    ("/ask", "empty_question", {}),
    ("/draw " + "猫" * 5000, "too_long", {"length": "5000", "limit": "2000", "over": "3000"}),
    ("画一只" + "猫" * 2500, "too_long", {"length": "2502"}),
    ("/ask " + "问" * 2001, "too_long", {"over": "1"}),
    ("问" * 5000, "too_long", {"length": "5000"}),
    ("/draw 猫 --neg " + "x" * 2001, "too_long", {"limit": "2000"}),
    ('/draw "a cat', "open_quote", {"position": "1", "near": '"a cat'}),
    ("/draw 写着“你好的牌子", "open_quote", {"position": "3", "near": "“你好的牌子"}),
    ('/draw 猫 --neg "ugly', "open_quote", {"position": "9"}),
    ("/draw 猫 --neg 'ugly", "open_quote", {}),
    ("/draw 猫 --sise 512x512", "unknown_flag", {"flag": "--sise", "near": "--size"}),
    ("/draw 猫 —sise 512x512", "unknown_flag", {"near": "--size"}),
    ("/draw 猫 --sead 3", "unknown_flag", {"near": "--seed"}),
    ("/draw 猫 --quality high", "unknown_flag", {"flag": "--quality", "near": ""}),
    ("/draw 猫 --seed 1 --seed 2", "repeated_flag", {"flag": "--seed"}),
    ("/draw 猫 --seed", "missing_value", {"flag": "--seed"}),
    ("/draw 猫 --seed --n 2", "missing_value", {"flag": "--seed"}),
    ("/draw 猫 --neg --n 2", "missing_value", {"flag": "--neg"}),
    ("/draw 猫 --size 512x512 --ar 1:1", "size_and_ar", {}),
    ("/draw 猫 --size big", "size_form", {"given": "big"}),
    ("/draw 猫 --size 10x10x10", "size_form", {}),
    ("/draw 猫 --size 512.5x512", "size_form", {}),
    ("/draw 猫 --size 0x0", "size_range", {"nearest": "64x64"}),
    ("/draw 猫 --size 0", "size_range", {"nearest": "64x64"}),
    ("/draw 猫 --size -512x512", "size_range", {"nearest": "64x512"}),
    ("/draw 猫 --size 9999x9999", "size_range", {"nearest": "2048x2048", "low": "64", "high": "2048"}),
    ("/draw 猫 --size 99999999999999999999x1", "size_range", {"nearest": "2048x64"}),
    ("/draw 猫 --size 1000x1000", "size_multiple", {"nearest": "992x992", "multiple": "16"}),
    ("/draw 猫 --size 1023x1024", "size_multiple", {"nearest": "1024x1024"}),
    ("/draw 猫 --ar wide", "ratio_form", {}),
    ("/draw 猫 --ar 0:1", "ratio_form", {}),
    ("/draw 猫 --ar 16", "ratio_form", {}),
    ("/draw 猫 --ar 1000:1", "ratio_range", {}),
    ("/draw 猫 --seed -1", "out_of_range", {"nearest": "0", "low": "0", "high": "4294967295"}),
    ("/draw 猫 --seed 4294967296", "out_of_range", {"nearest": "4294967295"}),
    ("/draw 猫 --seed " + "9" * 900, "out_of_range", {"nearest": "4294967295"}),
    ("/draw 猫 --seed 1.5", "not_a_number", {"flag": "--seed", "given": "1.5"}),
    ("/draw 猫 --seed ²", "not_a_number", {}),
    ("/draw 猫 --seed 1e9", "not_a_number", {}),
    ("/draw 猫 --n 0", "out_of_range", {"flag": "--n", "nearest": "1"}),
    ("/draw 猫 --n 3", "out_of_range", {"nearest": "2"}),
    ("/draw 猫 --steps 0", "out_of_range", {"nearest": "1"}),
    ("/draw 猫 --steps 51", "out_of_range", {"nearest": "50"}),
    ("/draw 猫 --cfg 3.5", "no_guidance", {"given": "3.5"}),
    ("/draw 猫 --cfg nan", "not_a_number", {"flag": "--cfg"}),
    ("/cancel", "no_job", {}),
    ("/cancel all", "bad_job", {"given": "all"}),
    ("/cancel 0", "bad_job", {}),
    ("/cancel -3", "bad_job", {}),
    ("/cancel 99999999999", "bad_job", {}),
    ("/cancel 2147483648", "bad_job", {}),
    ("/cancel 17 18", "one_job", {"given": "18"}),
    ("/redo", "no_job", {}),
    ("/redo 一只狗", "bad_job", {}),
    ("/redo 17 --size 0x0", "size_range", {}),
    ("/new 画一只猫", "takes_nothing", {"given": "画一只猫"}),
    ("/jobs all", "bad_job", {"given": "all"}),
    ("/jobs 17 again", "takes_nothing", {"given": "again"}),
    ("/help darw", "unknown_topic", {"near": "/help draw"}),
    ("/help xyzzy", "unknown_topic", {"near": ""}),
    ("/quota sett @x 5/day", "quota_action", {"near": "set"}),
    ("/quota set @x", "quota_set_form", {"who": "@x"}),
    ("/quota set @x 5", "quota_set_form", {"who": "@x"}),
    ("/quota set @x 5/hour", "quota_set_form", {}),
    ("/quota set 5/day", "quota_set_form", {"who": "@name"}),
    ("/quota set @x -5/day", "amount_range", {"given": "-5"}),
    ("/quota set @x 9999999/day", "amount_range", {"high": "1000000"}),
    ("/quota set @ 5/day", "nobody", {}),
    ("/quota grant @x", "quota_grant_form", {"who": "@x"}),
    ("/quota grant @x 0", "amount_range", {"low": "1"}),
    ("/quota grant @x 5/day", "quota_grant_form", {}),
    ("/quota grant @x 3 forever", "quota_grant_form", {}),
    ("/quota grant @x 3 0 days", "days_range", {"given": "0"}),
    ("/quota grant @x 3 5000 days", "days_range", {"high": "3660"}),
    ("/quota grant default 3", "grant_default", {}),
    ("/quota set group", "quota_set_form", {"who": "group"}),
    ("/quota set @x none", "quota_set_form", {"who": "@x"}),
    ("/role @x", "role_form", {}),
    ("/role @x king", "bad_role", {"given": "king"}),
    ("/role @x admn", "bad_role", {"near": "admin"}),
]


def test_the_tables_are_as_large_as_promised() -> None:
    assert len(DRAWS) + len(OTHERS) + len(QUESTIONS) + len(WRONG) >= 150


@pytest.mark.parametrize(("text", "meant"), DRAWS, ids=[t[:40] for t, _ in DRAWS])
def test_orders_to_draw(text: str, meant: Draw) -> None:
    assert parse(text, RULES) == meant


@pytest.mark.parametrize(("text", "meant"), OTHERS, ids=[t[:40] for t, _ in OTHERS])
def test_other_commands(text: str, meant: object) -> None:
    assert parse(text, RULES) == meant


@pytest.mark.parametrize("text", QUESTIONS)
def test_questions_are_not_orders(text: str) -> None:
    said = parse(text, RULES)
    assert isinstance(said, Conversation)
    assert said.text == text


@pytest.mark.parametrize(("text", "code", "values"), WRONG, ids=[t[:40] for t, _, _ in WRONG])
def test_what_is_wrong(text: str, code: str, values: dict[str, str]) -> None:
    error = parse(text, RULES)
    assert isinstance(error, UsageError), error
    assert error.code == code
    assert dict(error.values) | values == dict(error.values)


def test_an_error_names_its_command_for_help() -> None:
    error = parse("/redo 17 --size 0x0", RULES)
    assert isinstance(error, UsageError)
    assert error.topic == "redo"


@pytest.mark.parametrize(
    ("until", "last"),
    [
        (Until(days=1), date(2026, 11, 22)),
        (Until(month=12, day=31), date(2026, 12, 31)),
        (Until(month=11, day=21), date(2026, 11, 21)),  # today still counts
        (Until(month=11, day=20), date(2027, 11, 20)),  # without a year the next one
        (Until(month=2, day=29), date(2028, 2, 29)),
        (Until(year=2026, month=11, day=20), None),  # over
        (Until(year=2027, month=2, day=29), None),  # no such day
        (Until(month=13, day=1), None),
    ],
)
def test_when_granted_units_lapse(until: Until, last: date | None) -> None:
    assert until.after(date(2026, 11, 21)) == last


STYLED = replace(RULES, adapters=(("手绘线条", 0.8), ("Ink", 1.0)))


@pytest.mark.parametrize(
    ("written", "adapters"),
    [
        ("手绘线条", (("手绘线条", 0.8),)),
        ("ink", (("Ink", 1.0),)),
        ("INK:.5", (("Ink", 0.5),)),
        ("ink：0.5", (("Ink", 0.5),)),
        ("ink:-0", (("Ink", 0.0),)),
        ("ink:1.2,手绘线条:0.3", (("Ink", 1.2), ("手绘线条", 0.3))),
        ("ink+手绘线条", (("Ink", 1.0), ("手绘线条", 0.8))),
        ("none", ()),
    ],
)
def test_style_adapters(written: str, adapters: tuple[tuple[str, float], ...]) -> None:
    plain = parse("/draw 猫 在睡觉", STYLED)
    assert isinstance(plain, Draw)
    assert parse(f"/draw 猫 --lora {written} 在睡觉", STYLED) == replace(plain, adapters=adapters)
    assert parse(f"/redo 17 --lora {written}", STYLED) == Redo(job=17, adapters=adapters)


@pytest.mark.parametrize(
    ("written", "code", "values"),
    [
        ("inc", "unknown_adapter", {"given": "inc", "near": "--lora Ink", "names": "手绘线条 / Ink"}),
        ("油画", "unknown_adapter", {"near": ""}),
        ("ink,INK:2", "adapter_twice", {}),
        ("ink:x", "not_a_number", {"given": "x", "low": "-4", "high": "4"}),
        ("ink:9", "out_of_range", {"nearest": "4"}),
    ],
)
def test_what_is_wrong_with_style_adapters(written: str, code: str, values: dict[str, str]) -> None:
    error = parse(f"/draw 猫 --lora {written}", STYLED)
    assert isinstance(error, UsageError)
    assert error.code == code
    assert values.items() <= error.values.items()


def test_a_private_order() -> None:
    plain = parse("/draw 猫", RULES)
    assert isinstance(plain, Draw)
    assert parse("/draw --private 猫", RULES) == replace(plain, private=True)
    assert parse("/redo 17 --private", RULES) == Redo(job=17, private=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/draw 猫 --cfg 3.5", drawn("猫", cfg=3.5)),
        ("/draw 猫 --cfg 20.5", "out_of_range"),
        ("/draw 猫 --cfg -1", "out_of_range"),
    ],
)
def test_guidance_where_the_model_has_it(text: str, expected: object) -> None:
    said = parse(text, GUIDED)
    assert (said.code if isinstance(said, UsageError) else said) == expected


def test_choices_are_the_only_values_allowed() -> None:
    size = SizeRule(default=(512, 512), choices=((512, 512), (512, 256)))
    rules = replace(RULES, size=size, steps=Bounds(low=4, high=8, default=8, choices=(4, 8)))
    assert parse("/draw 猫 --size 512x256 --steps 4", rules) == drawn("猫", width=512, height=256, steps=4)
    assert parse("/draw 猫 --ar 2:1", rules) == drawn("猫", width=512, height=256)
    for text, code, nearest in [("--size 256x256", "size_choice", "512x256"), ("--steps 7", "not_a_choice", "8")]:
        error = parse(f"/draw 猫 {text}", rules)
        assert isinstance(error, UsageError)
        assert (error.code, error.values["nearest"]) == (code, nearest)


def test_too_many_pixels_names_the_nearest_size_of_the_same_shape() -> None:
    error = parse("/draw 猫 --size 2048x1024", replace(RULES, size=SizeRule(max_pixels=1024 * 1024)))
    assert isinstance(error, UsageError)
    assert error.code == "size_pixels"
    assert error.values["nearest"] == "1440x720"


def test_a_fixed_seed_of_the_settings_is_used_unless_random_is_asked() -> None:
    rules = replace(RULES, seed=42)
    assert parse("/draw 猫", rules) == drawn("猫", seed=42)
    assert parse("/draw 猫 --seed random", rules) == drawn("猫")


def card(**changes: Any) -> ModelCard:
    return ModelCard(**{"name": "m", "path": "", "builtin": False, "device": "cpu", "dtype": "float32", **changes})


def test_rules_come_from_the_settings_and_narrow_to_the_model() -> None:
    wide = rules_of(Parameters(), Limits(count=2))
    assert (wide.size.min_side, wide.steps.default, wide.count.high, wide.guidance) == (64, 8, 2, False)
    tiny = rules_of(Parameters(), Limits(), card(max_side=512, max_pixels=512 * 512, max_steps=10, default_steps=4))
    assert tiny.size.default == (512, 512)
    assert (tiny.size.max_side, tiny.steps.default, tiny.steps.high) == (512, 4, 10)
    assert rules_of(Parameters(), Limits(), card(guidance=True)).cfg.high == 20


def test_the_models_own_steps_yield_to_the_operators() -> None:
    fixed = Parameters.model_validate({"steps": {"default": 6}})
    assert rules_of(fixed, Limits(), card(default_steps=4)).steps.default == 6


PRACTICE: dict[str, Any] = {"builtin": True}
REAL: dict[str, Any] = {}


@pytest.mark.parametrize(
    ("wanted", "model", "expected"),
    [
        ({}, None, (1024, 1024)),
        ({}, REAL, (1024, 1024)),
        ({}, PRACTICE, (256, 256)),
        ({"default": None}, PRACTICE, (256, 256)),
        ({"default": "1024x768"}, PRACTICE, (1024, 768)),
        ({"default": "512x512"}, REAL, (512, 512)),
        ({"default": "1024x1024"}, {**PRACTICE, "max_side": 512, "max_pixels": 512 * 512}, (512, 512)),
        ({"min": 512}, PRACTICE, (512, 512)),
        ({"max": 512}, REAL, (512, 512)),
        ({"choices": ["512x512", "768x512", "1024x1024"]}, PRACTICE, (512, 512)),
        ({"choices": ["512x512", "768x512", "1024x1024"]}, REAL, (1024, 1024)),
        ({"choices": ["512x512"]}, None, (512, 512)),
    ],
)
def test_the_size_is_the_models_own_unless_the_operator_sets_one(
    wanted: dict[str, Any], model: dict[str, Any] | None, expected: tuple[int, int]
) -> None:
    parameters = Parameters.model_validate({"size": wanted})
    found = rules_of(parameters, Limits(), None if model is None else card(**model))
    assert found.size.default == expected
    assert parse("/draw 猫", found) == drawn("猫", width=expected[0], height=expected[1])


@pytest.mark.parametrize("ratio", ["1:1", "16:9", "9:16", "4:3", "21:9", "1:3"])
@pytest.mark.parametrize("model", [PRACTICE, REAL], ids=["practice", "real"])
def test_a_ratio_keeps_about_the_pixels_of_the_models_own_size(model: dict[str, Any], ratio: str) -> None:
    offered = card(**model)
    picture = parse(f"/draw 猫 --ar {ratio}", rules_of(Parameters(), Limits(), offered))
    assert isinstance(picture, Draw)
    width, height = (int(part) for part in ratio.split(":"))
    own = offered.default_size[0] * offered.default_size[1]
    assert 0.85 * own < picture.width * picture.height <= own
    assert picture.width / picture.height == pytest.approx(width / height, rel=0.06)
    assert picture.width % 16 == picture.height % 16 == 0


@pytest.mark.parametrize(
    ("a", "b", "expected"), [("draw", "darw", 1), ("draw", "draw", 0), ("", "ab", 2), ("ab", "b", 1)]
)
def test_distance(a: str, b: str, expected: int) -> None:
    assert distance(a, b) == distance(b, a) == expected


PIECES = st.sampled_from(
    [
        *("/draw", "/画", "/redo 1", "/quota set", "画", "帮我画", "draw", "--", "--size", "--ar", "--n", "--seed"),
        *("=", "：", "512x512", "16:9", "7", "-1", "9999", '"', "“", "”", "'", "？", " ", "\u3000", "\x00", "—neg"),
        *("一只", "猫", "a cat", "@x", "5/day"),
    ]
)


@given(st.one_of(st.text(max_size=200), st.lists(PIECES, max_size=12).map("".join), st.lists(PIECES).map(" ".join)))
def test_parse_never_raises_and_stays_within_bounds(text: str) -> None:
    said = parse(text, RULES)
    if isinstance(said, Draw | Redo):
        size = (said.width, said.height)
        assert size == (None, None) or not RULES.size.problem(*size)  # type: ignore[arg-type]
        assert said.count is None or 1 <= said.count <= 2
        assert said.steps is None or 1 <= said.steps <= 50
        assert said.seed is None or 0 <= said.seed <= commands.SEED_MAX
        assert said.cfg in (None, 0)
        assert said.prompt is None or 0 < len(said.prompt) <= 2000
    if isinstance(said, Draw):
        assert said.prompt
    if isinstance(said, QuotaSet | QuotaGrant):
        assert said.who
        assert 0 <= said.amount <= 1_000_000


@given(st.floats(min_value=0.05, max_value=20), st.integers(1, 5), st.integers(16, 64))
def test_ratio_sizes_are_allowed_and_never_dearer_than_the_default(ratio: float, low: int, high: int) -> None:
    rule = SizeRule(min_side=low * 16, max_side=high * 16, default=(high * 16, high * 16))
    size = rule.for_ratio(ratio)
    if size is not None:
        assert not rule.problem(*size)
        assert size[0] * size[1] <= (high * 16) ** 2
        assert size[0] / size[1] == pytest.approx(ratio, rel=0.11)


@pytest.mark.parametrize(
    ("rule", "offered"),
    [
        (SizeRule(), "1024x1024 1168x880 880x1168 1248x832 832x1248 1360x768 768x1360 2048x2048"),
        (SizeRule(max_pixels=1024 * 1024), "1024x1024 1168x880 880x1168 1248x832 832x1248 1360x768 768x1360"),
        (SizeRule(choices=((1024, 1024), (768, 1360))), "1024x1024 768x1360"),
    ],
)
def test_the_sizes_that_are_offered_are_allowed_ones(rule: SizeRule, offered: str) -> None:
    assert " ".join(f"{width}x{height}" for width, height in rule.offered()) == offered
    assert not any(rule.problem(*size) for size in rule.offered())


@pytest.mark.parametrize(
    ("size", "name"), [((1024, 1024), "1:1"), ((1168, 880), "4:3"), ((1360, 768), "16:9"), ((512, 64), "")]
)
def test_what_a_shape_is_called(size: tuple[int, int], name: str) -> None:
    assert shape(*size) == name


@given(st.integers(-(10**15), 10**15), st.integers(-(10**15), 10**15), st.integers(64 * 64, 2048 * 2048))
def test_the_nearest_size_is_always_allowed(width: int, height: int, pixels: int) -> None:
    rule = SizeRule(min_side=64, max_pixels=pixels)
    assert not rule.problem(*rule.nearest(width, height))
