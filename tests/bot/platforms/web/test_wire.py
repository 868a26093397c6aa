"""Formats of the web chat."""

from __future__ import annotations

import pytest

from bot.platforms.web import wire
from bot.platforms.web.feed import News


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("小墨", "小墨"),
        ("  Ann Lee ", "Ann Lee"),
        ("ｍｏｑｉ", "moqi"),
        ("😀", "😀"),
        ("x" * 32, "x" * 32),
        ("x" * 33, None),
        ("", None),
        (" \u3000 ", None),
        ("a\tb", None),
        ("a\u200bb", None),
        ("\u202eadmin", None),
        ("\ud800", None),
    ],
)
def test_names(text: str, name: str | None) -> None:
    assert wire.chosen_name(text) == name


def test_an_event_of_the_stream_is_one_line_of_data_whatever_it_says() -> None:
    text = wire.server_sent(News(event="delta", data={"text": "一\n\nevent: x\r\n\u2028"}))
    assert text.endswith("\n\n")
    name, data = text.removesuffix("\n\n").split("\n")
    assert name == "event: delta"
    assert data.startswith("data: ")
    assert "\r" not in data
