"""An installation for each test."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.bot.cli.installation import ROOT, Installation


@pytest.fixture
def moqi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Installation:
    """A fresh installation."""
    config = tmp_path / "deploy" / "config"
    shutil.copytree(ROOT / "deploy" / "config", config)
    shutil.copytree(ROOT / "deploy" / "knowledge", tmp_path / "deploy" / "knowledge")
    monkeypatch.setenv("MOQI_CONFIG", str(config))
    monkeypatch.setenv("MOQI_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("LOGNAME", "olga")
    return Installation(config, tmp_path / "data", capsys)
