"""Pictures as rows: jobs of somebody, in some chat and state, with the pictures they made, as a worker keeps them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection

from inference.grounding import captions
from storage import assets, users
from storage.gallery import Wanted
from storage.pictures_index import Term
from storage.records import ChatType, Identity, JobState, Origin
from storage.tables import jobs

NOW = datetime(2026, 11, 22, 4, tzinfo=UTC)
_SHAS = itertools.count(1)


def person(conn: Connection, name: str) -> int:
    """Somebody of the web, by name."""
    return users.resolve(conn, Identity(platform="web", external_id=name), name, NOW).id


def origin(group: str = "", platform: str = "feishu") -> Origin:
    """A group of this chat id, else a direct chat."""
    kind = ChatType.GROUP if group else ChatType.DIRECT
    return Origin(platform=platform, chat_id=group or "p2p", chat_type=kind, message_id="m", sender="s")


def ordered(
    conn: Connection,
    owner: int,
    prompt: str = "一只猫",
    *,
    group: str = "",
    state: JobState = JobState.DONE,
    shas: Sequence[str] = ("",),
    size: tuple[int, int] = (64, 48),
    at: datetime = NOW,
    model: str = "practice",
    kind: str = "draw",
    **params: Any,
) -> int:
    """A job and its pictures; returns the job's id. A file without a name is one that nobody else has."""
    wanted = {"prompt": prompt, "width": size[0], "height": size[1], "count": len(shas), "seed": 7, "steps": 8}
    wanted |= {"cfg": 0.0, "negative": "", **params}
    values: dict[str, Any] = {"kind": kind, "user_id": owner, "state": state.value, "params": wanted, "cost": 1}
    values |= {"origin": origin(group).to_json(), "weight": 1.0, "vtag": 0.0, "span": 0.0, "created_at": at}
    values |= {
        "since": at,
        "started_at": at,
        "key": f"test:{next(_SHAS)}",
        "result": {"seeds": [7], "model": model, "seconds": 1.0},
    }
    job = int(conn.execute(jobs.insert().values(values).returning(jobs.c.id)).scalar_one())
    for index, sha in enumerate(shas):
        assets.add(
            conn,
            sha256=sha or f"{next(_SHAS):064x}",
            media_type="image/png",
            size=100,
            width=size[0],
            height=size[1],
            job_id=job,
            index=index,
            now=at,
            model=model,
            terms=captions.indexed(prompt),
        )
    return job


def wanted(words: str, **more: Any) -> Wanted:
    """A search for these words."""
    return Wanted(terms=tuple(Term(text=one.text, begins=one.begins) for one in captions.sought(words)), **more)
