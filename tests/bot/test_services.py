"""What the program does by itself."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from bot import kb_wiki, services, sources
from scheduler.progress import Signal
from storage.errors import Unreachable
from storage.records import Kind


async def test_a_database_that_is_away_at_the_start_does_not_end_the_reading_of_the_knowledge_base(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody's question would be answered until the next start."""
    away = [Unreachable(), Unreachable()]

    async def sync(*given: Any, **more: Any) -> list[Any]:
        if away:
            raise away.pop()
        return []

    async def confine(*given: Any) -> None:
        """There is no database."""

    monkeypatch.setattr(sources, "sync_folders", sync)
    monkeypatch.setattr(kb_wiki, "confine", confine)
    monkeypatch.setattr(services, "KNOWLEDGE_AGAIN", 0.01)
    settings: Any = SimpleNamespace(knowledge=SimpleNamespace(folders=(), wikis=()))
    worker: Any = SimpleNamespace(wake=Signal())
    started: Any = SimpleNamespace(
        current=SimpleNamespace(settings=settings),
        db=None,
        asking=SimpleNamespace(indexed=False),
        workers={Kind.ASK: worker},
    )
    await services._sync_knowledge(started)
    assert started.asking.indexed
    assert caplog.text.count("knowledge not read yet; trying again") == 2
