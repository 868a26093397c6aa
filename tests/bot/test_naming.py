"""Names of downloaded pictures: templates that are refused, and what becomes of those that are not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from bot.naming import LONGEST, Naming, checked, name
from storage.records import Asset
from tests.bot.test_replies import asset, job

MADE = datetime(2026, 11, 21, 16, 30, 5, tzinfo=UTC)


def picture(index: int = 1) -> Asset:
    return replace(asset(12, index), created_at=MADE, day="2026-11-22", seq=7)


def named(template: str, prompt: str = "一只猫", project: str = "墨契") -> str:
    drawn = job(result={"seeds": [5, 6]}, params={**job().params, "prompt": prompt})
    return name(Naming(template=checked(template), project=project), picture(), drawn, "png")


@pytest.mark.parametrize(
    ("template", "wanted"),
    [
        ("{project}_{date}_{seq}", "墨契_20261122_0007.png"),
        ("{job}-{n}", "17-2.png"),
        ("{date}.{seq}.{prompt}.{size}.{seed}", "20261122.0007.一只猫.256x512.6.png"),
        ("海报_{date}_{time}_{seq}", "海报_20261122_163005_0007.png"),
    ],
)
def test_a_template_is_filled_in(template: str, wanted: str) -> None:
    assert named(template) == wanted


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("{project}_{dat}_{seq}", r"knows no field \{dat\}; allowed: project, date, seq"),
        ("{date}_{seq:04}", "knows no field"),
        ("{date!r}_{seq}", "knows no field"),
        ("{date.year}_{seq}", "knows no field"),
        ("{date}_{seq", "without its other half"),
        ("{project}_{date}", "would give two pictures one name"),
        ("{seq}", "would give two pictures one name"),
        ("../{date}/{seq}", "none of"),
        ("{date}{seq}" + "x" * 81, "up to 80 characters"),
    ],
)
def test_templates_that_cannot_be_used(template: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        checked(template)


@pytest.mark.parametrize(
    ("prompt", "wanted"),
    [
        ("../../etc/passwd", "etc-passwd_17_2.png"),
        ('a:b*c?"d"<e>|f\\g', "a-b-c-d-e-f-g_17_2.png"),
        ("一只\n猫\u202egnp.exe\x00", "一只-猫gnp.exe_17_2.png"),
        ("...", "17_2.png"),
        ("", "17_2.png"),
    ],
)
def test_what_people_wrote_cannot_leave_its_folder(prompt: str, wanted: str) -> None:
    assert named("{prompt}_{job}_{n}", prompt) == wanted


def test_a_long_text_gives_way_and_the_number_stays() -> None:
    made = named("{prompt}_{project}_{prompt}_{date}_{seq}", "猫" * 500, "公司" * 50)
    assert made.endswith("_20261122_0007.png")
    assert LONGEST - 9 <= len(made.encode()) <= LONGEST


def test_a_name_that_windows_keeps_for_itself_is_not_given() -> None:
    assert named("{project}.{job}.{n}", project="con") == "_con.17.2.png"
