"""What each answer of WeCom's API means for the app."""

from __future__ import annotations

import pytest

from bot.platforms.base import PlatformError, Retry, Unconfigured, Undelivered
from bot.platforms.wecom.app.codes import CODES, UNREACHED, Answer, Busy, MediaGone, Verdict, error_of

HINT = "not allow to access from your ip, hint: [1763780000], from ip: 203.0.113.7, more info at https://x.example"


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (None, Retry),  # nobody knows what was done
        (-1, Retry),
        (40001, Unconfigured),
        (40013, Unconfigured),
        (40125, Unconfigured),
        (40014, Unconfigured),  # refused although just renewed
        (42001, Unconfigured),
        (41001, Unconfigured),
        (40003, Undelivered),
        (60111, Undelivered),
        (81013, Undelivered),
        (82001, Undelivered),
        (40004, Undelivered),
        (40005, Undelivered),
        (40006, Undelivered),
        (40007, MediaGone),
        (40008, Undelivered),
        (40029, Undelivered),
        (40033, Undelivered),
        (40058, Undelivered),
        (45002, Undelivered),
        (44001, Undelivered),
        (44004, Undelivered),
        (45009, Busy),
        (45033, Busy),
        (48002, Unconfigured),
        (50001, Unconfigured),
        (50002, Undelivered),
        (50003, Unconfigured),
        (60011, Undelivered),
        (60020, Unconfigured),
        (80001, Unconfigured),
        (85005, Unconfigured),
        (86003, Undelivered),
        (424242, Undelivered),  # whoever answered understood the call and refused it
    ],
)
def test_meaning(code: int | None, kind: type[PlatformError]) -> None:
    answer = Answer(code=code, body={"errmsg": "as WeCom says it"})
    assert not answer.ok
    error = error_of(answer, "message/send")
    assert type(error) is kind
    assert error.code == code
    assert "message/send" in str(error)


def test_a_limit_lasts_for_about_its_window() -> None:
    error = error_of(Answer(code=45009, body={}), "message/send")
    assert isinstance(error, Busy)
    assert error.after == 60.0


@pytest.mark.parametrize(
    ("errmsg", "seen"),
    [(HINT, "203.0.113.7"), (HINT.replace("203.0.113.7", "2001:db8::7"), "2001:db8::7"), ("no", "(see what it said)")],
)
def test_an_address_that_is_not_trusted_is_named_with_the_place_to_enter_it(errmsg: str, seen: str) -> None:
    text = str(error_of(Answer(code=60020, body={"errmsg": errmsg}), "user/get"))
    assert f"this machine's address {seen} is not among" in text
    assert "企业可信IP" in text


def test_every_code_for_the_operator_says_where_to_set_it_right() -> None:
    for code, (verdict, meaning) in CODES.items():
        if verdict is Verdict.OPERATOR and code != 60020:
            assert "wecom.app." in meaning or "管理后台" in meaning, code


def test_whoever_is_out_of_reach_gets_nothing_by_trying_again() -> None:
    assert {CODES[code][0] for code in UNREACHED} == {Verdict.NEVER}
