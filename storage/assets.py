"""Which file is which picture: those that were made, by job, and those that people gave to draw from, by content.

The bytes are in storage/files.py.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, tzinfo
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, select

from storage.dialect import serialise
from storage.records import Asset, Source
from storage.tables import assets, sources

# Built once: building a statement takes longer than running it.
_ADD = assets.insert().returning(assets.c.id)
_LAST = select(func.coalesce(func.max(assets.c.seq), 0)).where(assets.c.day == bindparam("day"))
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
) -> int:
    """Keep that a file is picture `index` of a job, and its number on this day of `zone`. Returns the asset's id."""
    day = f"{now.astimezone(zone):%Y-%m-%d}"
    serialise(conn, f"assets:{day}")
    values = {
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
    return int(conn.execute(_ADD, values).scalar_one())


def get(conn: Connection, asset_id: int) -> Asset | None:
    """The asset with this id."""
    row = conn.execute(select(assets).where(assets.c.id == asset_id)).one_or_none()
    return None if row is None else _asset(row)


def of_job(conn: Connection, job_id: int) -> list[Asset]:
    """The pictures of a job, in their order."""
    return [_asset(row) for row in conn.execute(_OF_JOB, {"job": job_id})]


def shas(conn: Connection) -> set[str]:
    """The SHA-256 of every file that is needed."""
    return set(conn.execute(select(assets.c.sha256).union(select(sources.c.sha256))).scalars())


def take(
    conn: Connection, *, sha256: str, media_type: str, size: int, width: int, height: int, now: datetime
) -> Source:
    """Keep that a file is a picture somebody gave; the same again changes nothing."""
    serialise(conn, f"source:{sha256}")
    known = given(conn, sha256)
    if known is not None:
        return known
    taken = Source(sha256=sha256, media_type=media_type, size=size, width=width, height=height, created_at=now)
    conn.execute(sources.insert().values(**asdict(taken)))
    return taken


def given(conn: Connection, sha256: str) -> Source | None:
    """The picture of this content that somebody gave."""
    row = conn.execute(select(sources).where(sources.c.sha256 == sha256)).one_or_none()
    return None if row is None else Source(**row._mapping)


def _asset(row: Row[Any]) -> Asset:
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
    )
