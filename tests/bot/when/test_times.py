"""Phrases about one time against the instants they mean, as tables. It is Wednesday, 18 November 2026, 10:17."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from bot.commands.when import At, Problem, parse_time

SHANGHAI = ZoneInfo("Asia/Shanghai")
NEW_YORK = ZoneInfo("America/New_York")
NOW = datetime(2026, 11, 18, 10, 17, tzinfo=SHANGHAI)


def shown(moment: datetime, zone: ZoneInfo = SHANGHAI) -> str:
    form = "%Y-%m-%d %H:%M:%S" if moment.second else "%Y-%m-%d %H:%M"
    return moment.astimezone(zone).strftime(form)


def at(hour: int, minute: int = 0, day: int = 18) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=SHANGHAI)


#: Phrase, the local time it means, what the card should add.
TIMES: list[tuple[str, str, tuple[str, ...]]] = [
    # today and the days after
    ("今晚10点", "2026-11-18 22:00", ()),
    ("今晚十点半", "2026-11-18 22:30", ()),
    ("今晚上8点", "2026-11-18 20:00", ()),
    ("今晚", "2026-11-18 20:00", ("default_time",)),
    ("今天下午3点", "2026-11-18 15:00", ()),
    ("今天 22:00", "2026-11-18 22:00", ()),
    ("今日18:00", "2026-11-18 18:00", ()),
    ("今天11点", "2026-11-18 11:00", ()),
    ("今天9点", "2026-11-18 21:00", ()),
    ("今天3点", "2026-11-18 15:00", ()),
    ("今天", "2026-11-18 11:00", ("default_time",)),
    ("明早九点", "2026-11-19 09:00", ()),
    ("明早", "2026-11-19 09:00", ("default_time",)),
    ("明晚8点", "2026-11-19 20:00", ()),
    ("明晚八点一刻", "2026-11-19 20:15", ()),
    ("明天9:00", "2026-11-19 09:00", ()),
    ("明天9点", "2026-11-19 09:00", ()),
    ("明天早8点", "2026-11-19 08:00", ()),
    ("明天", "2026-11-19 09:00", ("default_time",)),
    ("明天下午", "2026-11-19 15:00", ("default_time",)),
    ("明天上午十点", "2026-11-19 10:00", ()),
    ("明天12点", "2026-11-19 12:00", ()),
    ("明天0点", "2026-11-19 00:00", ()),
    ("明天24点", "2026-11-20 00:00", ()),
    ("明天15点20", "2026-11-19 15:20", ()),
    ("明天 9 点 05 分", "2026-11-19 09:05", ()),
    ("明天九点零五分", "2026-11-19 09:05", ()),
    ("明天十点二十五", "2026-11-19 10:25", ()),
    ("后天下午三点半", "2026-11-20 15:30", ()),
    ("后天", "2026-11-20 09:00", ("default_time",)),
    ("大后天", "2026-11-21 09:00", ("default_time",)),
    ("大后天晚上七点三刻", "2026-11-21 19:45", ()),
    # small hours and midnights
    ("凌晨1点", "2026-11-19 01:00", ("next_day",)),
    ("明天凌晨1点", "2026-11-19 01:00", ()),
    ("今晚1点", "2026-11-19 01:00", ()),
    ("今晚凌晨1点", "2026-11-19 01:00", ()),
    ("今晚半夜12点", "2026-11-19 00:00", ()),
    ("明晚1点", "2026-11-20 01:00", ()),
    ("今晚12点", "2026-11-19 00:00", ()),
    ("今晚十二点", "2026-11-19 00:00", ()),
    ("晚上12点", "2026-11-19 00:00", ()),
    ("周五晚上12点", "2026-11-21 00:00", ()),
    ("半夜两点", "2026-11-19 02:00", ("next_day",)),
    ("今天半夜2点", "2026-11-19 02:00", ()),
    ("午夜", "2026-11-19 00:00", ()),
    ("零点", "2026-11-19 00:00", ()),
    ("24:00", "2026-11-19 00:00", ()),
    # no day
    ("22:00", "2026-11-18 22:00", ()),
    ("22点", "2026-11-18 22:00", ()),
    ("22时30分", "2026-11-18 22:30", ()),
    ("晚上10点", "2026-11-18 22:00", ()),
    ("晚上10:30", "2026-11-18 22:30", ()),
    ("晚10点", "2026-11-18 22:00", ()),
    ("中午12点", "2026-11-18 12:00", ()),
    ("12点", "2026-11-18 12:00", ()),
    ("12点半", "2026-11-18 12:30", ()),
    ("中午", "2026-11-18 12:00", ("default_time",)),
    ("中午1点", "2026-11-18 13:00", ()),
    ("正午", "2026-11-18 12:00", ("default_time",)),
    ("下午6点", "2026-11-18 18:00", ()),
    ("3点", "2026-11-18 15:00", ()),
    ("at 5", "2026-11-18 17:00", ()),
    ("傍晚", "2026-11-18 18:00", ("default_time",)),
    ("明天凌晨", "2026-11-19 02:00", ("default_time",)),
    ("傍晚6点", "2026-11-18 18:00", ()),
    ("下午15:30", "2026-11-18 15:30", ()),
    ("11点", "2026-11-18 11:00", ()),
    ("8:30", "2026-11-19 08:30", ("next_day",)),
    ("早上8点", "2026-11-19 08:00", ("next_day",)),
    ("上午9点钟", "2026-11-19 09:00", ("next_day",)),
    ("08:00:30", "2026-11-19 08:00:30", ("next_day",)),
    # weekdays
    ("下周一 8:30", "2026-11-23 08:30", ()),
    ("下个星期一早上8点半", "2026-11-23 08:30", ()),
    ("下周三", "2026-11-25 09:00", ("default_time",)),
    ("下下周五", "2026-12-04 09:00", ("default_time",)),
    ("下下个周五 18:00", "2026-12-04 18:00", ()),
    ("这周六", "2026-11-21 09:00", ("default_time",)),
    ("本周日 20:00", "2026-11-22 20:00", ()),
    ("周日", "2026-11-22 09:00", ("default_time",)),
    ("周三 22:00", "2026-11-18 22:00", ()),
    ("周三 9:00", "2026-11-25 09:00", ()),
    ("周二10点", "2026-11-24 10:00", ()),
    ("星期天下午2点", "2026-11-22 14:00", ()),
    ("礼拜三12点", "2026-11-18 12:00", ()),
    ("礼拜五的晚上9点", "2026-11-20 21:00", ()),
    ("周5 9:00", "2026-11-20 09:00", ()),
    # dates
    ("月底", "2026-11-30 09:00", ("default_time",)),
    ("月底 18:00", "2026-11-30 18:00", ()),
    ("本月底", "2026-11-30 09:00", ("default_time",)),
    ("下个月底", "2026-12-31 09:00", ("default_time",)),
    ("11月底", "2026-11-30 09:00", ("default_time",)),
    ("本月最后一天 18:00", "2026-11-30 18:00", ()),
    ("11月19日（周四）9:00", "2026-11-19 09:00", ()),
    ("明天(Thu) 9:00", "2026-11-19 09:00", ()),
    ("下月初", "2026-12-01 09:00", ("default_time",)),
    ("年底", "2026-12-31 09:00", ("default_time",)),
    ("下个月1号", "2026-12-01 09:00", ("default_time",)),
    ("下月十五号下午四点", "2026-12-15 16:00", ()),
    ("25号", "2026-11-25 09:00", ("default_time",)),
    ("5号 20:00", "2026-12-05 20:00", ()),
    ("31号", "2026-12-31 09:00", ("default_time",)),
    ("12月25日 20:00", "2026-12-25 20:00", ()),
    ("十二月二十五号晚上八点", "2026-12-25 20:00", ()),
    ("12月25号", "2026-12-25 09:00", ("default_time",)),
    ("1月1日 0点", "2027-01-01 00:00", ()),
    ("11月18日 9:00", "2027-11-18 09:00", ()),
    ("明年1月15日 9:30", "2027-01-15 09:30", ()),
    ("2026年12月25日上午8点", "2026-12-25 08:00", ()),
    ("2026-12-25 08:00", "2026-12-25 08:00", ()),
    ("2026/12/25", "2026-12-25 09:00", ("default_time",)),
    ("2026.12.25 8:05", "2026-12-25 08:05", ()),
    ("12/25 20:00", "2026-12-25 20:00", ()),
    ("25/12 20:00", "2026-12-25 20:00", ()),
    ("2026-12-25T08:00:00+08:00", "2026-12-25 08:00", ()),
    ("2026-12-25T00:00:00Z", "2026-12-25 08:00", ()),
    ("2026-12-25T08:00", "2026-12-25 08:00", ()),
    ("2026-12-25t00:00z", "2026-12-25 08:00", ()),
    ("2026-12-25 08:00:00+08:00", "2026-12-25 08:00", ()),
    ("2026-12-25 08:00 +0000", "2026-12-25 16:00", ()),
    # from now
    ("半小时后", "2026-11-18 10:47", ()),
    ("半个小时后", "2026-11-18 10:47", ()),
    ("2h后", "2026-11-18 12:17", ()),
    ("2H 后", "2026-11-18 12:17", ()),
    ("90分钟后", "2026-11-18 11:47", ()),
    ("两个半小时后", "2026-11-18 12:47", ()),
    ("一个半小时以后", "2026-11-18 11:47", ()),
    ("1.5小时后", "2026-11-18 11:47", ()),
    ("2小时30分钟后", "2026-11-18 12:47", ()),
    ("一刻钟后", "2026-11-18 10:32", ()),
    ("三刻钟之后", "2026-11-18 11:02", ()),
    ("过两个小时", "2026-11-18 12:17", ()),
    ("三天后", "2026-11-21 10:17", ()),
    ("三天后下午3点", "2026-11-21 15:00", ()),
    ("两周后", "2026-12-02 10:17", ()),
    ("一个月后", "2026-12-18 10:17", ()),
    ("一年后", "2027-11-18 10:17", ()),
    ("30秒后", "2026-11-18 10:17:30", ()),
    # traditional characters, full width, capitals, blanks
    ("後天下午三點半", "2026-11-20 15:30", ()),
    ("下週一 8:30", "2026-11-23 08:30", ()),
    ("下個月1號", "2026-12-01 09:00", ("default_time",)),
    ("兩個半小時後", "2026-11-18 12:47", ()),
    ("禮拜三22點", "2026-11-18 22:00", ()),
    ("明天９：００", "2026-11-19 09:00", ()),
    ("２０２６－１２－２５　０８：００", "2026-12-25 08:00", ()),
    ("  明天   9:00  ", "2026-11-19 09:00", ()),
    ("明天，9:00。", "2026-11-19 09:00", ()),
    ("TOMORROW 9AM", "2026-11-19 09:00", ()),
    # English
    ("tomorrow 9am", "2026-11-19 09:00", ()),
    ("tomorrow at 9", "2026-11-19 09:00", ()),
    ("9am tomorrow", "2026-11-19 09:00", ()),
    ("tomorrow", "2026-11-19 09:00", ("default_time",)),
    ("tmr 21:30", "2026-11-19 21:30", ()),
    ("tomorrow morning", "2026-11-19 09:00", ("default_time",)),
    ("tomorrow morning at 7:15", "2026-11-19 07:15", ()),
    ("tomorrow at half past nine", "2026-11-19 09:30", ()),
    ("day after tomorrow 8am", "2026-11-20 08:00", ()),
    ("tonight", "2026-11-18 20:00", ("default_time",)),
    ("tonight at 10", "2026-11-18 22:00", ()),
    ("tonight 10:30", "2026-11-18 22:30", ()),
    ("this afternoon at 4", "2026-11-18 16:00", ()),
    ("at 4 in the afternoon", "2026-11-18 16:00", ()),
    ("noon", "2026-11-18 12:00", ()),
    ("midnight", "2026-11-19 00:00", ()),
    ("10pm", "2026-11-18 22:00", ()),
    ("10 p.m.", "2026-11-18 22:00", ()),
    ("10:30 PM", "2026-11-18 22:30", ()),
    ("12am", "2026-11-19 00:00", ()),
    ("12pm", "2026-11-18 12:00", ()),
    ("at 22:00", "2026-11-18 22:00", ()),
    ("11 o'clock", "2026-11-18 11:00", ()),
    ("next monday 8:30", "2026-11-23 08:30", ()),
    ("monday at 9am", "2026-11-23 09:00", ()),
    ("on friday at 6pm", "2026-11-20 18:00", ()),
    ("this Friday 18:00", "2026-11-20 18:00", ()),
    ("fri 18:00", "2026-11-20 18:00", ()),
    ("next wednesday 9am", "2026-11-25 09:00", ()),
    ("dec 25 8pm", "2026-12-25 20:00", ()),
    ("December 25th, 2026 at 8pm", "2026-12-25 20:00", ()),
    ("25 Dec 20:00", "2026-12-25 20:00", ()),
    ("on the 1st at noon", "2026-12-01 12:00", ()),
    ("the 1st of next month", "2026-12-01 09:00", ("default_time",)),
    ("end of the month", "2026-11-30 09:00", ("default_time",)),
    ("in 2h", "2026-11-18 12:17", ()),
    ("in 90 minutes", "2026-11-18 11:47", ()),
    ("in an hour and a half", "2026-11-18 11:47", ()),
    ("in half an hour", "2026-11-18 10:47", ()),
    ("in two and a half hours", "2026-11-18 12:47", ()),
    ("in 1 hour and 15 minutes", "2026-11-18 11:32", ()),
    ("2h30m from now", "2026-11-18 12:47", ()),
    ("in 3 days", "2026-11-21 10:17", ()),
    ("in 3 days at 9am", "2026-11-21 09:00", ()),
    ("in a week", "2026-11-25 10:17", ()),
    ("two weeks later", "2026-12-02 10:17", ()),
]


@pytest.mark.parametrize(("phrase", "expected", "notes"), TIMES, ids=[row[0] for row in TIMES])
def test_a_phrase_means_an_instant(phrase: str, expected: str, notes: tuple[str, ...]) -> None:
    found = parse_time(phrase, NOW, SHANGHAI)
    assert isinstance(found, At), found
    assert (shown(found.at), found.notes) == (expected, notes)
    assert found.at.tzinfo is UTC


#: Said at another moment: phrase, now, meaning.
MOMENTS: list[tuple[str, datetime, str]] = [
    ("凌晨1点", at(23), "2026-11-19 01:00"),
    ("明天凌晨1点", at(23), "2026-11-19 01:00"),
    ("今晚", at(21, 5), "2026-11-18 22:00"),
    ("今晚1点", at(0, 30), "2026-11-18 01:00"),
    ("今晚12点", at(0, 30), "2026-11-19 00:00"),
    ("今天下午", at(16, 5), "2026-11-18 17:00"),
    ("晚上", at(21, 5), "2026-11-18 22:00"),
    ("晚上", at(23, 5), "2026-11-19 20:00"),
    ("早上", at(15), "2026-11-19 09:00"),
    ("周三17点", at(10), "2026-11-18 17:00"),
    ("周三5点", at(10), "2026-11-18 17:00"),
    ("周三11点", at(10), "2026-11-18 11:00"),
    ("8点", at(7), "2026-11-18 08:00"),
    ("12点", at(14), "2026-11-19 12:00"),
    ("周三 9:00", at(8), "2026-11-18 09:00"),
    ("明天9点", at(2), "2026-11-19 09:00"),
    ("下周一9点", at(10, day=22), "2026-11-23 09:00"),  # a Sunday
    ("next monday 9am", at(10, day=22), "2026-11-23 09:00"),
    ("月底", at(10, 20, day=30), "2026-11-30 11:00"),
    ("2月29日", datetime(2027, 11, 1, 9, tzinfo=SHANGHAI), "2028-02-29 09:00"),
    ("31号", datetime(2027, 2, 1, 9, tzinfo=SHANGHAI), "2027-03-31 09:00"),
    ("一个月后", datetime(2027, 1, 31, 9, tzinfo=SHANGHAI), "2027-02-28 09:00"),
    ("明天", datetime(2026, 12, 31, 9, tzinfo=SHANGHAI), "2027-01-01 09:00"),
    ("下周五", datetime(2026, 12, 30, 9, tzinfo=SHANGHAI), "2027-01-08 09:00"),
]


@pytest.mark.parametrize(("phrase", "now", "expected"), MOMENTS)
def test_the_moment_decides(phrase: str, now: datetime, expected: str) -> None:
    found = parse_time(phrase, now, SHANGHAI)
    assert isinstance(found, At), found
    assert shown(found.at) == expected


def test_tomorrow_said_after_midnight_is_pointed_out() -> None:
    found = parse_time("明天9点", at(2), SHANGHAI)
    assert isinstance(found, At)
    assert found.notes == ("after_midnight",)


#: Phrase, now, the readings.
QUESTIONS: list[tuple[str, datetime, list[str]]] = [
    ("8点", at(21), ["2026-11-19 08:00", "2026-11-19 20:00"]),
    ("8点", at(10), ["2026-11-18 20:00", "2026-11-19 08:00"]),
    ("3点", at(21), ["2026-11-19 03:00", "2026-11-19 15:00"]),
    ("八点半", at(10), ["2026-11-18 20:30", "2026-11-19 08:30"]),
    ("at 8", at(10), ["2026-11-18 20:00", "2026-11-19 08:00"]),
    ("明天3点", at(10), ["2026-11-19 03:00", "2026-11-19 15:00"]),
    ("tomorrow at 6", at(10), ["2026-11-19 06:00", "2026-11-19 18:00"]),
    ("周三9点", at(10), ["2026-11-18 21:00", "2026-11-25 09:00"]),
    ("周五5点", at(10), ["2026-11-20 05:00", "2026-11-20 17:00"]),
    ("next friday 9am", at(10), ["2026-11-20 09:00", "2026-11-27 09:00"]),
    ("周末10点", at(10), ["2026-11-21 10:00", "2026-11-22 10:00"]),
    ("下周末 10:00", at(10), ["2026-11-28 10:00", "2026-11-29 10:00"]),
    ("this weekend at noon", at(10), ["2026-11-21 12:00", "2026-11-22 12:00"]),
    ("明天夜里2点", at(10), ["2026-11-19 02:00", "2026-11-20 02:00"]),
    ("tomorrow midnight", at(10), ["2026-11-19 00:00", "2026-11-20 00:00"]),
    ("周五午夜", at(10), ["2026-11-20 00:00", "2026-11-21 00:00"]),
]


@pytest.mark.parametrize(("phrase", "now", "expected"), QUESTIONS)
def test_what_can_be_two_things_is_a_question(phrase: str, now: datetime, expected: list[str]) -> None:
    found = parse_time(phrase, now, SHANGHAI)
    assert isinstance(found, Problem), found
    assert found.code == "time_ambiguous"
    assert [shown(moment) for moment in found.instants] == expected


#: Phrase, what was asked for, the next same time.
PAST: list[tuple[str, str, str]] = [
    ("今天9:00", "2026-11-18 09:00", "2026-11-19 09:00"),
    ("今早8点", "2026-11-18 08:00", "2026-11-19 08:00"),
    ("今天凌晨1点", "2026-11-18 01:00", "2026-11-19 01:00"),
    ("昨天 20:00", "2026-11-17 20:00", "2026-11-18 20:00"),
    ("yesterday 9am", "2026-11-17 09:00", "2026-11-19 09:00"),
    ("这周一 9:00", "2026-11-16 09:00", "2026-11-23 09:00"),
    ("上周五 9:00", "2026-11-13 09:00", "2026-11-20 09:00"),
    ("2025-12-25 08:00", "2025-12-25 08:00", "2026-11-19 08:00"),
    ("2025-12-25T20:00:00+08:00", "2025-12-25 20:00", "2026-11-18 20:00"),
    ("这个月1号", "2026-11-01 09:00", "2026-11-19 09:00"),
]


def test_a_part_of_today_that_is_over_is_past() -> None:
    found = parse_time("今天上午", at(15), SHANGHAI)
    assert isinstance(found, Problem)
    assert [shown(moment) for moment in found.instants] == ["2026-11-18 09:00", "2026-11-19 09:00"]


@pytest.mark.parametrize(("phrase", "asked", "instead"), PAST)
def test_the_past_comes_with_the_next_same_time(phrase: str, asked: str, instead: str) -> None:
    found = parse_time(phrase, NOW, SHANGHAI)
    assert isinstance(found, Problem), found
    assert (found.code, [shown(moment) for moment in found.instants]) == ("time_past", [asked, instead])


WRONG: list[tuple[str, str]] = [
    ("", "time_missing"),
    ("  。 ", "time_missing"),
    ("25:00", "time_impossible"),
    ("24:30", "time_impossible"),
    ("明天9:75", "time_impossible"),
    ("25点", "time_impossible"),
    ("早上15点", "time_impossible"),
    ("13am", "time_impossible"),
    ("下周", "day_missing"),
    ("下周 9:00", "day_missing"),
    ("next month", "day_missing"),
    ("2月30日", "date_impossible"),
    ("32号", "date_impossible"),
    ("13月1日", "date_impossible"),
    ("2026-02-30 08:00", "date_impossible"),
    ("2026-02-30T08:00:00Z", "date_impossible"),
    ("2026-12-25T08:00+99:00", "time_impossible"),
    ("2026-12-25T25:00", "time_impossible"),
    ("9999-12-31 08:00", "date_impossible"),
    ("feb 30", "date_impossible"),
    ("2028-12-25 08:00", "time_too_far"),
    ("500天后", "time_too_far"),
    ("in 99 months", "time_too_far"),
    ("每天22:00", "time_recurring"),
    ("every monday 9:00", "time_recurring"),
    ("*/30 9-18 * * *", "time_recurring"),
    ("一只猫", "time_unreadable"),
    ("猫 明天9:00", "time_unreadable"),
    ("明天9:00 一只猫", "time_unreadable"),
    ("明天9点前", "time_unreadable"),
    ("9", "time_unreadable"),
    ("0分钟后", "time_unreadable"),
    ("2026-12-25 22:00-06:00", "time_unreadable"),
    ("2小时", "time_unreadable"),
    ("tomorrowish", "time_unreadable"),
    ("9:5", "time_unreadable"),
    ("12:34:56:78", "time_unreadable"),
    ("１２３４５", "time_unreadable"),
    ("十十点", "time_unreadable"),
    ("null", "time_unreadable"),
    ("--at", "time_unreadable"),
    ("😀", "time_unreadable"),
    ("明天明天", "time_unreadable"),
]


@pytest.mark.parametrize(("phrase", "code"), WRONG)
def test_what_is_wrong_is_named(phrase: str, code: str) -> None:
    found = parse_time(phrase, NOW, SHANGHAI)
    assert isinstance(found, Problem), found
    assert found.code == code


def test_what_was_not_understood_is_quoted() -> None:
    found = parse_time("明天 9:00 吧大概", NOW, SHANGHAI)
    assert isinstance(found, Problem)
    assert dict(found.values) == {"given": "明天 9:00 吧大概", "near": "吧大概"}


LONG = [
    "明天" * 5000,
    "9:" * 5000,
    "半" * 5000,
    "1个" * 5000,
    "in " + "an hour and a half and " * 2000,
    "周一、" * 5000,
    "0 " * 5000,
    "1," * 5000,
    " " * 20000 + "明天",
    "每" * 5000,
    "十" * 10000,
    "tomorrow at " * 3000,
    "*/" * 5000,
    "1-" * 5000,
    "\u200b" * 5000,
]


@pytest.mark.parametrize("text", LONG, ids=[text[:8] for text in LONG])
def test_a_text_without_end_is_no_time(text: str) -> None:
    started = datetime.now(UTC)
    assert isinstance(parse_time(text, NOW, SHANGHAI), At | Problem)
    # Not a measurement: a pattern that blows up takes minutes.
    assert datetime.now(UTC) - started < timedelta(seconds=20)


def test_nobody_reads_further_than_a_time_can_be_long() -> None:
    found = parse_time("明天" + " " * 300 + "9:00", NOW, SHANGHAI)
    assert isinstance(found, Problem)
    assert found.code == "time_unreadable"


# --- nights whose clock is set ---


def test_a_time_in_the_gap_is_the_first_moment_after_it() -> None:
    found = parse_time("2027-03-14 02:30", NOW, NEW_YORK)
    assert isinstance(found, At)
    assert (shown(found.at, NEW_YORK), found.notes) == ("2027-03-14 03:00", ("gap_moved",))


def test_a_time_in_the_fold_is_the_first_of_the_two() -> None:
    now = datetime(2026, 10, 31, 12, tzinfo=NEW_YORK)
    found = parse_time("明天凌晨1点半", now, NEW_YORK)
    assert isinstance(found, At)
    assert (found.at, found.notes) == (datetime(2026, 11, 1, 5, 30, tzinfo=UTC), ("fold_first",))


def test_hours_from_now_are_elapsed_and_days_are_the_calendars() -> None:
    now = datetime(2026, 10, 31, 12, tzinfo=NEW_YORK)
    hours, days = parse_time("24小时后", now, NEW_YORK), parse_time("一天后", now, NEW_YORK)
    assert isinstance(hours, At)
    assert isinstance(days, At)
    assert shown(hours.at, NEW_YORK) == "2026-11-01 11:00"
    assert shown(days.at, NEW_YORK) == "2026-11-01 12:00"


def test_the_zone_decides_what_today_is() -> None:
    found = parse_time("tomorrow 9am", datetime(2026, 11, 18, 2, tzinfo=UTC), NEW_YORK)
    assert isinstance(found, At)
    assert shown(found.at, NEW_YORK) == "2026-11-18 09:00"
