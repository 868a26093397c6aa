"""The vectors of passages, and finding passages by them: among those that the readers may read, and no others.

One table for each encoder, `vectors_<id>`: the length of a vector is its model's, and a model that goes takes its table
along at once. A passage that goes takes its vector along.

SQLite keeps bytes and compares them with sqlite-vec, in two steps: the signs of the numbers alone (a 32nd of the bytes)
choose `CHOSEN` passages, whose vectors are then compared exactly. Whoever may read no more than that gets an exact
result; among 40,000 the first ten were the same as by comparing all, in a seventh of the time.

PostgreSQL keeps pgvector's type and needs that extension: without it there are no vectors, and `make` says so. It
compares all, exactly; for whoever may read more than `MANY` an HNSW index finds the nearest approximately.
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
    Select,
    Table,
    bindparam,
    cast,
    delete,
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
CHOSEN = 1000  # passages whose vectors SQLite compares exactly
MANY = 50_000  # passages, from which on PostgreSQL uses an index
INDEXABLE = 2000  # numbers in a vector that pgvector's index takes
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


def thin(conn: Connection, encoder: int, most: int) -> bool:
    """Remove up to `most` of an encoder's vectors; False when none is left.

    SQLite overwrites what it removes, so a table of many goes in parts, and others can write in between.
    """
    made = _table(encoder)
    some = select(made.c.passage_id).limit(most)
    return conn.execute(delete(made).where(made.c.passage_id.in_(some))).rowcount > 0


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
    # The signs stand first: SQLite reads a row as far as it must.
    signs = Column("signs", LargeBinary, nullable=False)
    return Table(f"{PREFIX}{encoder}", MetaData(), passage, signs, Column("vector", Vector(dimension), nullable=False))


def signs(vector: bytes) -> bytes:
    """Which of the numbers are positive, a bit each. Pure."""
    # The sign is the first bit of the fourth byte of each number.
    bits = vector[3::4].translate(_POSITIVE)
    bits = bits.ljust(-(-len(bits) // 8) * 8, b"0")
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


_POSITIVE = b"1" * 128 + b"0" * 128


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
    value, sign = bindparam("made", type_=Vector()), bindparam("signs", type_=LargeBinary())
    still = select(passages.c.id, sign, cast(value, Vector()) if _postgresql(conn) else value)
    row = insert(conn, _table(encoder)).from_select(
        ["passage_id", "signs", "vector"], still.where(passages.c.id == bindparam("of"))
    )
    conn.execute(
        row.on_conflict_do_nothing(),
        [{"of": passage, "signs": signs(vector), "made": vector} for passage, vector in made],
    )


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


def passages_of(encoder: int) -> Column[int]:
    """The ids of the passages that have a vector, to select from."""
    return _table(encoder).c.passage_id


def count(conn: Connection, encoder: int) -> int:
    """How many passages have a vector."""
    return conn.execute(select(func.count()).select_from(_table(encoder))).scalar_one()


# --- finding ----------------------------------------------------------------------------------------------------


def search(
    conn: Connection,
    encoder: int,
    vector: bytes,
    principals: frozenset[str],
    k: int,
    sources: frozenset[str] | None = None,
) -> list[Near]:
    """The `k` passages whose vectors are nearest, of those the principals may read, nearest first.

    With `sources`, of documents from sources of these names alone.
    """
    if not principals or k < 1:
        return []
    made, visible = _table(encoder), _visible(principals, sources)
    if not _postgresql(conn):
        wanted = _two_steps(made, vector, visible, k)
    elif _is_for_the_index(conn, made, visible):
        conn.execute(text("set local hnsw.iterative_scan = strict_order"))
        conn.execute(text(f"set local hnsw.ef_search = {max(40, min(1000, 2 * k))}"))
        wanted = _by_index(made, vector, visible, k)
    else:
        wanted = _by_comparing_all(made, vector, visible, k)
    return [Near(id=row.id, similarity=1.0 - float(row.distance)) for row in conn.execute(wanted)]


def _visible(principals: frozenset[str], sources: frozenset[str] | None) -> Select[Any]:
    """The documents that the principals may read, of all sources or of these."""
    readable = select(document_access.c.document_id).where(document_access.c.principal.in_(principals))
    if sources is None:
        return readable
    named = select(documents.c.id).where(documents.c.collection.in_(sources))
    return readable.where(document_access.c.document_id.in_(named))


def _two_steps(made: Table, vector: bytes, visible: Select[Any], k: int) -> Select[Any]:
    different = func.vec_distance_hamming(func.vec_bit(made.c.signs), func.vec_bit(signs(vector)), type_=_FLOAT)
    chosen = (
        select(passages.c.id)
        .join(made, made.c.passage_id == passages.c.id)
        .where(passages.c.document_id.in_(visible))
        .order_by(different)
        .limit(max(CHOSEN, k))
        .subquery()
    )
    distance = func.vec_distance_cosine(made.c.vector, literal(vector, Vector()), type_=_FLOAT).label("distance")
    nearest = select(chosen.c.id, distance).join(made, made.c.passage_id == chosen.c.id)
    return nearest.order_by(distance, chosen.c.id).limit(k)


def _by_comparing_all(made: Table, vector: bytes, visible: Select[Any], k: int) -> Select[Any]:
    distance = (_cosine_distance(made, vector) + 0).label("distance")  # no index fits a sum
    nearest = select(passages.c.id, distance).join(made, made.c.passage_id == passages.c.id)
    return nearest.where(passages.c.document_id.in_(visible)).order_by(distance, passages.c.id).limit(k)


def _by_index(made: Table, vector: bytes, visible: Select[Any], k: int) -> Select[Any]:
    """The index is gone along, nearest first, until `k` of the visible ones were met."""
    distance = _cosine_distance(made, vector).label("distance")
    may = select(1).where(passages.c.id == made.c.passage_id, passages.c.document_id.in_(visible)).exists()
    return select(made.c.passage_id.label("id"), distance).where(may).order_by(distance).limit(k)


def _cosine_distance(made: Table, vector: bytes) -> ColumnElement[float]:
    return made.c.vector.op("<=>", return_type=_FLOAT)(cast(literal(vector, Vector()), Vector()))


def _is_for_the_index(conn: Connection, made: Table, visible: Select[Any]) -> bool:
    """Whether there is one, and so much is `visible` that comparing all would take long.

    Estimated by their share of the documents: counting their passages would take longer than the search.
    """
    if conn.execute(select(func.to_regclass(_index(made)))).scalar_one() is None:
        return False
    mine = select(func.count()).select_from(visible.distinct().subquery()).scalar_subquery()
    of = select(func.count()).select_from(documents).scalar_subquery()
    # Counted whenever the index is made and the table is analysed.
    held = text("(select reltuples from pg_class where oid = to_regclass(:name))").bindparams(name=made.name)
    vectors, documents_, share = conn.execute(select(held, of, mine)).one()
    return bool(vectors * share >= MANY * documents_)


def index(conn: Connection, encoder: int, dimension: int) -> bool:
    """Make PostgreSQL's index once there are many vectors; True when it was made now.

    It takes minutes for 100,000, in which vectors are read but not written: documents can wait to be removed for it.
    """
    made = _table(encoder)
    if not _postgresql(conn) or dimension > INDEXABLE or count(conn, encoder) < MANY:
        return False
    if conn.execute(select(func.to_regclass(_index(made)))).scalar_one() is not None:
        return False
    conn.execute(text(f"create index {_index(made)} on {made.name} using hnsw (vector vector_cosine_ops)"))
    return True


def _index(made: Table) -> str:
    return f"{made.name}_near"


def _postgresql(conn: Connection) -> bool:
    return conn.dialect.name == "postgresql"
