"""What each answer of Feishu's API means."""

from __future__ import annotations

import pytest

from bot.platforms.base import PlatformError, Retry, Unconfigured, Undelivered
from bot.platforms.feishu.budget import Budget
from bot.platforms.feishu.codes import Answer, Busy, MessageGone, error_of


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (429, 99991400, Busy),
        (400, 99991400, Busy),
        (200, 99991400, Busy),  # trap 17: the code counts, whatever the status says
        (400, 230020, Busy),  # trap 18: no permission problem
        (400, 11232, Busy),  # trap 28
        (429, 5, Busy),
        (429, None, Busy),
        (400, 230049, Retry),
        (500, 2200, Retry),
        (502, None, Retry),
        (200, None, Retry),
        (200, 424242, Retry),
        (404, None, Undelivered),
        (400, 424242, Undelivered),
        (400, 230011, MessageGone),
        (400, 230110, MessageGone),
        (400, 230031, MessageGone),  # trap 21
        (400, 230022, Undelivered),  # trap 26
        (400, 230028, Undelivered),
        (400, 230002, Undelivered),  # trap 27
        (400, 230029, Undelivered),
        (400, 230053, Undelivered),
        (400, 232009, Undelivered),
        (400, 99992361, Undelivered),
        (400, 10014, Unconfigured),
        (400, 99991672, Unconfigured),  # trap 30
        (400, 99991663, Unconfigured),  # refused although just renewed
    ],
)
def test_meaning(status: int, code: int | None, kind: type[PlatformError]) -> None:
    error = error_of(Answer(status=status, code=code, body={"msg": "as Feishu says it"}))
    expected = Retry if (status, code) == (404, None) else kind  # no JSON: some proxy spoke, not Feishu
    assert type(error) is expected


@pytest.mark.parametrize(
    ("reset", "wait"),
    [
        ("7", 7.0),
        ("0.5", 0.5),
        ("0", 0.1),
        ("-3", 0.1),
        ("99999", 300.0),
        ("", 1.0),
        ("nan", 1.0),
        ("soon", 1.0),
    ],
)
def test_reset_header(reset: str, wait: float) -> None:
    error = error_of(Answer(status=429, code=99991400, body={}, reset=reset))
    assert isinstance(error, Retry)
    assert error.after == wait


def test_sentence_has_code_meaning_and_the_platforms_words() -> None:
    text = str(error_of(Answer(status=400, code=99991672, body={"msg": "need scope:\n [im:message]"})))
    assert text == (
        "Feishu 99991672 (HTTP 400): a scope is missing: grant it in the console and publish a version; "
        "it said: need scope: [im:message]"
    )


def test_budget_lets_five_through_and_the_sixth_wait_out_the_window() -> None:
    budget = Budget(5, 1.0)
    for number in range(5):
        assert budget.wait("a", 10.0 + number / 10) == 0.0
        budget.take("a", 10.0 + number / 10)
    assert budget.wait("a", 10.5) == pytest.approx(0.5)
    assert budget.wait("b", 10.5) == 0.0
    budget.take("a", 11.0)
    assert budget.wait("a", 11.0) == pytest.approx(0.1)


def test_budget_holds_when_told_and_forgets_old_keys() -> None:
    budget = Budget(5, 1.0)
    budget.hold("a", 20.0)
    budget.hold("a", 15.0)  # a shorter hold does not shorten a longer one
    assert budget.wait("a", 12.0) == 8.0
    assert budget.wait("a", 21.0) == 0.0
    for number in range(3000):
        budget.take(str(number), float(number))
    assert len(budget._calls) < 1100
