"""`moqi models memory` and what `moqi doctor` says of a card."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.cli.common import Exit
from tests.bot.cli.installation import Installation
from tests.bot.pretended import checkpoint, driver, write


@pytest.fixture
def gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with an RTX 4090."""
    driver(tmp_path / "driver", monkeypatch)


def test_without_a_card_nothing_is_shared(moqi: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert "no NVIDIA card seen" in moqi("models", "memory").out
    assert moqi("models", "memory", "--json").json == {"ok": True, "cards": []}


def test_a_card_that_is_not_there_is_planned_for(moqi: Installation, tmp_path: Path) -> None:
    write(moqi.config, f"{{path: {checkpoint(tmp_path / 'Qwen3-8B', 16.4)}}}")
    ran = moqi("models", "memory", "--card", "24", "--json")
    assert (ran.code, ran.json["way"], ran.json["image"]["offload"]) == (Exit.DONE, "resident", "none")
    assert ran.json["text"]["gpu_memory_utilization"] == pytest.approx(0.87, abs=0.02)
    table = moqi("models", "memory", "--card", "24", "--card", "48").out
    assert "each on a card of its own" in table
    assert "tokens at once" in table
    small = moqi("models", "memory", "--card", "16")
    assert small.code == Exit.BROKEN
    assert "→ " in small.out
    assert not moqi("models", "memory", "--card", "16", "--json").json["ok"]


def test_the_terminal_and_the_doctor_tell_of_the_card_that_is_there(
    moqi: Installation, gpu: None, tmp_path: Path
) -> None:
    write(moqi.config, f"{{path: {checkpoint(tmp_path / 'Qwen3-8B', 16.4)}, engine: vllm, sleep: true}}")
    table = moqi("models", "memory").out
    assert "NVIDIA GeForce RTX 4090, 0.4 GB of it used by others" in table
    assert "lent to pictures while nobody asks" in table
    checks = {one["name"]: one for one in moqi("doctor", "--port", "0", "--json").json["checks"]}
    assert "one after the other" in checks["gpu memory"]["detail"]
    write(moqi.config, f"{{path: {checkpoint(tmp_path / 'Qwen3-30B', 61)}, engine: vllm}}")
    checks = {one["name"]: one for one in moqi("doctor", "--port", "0", "--json").json["checks"]}
    assert "does not fit" in checks["gpu memory"]["problem"]
    assert "smaller or more strongly quantised" in checks["gpu memory"]["next_step"]
