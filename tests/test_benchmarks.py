"""The benchmarks run to their end and say their figures; how large those are is for a quiet machine to say."""

from __future__ import annotations

import math

import pytest

from benchmarks.__main__ import PARTS, main, one
from benchmarks.common import figure, percentile, table
from benchmarks.corpora import DATA
from benchmarks.load import LOST, Answers, http_request

#: Words that must stand among the figures of each part.
EXPECTED = {
    "webhook": [
        "Moqi, 16 connections",
        "Moqi / the faster bare inbox, round by round",
        "Moqi, 20 events a second: p99",
    ],
    "feishu": [
        "long connection, 20 events a second: acknowledged, p99",
        "40 events with 2 cuts: lost",
        "memory at rest without torch, Feishu long connection",
    ],
    "wecom": [
        "the app's callback, 20 messages a second: acknowledged, p99",
        "long connection, 20 messages a second: first answer, p50",
        "40 messages with 2 cuts: lost",
    ],
    "labels": ["64x64 mark alone", "64x64 shown copy of a master: read, mark, PNG"],
    "picture": ["overhead: p50", "bare pipe(...)"],
    "studio": [
        "64²: Moqi / the bare loop, round by round",
        "256²: pictures equal to their solo ones bit by bit",
        "cancelled at 256², a batch of two: engine free, p50",
        "event loop late while drawing: p99",
    ],
    "queueing": ["SQLite, 16 at once: enqueue", "PostgreSQL, 16 at once: claim + finish"],
    "depth": ["SQLite, 600 wait: submit, p99", "PostgreSQL: place, p50, 600 against 50"],
    "fairness": [
        "Jain index of service, 20 people",
        "longest wait of the smallest, 200 pictures of another",
        "waiting time, |promised - real| / real: median",
    ],
    "reservations": ["SQLite, 60 in 1 s: late, p99", "PostgreSQL, 60 in 1 s: lost or doubled"],
    "storage": ["Database.run, 16 at once"],
    "reading": ["a.xlsx: passages a second", "small Markdown files, one child: passages a second"],
    "ingest": ["read for the first time", "a look for changes", "reports that differ from what was done"],
    "retrieval": ["CMRC dev, moqi, SQLite: right text first"],
    "vectors": ["SQLite, wide, by both: p99", "PostgreSQL, wide, by vectors with the index: p50"],
    "passages": ["SQLite: indexed, all", "PostgreSQL: indexed, all"],
    "answers": ["vLLM, 8 at once: event loop late, p99", "vLLM: gone after kill -9 of the program"],
}


def test_every_part_is_expected_here() -> None:
    assert set(PARTS) == {*EXPECTED, "start"}  # which starts servers and waits: the journeys do that all the time


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.filterwarnings("default")  # the measured libraries' own
def test_every_part_says_its_figures(name: str) -> None:
    if name in ("retrieval", "passages") and not DATA.is_dir():
        pytest.skip("its data sets are not beside this checkout")
    title, figures = one(name, quick=True)
    assert title
    names = [item.name for item in figures]
    assert set(EXPECTED[name]) <= set(names)
    assert len(names) == len(set(names))
    assert all(math.isfinite(item.value) and item.low <= item.value <= item.high for item in figures)
    if name == "webhook":  # no timing: these hold on any machine
        lost = next(item for item in figures if item.name == "… acknowledged without an answer")
        twice = next(item for item in figures if item.name == "… answered more than once")
        assert (lost.value, twice.value) == (0, 0)


def test_an_unknown_part_is_refused() -> None:
    with pytest.raises(SystemExit):
        main(["nothing"])


@pytest.mark.parametrize(
    ("values", "goal", "met"),
    [
        ([1.0, 3.0, 2.0], {"at_most": 2.0}, True),
        ([1.0, 3.0, 2.5], {"at_most": 2.0}, False),
        ([0.6, 0.9, 0.8], {"at_least": 0.7}, True),
        ([0.6], {"at_least": 0.7}, False),
        ([0.6], {}, None),
    ],
)
def test_a_figure_is_the_median_held_against_its_goal(
    values: list[float], goal: dict[str, float], met: bool | None
) -> None:
    found = figure("x", values, "ms", **goal)
    assert (found.value, found.met) == (sorted(values)[len(values) // 2], met)
    assert ("MISSED" in table("title", [found])) == (met is False)


def test_percentiles() -> None:
    values = [float(value) for value in range(100, 0, -1)]
    assert [percentile(values, percent) for percent in (0, 50, 99, 100)] == [1.0, 51.0, 100.0, 100.0]


def test_a_request_says_how_long_it_is_and_an_answer_that_never_came_is_no_acknowledgement() -> None:
    raw = http_request("/x", {"X-A": "1"}, "猫".encode())
    assert raw == b"POST /x HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 3\r\nX-A: 1\r\n\r\n\xe7\x8c\xab"
    assert Answers(statuses=[200, LOST, 500, 200]).acknowledged == [0, 3]
