"""Figures: medians over rounds, side by side, with the goal they are held against and the state of the machine."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """One measured number: the median of its rounds, and how far they lay apart."""

    name: str
    value: float
    unit: str
    low: float
    high: float
    rounds: int
    goal: str = ""  # "≤ 50", "≥ 0.7"; empty: informative
    met: bool | None = None


def figure(
    name: str,
    values: Sequence[float],
    unit: str,
    *,
    at_most: float | None = None,
    at_least: float | None = None,
) -> Figure:
    """The figure of one value per round."""
    middle = statistics.median(values)
    goal, met = "", None
    if at_most is not None:
        goal, met = f"≤ {at_most:g}", middle <= at_most
    elif at_least is not None:
        goal, met = f"≥ {at_least:g}", middle >= at_least
    return Figure(
        name=name,
        value=middle,
        unit=unit,
        low=min(values),
        high=max(values),
        rounds=len(values),
        goal=goal,
        met=met,
    )


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that `percent` of all do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def table(title: str, figures: Sequence[Figure]) -> str:
    """The figures as aligned lines."""
    lines = [f"\n{title}"]
    for item in figures:
        spread = f"{_number(item.low)} … {_number(item.high)}" if item.rounds > 1 else ""
        verdict = "" if item.met is None else f"  {item.goal} {'met' if item.met else 'MISSED'}"
        lines.append(f"  {_padded(item.name, 58)}{_number(item.value):>10} {item.unit:7}{spread:>22}{verdict}")
    return "\n".join(lines)


def machine() -> str:
    """What it was measured on, and how busy that was: no figure means much without it."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    return f"{platform.system()} {platform.machine()}, {cores} cores, Python {platform.python_version()}, load {load}"


def part(run: Callable[[bool], list[Figure]], title: str) -> None:
    """The command line of one part: `python -m benchmarks.<name> [--quick] [--json]`."""
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("--quick", action="store_true", help="tiny numbers: only shows that it runs")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    report({title: run(options.quick)}, as_json=options.json)


def report(found: Mapping[str, Sequence[Figure]], *, as_json: bool) -> None:
    """Print what was found."""
    if as_json:
        plain: dict[str, Any] = {title: [asdict(item) for item in figures] for title, figures in found.items()}
        print(json.dumps({"machine": machine(), "figures": plain}, ensure_ascii=False))
        return
    print(machine())
    for title, figures in found.items():
        print(table(title, figures))


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _padded(text: str, width: int) -> str:
    """Padded to columns of a terminal, where a Chinese character takes two."""
    return text + " " * (width - sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text))
