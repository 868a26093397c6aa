"""Windows of the day: over midnight, on weekdays, several at once, in nights whose clock is set."""

from __future__ import annotations

import json
from datetime import UTC, datetime, time
from itertools import islice
from zoneinfo import ZoneInfo

import pytest

from scheduler.calendar import (
    BadWindow,
    Window,
    closing,
    contains,
    next_opening,
    openings,
    window_from_json,
    window_from_text,
    window_to_json,
    window_to_text,
)

SHANGHAI, NEW_YORK = ZoneInfo("Asia/Shanghai"), ZoneInfo("America/New_York")

FORMS: list[tuple[str, str]] = [
    ("22:00-06:00", "22:00-06:00"),
    (" 22:00 – 06:00 ", "22:00-06:00"),
    ("9:00~18:30", "09:00-18:30"),
    ("00:00-24:00", "00:00-24:00"),
    ("24:00-06:00", "00:00-06:00"),
    ("Mon-Fri 09:00-18:00", "mon,tue,wed,thu,fri 09:00-18:00"),
    ("fri-mon 09:00-18:00", "mon,fri,sat,sun 09:00-18:00"),
    ("sat,sun 10:00-24:00", "sat,sun 10:00-24:00"),
    ("mon-sun 09:00-18:00", "09:00-18:00"),
]


@pytest.mark.parametrize(("text", "shown"), FORMS)
def test_a_window_of_the_settings(text: str, shown: str) -> None:
    window = window_from_text(text)
    assert window_to_text(window) == shown
    assert window_from_text(shown) == window
    assert window_from_json(json.loads(json.dumps(window_to_json(window)))) == window


NO_WINDOW = ["", "22:00", "25:00-06:00", "24:30-06:00", "xyz 09:00-18:00", "mon-tue-wed 09:00-18:00", "22-6"]
NO_WINDOW += ["9" * 5000]


@pytest.mark.parametrize("text", NO_WINDOW)
def test_no_window(text: str) -> None:
    with pytest.raises(BadWindow):
        window_from_text(text)


@pytest.mark.parametrize(
    "value",
    [None, {}, "22:00-06:00", {"opens": "22:00", "closes": "x", "weekdays": [0]}]
    + [{"opens": "22:00", "closes": "06:00", "weekdays": days} for days in ([], [7], [1, 0], ["0"], 3)]
    + [{"opens": "22:00:10", "closes": "06:00", "weekdays": [0]}],
)
def test_rubbish_is_no_window(value: object) -> None:
    with pytest.raises(BadWindow):
        window_from_json(value)


def hours(*texts: str) -> list[Window]:
    return [window_from_text(text) for text in texts]


def moment(text: str, zone: ZoneInfo = SHANGHAI) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=zone)


#: Windows, moment (21 November 2026 is a Saturday), open?, next opening, closing.
OPEN: list[tuple[list[Window], str, bool, str, str]] = [
    (hours("22:00-06:00"), "2026-11-18T21:59", False, "2026-11-18T22:00", ""),
    (hours("22:00-06:00"), "2026-11-18T22:00", True, "2026-11-18T22:00", "2026-11-19T06:00"),
    (hours("22:00-06:00"), "2026-11-18T03:00", True, "2026-11-18T03:00", "2026-11-18T06:00"),
    (hours("22:00-06:00"), "2026-11-18T06:00", False, "2026-11-18T22:00", ""),
    (hours("22:00-06:00"), "2026-12-31T23:30", True, "2026-12-31T23:30", "2027-01-01T06:00"),
    (hours("Mon-Fri 09:00-18:00"), "2026-11-20T18:00", False, "2026-11-23T09:00", ""),
    (hours("Mon-Fri 22:00-06:00"), "2026-11-21T03:00", True, "2026-11-21T03:00", "2026-11-21T06:00"),
    (hours("Mon-Fri 22:00-06:00"), "2026-11-21T23:00", False, "2026-11-23T22:00", ""),
    (hours("09:00-12:00", "13:00-18:00"), "2026-11-18T12:30", False, "2026-11-18T13:00", ""),
    (hours("13:00-18:00", "09:00-13:00"), "2026-11-18T10:00", True, "2026-11-18T10:00", "2026-11-18T18:00"),
    (hours("09:00-18:00", "17:00-20:00"), "2026-11-18T10:00", True, "2026-11-18T10:00", "2026-11-18T20:00"),
    (hours("Mon-Fri 00:00-24:00"), "2026-11-18T10:00", True, "2026-11-18T10:00", "2026-11-21T00:00"),
    (hours("00:00-24:00"), "2026-11-18T10:00", True, "2026-11-18T10:00", ""),
    (hours("22:00-22:00"), "2026-11-18T10:00", True, "2026-11-18T10:00", ""),
    ([], "2026-11-18T10:00", False, "", ""),
]


@pytest.mark.parametrize(("windows", "now", "is_open", "opens", "closes"), OPEN)
def test_open_and_closed(windows: list[Window], now: str, is_open: bool, opens: str, closes: str) -> None:
    at = moment(now)
    assert contains(windows, at, SHANGHAI) is is_open
    assert next_opening(windows, at, SHANGHAI) == (moment(opens) if opens else None)
    assert closing(windows, at, SHANGHAI) == (moment(closes) if closes else None)


def test_the_openings_to_come() -> None:
    found = islice(openings(hours("Mon-Fri 22:00-06:00"), moment("2026-11-20T12:00"), SHANGHAI), 2)
    assert [(o.opens, o.closes) for o in found] == [
        (moment("2026-11-20T22:00"), moment("2026-11-21T06:00")),
        (moment("2026-11-23T22:00"), moment("2026-11-24T06:00")),
    ]


def test_nights_whose_clock_is_set() -> None:
    spring = next(openings(hours("02:30-05:00"), moment("2026-03-08T00:00", NEW_YORK), NEW_YORK))
    assert spring.opens == moment("2026-03-08T03:00", NEW_YORK)
    autumn = next(openings(hours("01:30-05:00"), moment("2026-11-01T00:00", NEW_YORK), NEW_YORK))
    assert autumn.opens == moment("2026-11-01T01:30-04:00")
    assert autumn.closes == moment("2026-11-01T05:00-05:00")
    # The night swallows this one whole.
    swallowed = next(openings(hours("02:10-02:50"), moment("2026-03-08T00:00", NEW_YORK), NEW_YORK))
    assert swallowed.opens == moment("2026-03-09T02:10", NEW_YORK)


def test_instants_are_utc_and_need_a_zone() -> None:
    opening = next(openings(hours("22:00-06:00"), moment("2026-11-18T10:00"), SHANGHAI))
    assert opening.opens.tzinfo is UTC
    inside = next_opening(hours("22:00-06:00"), moment("2026-11-18T23:00"), SHANGHAI)
    assert inside
    assert inside.tzinfo is UTC
    with pytest.raises(ValueError, match="no time zone"):
        contains(hours("22:00-06:00"), datetime(2026, 11, 18, 10), SHANGHAI)


def test_a_window_has_whole_minutes() -> None:
    with pytest.raises(BadWindow):
        Window(opens=time(22, 0, 1), closes=time(6))
