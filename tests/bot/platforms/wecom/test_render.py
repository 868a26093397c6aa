"""What WeCom shows of a reply, and what of it can be pressed."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.platforms.wecom.render import MAX_KEY, card, key_of, link_of, plain, pressed, task_id_of, whole
from bot.platforms.wecom.texts import UNSEEN, visible
from bot.replies import Words
from bot.replies.reasons import why_form
from bot.reply import Button, Form, Picture, Reply, SourceLink
from storage.records import ChatType
from tests.simulators.wecom_cards import judge

QUEUED = Reply(
    title="排队中 · 第 1 位 · 约 40–70 秒",
    state="queued",
    job=17,
    text="一只猫",
    fields=(("种子", "42"), ("尺寸", "1024x1024"), ("步数", "9")),
    buttons=(Button(action="cancel", label="取消", value={"job": 17}, style="danger", hint="发送 `/cancel 17` 取消"),),
    note="内置练习模型",
)
ANSWER = Reply(
    state="done",
    job=18,
    text="每年 **5 天**[1]。\n满十年 10 天[2]。",
    sources=(
        SourceLink(
            mark=1,
            document="员工[手册].md",
            heading="员工[手册] › 年假",
            passage=1,
            quote="工作满一年",
            url="https://wiki.example/a(b)",
        ),
        SourceLink(mark=2, document="补充.md", heading="", passage=3, quote="满十年"),
    ),
    buttons=(
        Button(action="vote_up", label="👍", value={"job": 18}, quiet=True),
        Button(action="vote_down", label="👎", value={"job": 18}, quiet=True),
    ),
    note="内容由 AI 生成，请对照出处",
)
VOTES = tuple(
    Button(action=f"vote_{way}", label=label, value={"job": 17}, quiet=True)
    for way, label in (("up", "👍"), ("down", "👎"))
)


def done(pictures: int) -> Reply:
    """A finished picture's reply, with every button it has."""
    buttons = [
        Button(action="redo", label="重画", value={"job": 17}),
        Button(action="reseed", label="换种子", value={"job": 17}),
    ]
    for action, label in (("variation", "变体"), ("upscale", "放大")):
        for number in range(1, pictures + 1):
            name = f"{label} {number}" if pictures > 1 else label
            buttons.append(Button(action=action, label=name, value={"job": 17, "index": number}))
    return Reply(
        title="画好了",
        state="done",
        job=17,
        text="一只猫",
        fields=(("种子", "42"), ("用时", "30 秒")),
        pictures=tuple(Picture(asset=at, width=8, height=8, alt="猫") for at in range(pictures)),
        buttons=(*buttons, *VOTES),
        form=Form(
            action="redo_form",
            label="改词重画",
            send="画",
            close="收起",
            fields=(),
            hint="改词重画：发送 `/redo 17 新的描述`",
        ),
        note="内容由 AI 生成",
    )


# --- texts ------------------------------------------------------------------------------------------------------------


def test_what_waits_says_how_long_what_and_how_to_cancel() -> None:
    assert whole(QUEUED) == (
        "**排队中 · 第 1 位 · 约 40–70 秒**\n\n一只猫\n\n发送 `/cancel 17` 取消\n\n"
        "> 种子 42 · 尺寸 1024x1024 · 步数 9  \n> 内置练习模型"
    )
    assert plain(QUEUED) == (
        "排队中 · 第 1 位 · 约 40–70 秒\n\n一只猫\n\n发送 /cancel 17 取消\n\n"
        "种子 42 · 尺寸 1024x1024 · 步数 9\n内置练习模型"
    )


def test_what_runs_has_a_bar() -> None:
    running = replace(QUEUED, title="正在画 · 第 3/9 步", state="running", progress=(3, 9))
    assert "\n\n▰▰▰▰▱▱▱▱▱▱▱▱ 3/9\n\n" in whole(running)
    assert "▰▰▰▰▱▱▱▱▱▱▱▱ 3/9" in plain(running)
    assert "▱▱▱▱ 0/0" in whole(replace(running, progress=(0, 0)))


def test_what_a_form_does_is_told_as_a_command() -> None:
    assert "\n\n改词重画：发送 `/redo 17 新的描述`\n\n" in whole(done(1))
    assert "发送 /redo 17 新的描述" in plain(done(1))


def test_an_answer_has_its_sources_as_links_where_they_can_be_read() -> None:
    assert whole(ANSWER, ChatType.GROUP) == (
        f"每年 **5 天**[1]。  \n满十年 10 天[2]。\n\n"
        f"**{UNSEEN}[1]{UNSEEN}** [员工［手册］.md › 年假](https://wiki.example/a%28b%29)  \n"
        f"**{UNSEEN}[2]{UNSEEN}** 补充.md\n\n"
        "> 内容由 AI 生成，请对照出处"
    )
    assert '[1] <a href="https://wiki.example/a%28b%29">员工[手册].md › 年假</a>\n[2] 补充.md' in plain(ANSWER)


def test_sources_say_what_they_say_where_one_person_reads() -> None:
    assert "补充.md 满十年" in whole(ANSWER, ChatType.DIRECT)
    assert "补充.md 满十年" not in whole(ANSWER, ChatType.GROUP)


def test_what_is_asked_for_has_a_line_for_each() -> None:
    status = Reply(title="运行状态", fields=(("画图队列", "排队 1"), ("已运行", "3 天")))
    assert whole(status) == "**运行状态**\n\n**画图队列** 排队 1  \n**已运行** 3 天"
    assert plain(status) == "运行状态\n\n画图队列 排队 1\n已运行 3 天"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<think>嗯，先查一下</think>\n5 天。", "5 天。"),
        ("<think>嗯，先查", "…"),  # it still thinks
        ("\n <think></think>5 天。", "5 天。"),
        ("标签 <think> 是什么", f"标签 <{UNSEEN}think> 是什么"),
    ],
)
def test_what_a_model_thinks_aloud_is_not_passed_on(text: str, said: str) -> None:
    assert whole(Reply(text=text, job=1, state="running", streaming=True)) == said
    assert plain(Reply(text=text, job=1, state="running", streaming=True)) == said


def test_what_a_person_wrote_is_shown_even_if_it_begins_like_a_thought() -> None:
    assert "<\u200bthink>cat" in whole(replace(QUEUED, text="<think>cat"))


@pytest.mark.parametrize("text", ["", "\n \n", "\u200b", "\u3000\u2060", "**\u200b**"])
def test_trap_07_a_text_is_never_blank(text: str) -> None:
    for said in (whole(Reply(text=text)), plain(Reply(text=text))):
        assert visible(said)


EVIL = [
    "<@all>",
    "<font color='warning'>",
    "[点](https://evil.example)",
    "![](https://evil.example/a.png)",
    "\n# x",
    "\n> x",
]
EVIL += [
    "</a>",
    '"><a href="https://evil.example">',
    "`",
    "**",
    "](",
    "|",
    "\n---",
    "\x00",
    "\u202e",
    "&lt;@all&gt;",
    "猫",
    "a",
]
WRITTEN = st.lists(st.sampled_from(EVIL), max_size=6).map("".join)


@given(WRITTEN, WRITTEN, WRITTEN, WRITTEN)
def test_whatever_people_and_models_write_only_sources_are_links(name: str, text: str, note: str, heading: str) -> None:
    source = SourceLink(
        mark=1, document=name, heading=heading, passage=1, quote=text, url="https://wiki.example/" + name
    )
    reply = Reply(title=name, text=text, note=note, fields=((heading, text),), sources=(source,), job=None)
    for chat in ChatType:
        said = whole(reply, chat)
        assert not re.search(r"<[@A-Za-z/!]|\]\((?!https://wiki\.example/)|[\x00\u202e]", said)
        assert len(re.findall(r"\]\(", said)) <= 1
    told = plain(reply)
    links = re.findall(r"<a href=\"([^\"]*)\">[^<]*(?:<\u200b[^<]*)*</a>", told)
    assert all(link.startswith("https://wiki.example/") for link in links)
    assert len(re.findall(r"<[@A-Za-z/!]", told)) == 2 * len(links)


@pytest.mark.parametrize(
    ("url", "link"),
    [
        ("https://wiki.example/a b?x=(1)", "https://wiki.example/a%20b?x=%281%29"),
        ("javascript:alert(1)", ""),
        ("file:///etc/passwd", ""),
        ("https://[", ""),
        ('https://x.example/">', "https://x.example/%22%3E"),
        ("", ""),
        ("https://x.example/" + "a" * 1000, ""),
    ],
)
def test_only_plain_addresses_are_links(url: str, link: str) -> None:
    assert link_of(url) == link


# --- cards ------------------------------------------------------------------------------------------------------------


def labels(built: dict[str, Any]) -> list[str]:
    return [button["text"] for button in built["button_list"]]


@pytest.mark.parametrize("pictures", [1, 2, 4])
def test_the_card_of_a_picture_has_all_that_people_use(pictures: int) -> None:
    built = card(done(pictures), "moqi-1")
    assert built is not None
    assert judge(built, needs_task=True) == []
    assert labels(built) == ["重画", "换种子", "变体", "放大", "👍", "👎"]
    assert built["main_title"] == {"title": "画好了", "desc": "一只猫"}
    assert built["sub_title_text"] == "内容由 AI 生成 · 改词重画：发送 /redo 17 新的描述"
    assert built["horizontal_content_list"] == [
        {"keyname": "种子", "value": "42"},
        {"keyname": "用时", "value": "30 秒"},
    ]
    options = built.get("button_selection", {}).get("option_list", [])
    assert [option["id"] for option in options] == ([str(at) for at in range(1, pictures + 1)] if pictures > 1 else [])


def test_the_picture_is_picked_from_the_list() -> None:
    built = card(done(4), "moqi-1")
    assert built is not None
    larger = built["button_list"][3]["key"]
    assert pressed(larger, {"index": "3"}) == ("upscale", {"job": 17, "index": 3})
    assert pressed(larger) == ("upscale", {"job": 17, "index": 1})
    assert pressed(built["button_list"][0]["key"], {"index": "3"}) == ("redo", {"job": 17}), "it stands for no picture"


def test_a_notice_takes_the_place_of_the_small_print() -> None:
    built = card(QUEUED, "moqi-1", "已经在取消了")
    assert built is not None
    assert built["sub_title_text"] == "已经在取消了"


def test_an_answer_is_rated_on_a_card_only_where_there_is_no_other_way() -> None:
    built = card(ANSWER, "moqi-2")
    assert built is not None
    assert labels(built) == ["👍", "👎"]
    assert judge(built) == []
    assert card(ANSWER, "moqi-2", votes=False) is None


def test_what_a_thumb_down_is_asked_is_answered_by_a_press() -> None:
    asking = replace(ANSWER, form=why_form(18, Words("zh")))
    built = card(asking, "moqi-2", "哪里不好？点一个就行。")
    assert built is not None
    assert labels(built) == ["与问题无关", "内容不完整", "内容有错误", "数据分析错误", "👍", "👎"]
    assert judge(built) == []
    assert pressed(built["button_list"][2]["key"]) == ("why_form", {"job": 18, "reason": 3})
    assert Reply.from_json(asking.to_json()) == asking
    closed = replace(asking, form=replace(why_form(18, Words("zh")), open=False))
    assert (shut := card(closed, "moqi-2")) is not None
    assert labels(shut) == ["👍", "👎"]


def test_where_nothing_can_be_pressed_there_is_no_card() -> None:
    assert card(Reply(text="好"), "moqi-3") is None


def test_styles_are_wecoms() -> None:
    buttons = [Button(action="redo", label=style, style=style) for style in ("primary", "default", "danger")]
    styles = [card(Reply(title="x", buttons=(button,)), "t") for button in buttons]
    assert [built["button_list"][0]["style"] for built in styles if built] == [1, 2, 3]


def test_of_too_many_buttons_those_stay_that_matter() -> None:
    votes_first = [replace(vote, value={"job": at}) for at in range(4) for vote in VOTES]
    choices = [Button(action="res_choose", label=f"{at} 点", value={"reservation": 1, "choice": at}) for at in range(3)]
    rest = [Button(action=f"res_{act}", label=act, value={"reservation": 1}) for act in ("time", "cancel", "confirm")]
    built = card(Reply(title="x", buttons=(*votes_first, *choices, *rest)), "t")
    assert built is not None
    assert labels(built) == ["0 点", "1 点", "2 点", "time", "cancel", "confirm"]


LONG = "一二三四五六七八九十" * 30


@given(
    st.text(max_size=200),
    st.text(max_size=200),
    st.lists(st.tuples(st.text(max_size=40), st.text(max_size=80)), max_size=9),
    st.lists(st.tuples(st.sampled_from(["redo", "redo_form", "X!", "res_time"]), st.text(max_size=60)), max_size=9),
    st.text(max_size=300),
)
def test_every_card_is_within_wecoms_limits(
    title: str, text: str, fields: list[tuple[str, str]], buttons: list[tuple[str, str]], notice: str
) -> None:
    made = tuple(Button(action=action, label=label, value={"n": at}) for at, (action, label) in enumerate(buttons))
    built = card(Reply(title=title, text=text, fields=tuple(fields), buttons=made, note=LONG), "moqi-1", notice)
    if built is not None:
        clipped = judge(built, needs_task=True)
        assert [one for one in clipped if not one.startswith("button_list.text")] == []
        assert all(visible(button["text"]) for button in built["button_list"])


def test_long_texts_are_shortened() -> None:
    button = Button(action="redo", label=LONG, value={"job": 1})
    built = card(Reply(title=LONG, text=LONG, fields=((LONG, LONG),), buttons=(button,), note=LONG), "moqi-1")
    assert built is not None
    assert judge(built) == []
    assert labels(built) == ["一二三四五六七八九…"]


@pytest.mark.parametrize("task_id", ["", "a" * 129, "a:b", "中文", "a b"])
def test_a_task_id_that_wecom_refuses_is_refused_here(task_id: str) -> None:
    with pytest.raises(ValueError, match="task_id"):
        card(QUEUED, task_id)


def test_the_task_id_of_a_message_is_always_the_same() -> None:
    assert task_id_of("job-17-card") == task_id_of("job-17-card") != task_id_of("job-17-outcome")
    assert card(QUEUED, task_id_of("群:" * 40)) is not None


# --- keys -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value", [{}, {"job": 17}, {"reservation": 3, "version": 2, "choice": 0}, {"name": "员工手册.md"}]
)
def test_a_key_comes_back_as_it_went(value: dict[str, Any]) -> None:
    assert pressed(key_of(Button(action="redo", label="x", value=value))) == ("redo", value)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "button_replace_text",
        "bankpilot_approve",
        "moqi",
        "moqi:redo",
        "moqi:redo:",
        "moqi:redo:[]",
        "moqi:redo:17",
        "moqi:REDO:{}",
        "moqi::{}",
        'moqi:redo:{"job":[17]}',
        'moqi:redo:{"job":{"a":1}}',
        'moqi:redo:{"job":null}',
        'moqi:redo:{"job":1.5}',
        "moqi:redo:" + "[" * 900,
        'moqi:redo:{"name":"' + "猫" * MAX_KEY + '"}',
        "\ud800:redo:{}",
    ],
)
def test_a_key_of_somebody_elses_card_is_nothing(key: str) -> None:
    assert pressed(key, {"index": "1"}) == ("", {})


def test_trap_21_a_key_cannot_say_who_pressed_or_what_was_filled_in() -> None:
    assert pressed('moqi:redo:{"job":17,"action":"cancel","form":"x","chat":"direct"}') == ("redo", {"job": 17})
    assert pressed('moqi:upscale:{"index":1,"job":17}', {"job": "18", "index": "99999"}) == (
        "upscale",
        {"index": 1, "job": 17},
    ), "a list picks a picture, and nothing else"


def test_a_button_whose_key_is_too_long_is_left_out() -> None:
    long = Button(action="redo", label="x", value={"name": "猫" * 400})
    assert card(Reply(title="x", buttons=(long,)), "t") is None


def test_below_a_text_that_says_it_all_a_card_has_its_buttons_only() -> None:
    built = card(done(1), "moqi-1", brief=True)
    assert built is not None
    assert built["main_title"]["title"] == "画好了"
    assert "horizontal_content_list" not in built
    assert "sub_title_text" not in built
    assert len(built["button_list"]) == 6
