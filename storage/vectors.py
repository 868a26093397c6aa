"""The vectors of passages, and finding passages by them: exactly, among those that the readers may read.

One table for each encoder, `vectors_<id>`: the length of a vector is its model's, and a model that goes takes its table
along at once. A passage that goes takes its vector along. SQLite keeps bytes and compares them with sqlite-vec;
PostgreSQL keeps pgvector's type and needs that extension: without it there are no vectors, and `make` says so.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Float,
    ForeignKey,
    LargeBinary,
    MetaData,
    Table,
    bindparam,
    cast,
    func,
    inspect,
    literal,
    select,
    text,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateTable
from sqlalchemy.types import TypeDecorator, TypeEngine, UserDefinedType

from storage.dialect import insert
from storage.errors import StorageError
from storage.tables import document_access, documents, passages

PREFIX = "vectors_"
_FLOAT = Float()


class NoVectors(StorageError):
    """This database cannot compare vectors."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bare:
    """A passage without a vector, and what it is to be made from."""

    id: int
    title: str  # the document's
    heading: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Near:
    """A passage that was found."""

    id: int
    similarity: float  # cosine, -1..1


class _Pgvector(UserDefinedType[str]):
    cache_ok = True

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension  # 0 = any

    def get_col_spec(self, **_: Any) -> str:
        return f"vector({self.dimension})" if self.dimension else "vector"


class Vector(TypeDecorator[bytes]):
    """32-bit floats, little-endian: bytes on SQLite, pgvector's type, which reads text, on PostgreSQL."""

    impl = LargeBinary
    cache_ok = True

    def __init__(self, dimension: int = 0) -> None:
        super().__init__()
        self.dimension = dimension

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(_Pgvector(self.dimension) if dialect.name == "postgresql" else LargeBinary())

    def process_bind_param(self, value: bytes | None, dialect: Dialect) -> bytes | str | None:
        if value is None or dialect.name != "postgresql":
            return value
        numbers = array("f", value)
        if sys.byteorder == "big":
            numbers.byteswap()
        return "[" + ",".join(map(repr, numbers)) + "]"


# --- tables of vectors ------------------------------------------------------------------------------------------


def make(conn: Connection, encoder: int, dimension: int) -> None:
    """The table for an encoder's vectors, if there is none yet. Raises NoVectors."""
    _require(conn)
    conn.execute(CreateTable(_table(encoder, dimension), if_not_exists=True))


def drop(conn: Connection, encoder: int) -> None:
    """Remove an encoder's vectors; harmless when there are none."""
    _table(encoder).drop(conn, checkfirst=True)


def drop_all(conn: Connection) -> None:
    """Remove the vectors of every encoder."""
    for name in inspect(conn).get_table_names():
        if name.startswith(PREFIX):
            drop(conn, int(name.removeprefix(PREFIX)))


@cache
def _table(encoder: int, dimension: int = 0) -> Table:
    """`dimension` matters to who makes it."""
    passage: Column[int] = Column(
        "passage_id", ForeignKey(passages.c.id, ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    return Table(f"{PREFIX}{encoder}", MetaData(), passage, Column("vector", Vector(dimension), nullable=False))


def _require(conn: Connection) -> None:
    """See to it that this database compares vectors. Raises NoVectors."""
    if not _postgresql(conn):
        try:
            conn.execute(text("select vec_distance_cosine(x'0000803f', x'0000803f')")).one()
        except DBAPIError as error:
            raise NoVectors("SQLite cannot compare vectors here.", "pip install sqlite-vec") from error
        return
    if conn.execute(text("select 1 from pg_extension where extname = 'vector'")).first():
        return
    if not conn.execute(text("select 1 from pg_available_extensions where name = 'vector'")).first():
        step = "Install pgvector on the database's server (for example postgresql-17-pgvector)."
        raise NoVectors("PostgreSQL has no extension `vector`.", step)
    try:
        with conn.begin_nested():
            conn.execute(text("create extension vector"))
    except DBAPIError as error:
        step = "Let its owner run once in this database: CREATE EXTENSION vector;"
        raise NoVectors("Moqi may not create PostgreSQL's extension `vector`.", step) from error


# --- writing ----------------------------------------------------------------------------------------------------


def put(conn: Connection, encoder: int, made: Sequence[tuple[int, bytes]]) -> None:
    """Keep vectors of passages. One whose passage is gone meanwhile is left out; one that is there stays."""
    if not made:
        return
    value = bindparam("made", type_=Vector())
    still = select(passages.c.id, cast(value, Vector()) if _postgresql(conn) else value)
    row = insert(conn, _table(encoder)).from_select(
        ["passage_id", "vector"], still.where(passages.c.id == bindparam("of"))
    )
    conn.execute(row.on_conflict_do_nothing(), [{"of": passage, "made": vector} for passage, vector in made])


def missing(conn: Connection, encoder: int, limit: int, after: int = 0) -> list[Bare]:
    """Passages without a vector, the oldest first, of those with an id above `after`."""
    made = _table(encoder)
    wanted = (
        select(passages.c.id, documents.c.title, passages.c.heading, passages.c.text)
        .join(documents, documents.c.id == passages.c.document_id)
        .outerjoin(made, made.c.passage_id == passages.c.id)
        .where(made.c.passage_id.is_(None), passages.c.id > after)
    )
    return [Bare(**row._mapping) for row in conn.execute(wanted.order_by(passages.c.id).limit(limit))]


def count(conn: Connection, encoder: int) -> int:
    """How many passages have a vector."""
    return conn.execute(select(func.count()).select_from(_table(encoder))).scalar_one()


# --- finding ----------------------------------------------------------------------------------------------------


def search(conn: Connection, encoder: int, vector: bytes, principals: frozenset[str], k: int) -> list[Near]:
    """The `k` passages whose vectors are nearest, of those the principals may read, nearest first."""
    if not principals or k < 1:
        return []
    made = _table(encoder)
    distance = _distance(conn, made, vector).label("distance")
    visible = select(document_access.c.document_id).where(document_access.c.principal.in_(principals))
    wanted = (
        select(passages.c.id, distance)
        .join(made, made.c.passage_id == passages.c.id)
        .where(passages.c.document_id.in_(visible))
        .order_by(distance, passages.c.id)
        .limit(k)
    )
    return [Near(id=row.id, similarity=1.0 - float(row.distance)) for row in conn.execute(wanted)]


def _distance(conn: Connection, made: Table, vector: bytes) -> ColumnElement[Any]:
    """1 - cosine. `+ 0`: no index of approximate neighbours fits that, so what is found is exact."""
    asked = literal(vector, Vector())
    if _postgresql(conn):
        return made.c.vector.op("<=>", return_type=_FLOAT)(cast(asked, Vector())) + 0
    return func.vec_distance_cosine(made.c.vector, asked, type_=_FLOAT)


def _postgresql(conn: Connection) -> bool:
    return conn.dialect.name == "postgresql"
