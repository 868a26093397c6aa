"""Which file is which picture: those that were made, by job, and those that people gave to draw from, by content.

The bytes are in storage/files.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, tzinfo
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, select, update

from storage import pictures_index
from storage.dialect import serialise
from storage.records import Asset, ChatType, Origin, Source
from storage.tables import assets, jobs, sources

# Built once: building a statement takes longer than running it.
_ADD = assets.insert().returning(assets.c.id)
_LAST = select(func.coalesce(func.max(assets.c.seq), 0)).where(assets.c.day == bindparam("day"))
_JOB = select(jobs.c.user_id, jobs.c.origin, jobs.c.params).where(jobs.c.id == bindparam("job"))
_OF_JOB = select(assets).where(assets.c.job_id == bindparam("job")).order_by(assets.c.position)


def add(
    conn: Connection,
    *,
    sha256: str,
    media_type: str,
    size: int,
    width: int,
    height: int,
    job_id: int,
    index: int,
    now: datetime,
    zone: tzinfo = UTC,
    model: str = "",
    terms: Sequence[str] = (),
) -> int:
    """Keep that a file is picture `index` of a job, and its number on this day of `zone`. Returns the asset's id.

    `terms` are what it is found by in the gallery, cut from its description: see inference/grounding/captions.py.
    """
    day = f"{now.astimezone(zone):%Y-%m-%d}"
    serialise(conn, f"assets:{day}")
    job = conn.execute(_JOB, {"job": job_id}).one()
    values = {
        "user_id": job.user_id,
        "chat": _group(job.origin),
        "private": bool(job.params.get("private")),
        "model": model,
        "sha256": sha256,
        "media_type": media_type,
        "size": size,
        "width": width,
        "height": height,
        "job_id": job_id,
        "position": index,
        "created_at": now,
        "day": day,
        "seq": int(conn.execute(_LAST, {"day": day}).scalar_one()) + 1,
    }
    made = int(conn.execute(_ADD, values).scalar_one())
    pictures_index.put(conn, made, terms)
    return made


def _group(origin: dict[str, Any]) -> str:
    return Origin.from_json(origin).group if origin.get("chat_type") == ChatType.GROUP else ""


def get(conn: Connection, asset_id: int) -> Asset | None:
    """The asset with this id."""
    row = conn.execute(select(assets).where(assets.c.id == asset_id)).one_or_none()
    return None if row is None else of_row(row)


def of_job(conn: Connection, job_id: int) -> list[Asset]:
    """The pictures of a job, in their order."""
    return [of_row(row) for row in conn.execute(_OF_JOB, {"job": job_id})]


def shas(conn: Connection) -> set[str]:
    """The SHA-256 of every file that is needed."""
    kept = select(assets.c.sha256).where(assets.c.removed.is_(None))
    return set(conn.execute(kept.union(select(sources.c.sha256))).scalars())


def held(conn: Connection, sha256: str) -> bool:
    """Whether a row still needs the file of this content, so that an order may begin with it."""
    kept = select(assets.c.id).where(assets.c.sha256 == sha256, assets.c.removed.is_(None)).limit(1)
    return conn.execute(kept).one_or_none() is not None or given(conn, sha256) is not None


def take(
    conn: Connection, *, sha256: str, media_type: str, size: int, width: int, height: int, now: datetime
) -> Source:
    """Keep that a file is a picture somebody gave. The same again is as young as a new one, and no second one."""
    serialise(conn, f"source:{sha256}")
    known = given(conn, sha256)
    if known is not None:
        conn.execute(update(sources).where(sources.c.sha256 == sha256).values(created_at=now))
        return replace(known, created_at=now)
    taken = Source(sha256=sha256, media_type=media_type, size=size, width=width, height=height, created_at=now)
    conn.execute(sources.insert().values(**asdict(taken)))
    return taken


def given(conn: Connection, sha256: str) -> Source | None:
    """The picture of this content that somebody gave."""
    row = conn.execute(select(sources).where(sources.c.sha256 == sha256)).one_or_none()
    return None if row is None else Source(**row._mapping)


def of_row(row: Row[Any]) -> Asset:
    """An asset from a row of its table."""
    return Asset(
        id=row.id,
        sha256=row.sha256,
        media_type=row.media_type,
        size=row.size,
        width=row.width,
        height=row.height,
        job_id=row.job_id,
        index=row.position,
        created_at=row.created_at,
        day=row.day,
        seq=row.seq,
        removed=row.removed,
    )
