"""Replies as cards and texts: within the limits, and nothing a user wrote can do anything."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.platforms.feishu import render
from bot.platforms.feishu.rules import check_card, size_of
from bot.replies import Words
from bot.replies.reasons import why_form
from bot.reply import Button, Form, FormField, Picture, Reply, SourceLink
from storage.records import ChatType
from tests.simulators.feishu_cards import Refused, judge

KEYS = {number: f"img_v3_{number}" for number in range(30)}


def judged(reply: Reply) -> dict[str, Any]:
    """The card, checked by both readings of the rules."""
    card = render.card(reply, KEYS)
    assert check_card(card) == []
    return judge(render.dumps(card), set(KEYS.values()))


def element(card: dict[str, Any], element_id: str) -> dict[str, Any]:
    return next(item for item in card["body"]["elements"] if item.get("element_id") == element_id)


def picture(asset: int) -> Picture:
    return Picture(asset=asset, width=64, height=64, alt="一只猫")


FULL = Reply(
    title="一只戴红围巾的熊猫",
    text="**画好了**，用 `/redo 17` 再来一张",
    state="done",
    job=17,
    fields=(("种子", "7"), ("尺寸", "256x256")),
    pictures=(picture(1),),
    sources=(SourceLink(mark=1, document="员工手册.md", heading="假期", passage=3, quote="年假十天"),),
    buttons=(
        Button(action="redo", label="重画", value={"job": 17}, style="primary"),
        Button(action="cancel", label="取消", value={"job": 17}, style="danger"),
    ),
    progress=(3, 8),
    note="内容由 AI 生成",
)


def test_every_part_of_a_reply_is_on_the_card() -> None:
    card = judged(FULL)
    assert card["config"] == {
        "update_multi": True,
        "enable_forward": False,
        "summary": {"content": "一只戴红围巾的熊猫"},
    }
    assert card["header"]["template"] == "green"
    assert element(card, "text")["content"] == "**画好了**，用 `/redo 17` 再来一张"
    assert element(card, "progress")["content"] == "▰▰▰▰▱▱▱▱▱▱▱▱ 3/8"
    assert element(card, "fields")["content"] == "**种子** 7 · **尺寸** 256x256"
    lines = element(judged(replace(FULL, job=None)), "fields")["content"]
    assert lines == "**种子** 7\n**尺寸** 256x256"
    assert element(card, "pictures_0")["img_key"] == KEYS[1]
    assert "员工手册.md › 假期" in element(card, "sources")["content"]
    assert "内容由 AI 生成" in element(card, "note")["content"]
    buttons = [column["elements"][0] for column in element(card, "buttons")["columns"]]
    assert [button["text"]["content"] for button in buttons] == ["重画", "取消"]
    assert [button["type"] for button in buttons] == ["primary_filled", "danger"]


@pytest.mark.parametrize("chat_type", list(ChatType))
def test_trap_23_button_value_is_an_object_that_says_where_it_stands(chat_type: ChatType) -> None:
    card = render.card(FULL, KEYS, chat_type)
    behavior = element(card, "buttons")["columns"][0]["elements"][0]["behaviors"][0]
    assert behavior == {"type": "callback", "value": {"job": 17, "action": "redo", "chat": chat_type.value}}


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ({}, "**&#91;1&#93; 员工手册.md › 假期** 年假十天"),
        (
            {"url": "https://wiki.example/a?b=1#c"},
            "**&#91;1&#93;** [员工手册.md › 假期](https://wiki.example/a?b=1#c) 年假十天",
        ),
        ({"url": "http://wiki.example/年假"}, "(http://wiki.example/%E5%B9%B4%E5%81%87)"),
        (
            {"url": "https://wiki.example/a) <at id=all></at>"},
            "(https://wiki.example/a%29%20%3Cat%20id=all%3E%3C/at%3E)",
        ),
        ({"url": "javascript:alert(1)"}, "**&#91;1&#93; 员工手册.md › 假期** 年假十天"),
        ({"url": "https://"}, "**&#91;1&#93; 员工手册.md"),
        ({"url": "https://[broken"}, "**&#91;1&#93; 员工手册.md"),
        ({"url": "lark://client/x"}, "**&#91;1&#93; 员工手册.md"),
        ({"heading": "员工手册 › 假期"}, "员工手册.md › 假期**"),
        ({"heading": "员工手册"}, "员工手册.md** 年假"),
        ({"heading": "员工手册补充"}, "员工手册.md › 员工手册补充**"),
        (
            {"document": "[x](http://evil.example).md", "url": "https://a.example"},
            "[&#91;x&#93;&#40;http://evil.example&#41;.md",
        ),
        ({"quote": "<at id=all></at>", "url": "https://a.example"}, "&#60;at id=all&#62;&#60;/at&#62;"),
    ],
)
def test_trap_14_a_source_is_a_link_where_one_is_known_and_does_nothing_else(
    source: dict[str, str], shown: str
) -> None:
    given = {"mark": 1, "document": "员工手册.md", "heading": "假期", "passage": 3, "quote": "年假十天", **source}
    card = judged(Reply(text="十天", state="done", sources=(SourceLink(**given),)))  # type: ignore[arg-type]
    assert shown in element(card, "sources")["content"]


def test_the_chat_list_says_the_answer_without_its_markup() -> None:
    assert judged(Reply(text="**满一年** 用 `/ask`", job=1))["config"]["summary"]["content"] == "满一年 用 /ask"


@pytest.mark.parametrize(("lines", "count"), [(10, 1), (60, 2), (140, 3), (400, 5)])
def test_a_long_answer_becomes_several_messages(lines: int, count: int) -> None:
    text = "\n".join(f"第 {number} 条（{'满一年' * 60}）" for number in range(lines))
    source = SourceLink(mark=1, document="员工手册.md", heading="假期", passage=3, quote="年假十天")
    reply = Reply(title="答", text=text, state="done", job=1, sources=(source,), note="小字", pictures=(picture(1),))
    parts = render.parts(reply, KEYS, cut="（未完）")
    assert len(parts) == count
    for part in parts:
        judged(part)
    assert [bool(part.sources) for part in parts] == [False] * (count - 1) + [True]
    assert [part.note for part in parts] == [""] * (count - 1) + ["小字"]
    assert [part.title for part in parts] == ["答"] + [""] * (count - 1)
    assert [len(part.pictures) for part in parts] == [1] + [0] * (count - 1)
    if count < render.MAX_PARTS:
        assert "\n".join(part.text for part in parts) == text
    else:
        assert parts[-1].text.endswith("（未完）")
    assert all(part.text.startswith("第 ") for part in parts), "cut between lines"


def test_a_line_longer_than_a_message_is_cut_anywhere() -> None:
    text = "*" * 12_000  # each of them takes five bytes on a card
    parts = render.parts(Reply(text=text, state="done", job=1), {})
    assert len(parts) > 1
    assert "".join(part.text for part in parts) == text
    for part in parts:
        judged(part)


@pytest.mark.parametrize(
    ("state", "template"),
    [
        ("queued", "wathet"),
        ("running", "blue"),
        ("done", "green"),
        ("failed", "red"),
        ("cancelled", "grey"),
        ("", "default"),
    ],
)
def test_headline_colour_tells_the_state(state: str, template: str) -> None:
    assert judged(Reply(title="x", state=state))["header"]["template"] == template


@pytest.mark.parametrize("count", range(1, 21))
def test_any_number_of_pictures(count: int) -> None:
    card = judged(Reply(title="x", pictures=tuple(picture(number) for number in range(count))))
    keys = re.findall(r"img_v3_\d+", json.dumps(card))
    assert keys == [KEYS[number] for number in range(count)]


def test_pictures_not_uploaded_are_not_shown() -> None:
    card = render.card(Reply(title="x", pictures=(picture(99),)), {})
    assert "img" not in [item["tag"] for item in card["body"]["elements"]]
    assert check_card(card) == []


@pytest.mark.parametrize(
    "text",
    [
        '<at user_id="all"></at>',
        "<at id=all></at>",
        "</at><at id=ou_x></at>",
        "**<at id=all></at>**",
        "`<at id=all></at>`",
        "[click](https://evil.example)",
        "![x](img_v3_1)",
        "<font color='red'>x</font>",
        "<link url='https://evil.example'>x</link>",
        "<script>alert(1)</script>",
        "# headline\n- list\n+ list\n> quote",
        "~~gone~~ *slanted* _low_ $x$ | a | b |",
        "&#60;at id=all&#62;",
    ],
)
def test_trap_14_what_a_user_wrote_does_nothing_on_a_card(text: str) -> None:
    reply = Reply(title=text, text=text, fields=((text, text),), note=text, state="done")
    card = judged(reply)
    for item in card["body"]["elements"]:
        bare = item["content"].replace("<font color='grey'>", "").removesuffix("</font>").replace("**", "")
        assert not re.search(r"[<>\[\]*~_$#|!]|&(?!#\d+;)|(?m:^[-+] )", re.sub(r"&#\d+;", "", bare)), item
    assert card["header"]["title"]["tag"] == "plain_text"


@pytest.mark.parametrize("text", ['<at user_id="all">', "</at>", "x<AT id=1>", "[a](http://evil.example)", "<b>x</b>"])
def test_trap_14_what_a_user_wrote_does_nothing_in_a_text(text: str) -> None:
    content = json.loads(render.text_message(text))["text"]
    assert not re.search(r"<[A-Za-z/]|\]\(", content)
    assert content.replace("\u200b", "") == text


def test_long_text_is_cut_with_a_word() -> None:
    card = render.card(Reply(title="x", text="猫" * 20_000), {}, cut="……（未完）")
    content = element(card, "text")["content"]
    assert content.endswith("……（未完）")
    assert 28_000 < size_of(card) <= 29_000


@settings(max_examples=20, deadline=None)
@given(st.text(alphabet='*<>&[]()猫\n 😀`"\\a', min_size=1), st.integers(1, 3000))
def test_no_reply_breaks_the_limits(piece: str, times: int) -> None:
    text = piece * times
    source = SourceLink(mark=1, document=text, heading=text, passage=1, quote=text)
    reply = Reply(
        title=text,
        text=text,
        state="done",
        fields=((text, text),) * 30,
        sources=(source,) * 30,
        buttons=(Button(action="redo", label=text, value={"job": 1}),) * 30,
        pictures=tuple(picture(number) for number in range(20)),
        note=text,
    )
    judged(reply)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(text="好的"), "text"),
        (Reply(text="好的", note="小字"), "text"),
        (Reply(text="x" * 301), "interactive"),
        (Reply(text="", title="x"), "interactive"),
        (Reply(), "interactive"),
        (Reply(text="", streaming=True), "interactive"),
        (Reply(text="年假", streaming=True), "interactive"),
        (Reply(text="好的", job=1), "interactive"),
        (Reply(text="好的", fields=(("a", "b"),)), "interactive"),
        (Reply(text="好的", buttons=(Button(action="redo", label="x"),)), "interactive"),
    ],
)
def test_trap_20_only_what_never_changes_is_a_text(reply: Reply, kind: str) -> None:
    msg_type, content = render.message(reply, {})
    assert msg_type == kind
    if kind == "interactive":
        judge(content, set())
    else:
        assert json.loads(content)["text"] == "\n".join(filter(None, (reply.text, reply.note)))


def test_card_that_breaks_a_rule_arrives_as_text() -> None:
    broken = Reply(title="标题", text="正文", buttons=(Button(action="x", label="x", value={"big": "x" * 40_000}),))
    msg_type, content = render.message(broken, {})
    assert (msg_type, json.loads(content)["text"]) == ("text", "标题\n正文")


def test_text_message_is_cut_below_150_kb() -> None:
    content = render.text_message("猫" * 100_000)
    assert len(content.encode()) < 101_000
    assert json.loads(content)["text"].endswith("…")


SPEECHLESS = {
    "tag": "button",
    "text": {"tag": "plain_text", "content": "x"},
    "behaviors": [{"type": "callback", "value": "x"}],
}
LONELY = {"tag": "img_combination", "combination_mode": "double", "img_list": [{"img_key": "img_v3_1"}]}
BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "schema": ({"schema": "1.0"}, "schema must be 2.0"),
    "update_multi": ({"config": {}}, "update_multi"),
    "unknown property": ({"i18n_elements": {}}, "unknown property i18n_elements"),
    "unknown config": ({"config": {"update_multi": True, "wide": 1}}, "unknown property config.wide"),
    "colour": ({"header": {"template": "pink"}}, "no colour"),
    "empty": ({"body": {"elements": []}}, "empty"),
    "tag": ({"body": {"elements": [{"tag": "note"}]}}, "unknown element note"),
    "property": ({"body": {"elements": [{"tag": "hr", "x": 1}]}}, "hr has the unknown property x"),
    "required": ({"body": {"elements": [{"tag": "markdown"}]}}, "markdown needs content"),
    "id": ({"body": {"elements": [{"tag": "hr", "element_id": "1x"}]}}, "element_id '1x'"),
    "id length": ({"body": {"elements": [{"tag": "hr", "element_id": "x" * 21}]}}, "element_id"),
    "twice": ({"body": {"elements": [{"tag": "hr", "element_id": "a"}] * 2}}, "stands twice"),
    "many": ({"body": {"elements": [{"tag": "hr"}] * 201}}, "more than 200"),
    "large": ({"body": {"elements": [{"tag": "markdown", "content": "x" * 31_000}]}}, "bytes"),
    "value": ({"body": {"elements": [SPEECHLESS]}}, "value is an object"),
    "pictures": ({"body": {"elements": [LONELY]}}, "cannot show 1"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_check_card_names_what_is_wrong_and_the_platform_agrees(name: str) -> None:
    part, problem = BROKEN[name]
    fine = {"schema": "2.0", "config": {"update_multi": True}, "body": {"elements": [{"tag": "hr"}]}}
    assert check_card(fine) == []
    assert any(problem in found for found in check_card({**fine, **part}))
    if name not in ("update_multi", "colour"):  # the platform's defaults there
        with pytest.raises(Refused):
            judge(json.dumps({**fine, **part}), {"img_v3_1"})


def test_check_card_counts_the_nesting() -> None:
    inner: dict[str, Any] = {"tag": "hr"}
    for _ in range(5):
        inner = {"tag": "column", "elements": [inner]}
    card = {"schema": "2.0", "config": {"update_multi": True}, "body": {"elements": [inner]}}
    assert check_card(card) == ["hr is nested 6 deep, 5 is allowed"]


# --- forms and votes ----------------------------------------------------------------------------------------------


def form(prompt: str = "一只猫", *, opened: bool = False) -> Form:
    return Form(
        action="redo_form",
        label="改词重画",
        send="按这个画",
        close="收起",
        fields=(
            FormField(name="prompt", label="描述", kind="lines", value=prompt, max=2000),
            FormField(name="size", label="尺寸", value="256x256", max=20),
            FormField(name="seed", label="种子", kind="number", value="7", max=12),
        ),
        value={"job": 17, "nonce": "ab"} if opened else {"job": 17},
        open=opened,
    )


VOTES = (
    Button(action="vote_up", label="👍", value={"job": 17}, quiet=True),
    Button(action="vote_down", label="👎", value={"job": 17}, quiet=True),
)
DRAWN = Reply(
    title="画好了",
    text="一只猫",
    state="done",
    job=17,
    pictures=(picture(1),),
    buttons=(Button(action="redo", label="重画", value={"job": 17}), *VOTES),
    form=form(),
    note="内容由 AI 生成",
)


def inside(element: dict[str, Any]) -> list[dict[str, Any]]:
    children = [*element.get("columns", ()), *element.get("elements", ())]
    return [element, *(one for child in children for one in inside(child))]


def buttons_in(element: dict[str, Any]) -> list[tuple[str, str]]:
    found = [one for one in inside(element) if one["tag"] == "button"]
    return [(one["text"]["content"], one["behaviors"][0]["value"]["action"]) for one in found]


def test_a_closed_form_is_a_button_behind_the_others() -> None:
    card = judged(DRAWN)
    assert buttons_in(element(card, "buttons")) == [("重画", "redo"), ("改词重画", "form_open")]
    assert "form" not in [one["tag"] for one in card["body"]["elements"]]
    assert [one["element_id"] for one in card["body"]["elements"]] == ["text", "pictures_0", "buttons", "foot"]


def test_an_open_form_stands_in_place_of_the_buttons_with_what_was_there_filled_in() -> None:
    card = judged(replace(DRAWN, form=form(opened=True)))
    assert [one["element_id"] for one in card["body"]["elements"]] == ["text", "pictures_0", "form", "foot"]
    shown = element(card, "form")
    fields = {one["name"]: one for one in inside(shown) if one["tag"] == "input"}
    assert {name: one["default_value"] for name, one in fields.items()} == {
        "prompt": "一只猫",
        "size": "256x256",
        "seed": "7",
    }
    assert (fields["prompt"]["input_type"], fields["prompt"]["max_length"]) == ("multiline_text", 1000)
    assert buttons_in(shown) == [("按这个画", "redo_form"), ("收起", "form_close")]
    send = next(one for one in inside(shown) if one.get("form_action_type") == "submit")
    assert send["behaviors"][0]["value"] == {"job": 17, "nonce": "ab", "action": "redo_form", "chat": "group"}


def test_what_a_thumb_down_is_asked_is_answered_by_a_press_or_a_sentence() -> None:
    asking = Reply(text="十天 [1]", state="done", job=17, buttons=VOTES, form=why_form(17, Words("zh")))
    card = judged(asking)
    assert [one["element_id"] for one in card["body"]["elements"]] == ["text", "choices", "form", "foot"]
    choices = element(card, "choices")
    assert [label for label, _ in buttons_in(choices)] == ["与问题无关", "内容不完整", "内容有错误", "数据分析错误"]
    third = [one for one in inside(choices) if one["tag"] == "button"][2]
    assert third["behaviors"][0]["value"] == {"job": 17, "reason": 3, "action": "why_form", "chat": "group"}
    [said] = [one for one in inside(element(card, "form")) if one["tag"] == "input"]
    assert (said["name"], said["max_length"]) == ("reason", 500)


@pytest.mark.parametrize(("length", "offered"), [(1000, True), (1001, False)])
def test_a_form_that_no_input_could_hold_is_left_out(length: int, offered: bool) -> None:
    for opened in (False, True):
        card = judged(replace(DRAWN, form=form("画" * length, opened=opened)))
        assert ("改词重画" in json.dumps(card, ensure_ascii=False) or "按这个画" in str(card)) is offered


def test_votes_stand_beside_the_small_print() -> None:
    foot = element(judged(DRAWN), "foot")
    assert [one["tag"] for one in inside(foot)].count("markdown") == 1
    assert buttons_in(foot) == [("👍", "vote_up"), ("👎", "vote_down")]
    assert buttons_in(element(judged(replace(DRAWN, note="")), "foot")) == [("👍", "vote_up"), ("👎", "vote_down")]


@pytest.mark.parametrize(
    ("reply", "forwarded"),
    [
        (DRAWN, False),
        (replace(DRAWN, buttons=VOTES), False),  # the form orders something
        (replace(DRAWN, buttons=VOTES, form=None), True),
        (replace(DRAWN, form=None), False),
    ],
)
def test_what_orders_something_cannot_be_forwarded(reply: Reply, forwarded: bool) -> None:
    assert judged(reply)["config"]["enable_forward"] is forwarded


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda f: f.pop("name"), "form needs name"),
        (lambda f: f["elements"].pop(), "a form needs a button whose form_action_type is submit"),
        (lambda f: f["elements"][0].update(name="size"), "a form and everything in it"),
        (lambda f: f["elements"][0].update(max_length=1001), "input.max_length is 1001"),
        (lambda f: f["elements"][0].update(max_length=2), "input.default_value is longer"),
        (lambda f: f["elements"][0].update(input_type="number"), "input.input_type 'number'"),
        (lambda f: f["elements"][0].update(type="x"), "input has the unknown property type"),
    ],
)
def test_both_readings_of_the_rules_refuse_a_broken_form(change: Callable[[Any], object], complaint: str) -> None:
    card = render.card(replace(DRAWN, form=form(opened=True)), KEYS)
    change(element(card, "form"))
    assert any(problem.startswith(complaint) for problem in check_card(card)), check_card(card)
    with pytest.raises(Refused):
        judge(render.dumps(card), set(KEYS.values()))


def test_a_form_inside_another_element_is_refused() -> None:
    card = render.card(replace(DRAWN, form=form(opened=True)), KEYS)
    shown = element(card, "form")
    card["body"]["elements"].remove(shown)
    card["body"]["elements"].append(
        {"tag": "column_set", "columns": [{"tag": "column", "width": "auto", "elements": [shown]}]}
    )
    assert "a form stands inside another element" in check_card(card)
    with pytest.raises(Refused, match="root"):
        judge(render.dumps(card), set(KEYS.values()))
