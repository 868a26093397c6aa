"""The cards that are there, as nvidia-smi prints them, and those that this process may see."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from inference.gpu.card import MIB, cards, parsed, visible

TWO = """0, GPU-5ad4, NVIDIA GeForce RTX 4090, 24564, 347, 412
1, GPU-77c0, NVIDIA L40S, 46068, 611, 3
"""


def test_what_cuda_can_give_is_what_the_driver_leaves() -> None:
    first, second = parsed(TWO)
    assert (first.name, first.total, first.used) == ("NVIDIA GeForce RTX 4090", 24217 * MIB, 412 * MIB)
    assert (second.index, second.total, second.empty().used) == (1, 45457 * MIB, 0)


@pytest.mark.parametrize(
    ("line", "total"),
    [
        ("0, GPU-1, NVIDIA A10G, 23028, [N/A], 0", int(23028 * 0.985) * MIB),  # an old driver
        ("0, GPU-1, NVIDIA GB10, [N/A], [N/A], [N/A]", None),  # its memory is the machine's
        ("No devices were found", None),
        ("0, GPU-1, a, name, 24564, 347, 412", None),
        ("", None),
    ],
)
def test_what_a_card_does_not_say(line: str, total: int | None) -> None:
    assert [card.total for card in parsed(line)] == ([] if total is None else [total])


@pytest.mark.parametrize(
    ("wanted", "seen"),
    [
        (None, ["4090", "L40S"]),
        ("1", ["L40S"]),
        ("1,0", ["L40S", "4090"]),
        ("GPU-77", ["L40S"]),
        ("", []),
        ("-1", []),
        ("0,7,1", ["4090"]),  # as CUDA does: what comes behind an unknown one is not seen
    ],
)
def test_the_environment_chooses_and_orders(wanted: str | None, seen: list[str]) -> None:
    found = visible(parsed(TWO), wanted)
    assert [card.name.split()[-1] for card in found] == seen
    assert [card.index for card in found] == list(range(len(seen)))


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program called nvidia-smi."""
    program = tmp_path / "nvidia-smi"
    monkeypatch.setenv("PATH", str(tmp_path))
    return program


def test_without_a_driver_there_is_none(driver: Path) -> None:
    assert cards({}) == ()


@pytest.mark.parametrize(("exit_code", "count"), [(0, 2), (9, 0)])
def test_it_is_asked(driver: Path, exit_code: int, count: int) -> None:
    driver.write_text(f"#!/bin/sh\nwhile read -r line; do echo \"$line\"; done <<'.'\n{TWO}.\nexit {exit_code}\n")
    driver.chmod(0o755)
    assert len(cards({"CUDA_VISIBLE_DEVICES": "0,1"})) == count


def test_one_that_hangs_is_as_none(driver: Path) -> None:
    driver.write_text("#!/bin/sh\n")
    driver.chmod(0o755)

    def hangs(*args: Any, **more: Any) -> subprocess.CompletedProcess[str]:
        raise subprocess.TimeoutExpired("nvidia-smi", 5)

    assert cards({}, hangs) == ()
