"""Quotations: harmless differences pass, a changed meaning never."""

from __future__ import annotations

import pytest

from inference.grounding.cite import check, normalise

SOURCE = "工龄满 10 年不满 20 年的，每年年假 15 天；提前 2 个工作日申请，不得晚于 9:30，比例 1.5%。"


@pytest.mark.parametrize(
    "quote",
    [
        "每年年假 15 天",
        "每年年假15天。",
        "每年　年假　１５天……",
        "工齡滿10年不滿20年的",
        "不得晚于 9:30",
        "比例 1.5%",
    ],
)
def test_other_spellings_pass(quote: str) -> None:
    assert check(quote, SOURCE)


@pytest.mark.parametrize(
    "quote",
    [
        "每年年假 25 天",  # a changed digit
        "每年年假 1 天",
        "每年不年假 15 天",  # an inserted "not"
        "得晚于 9:3",  # ends inside a number
        "比例 1.5",  # without its percent
        "5 天；提前 2 个",  # begins inside a number
        "不得晚于 930",
        "满 10 年",  # too short to prove anything
        "",
        "。。。。。。。。",
    ],
)
def test_other_meanings_do_not(quote: str) -> None:
    assert not check(quote, SOURCE)


def test_a_later_occurrence_may_be_the_right_one() -> None:
    assert check("5 天内交回工牌", "15 天内交回工牌的除外，5 天内交回工牌。")


def test_normalise_keeps_what_changes_a_number() -> None:
    assert normalise("约 -3.5% 至 ≤5,000 元，A-B。") == "约-3.5%至≤5000元ab"
