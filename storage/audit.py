"""The audit log: who did what, in a chain of hashes in which no entry can be changed, moved or left out unseen.

Entries are appended unsealed in the transaction of the act, which costs one insert. One sealer then numbers them and
links each to the one before; a head record says where the chain ends, so that a cut-off end is missed too. No prompts
or answers belong in here: they must be erasable, an entry is not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select, update

from storage.dialect import insert, serialise
from storage.records import AuditEntry
from storage.tables import audit, audit_head


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """The end of the chain. Kept somewhere else, it also proves that the chain was not written anew as a whole."""

    seq: int
    hash: str


_APPEND = audit.insert().returning(audit.c.id)  # built once: it is part of nearly every transaction

EMPTY = Head(seq=0, hash="0" * 64)


def append(conn: Connection, actor: str, action: str, subject: str, detail: dict[str, Any], at: datetime) -> int:
    """Note an act. Returns the entry's id."""
    values = {"actor": actor, "action": action, "subject": subject, "detail": detail, "at": at}
    return int(conn.execute(_APPEND, values).scalar_one())


def seal(conn: Connection, limit: int = 500) -> int:
    """Link up to `limit` waiting entries into the chain, oldest first; returns how many. One at a time gets in."""
    serialise(conn, "moqi-audit-seal")
    waiting = conn.execute(select(audit).where(audit.c.seq.is_(None)).order_by(audit.c.id).limit(limit)).all()
    if not waiting:
        return 0
    end, links = head(conn), []
    for row in waiting:
        following = _link(end, row)
        links.append({"entry": row.id, "seq": following.seq, "prev": end.hash, "hash": following.hash})
        end = following
    conn.execute(update(audit).where(audit.c.id == bindparam("entry")), links)
    _move_head(conn, end)
    return len(links)


def head(conn: Connection) -> Head:
    """Where the chain ends."""
    row = conn.execute(select(audit_head.c.seq, audit_head.c.hash)).one_or_none()
    return EMPTY if row is None else Head(seq=row.seq, hash=row.hash)


def verify(conn: Connection, known: Head | None = None) -> list[str]:
    """What is wrong with the chain, a sentence each; empty = unbroken. `known` is a head that was saved elsewhere."""
    broken, end, passed = [], EMPTY, known is None or known == EMPTY
    for row in _sealed(conn):
        expected = _link(end, row)
        if row.seq != expected.seq:
            broken.append(f"entries {expected.seq} to {row.seq - 1} are missing from the audit log")
        elif (row.prev, row.hash) != (end.hash, expected.hash):
            broken.append(f"audit entry {row.seq} (id {row.id}) was changed")
        end = Head(seq=row.seq, hash=row.hash or "")
        passed = passed or end == known
    if end != (kept := head(conn)):
        broken.append(f"the audit log ends at entry {end.seq}, but its head is entry {kept.seq}: its end was changed")
    if not passed:
        broken.append("the audit log does not contain the head that was saved elsewhere: it was written anew")
    return broken


def entries(
    conn: Connection,
    limit: int = 50,
    *,
    before: int | None = None,
    actor: str = "",
    action: str = "",
    subject: str = "",
) -> list[AuditEntry]:
    """The newest entries first, beyond id `before` and only of this actor, action or subject where given."""
    statement = select(audit).order_by(audit.c.id.desc()).limit(limit)
    if before is not None:
        statement = statement.where(audit.c.id < before)
    for column, wanted in ((audit.c.actor, actor), (audit.c.action, action), (audit.c.subject, subject)):
        if wanted:
            statement = statement.where(column == wanted)
    return [_entry(row) for row in conn.execute(statement)]


def _sealed(conn: Connection) -> Iterator[Row[Any]]:
    statement = select(audit).where(audit.c.seq.is_not(None)).order_by(audit.c.seq)
    yield from conn.execute(statement, execution_options={"yield_per": 1000})


def _link(end: Head, row: Row[Any]) -> Head:
    """The head after `row`: SHA-256 of the hash before it, its number and its canonical JSON."""
    content = {
        "at": row.at.astimezone(UTC).isoformat(timespec="microseconds"),
        "actor": row.actor,
        "action": row.action,
        "subject": row.subject,
        "detail": row.detail,
    }
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    seq = end.seq + 1
    return Head(seq=seq, hash=hashlib.sha256(f"{end.hash}\n{seq}\n{canonical}".encode()).hexdigest())


def _move_head(conn: Connection, end: Head) -> None:
    values = {"seq": end.seq, "hash": end.hash}
    statement = insert(conn, audit_head).values(id=1, **values)
    conn.execute(statement.on_conflict_do_update(index_elements=["id"], set_=values))


def _entry(row: Row[Any]) -> AuditEntry:
    return AuditEntry(
        id=row.id,
        at=row.at,
        actor=row.actor,
        action=row.action,
        subject=row.subject,
        detail=row.detail,
        seq=row.seq,
        hash=row.hash,
    )
