"""What a monitor reads of the knowledge base."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from prometheus_client import CollectorRegistry
from sqlalchemy import Connection

from bot import health, kb, kb_plan
from storage import syncs
from storage.database import Database
from storage.records import utcnow
from tests.blank import blank


async def test_the_knowledge_base_is_counted_by_kind_and_no_address_is_told(tmp_path: Path) -> None:
    def fill(conn: Connection) -> None:
        for number, source in enumerate(("", "folder", "folder", "url:https://a.cn/x", "url:https://b.cn/y")):
            prepared = kb.prepare(f"第{number}份。".encode(), f"{number}.md", str(number))
            kb.keep(conn, prepared, kb.PUBLIC, source=source, ref=f"{source}#{number}")
        for source, hours, problem in (("url:https://a.cn/x", 2, ""), ("url:https://b.cn/y", 1, "away")):
            at = utcnow() - timedelta(hours=hours)
            tally = kb_plan.Tally(source=source, at=at, failed=len(problem), problem=problem)
            syncs.note(conn, source, tally.to_json(), at)

    registry = CollectorRegistry()
    with Database.open(blank(tmp_path / "moqi.db")) as db:
        await db.run(fill)
        services: Any = SimpleNamespace(db=db)
        await health._knowledge(services, registry)

    def value(name: str, source: str) -> float | None:
        return registry.get_sample_value(name, {"source": source})

    assert [value("moqi_documents", one) for one in ("hand", "folder", "url")] == [1, 2, 2]
    assert [value("moqi_passages", one) for one in ("hand", "folder", "url")] == [1, 2, 2]
    assert (value("moqi_sources_broken", "url"), value("moqi_source_failed_documents", "url")) == (1, 4)
    assert value("moqi_source_read_age_seconds", "folder") is None
    assert 7200 <= (value("moqi_source_read_age_seconds", "url") or 0) < 7300
