"""A time before other text: how much of it is the time. And windows of the day."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.commands.when import (
    At,
    Problem,
    parse_recurrence,
    parse_time,
    parse_window,
    recurrence_length,
    take_recurrence,
    take_time,
    take_window,
    time_length,
    window_length,
)
from scheduler.calendar import EveryWorkday, Window, next_after, window_from_text

SHANGHAI = ZoneInfo("Asia/Shanghai")
NOW = datetime(2026, 11, 18, 10, 17, tzinfo=SHANGHAI)

#: Text, the time at its beginning, the rest.
TAKEN: list[tuple[str, str, str]] = [
    ("明天9:00 画 一只猫", "明天9:00", "画 一只猫"),
    ("明天9:00画一只猫", "明天9:00", "画一只猫"),
    ("明天9点画一只猫", "明天9点", "画一只猫"),
    ("今晚10点，画海报", "今晚10点", "画海报"),
    ("明天 画一只猫", "明天", "画一只猫"),
    ("下周一 8:30 周报配图", "下周一 8:30", "周报配图"),
    ("明天9点半 半身像", "明天9点半", "半身像"),
    ("明天9点半身像", "明天9点", "半身像"),
    ("明天9点20张海报", "明天9点", "20张海报"),
    ("明天9点一只猫", "明天9点", "一只猫"),
    ("明天9点二十只猫", "明天9点", "二十只猫"),
    ("明天下午茶海报", "明天", "下午茶海报"),
    ("三天后天空下的猫", "三天后", "天空下的猫"),
    ("2h后 画猫", "2h后", "画猫"),
    ("明天９：００　画猫", "明天９：００", "画猫"),
    ("tomorrow 9am a cat", "tomorrow 9am", "a cat"),
    ("tomorrow at 9 a cat", "tomorrow at 9", "a cat"),
    ("tomorrow a cat at night", "tomorrow", "a cat at night"),
    ("tomorrow 3 cats", "tomorrow", "3 cats"),
    ("in 2h a cat", "in 2h", "a cat"),
    ("in 2 hours 3 cats", "in 2 hours", "3 cats"),
    ("in 2 hats", "", ""),
    ("9am sun over the sea", "9am", "sun over the sea"),
    ("9am on sunday a cat", "9am on sunday", "a cat"),
    ("next monday 8:30 --n 2", "next monday 8:30", "--n 2"),
    ("dec 25 8pm a tree", "dec 25 8pm", "a tree"),
    ("tomorrow 9ambitious cats", "tomorrow", "9ambitious cats"),
    ("noonday", "", ""),
    ("22:00cats", "", ""),
    ("12月25cats", "", ""),
    ("一只猫 明天9:00", "", ""),
    ("a cat", "", ""),
    ("", "", ""),
    ("today: a cat", "today", "a cat"),
]


@pytest.mark.parametrize(("text", "said", "rest"), TAKEN)
def test_the_longest_time_is_taken(text: str, said: str, rest: str) -> None:
    taken = take_time(text, NOW, SHANGHAI)
    if not said:
        assert taken is None
        assert time_length(text) == 0
        return
    assert taken
    assert (taken.said, taken.rest) == (said, rest)
    assert taken.value == parse_time(said, NOW, SHANGHAI)
    assert text[: time_length(text)].strip() == said


REPEATS: list[tuple[str, str, str]] = [
    ("工作日9:00 每日早安图", "工作日9:00", "每日早安图"),
    ("weekdays 9:00 a poster", "weekdays 9:00", "a poster"),
    ("每周一三五 9:00 画猫", "每周一三五 9:00", "画猫"),
    ("每周一个海报", "每周", "一个海报"),
    ("每天 一只猫", "每天", "一只猫"),
    ("每天9点和猫", "每天9点", "和猫"),
    ("0 9 * * 1-5 a cat", "0 9 * * 1-5", "a cat"),
    ("every monday and a cat", "every monday", "and a cat"),
    ("every 2 weeks on monday 9:00 --n 2", "every 2 weeks on monday 9:00", "--n 2"),
    ("every cat", "", ""),
    ("daily 22:00cats", "", ""),
    ("weekdaysish", "", ""),
]


@pytest.mark.parametrize(("text", "said", "rest"), REPEATS)
def test_the_longest_recurrence_is_taken(text: str, said: str, rest: str) -> None:
    taken = take_recurrence(text, NOW, SHANGHAI)
    if not said:
        assert taken is None
        return
    assert taken
    assert (taken.said, taken.rest) == (said, rest)
    assert taken.value == parse_recurrence(said, NOW, SHANGHAI)
    assert text[: recurrence_length(text)].strip() == said


def test_settings_reach_a_taken_recurrence() -> None:
    taken = take_recurrence("工作日9:00 画", NOW, SHANGHAI, country="none")
    assert taken
    assert isinstance(taken.value, EveryWorkday)
    assert taken.value.country == "none"


def test_a_problem_is_taken_too() -> None:
    taken = take_time("今天9:00 画", NOW, SHANGHAI)
    assert taken
    assert isinstance(taken.value, Problem)
    assert (taken.value.code, taken.rest) == ("time_past", "画")


WINDOWS: list[tuple[str, str]] = [
    ("22:00–06:00", "22:00-06:00"),
    ("22:00-06:00", "22:00-06:00"),
    ("22：00～06：00", "22:00-06:00"),
    ("22点到6点", "22:00-06:00"),
    ("晚上10点到早上6点", "22:00-06:00"),
    ("从晚上10点到次日", ""),
    ("晚上8点到10点", "20:00-22:00"),
    ("晚上8点到12点", "20:00-24:00"),
    ("下午2点半至5点之间", "14:30-17:00"),
    ("22點至6點", "22:00-06:00"),
    ("10pm to 6am", "22:00-06:00"),
    ("from 10pm until 6am", "22:00-06:00"),
    ("between noon and 2pm", "12:00-14:00"),
    ("22:00-24:00", "22:00-24:00"),
    ("25:00-06:00", ""),
    ("22:00", ""),
    ("一只猫", ""),
    ("", ""),
]


@pytest.mark.parametrize(("text", "expected"), WINDOWS)
def test_a_window_is_read(text: str, expected: str) -> None:
    found = parse_window(text)
    if expected:
        assert found == window_from_text(expected)
    else:
        assert found == Problem(code="window_unreadable", values={"given": text})


def test_a_window_is_taken() -> None:
    taken = take_window("22:00-06:00 画一只猫")
    assert taken
    assert (taken.value, taken.rest) == (window_from_text("22:00-06:00"), "画一只猫")
    assert window_length("22:00 画") == 0


SAID = """
    今天 明 天 早 晚上 下午 10 9 点 半 分 : 00 周 一 每 两 个 小时 后 月 号 底 - / , 的 到 凌晨 12 0
    tomorrow at in next monday am pm every other week day 2h noon * */5 1-5 t z +08:00 2026 25 dec
"""
WORDS = SAID.split()


@given(st.lists(st.sampled_from([*WORDS, " "]), max_size=12).map("".join) | st.text(max_size=40))
def test_nothing_said_breaks_the_parser(text: str) -> None:
    one, every = parse_time(text, NOW, SHANGHAI), parse_recurrence(text, NOW, SHANGHAI)
    assert not isinstance(one, At) or one.at > NOW
    assert isinstance(every, Problem) or next_after(every, NOW, SHANGHAI)
    assert isinstance(parse_window(text), Window | Problem)
    for length in (time_length(text), recurrence_length(text), window_length(text)):
        assert 0 <= length <= len(text)
