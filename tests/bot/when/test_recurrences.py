"""Recurrences against the rules they mean, as tables. It is Wednesday, 18 November 2026, 10:17 in Shanghai."""

from __future__ import annotations

from datetime import date, datetime, time
from zoneinfo import ZoneInfo

import pytest

from bot.commands.when import Problem, parse_recurrence
from scheduler.calendar import (
    EveryCron,
    EveryDay,
    EveryInterval,
    EveryMonth,
    EveryWeek,
    EveryWorkday,
    Rule,
    next_after,
    upcoming,
)

SHANGHAI = ZoneInfo("Asia/Shanghai")
NOW = datetime(2026, 11, 18, 10, 17, tzinfo=SHANGHAI)
MIDNIGHT = datetime(2026, 11, 18, tzinfo=SHANGHAI)


def times(*texts: str) -> tuple[time, ...]:
    return tuple(time.fromisoformat(text) for text in texts)


def daily(*texts: str, step: int = 1, start: date | None = None) -> EveryDay:
    return EveryDay(times=times(*texts), step=step, start=start)


def weekly(weekdays: str, *texts: str, step: int = 1, start: date | None = None) -> EveryWeek:
    """Monday is 1 here, as people count."""
    return EveryWeek(weekdays=tuple(int(c) - 1 for c in weekdays), times=times(*texts), step=step, start=start)


def worked(*texts: str) -> EveryWorkday:
    return EveryWorkday(times=times(*texts))


def monthly(days: tuple[int, ...], *texts: str) -> EveryMonth:
    return EveryMonth(days=days, times=times(*texts))


def every(minutes: int) -> EveryInterval:
    return EveryInterval(minutes=minutes, start=MIDNIGHT)


def cron(expression: str) -> EveryCron:
    return EveryCron(expression=expression)


RULES: list[tuple[str, Rule]] = [
    # days
    ("每天22:00", daily("22:00")),
    ("每日 早上8点", daily("08:00")),
    ("每天", daily("09:00")),
    ("每天9点和18点", daily("09:00", "18:00")),
    ("每天 9:00、12:30、18:00", daily("09:00", "12:30", "18:00")),
    ("每天早上8点和晚上8点", daily("08:00", "20:00")),
    ("每天下午2点和4点", daily("14:00", "16:00")),
    ("每天早上9点和18点", daily("09:00", "18:00")),
    ("每天18点和9点", daily("09:00", "18:00")),
    ("每天8、12、18点", daily("08:00", "12:00", "18:00")),
    ("每天8/12/18点", daily("08:00", "12:00", "18:00")),
    ("每天中午", daily("12:00")),
    ("每天8点", daily("08:00")),
    ("每晚10点", daily("22:00")),
    ("每晚", daily("20:00")),
    ("每晚12点", daily("00:00")),
    ("每天早上", daily("09:00")),
    ("每早7点半", daily("07:30")),
    ("天天 9:00", daily("09:00")),
    ("每天凌晨3点", daily("03:00")),
    ("每天的9:00", daily("09:00")),
    ("daily 22:00", daily("22:00")),
    ("every day at 9 and 18:00", daily("09:00", "18:00")),
    ("Every Day at 9am, 6pm", daily("09:00", "18:00")),
    ("everyday at noon", daily("12:00")),
    ("9am every day", daily("09:00")),
    ("every morning at 7:30", daily("07:30")),
    ("every night at 10", daily("22:00")),
    ("nightly", daily("20:00")),
    ("隔天", daily("09:00", step=2, start=date(2026, 11, 19))),
    ("隔天 22:00", daily("22:00", step=2, start=date(2026, 11, 18))),
    ("隔日9点", daily("09:00", step=2, start=date(2026, 11, 19))),
    ("每隔一天 9:00", daily("09:00", step=2, start=date(2026, 11, 19))),
    ("每隔两天 9:00", daily("09:00", step=3, start=date(2026, 11, 19))),
    ("每三天 9:00", daily("09:00", step=3, start=date(2026, 11, 19))),
    ("每3天早上8点", daily("08:00", step=3, start=date(2026, 11, 19))),
    ("every 3 days at 9am", daily("09:00", step=3, start=date(2026, 11, 19))),
    ("every other day at 9am", daily("09:00", step=2, start=date(2026, 11, 19))),
    # working days and weekdays
    ("工作日9:00", worked("09:00")),
    ("工作日每天9点", worked("09:00")),
    ("每个工作日", worked("09:00")),
    ("每工作日上午十点", worked("10:00")),
    ("法定工作日", worked("09:00")),
    ("法定工作日 8:30", worked("08:30")),
    ("every working day at 9", worked("09:00")),
    ("business days 9am", worked("09:00")),
    ("weekdays 9:00", weekly("12345", "09:00")),
    ("every weekday at 9", weekly("12345", "09:00")),
    ("周一到周五 9:00", weekly("12345", "09:00")),
    ("每周一至五 9:00", weekly("12345", "09:00")),
    ("mon-fri 9:00", weekly("12345", "09:00")),
    ("monday to friday at 9am", weekly("12345", "09:00")),
    ("周末10点", weekly("67", "10:00")),
    ("每个周末 10:00", weekly("67", "10:00")),
    ("weekends at 10am", weekly("67", "10:00")),
    # weeks
    ("每周一三五 9:00", weekly("135", "09:00")),
    ("每周一、周三", weekly("13", "09:00")),
    ("每周一和周四18:00", weekly("14", "18:00")),
    ("每星期二下午3点", weekly("2", "15:00")),
    ("每个礼拜天 20:00", weekly("7", "20:00")),
    ("每逢周五", weekly("5", "09:00")),
    ("每个周三", weekly("3", "09:00")),
    ("周二、周四 9点", weekly("24", "09:00")),
    ("每周五到周日 9:00", weekly("567", "09:00")),
    ("每周六至周一 9:00", weekly("167", "09:00")),
    ("每周5 18:00", weekly("5", "18:00")),
    ("每周 9:00", weekly("3", "09:00")),
    ("每周五晚上12点", weekly("6", "00:00")),
    ("每週一 9:00", weekly("1", "09:00")),
    ("每两周周一", weekly("1", "09:00", step=2, start=date(2026, 11, 23))),
    ("每两周的周一 9:00", weekly("1", "09:00", step=2, start=date(2026, 11, 23))),
    ("每2周周三 22:00", weekly("3", "22:00", step=2, start=date(2026, 11, 18))),
    ("隔周周五 18:00", weekly("5", "18:00", step=2, start=date(2026, 11, 20))),
    ("每隔一周周五", weekly("5", "09:00", step=2, start=date(2026, 11, 20))),
    ("every monday and thursday 18:00", weekly("14", "18:00")),
    ("every Mon, Wed and Fri at 9am", weekly("135", "09:00")),
    ("mondays at 9am", weekly("1", "09:00")),
    ("weekly on friday at 5pm", weekly("5", "17:00")),
    ("every 2 weeks on monday 9:00", weekly("1", "09:00", step=2, start=date(2026, 11, 23))),
    ("every other friday 18:00", weekly("5", "18:00", step=2, start=date(2026, 11, 20))),
    ("biweekly on monday", weekly("1", "09:00", step=2, start=date(2026, 11, 23))),
    # months and years
    ("每月1号和15号", monthly((1, 15), "09:00")),
    ("每月1、15号 10:00", monthly((1, 15), "10:00")),
    ("每个月10日下午2点", monthly((10,), "14:00")),
    ("每月最后一天", monthly((-1,), "09:00")),
    ("每月最后一天 18:00", monthly((-1,), "18:00")),
    ("每月底 18:00", monthly((-1,), "18:00")),
    ("每月1号到3号", monthly((1, 2, 3), "09:00")),
    ("每月31号", monthly((31,), "09:00")),
    ("每月十五号晚上八点", monthly((15,), "20:00")),
    ("monthly on the 1st", monthly((1,), "09:00")),
    ("monthly on the 1st and 15th at noon", monthly((1, 15), "12:00")),
    ("every month on the last day 18:00", monthly((-1,), "18:00")),
    ("on the 1st of every month at 9am", monthly((1,), "09:00")),
    ("每月第一个周一 10:00", cron("0 10 * * 1#1")),
    ("每月最后一个星期天", cron("0 9 * * 7L")),
    ("the second friday of every month at 5pm", cron("0 17 * * 5#2")),
    ("每年12月25日 20:00", cron("0 20 25 12 *")),
    ("every year on dec 25", cron("0 9 25 12 *")),
    # intervals, counted from midnight
    ("每小时", every(60)),
    ("每个小时", every(60)),
    ("每30分钟", every(30)),
    ("每半小时", every(30)),
    ("每半个小时", every(30)),
    ("每隔2小时", every(120)),
    ("每两个小时", every(120)),
    ("每一刻钟", every(15)),
    ("hourly", every(60)),
    ("every hour", every(60)),
    ("every 30 minutes", every(30)),
    ("every 2h", every(120)),
    ("every half hour", every(30)),
    ("every 1.5 hours", every(90)),
    # cron
    ("0 9 * * 1-5", cron("0 9 * * 1-5")),
    ("*/30 9-18 * * mon-fri", cron("*/30 9-18 * * mon-fri")),
    ("0 9 1 * mon", cron("0 9 1 * mon")),
    ("0 0 l * *", cron("0 0 l * *")),
    ("cron: 0 9 * * 7", cron("0 9 * * 7")),
    ("`0 9,18 * * *`", cron("0 9,18 * * *")),
]


@pytest.mark.parametrize(("phrase", "expected"), RULES, ids=[row[0] for row in RULES])
def test_a_phrase_means_a_rule(phrase: str, expected: Rule) -> None:
    found = parse_recurrence(phrase, NOW, SHANGHAI)
    assert found == expected
    assert next_after(expected, NOW, SHANGHAI)


WRONG: list[tuple[str, str]] = [
    ("", "recurrence_missing"),
    ("明天9:00", "recurrence_once"),
    ("周三 9:00", "recurrence_once"),
    ("next monday 8:30", "recurrence_once"),
    ("in 2h", "recurrence_once"),
    ("一只猫", "recurrence_unreadable"),
    ("每", "recurrence_unreadable"),
    ("每天 一只猫", "recurrence_unreadable"),
    ("每小时 9:00", "recurrence_unreadable"),
    ("工作日晚上12点", "recurrence_next_day"),
    ("每月1号24:00", "recurrence_next_day"),
    ("每周五晚上8点和12点", "recurrence_next_day"),
    ("每年12月25日 9:00、10:30", "recurrence_unreadable"),
    ("每0天", "recurrence_too_often"),
    ("每999天", "recurrence_unreadable"),
    ("每90周周一", "recurrence_unreadable"),
    ("every so often", "recurrence_unreadable"),
    ("每天25:00", "time_impossible"),
    ("每天早上15点", "time_impossible"),
    ("每月32号", "date_impossible"),
    ("每年2月30日", "date_impossible"),
    ("每分钟", "recurrence_too_often"),
    ("每3分钟", "recurrence_too_often"),
    ("every minute", "recurrence_too_often"),
    ("每天9:00、9:02", "recurrence_too_often"),
    ("* * * * *", "recurrence_too_often"),
    ("*/2 9 * * *", "recurrence_too_often"),
    ("0,58 * * * *", "recurrence_too_often"),
    ("0 9 30 2 *", "cron_wrong"),
    ("61 9 * * *", "cron_wrong"),
    ("0 25 * * *", "cron_wrong"),
    ("0 9 * *", "cron_wrong"),
    ("0 9 * * * *", "cron_wrong"),
    ("0 9 * * 8", "cron_wrong"),
    ("0 9 * * fri-mon", "cron_wrong"),
    ("0 9 */20 * 1l", "recurrence_never"),
]


@pytest.mark.parametrize(("phrase", "code"), WRONG)
def test_what_is_wrong_is_named(phrase: str, code: str) -> None:
    found = parse_recurrence(phrase, NOW, SHANGHAI)
    assert isinstance(found, Problem), found
    assert found.code == code


def test_a_small_bare_hour_is_a_question_about_rules() -> None:
    found = parse_recurrence("每天3点", NOW, SHANGHAI)
    assert isinstance(found, Problem)
    assert found.code == "recurrence_ambiguous"
    assert found.rules == (daily("03:00"), daily("15:00"))
    assert found.instants == tuple(next_after(rule, NOW, SHANGHAI) for rule in found.rules)


def test_a_second_hour_that_goes_back_is_no_longer_in_the_morning() -> None:
    found = parse_recurrence("每天早上9点和3点", NOW, SHANGHAI)
    assert isinstance(found, Problem)
    assert found.rules == (daily("03:00", "09:00"), daily("09:00", "15:00"))


def test_whose_working_days_is_a_setting() -> None:
    assert parse_recurrence("工作日9:00", NOW, SHANGHAI, country="none") == EveryWorkday(
        times=times("09:00"), country="none"
    )


def test_the_first_firing_of_every_second_week_is_the_next_one() -> None:
    rule = parse_recurrence("每两周周三 9:00", NOW, SHANGHAI)
    assert isinstance(rule, EveryWeek)
    days = [moment.astimezone(SHANGHAI).date() for moment in upcoming(rule, NOW, SHANGHAI, 3)]
    assert days == [date(2026, 11, 25), date(2026, 12, 9), date(2026, 12, 23)]


def test_every_hour_is_on_the_hour() -> None:
    rule = parse_recurrence("每小时", NOW, SHANGHAI)
    assert not isinstance(rule, Problem)
    assert next_after(rule, NOW, SHANGHAI) == datetime(2026, 11, 18, 11, tzinfo=SHANGHAI)
