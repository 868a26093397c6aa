"""Replies as cards and texts: within the limits, and nothing a user wrote can do anything."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.platforms.feishu import render
from bot.platforms.feishu.rules import check_card, size_of
from bot.reply import Button, Picture, Reply, SourceLink
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
    assert element(card, "fields")["content"] == "**种子** 7\n**尺寸** 256x256"
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


def test_escaped_text_reads_as_written() -> None:
    text = "a < b & c > d *e* [f](g) `h` ~i~ _j_ $k$ #l !m |n \\o\n- p\n1. q \"r\" 's'"
    shown = re.sub(r"&#(\d+);", lambda found: chr(int(found[1])), render.escape(text))
    assert shown == text


def test_code_with_special_characters_is_shown_as_plain_text() -> None:
    assert render.markdown("用 `/draw <词>` 和 `/help`") == "用 /draw &#60;词&#62; 和 `/help`"


def test_long_text_is_cut_with_a_word() -> None:
    card = render.card(Reply(title="x", text="猫" * 20_000), {}, cut="……（未完）")
    content = element(card, "text")["content"]
    assert content.endswith("……（未完）")
    assert 28_000 < size_of(card) <= 29_000


@settings(max_examples=20, deadline=None)
@given(st.text(alphabet='*<>&[]()猫\n 😀`"\\a', min_size=1), st.integers(1, 3000))
def test_no_reply_breaks_the_limits(piece: str, times: int) -> None:
    text = piece * times
    source = SourceLink(mark=1, document=text, heading=text, passage=1, quote=text, url=f"https://a.cn/{'b' * 180}")
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


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://acme.feishu.cn/wiki/wikcn1?a=b", "[手册&#41;](https://acme.feishu.cn/wiki/wikcn1?a=b)"),
        ("", "手册&#41;"),
        ("javascript:alert(1)", "手册&#41;"),
        ("https://a.cn/) [b](https://evil.cn", "手册&#41;"),
        ("https://a.cn/<at id=all>", "手册&#41;"),
    ],
)
def test_a_source_is_a_link_to_its_original_if_that_is_on_the_web(url: str, shown: str) -> None:
    source = SourceLink(mark=1, document="手册)", heading="", passage=1, quote="", url=url)
    (element,) = [one for one in _all(Reply(text="答", sources=(source,))) if one.get("element_id") == "sources"]
    assert element["content"] == f"**&#91;1&#93; {shown}** "


def _all(reply: Reply) -> list[dict[str, Any]]:
    return list(render.card(reply, {})["body"]["elements"])
