"""The models that make vectors or rank passages, each as it was examined on these documents: in use, refused, why.

An encoder is known by its recipe: another model, another length or another instruction is another encoder, with a table
of vectors of its own. So a new one is prepared beside the one that is in use, and takes its place in one transaction.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, delete, select, update

from storage import vectors
from storage.dialect import insert
from storage.tables import encoders


class EncoderKind(StrEnum):
    """What a model is for."""

    EMBEDDER = "embedder"  # makes vectors
    RERANKER = "reranker"  # ranks what was found


class EncoderState(StrEnum):
    """How far a model has come."""

    PREPARING = "preparing"  # its vectors are made, then it is examined
    LIVE = "live"  # it passed, and takes part
    REFUSED = "refused"  # it did not pass: `reason`
    RETIRED = "retired"  # another one took its place


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoder:
    """A model as this database knows it."""

    id: int
    kind: EncoderKind
    recipe: str
    model: str
    dimension: int
    state: EncoderState
    reason: str
    figures: dict[str, Any] | None
    changed_at: datetime


def register(
    conn: Connection,
    kind: EncoderKind,
    *,
    recipe: str,
    model: str,
    dimension: int,
    now: datetime,
    revive: bool = True,
) -> Encoder:
    """The encoder of a recipe, as it stands; a new one is made, with its table of vectors. Raises NoVectors.

    `revive`: one whose place was taken is prepared again.
    """
    values = {"model": model, "dimension": dimension, "state": EncoderState.PREPARING.value, "changed_at": now}
    conn.execute(
        insert(conn, encoders).values(kind=kind.value, recipe=recipe, reason="", **values).on_conflict_do_nothing()
    )
    found = _one(conn, kind, recipe)
    if kind is EncoderKind.EMBEDDER:
        vectors.make(conn, found.id, dimension)
    if revive and found.state is EncoderState.RETIRED:  # the operator came back to it
        return _set(conn, found.id, EncoderState.PREPARING, found.reason, found.figures, now)
    return found


def is_live(conn: Connection, encoder: int) -> bool:
    """Whether it takes part at this moment."""
    wanted = select(encoders.c.id).where(encoders.c.id == encoder, encoders.c.state == EncoderState.LIVE.value)
    return conn.execute(wanted).first() is not None


def live(conn: Connection, kind: EncoderKind) -> Encoder | None:
    """The one that takes part."""
    wanted = select(encoders).where(encoders.c.kind == kind.value, encoders.c.state == EncoderState.LIVE.value)
    row = conn.execute(wanted).one_or_none()
    return None if row is None else _encoder(row)


def known(conn: Connection) -> list[Encoder]:
    """All of them, the oldest first."""
    return [_encoder(row) for row in conn.execute(select(encoders).order_by(encoders.c.id))]


def admit(conn: Connection, encoder: int, figures: dict[str, Any], now: datetime) -> Encoder:
    """It passed: from the next question on it takes part, in the place of the one before."""
    found = _set(conn, encoder, EncoderState.LIVE, "", figures, now)
    others = update(encoders).where(
        encoders.c.kind == found.kind.value, encoders.c.id != encoder, encoders.c.state == EncoderState.LIVE.value
    )
    conn.execute(others.values(state=EncoderState.RETIRED.value, changed_at=now))
    return found


def refuse(conn: Connection, encoder: int, reason: str, figures: dict[str, Any] | None, now: datetime) -> Encoder:
    """It did not pass, and takes no part."""
    return _set(conn, encoder, EncoderState.REFUSED, reason, figures, now)


def forget(conn: Connection, wanted: Collection[int], before: datetime) -> list[str]:
    """Drop those that nobody wants and that have taken no part since `before`, with their vectors; their models.

    Whoever made a question's vector with one of them a moment ago still finds its table.
    """
    gone = select(encoders).where(
        encoders.c.id.not_in(wanted), encoders.c.state != EncoderState.LIVE.value, encoders.c.changed_at < before
    )
    found = [_encoder(row) for row in conn.execute(gone)]
    for one in found:
        vectors.drop(conn, one.id)
    conn.execute(delete(encoders).where(encoders.c.id.in_([one.id for one in found])))
    return [one.model for one in found]


def _set(
    conn: Connection, encoder: int, state: EncoderState, reason: str, figures: dict[str, Any] | None, now: datetime
) -> Encoder:
    values = {"state": state.value, "reason": reason, "figures": figures, "changed_at": now}
    changed = update(encoders).where(encoders.c.id == encoder).values(**values)
    return _encoder(conn.execute(changed.returning(*encoders.c)).one())


def _one(conn: Connection, kind: EncoderKind, recipe: str) -> Encoder:
    wanted = select(encoders).where(encoders.c.kind == kind.value, encoders.c.recipe == recipe)
    return _encoder(conn.execute(wanted).one())


def _encoder(row: Row[Any]) -> Encoder:
    values = dict(row._mapping)
    return Encoder(**{**values, "kind": EncoderKind(row.kind), "state": EncoderState(row.state)})
