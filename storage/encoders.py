"""The models that make vectors or rank passages, each as it was examined on these documents: in use, refused, why.

An encoder is known by its recipe: another model, another length or another instruction is another encoder, with a table
of vectors of its own. So a new one is prepared beside the one that is in use, and takes its place in one transaction.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, delete, select, update

from storage import vectors
from storage.dialect import insert
from storage.tables import encoders

KEPT = timedelta(minutes=2)  # how long a replaced model's vectors stay for questions that are under way
LONG = timedelta(days=1)  # and those of one that was never admitted


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


def find(conn: Connection, kind: EncoderKind, recipe: str) -> Encoder | None:
    """The encoder of a recipe, if there is one."""
    wanted = select(encoders).where(encoders.c.kind == kind.value, encoders.c.recipe == recipe)
    row = conn.execute(wanted).one_or_none()
    return None if row is None else _encoder(row)


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
    found = find(conn, kind, recipe)
    assert found is not None
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


def unwanted(conn: Connection, wanted: Collection[int], now: datetime) -> list[Encoder]:
    """Those that can go with their vectors: nobody wants them, and they have taken no part for a while.

    Whoever made a question's vector with one a moment ago still finds its table; and what another process with other
    settings is preparing is not taken away from it.
    """
    return [
        one
        for one in known(conn)
        if one.id not in wanted
        and one.state is not EncoderState.LIVE
        and one.changed_at < now - (KEPT if one.state is EncoderState.RETIRED else LONG)
    ]


def remove(conn: Connection, encoder: int) -> None:
    """Forget an encoder with what is left of its vectors."""
    vectors.drop(conn, encoder)
    conn.execute(delete(encoders).where(encoders.c.id == encoder))


def _set(
    conn: Connection, encoder: int, state: EncoderState, reason: str, figures: dict[str, Any] | None, now: datetime
) -> Encoder:
    values = {"state": state.value, "reason": reason, "figures": figures, "changed_at": now}
    changed = update(encoders).where(encoders.c.id == encoder).values(**values)
    return _encoder(conn.execute(changed.returning(*encoders.c)).one())


def _encoder(row: Row[Any]) -> Encoder:
    values = dict(row._mapping)
    return Encoder(**{**values, "kind": EncoderKind(row.kind), "state": EncoderState(row.state)})
