"""Questions as rows: answered ones of somebody, as a worker keeps them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection

from inference.grounding.search import index_terms
from storage import documents
from storage.records import NewPassage
from storage.tables import jobs
from tests.pictured import origin

NOW = datetime(2026, 11, 22, 4, tzinfo=UTC)
_KEYS = itertools.count(1)


def asked(
    conn: Connection,
    owner: int,
    question: str = "年假怎么休？",
    answer: str = "没有找到。",
    *,
    grounded: bool = False,
    offered: Mapping[str, int] | None = None,
    at: datetime = NOW,
    group: str = "",
    state: str = "done",
    kind: str = "ask",
    platform: str = "feishu",
    **more: Any,
) -> int:
    """A question and its answer; returns the job's id. `offered`: documents the engine saw, with their ids."""
    seen = [{"passage": 1, "document": name, "document_id": number} for name, number in (offered or {}).items()]
    result = {"text": answer, "grounded": grounded, "citations": [], "nearest": [], "engine": "x", **more}
    result |= {} if offered is None else {"offered": seen}
    values: dict[str, Any] = {"kind": kind, "user_id": owner, "state": state, "params": {"question": question}}
    values |= {"origin": origin(group, platform).to_json(), "cost": 1, "weight": 1.0, "vtag": 0.0, "span": 0.0}
    values |= {"created_at": at, "since": at, "started_at": at, "key": f"asked:{next(_KEYS)}", "result": result}
    return int(conn.execute(jobs.insert().values(values).returning(jobs.c.id)).scalar_one())


def shelved(conn: Connection, name: str, *texts: str, readers: str = "everyone", source: str = "") -> int:
    """A document of these passages; returns its id."""
    pieces = [NewPassage(heading="", start=0, end=len(one), text=one, terms=index_terms(one)) for one in texts]
    return documents.put_document(
        conn, name=name, title=name, sha256="0", recipe="1", pieces=pieces, principals=readers.split(), source=source
    )
