"""The checkpoint that ships with Moqi is what its script builds."""

from __future__ import annotations

from pathlib import Path

import pytest

from inference.images.builtin.build import build, main
from inference.images.preflight import preflight
from inference.images.registry import BUILTIN


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_rebuilding_gives_the_committed_files_byte_for_byte(tmp_path: Path) -> None:
    build(tmp_path / "out")
    assert contents(tmp_path / "out") == contents(BUILTIN)


def test_everybody_may_read_it_and_it_stays_small() -> None:
    files = [file for file in BUILTIN.rglob("*") if file.is_file()]
    assert all(file.stat().st_mode & 0o444 == 0o444 for file in files)
    assert sum(file.stat().st_size for file in files) < 2_000_000
    assert preflight(BUILTIN).ok


def test_the_script_says_how_it_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "builtin.build OUT" in capsys.readouterr().err
