"""Text in WeCom reads as it was written and does nothing; it is cut by bytes, and mentions are taken out."""

from __future__ import annotations

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.platforms.markup import bare
from bot.platforms.wecom.texts import UNSEEN, bold, code, cut, escape, markdown, split, strip_mention, visible
from bot.platforms.written import clean

SPECIAL = ["*", "**", "_", "__", "`", "```", "~", "~~", "[", "]", "(", ")", "](", "!", "]:", "<", ">", "&", "#", "|"]
SPECIAL += ["<@all>", "<@zhangsan>", "</font>", "&lt;", "|-|", "---", "===", "\\", "<!--", "1.", "17)"]
SPECIAL += ["<font color='info'>", "<think>", "\n", "\n\n", "\n# ", "\n> ", "\n- ", "\n1. ", "\n    ", "\t", " "]
SPECIAL += ["http://a.b/c_d", "<https://x.y>", "猫", "a", "b 1", "：", "，", "“", "👨\u200d👩\u200d👧\u200d👦", "🇨🇳"]
TEXTS = st.lists(st.one_of(st.sampled_from(SPECIAL), st.characters(max_codepoint=0x2FFF)), max_size=16).map("".join)


def back(text: str) -> str:
    """What a reader takes it for."""
    return text.replace(UNSEEN, "").replace("\u2217", "*").replace("\u02cb", "`").replace("\u223c", "~")


def words(text: str) -> str:
    return " ".join(back(text).split())


@pytest.mark.parametrize(
    "text",
    [
        "<@all>",
        "<@zhangsan>",
        '<font color="warning">红</font>',
        "<think>",
        "</think>",
        '<a href="https://evil.example">点我</a>',
        "[点我](https://evil.example)",
        "![](https://evil.example/a.png)",
        "[a]: https://evil.example",
        "&lt;@all&gt;",
        "&#60;@all&#62;",
        "*斜*",
        "~~删~~",
        "__x__",
        "# 标题",
        "  ## 标题",
        "> 引用",
        "- 项",
        "+ 项",
        "17. 项",
        "---",
        "标题\n===",
        "| a | b |\n|---|---|\n| 1 | 2 |",
        "```\ncode\n```",
        "    code",
        "\tcode",
        "\\*",
    ],
)
def test_nothing_that_somebody_wrote_is_markup(text: str) -> None:
    safe = escape(text)
    assert safe != text, "it would be"
    assert back(safe) == text, "it reads as it was written"
    assert "\\" not in safe.replace("\\", "", text.count("\\")), "no escapes that a dialect would show"


@pytest.mark.parametrize(
    "text",
    ["3 < 5 & 7 > 2", "a_b 和 snake_case", "R&D", "https://wiki.example/a_b?x=1&y=2#z", "50% (约)", "#17", "-5", "c++"],
)
def test_what_is_no_markup_stays_as_it_is(text: str) -> None:
    assert escape(f"说：{text}") == f"说：{text}"


def test_copied_words_come_back_as_they_were() -> None:
    assert clean(escape("<@all> # x_ [a](b)")) == "<@all> # x_ [a](b)"


def test_bold_and_code_are_kept_and_what_is_in_them_is_safe() -> None:
    assert markdown("**好** `/cancel 17` *x*") == "**好** `/cancel 17` \u2217x\u2217"
    assert markdown("`<@all>`") == f"`<{UNSEEN}@all>`"
    assert markdown("**<@all>_**") == f"**{UNSEEN}<{UNSEEN}@all>{UNSEEN}_{UNSEEN}**"
    assert code("a`b\nc") == "`a\u02cbb c`"


def test_bold_ends_beside_a_punctuation_mark() -> None:
    assert bold("时间：") == f"**时间：{UNSEEN}**"
    assert bold("“引”") == f"**{UNSEEN}“引”{UNSEEN}**"
    assert bold("  ") == ""


def test_every_line_is_on_its_own_in_either_dialect() -> None:
    assert markdown("a  \nb\n\nc\x07") == "a  \nb\n\nc"


@given(TEXTS)
def test_a_reader_of_markdown_sees_the_words_and_no_more(text: str) -> None:
    """With a strict reader of the widest dialect: tables, strikes, tags. It comes with rich; without it, see above."""
    reader = pytest.importorskip("markdown_it").MarkdownIt("js-default", {"html": True, "linkify": False})
    shown = reader.enable(["table", "strikethrough"]).render(markdown(text))
    assert set(re.findall(r"<(/?\w+)", shown)) <= {"p", "/p", "br", "strong", "/strong", "code", "/code"}
    told = html.unescape(re.sub(r"</?(?:p|br|strong|code)\s*/?>", "", re.sub(r"</p>|<br\s*/?>", " ", shown)))
    assert "".join(words(told).split()) == "".join(words(bare(clean(text))).split())


# --- cutting ----------------------------------------------------------------------------------------------------------


@given(TEXTS, st.integers(min_value=4, max_value=90))
def test_trap_06_a_text_is_cut_by_bytes_and_nothing_of_it_is_lost(text: str, limit: int) -> None:
    pieces = split(text, limit)
    assert all(len(piece.encode()) <= limit and visible(piece) for piece in pieces)
    seen = [char for char in text if visible(char)]
    assert [char for char in "".join(pieces) if visible(char)] == seen


@given(st.text(st.sampled_from("a猫👍🏽。`*🇨[]("), max_size=60), st.integers(min_value=8, max_value=40))
def test_the_pieces_together_are_the_text(text: str, limit: int) -> None:
    assert "".join(split(text, limit)) == text


@pytest.mark.parametrize(
    ("text", "limit", "pieces"),
    [
        ("", 10, []),
        ("abc", 10, ["abc"]),
        ("你好世界", 7, ["你好", "世界"]),  # a character is three bytes, and is not torn
        ("第一行\n第二行", 18, ["第一行\n", "第二行"]),
        ("abcdef。ghij", 12, ["abcdef。", "ghij"]),
        ("hello world", 8, ["hello ", "world"]),
        ("看 `/cancel 17`", 14, ["看 ", "`/cancel 17`"]),
        ("看 **很重要**吗", 15, ["看 ", "**很重要**", "吗"]),
        ("见 [手册](https://x.y/z)", 24, ["见 ", "[手册](https://x.y/z)"]),
        ("`a long piece of code`", 8, ["`a long ", "piece ", "of code`"]),  # longer than a piece: it must be
        ("ab👨\u200d👩\u200d👧", 18, ["ab", "👨\u200d👩\u200d👧"]),
        ("a🇨🇳🇺🇸", 9, ["a🇨🇳", "🇺🇸"]),
        ("a🇨🇳🇺🇸", 14, ["a🇨🇳", "🇺🇸"]),
        ("e\u0301e\u0301", 4, ["e\u0301", "e\u0301"]),
        ("👍🏽👍🏽", 12, ["👍🏽", "👍🏽"]),
        ("a\n\n\n\n\n\n\n\nb", 4, ["a\n\n\n", "\nb"]),
    ],
)
def test_where_a_text_is_cut(text: str, limit: int, pieces: list[str]) -> None:
    assert split(text, limit) == pieces


def test_a_limit_below_a_character_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 4"):
        split("你好", 3)


@pytest.mark.parametrize(
    ("text", "limit", "short"),
    [
        ("短", 10, "短"),
        ("你好世界", 9, "你好…"),
        ("你好世界", 3, "…"),
        ("看 `/cancel 17`", 14, "看…"),
    ],
)
def test_the_beginning_of_a_text_with_a_mark_that_it_goes_on(text: str, limit: int, short: str) -> None:
    assert cut(text, limit) == short


@given(TEXTS, st.integers(min_value=4, max_value=60))
def test_what_is_cut_fits(text: str, limit: int) -> None:
    assert len(cut(text, limit, "…（太长）").encode()) <= limit


@pytest.mark.parametrize("text", ["", " \n\t", "\u200b", "\u200d\ufeff\u3000", "\u3164\u2800", "\ufe0f"])
def test_trap_07_what_nobody_sees_is_no_text(text: str) -> None:
    assert not visible(text)
    assert split(text * 5, 4) == []


# --- mentions ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name", "left", "mentioned"),
    [
        ("@墨契 /draw 猫", "墨契", "/draw 猫", True),
        ("@墨契\u2005/draw 猫", "墨契", "/draw 猫", True),  # what clients put behind a mention
        ("＠墨契 画猫", "墨契", "画猫", True),
        ("\u200b @墨\u200b契 ／draw 猫", "墨契", "／draw 猫", True),
        ("@My Draw Bot /draw a cat", "My Draw Bot", "/draw a cat", True),
        ("@my  draw bot /draw a cat", "My Draw Bot", "/draw a cat", True),
        ("请 @墨契 画猫", "墨契", "请 画猫", True),
        ("第一行 @墨契\n第二行", "墨契", "第一行 \n第二行", True),
        ("画猫 @墨契", "墨契", "画猫", True),
        ("@墨契 @墨契 画猫", "墨契", "画猫", True),
        ("@墨契，画猫", "墨契", "，画猫", True),
        ("@墨契画猫", "墨契", "画猫", True),  # the space was taken away
        ("@墨契二号 @墨契 画猫", "墨契", "@墨契二号 画猫", True),  # another robot, whose name begins as ours
        ("@小助手 你好", "墨契", "@小助手 你好", False),
        ("@墨契 /ban @张三 刷屏", "墨契", "/ban @张三 刷屏", True),
        ("a.b@c 是什么", "墨契", "a.b@c 是什么", False),
        ("@RobotA /draw 猫", "", "/draw 猫", True),
        ("/ban @张三", "", "/ban", True),  # nobody says whose name is ours: set wecom.aibot.name
        ("写信给 a@b.com", "", "写信给 a@b.com", False),
        ("@墨契", "墨契", "", True),
        ("(.*) @a+b", "a+b", "(.*)", True),
    ],
)
def test_trap_15_the_mention_of_the_robot_is_taken_out(text: str, name: str, left: str, mentioned: bool) -> None:
    assert strip_mention(text, name) == (left, mentioned)
