"""Templates as they are written, and orders that fill them in, as tables."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot import commands
from bot.commands import (
    Draw,
    Preview,
    Redo,
    Reserve,
    Rules,
    TemplateDelete,
    TemplateList,
    TemplateSave,
    TemplateShow,
    UsageError,
    Used,
    parse,
)
from bot.commands import slots as read
from bot.commands.slots import Slot
from storage.records import Scope, Template

POSTER = "一张{主题}的海报，{颜色=蓝色}背景，标题“{标题}” --size 1024x1360 --neg 文字模糊"
SHELF = {
    "海报": POSTER,
    "头像": "{谁}的头像",
    "签": "{字=福}字剪纸",
    "纯": "一座山 --n 2 --seed 7",
    "Card": "a {kind} card for {who=you} --neg {without=text}",
    "照": "水彩 --strength 0.3",
    "套": "{{{主题}}}，{主题}",
}
USED = Used(name="海报", scope=Scope.USER, version=3)


class Shelf:
    """Implements bot.commands.rules.Shelf."""

    def find(self, name: str) -> Template | None:
        return template(name) if name in SHELF else None

    def names(self) -> list[str]:
        return list(SHELF)


def template(name: str) -> Template:
    return Template(id=1, scope=Scope.USER, owner="1", name=name, version=3, body=SHELF[name])


RULES = replace(Rules(), shelf=Shelf())


def poster(prompt: str, **changes: Any) -> Draw:
    values: dict[str, Any] = {"width": 1024, "height": 1360, "count": 1, "seed": None, "steps": 8, "cfg": 0}
    return Draw(prompt=prompt, **{**values, "negative": "文字模糊", "template": USED, **changes})


BLUE = "一张秋招的海报，蓝色背景，标题“来吧”"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("--template 海报 主题=秋招 标题=来吧", poster(BLUE)),
        ("主题=秋招 标题=来吧 --template 海报", poster(BLUE)),
        ("--template=海报 主题：秋招，标题：来吧", poster(BLUE)),
        ("——template “海报” 主题 = 秋招 、标题＝“来吧”", poster(BLUE)),
        ("--template 海报，主题: 秋招; 标题='来吧'", poster(BLUE)),
        ("--template 海报 主题=秋招 标题=来吧 颜色=红色", poster(BLUE.replace("蓝色", "红色"))),
        ('--template 海报 主题=秋招 标题=来吧 颜色=""', poster(BLUE.replace("蓝色", ""))),
        ('--template 海报 主题="秋 招" 标题=来吧', poster(BLUE.replace("秋招", "秋 招"))),
        ("--template 海报 主题=春，夏 标题=来吧", poster(BLUE.replace("秋招", "春，夏"))),
        # what stands in a slot is text: no flag, no slot, no brace
        ('--template 海报 主题="x --n 4" 标题=来吧', poster(BLUE.replace("秋招", "x --n 4"))),
        ("--template 海报 主题='x --n 4' 标题=来吧", poster(BLUE.replace("秋招", "x --n 4"))),
        ("--template 海报 主题={标题} 标题=来吧", poster(BLUE.replace("秋招", "{标题}"))),
        ("--template 海报 主题={{ 标题=来吧", poster(BLUE.replace("秋招", "{{"))),
        # flags of the order come first; beside the slots there may be more text
        (
            "--template 海报 主题=秋招 标题=来吧 --size 512x512 --neg 丑",
            poster(BLUE, width=512, height=512, negative="丑"),
        ),
        ("--template 海报 主题=秋招 标题=来吧 --ar 1:1", poster(BLUE, width=1024, height=1024)),
        ("--template 海报 主题=秋招 标题=来吧 扁平风格 --n 2", poster(f"{BLUE}，扁平风格", count=2)),
        ("--template 海报 主题=秋招 标题=来吧 时间：九点", poster(f"{BLUE}，时间：九点")),
    ],
)
def test_an_order_with_a_template(text: str, wanted: Draw) -> None:
    assert parse(f"/draw {text}", RULES) == wanted


@pytest.mark.parametrize(
    ("text", "prompt"),
    [
        ("--template 头像 一只猫", "一只猫的头像"),
        ('--template 头像 "一只 猫"', "一只 猫的头像"),
        ("--template 头像 谁=我 水彩", "我的头像，水彩"),
        ("--template 签", "福字剪纸"),
        ("--template 签 春", "春字剪纸"),
        ("--template Card birthday who=Ann", "a birthday card for Ann"),
        ("--template Card KIND=birthday WHO=Ann pastel colours", "a birthday card for Ann, pastel colours"),
        ("--template 套 a", "{a}，a"),
        ("--template 纯 雪", "一座山，雪"),
    ],
)
def test_what_stands_alone(text: str, prompt: str) -> None:
    found = parse(f"/draw {text}", RULES)
    assert isinstance(found, Draw)
    assert found.prompt == prompt


@pytest.mark.parametrize(
    ("text", "prompt"),
    [
        ("用头像模板画 一只猫", "一只猫的头像"),
        ("请用模板“头像”画一张：一只猫", "一只猫的头像"),
        ("用模板海报画 主题=秋招 标题=来吧", BLUE),
        ("按头像的模板画一只猫", "一只猫的头像"),
        ("画 --template 头像 一只猫", "一只猫的头像"),
        ("用水彩画一只猫", "用水彩画一只猫"),
        ("用网上的模板画一只猫", "用网上的模板画一只猫"),
        ("用头像模板画图：一只猫", "一只猫的头像"),
    ],
)
def test_in_plain_words(text: str, prompt: str) -> None:
    found = parse(text, RULES)
    assert isinstance(found, Draw), found
    assert found.prompt == prompt


def test_the_rest_of_a_template() -> None:
    pure = parse("/draw --template 纯 --seed random", RULES)
    assert isinstance(pure, Draw)
    assert (pure.count, pure.seed) == (2, None)
    card = parse("/draw --template Card x without=names", RULES)
    assert isinstance(card, Draw)
    assert card.negative == "names"
    alone, begun = parse("/draw --template 照 山", RULES), parse("/draw --template 照 山 --from 17", RULES)
    assert isinstance(alone, Draw)
    assert isinstance(begun, Draw)
    assert (alone.strength, begun.strength) == (None, 0.3), "without a picture there is nothing to draw anew"


def test_every_kind_of_order_may_have_one() -> None:
    later = parse("/reserve 明天9:00 --template 头像 猫", RULES)
    assert isinstance(later, Reserve)
    assert (later.draw.prompt, later.at) == ("猫的头像", "明天9:00")
    weekly = parse("/draw --template 头像 猫 --every 每周一9:00", RULES)
    assert isinstance(weekly, Reserve)
    assert weekly.draw.template == Used(name="头像", scope=Scope.USER, version=3)
    assert isinstance(parse("画 --template 头像 猫 --dry-run", RULES), Preview)
    again = parse("/redo 17 --template 海报 主题=a 标题=b", RULES)
    assert isinstance(again, Redo)
    assert (again.prompt, again.height, again.template) == ("一张a的海报，蓝色背景，标题“b”", 1360, USED)


def test_without_templates_at_hand_an_order_is_only_looked_at() -> None:
    """To see whether a picture must be fetched (bot/enclosures.py); nothing is drawn from that."""
    found = parse("/draw --template 海报 --from", Rules())
    assert isinstance(found, Draw)
    assert found.source is not None
    assert found.template is None


@pytest.mark.parametrize(
    ("text", "code", "values"),
    [
        ("--template 海报", "slots_missing", {"names": "主题 标题", "example": "/draw --template 海报 主题=… 标题=…"}),
        ("--template 海报 主题=秋招", "slots_missing", {"names": "标题"}),
        ("--template 海报 主题= 标题=来吧", "slots_missing", {"names": "主题"}),
        ("--template 海报 秋招", "slots_missing", {"names": "主题 标题"}),
        ('--template 海报 主题="秋 招"', "slots_missing", {"example": '/draw --template 海报 主题="秋 招" 标题=…'}),
        ("--template 海报 主提=秋招", "unknown_slot", {"given": "主提", "near": "主题"}),
        ("--template 海报 主提：秋招", "unknown_slot", {"near": "主题"}),
        ("--template 海报 地点=礼堂", "unknown_slot", {"near": "", "names": "主题 颜色 标题"}),
        ("--template 海报 主题=a 主题=b 标题=c", "slot_twice", {"slot": "主题"}),
        ("--template 海保 秋招", "unknown_template", {"given": "海保", "near": "--template 海报"}),
        ("--template 没有的名字", "unknown_template", {"near": ""}),
        ("猫 --template", "missing_value", {"flag": "--template"}),
        ("--template 海报 --template 头像", "repeated_flag", {}),
        ("--template 头像 " + "猫" * 1998, "too_long", {"length": "2001", "limit": "2000", "over": "1"}),
        ("--template Card x without=" + "y" * 2001, "too_long", {}),
        ("--template 海报 主题=a 标题=b --size 7x7", "size_range", {}),
    ],
)
def test_what_cannot_be_ordered(text: str, code: str, values: dict[str, str]) -> None:
    found = parse(f"/draw {text}", RULES)
    assert isinstance(found, UsageError), found
    assert found.code == code
    assert {name: found.values[name] for name in values} == values


def test_without_any_template_it_is_said_how_to_keep_one() -> None:
    class Empty(Shelf):
        def find(self, name: str) -> Template | None:
            return None

        def names(self) -> list[str]:
            return []

    found = parse("/draw --template 海报 x", replace(Rules(), shelf=Empty()))
    assert isinstance(found, UsageError)
    assert found.code == "no_templates"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("/template", TemplateList()),
        ("/模板", TemplateList()),
        ("/template list", TemplateList()),
        ("/模板 列表", TemplateList()),
        ("/template show 海报", TemplateShow(name="海报")),
        ("/模板查看 “海报”", TemplateShow(name="海报")),
        ("/template 海报", TemplateShow(name="海报")),
        ("/template show 本群/海报", TemplateShow(name="海报", scope=Scope.CHAT)),
        ("/template show 海报 --for team", TemplateShow(name="海报", scope=Scope.TEAM)),
        ("/template save 海报 一张{主题}的海报 --n 2", TemplateSave(name="海报", body="一张{主题}的海报 --n 2")),
        ("/template save 海报\n一张{主题}\n的海报", TemplateSave(name="海报", body="一张{主题}\n的海报")),
        ("/模板保存 海报 --for 本群 {a}", TemplateSave(name="海报", body="{a}", scope=Scope.CHAT)),
        ("/template save 海报 {a} ——for 全体", TemplateSave(name="海报", body="{a}", scope=Scope.TEAM)),
        ("/template save 海报 a --for me b", UsageError(code="unknown_flag")),
        ("/template delete 海报", TemplateDelete(name="海报")),
        ("/模板 删除 海报 --for 本群", TemplateDelete(name="海报", scope=Scope.CHAT)),
        ("/template delete", UsageError(code="template_which")),
        ("/template delete 海报 现在", UsageError(code="takes_nothing")),
        ("/template list all", UsageError(code="takes_nothing")),
        ("/template sav 海报 x", UsageError(code="template_form", values={"near": "/template save"})),
        ("/template save", UsageError(code="template_which")),
        ("/template save 海报", UsageError(code="template_empty")),
        ("/template save 海报 --for 部门 x", UsageError(code="template_for", values={"given": "部门"})),
        ("/template save show x", UsageError(code="template_name")),
        ("/template save 本群 x", UsageError(code="template_name")),
        ("/template save a/b x", UsageError(code="template_name")),
        ("/template save " + "长" * 21 + " x", UsageError(code="template_name")),
        ("/template save x {a", UsageError(code="slot_open", values={"near": "{a"})),
        ("/template save x {}", UsageError(code="slot_name", values={"given": "{}"})),
        ("/template save x {a b}", UsageError(code="slot_name")),
        ("/template save x {1a}", UsageError(code="slot_name")),
        ("/template save x {a=1} {a=2}", UsageError(code="slot_defaults", values={"one": "1", "other": "2"})),
        ("/template save x " + " ".join(f"{{s{n}}}" for n in range(9)), UsageError(code="slots_many")),
        ("/template save x 猫 --at 9:00", UsageError(code="template_flag", values={"flag": "--at"})),
        ("/template save x 猫 --from 17", UsageError(code="template_flag", values={"flag": "--from"})),
        ("/template save x 猫 --template 海报", UsageError(code="template_flag")),
        ("/template save x 猫 --size 7x7", UsageError(code="size_range")),
        ("/template save x 猫 --n 99", UsageError(code="out_of_range")),
        ("/template save x --n 2", UsageError(code="empty_prompt")),
        ("/template save x " + "猫" * 2001, UsageError(code="too_long")),
    ],
)
def test_the_command(text: str, wanted: object) -> None:
    found = parse(text, RULES)
    if isinstance(wanted, UsageError):
        assert isinstance(found, UsageError), found
        assert (found.code, {name: found.values[name] for name in wanted.values}) == (wanted.code, wanted.values)
        assert found.topic == "template"
    else:
        assert found == wanted


@pytest.mark.parametrize(
    ("filled", "wanted"),
    [
        ({"slota": "秋招", "slotb": "", "slotc": "来吧"}, BLUE),
        ({"slota": "x --n 4", "slotb": "红", "slotc": "{主题}"}, "一张x --n 4的海报，红背景，标题“{主题}”"),
        ({"slota": "秋招", "slotc": "来吧", "more": "水彩 --n 2"}, f"{BLUE}，水彩"),
        ({"slota": "秋招", "slotc": "来吧", "more": "主题=b"}, f"{BLUE}，主题=b"),
        ({"slota": "秋招"}, "slots_missing"),
        ({"slota": "a", "slotc": "b", "more": "--template 头像"}, "repeated_flag"),
    ],
)
def test_a_form(filled: dict[str, str], wanted: str) -> None:
    found = commands.template_form(template("海报"), filled, RULES)
    assert (found.prompt if isinstance(found, Draw) else found.code if isinstance(found, UsageError) else "") == wanted
    if isinstance(found, Draw):
        assert found.count == (2 if "--n 2" in filled.get("more", "") else 1)


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=60), st.text(max_size=60))
def test_nothing_breaks_it(body: str, said: str) -> None:
    """Whatever is written, it is a value or a sentence; a filled slot never becomes a flag."""
    parse(f"/template save x {body}", RULES)
    found = parse(f"/draw --template 头像 谁=“{said.replace('”', '').replace('“', '')}”", RULES)
    if isinstance(found, Draw):
        assert found.count == 1


def test_slots_are_the_same_in_any_width_and_case() -> None:
    parts = read.cut("｛Ａ｝ {a=1} {b}")
    assert read.slots(parts) == (Slot(name="Ａ", default="1"), Slot(name="b"))
    assert read.fill(parts, {"a": "x", "b": "y"}) == "x x y"
