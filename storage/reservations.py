"""Reservations and what became of their due times. When they are due is decided in scheduler/reservations.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Integer, Row, bindparam, func, select, tuple_, update

from storage.chats import within
from storage.dialect import insert_on
from storage.records import Fate, Kind, Occurrence, Origin, Reservation, ReservationState
from storage.tables import occurrences, reservations

# Built once: thousands may fall due in one minute.
_GET = select(reservations).where(reservations.c.id == bindparam("id"))
_LOCK = _GET.with_for_update()
_TRY = _GET.with_for_update(skip_locked=True)
_TRY_ALL = select(reservations).where(reservations.c.id.in_(bindparam("ids", expanding=True)))
_TRY_ALL = _TRY_ALL.with_for_update(skip_locked=True)
_DUE = (
    select(reservations.c.id, reservations.c.next_at)
    .where(reservations.c.state == ReservationState.ACTIVE, reservations.c.next_at <= bindparam("until"))
    .order_by(reservations.c.next_at, reservations.c.id)
    .limit(bindparam("limit", type_=Integer))
)
_CHANGE = update(reservations).where(reservations.c.id == bindparam("of_id"))  # sets what it is executed with
_SEEN = select(occurrences).where(
    tuple_(occurrences.c.reservation_id, occurrences.c.key).in_(bindparam("keys", expanding=True))
)
_ADD = occurrences.insert()

#: Columns whose values are kept as something simpler than the record's.
_AS_KEPT: dict[str, Callable[[Any], Any]] = {"origin": Origin.to_json, "choices": list}


def add(conn: Connection, **values: Any) -> Reservation:
    """Keep a reservation; `values` are those of the record but for the id."""
    given = {name: _kept(name, value) for name, value in values.items()}
    row = {"version": 1, "choices": [], "since": None, "next_at": None, "reason": "", "card": "", **given}
    found = conn.execute(reservations.insert().returning(reservations.c.id), row).scalar_one()
    kept = get(conn, int(found))
    assert kept is not None
    return kept


def get(conn: Connection, reservation_id: int) -> Reservation | None:
    """The reservation of this id."""
    row = conn.execute(_GET, {"id": reservation_id}).one_or_none()
    return None if row is None else _reservation(row)


def lock(conn: Connection, reservation_id: int, *, wait: bool = True) -> Reservation | None:
    """The same, and nobody else changes it before this transaction ends; without `wait` None when somebody does now."""
    row = conn.execute(_LOCK if wait else _TRY, {"id": reservation_id}).one_or_none()
    return None if row is None else _reservation(row)


def lock_free(conn: Connection, ids: Sequence[int]) -> list[Reservation]:
    """Those of these that nobody else changes now, locked, in this order."""
    found = {row.id: _reservation(row) for row in conn.execute(_TRY_ALL, {"ids": list(ids)})}
    return [found[one] for one in ids if one in found]


def change(conn: Connection, reservation: Reservation, **values: Any) -> Reservation:
    """Write new values of a locked reservation; returns it with them."""
    row = {name: _kept(name, value) for name, value in values.items()}
    conn.execute(_CHANGE, {"of_id": reservation.id, **row})
    return replace(reservation, **values)


def change_all(conn: Connection, changes: Sequence[tuple[Reservation, dict[str, Any]]]) -> None:
    """Write new values of several locked reservations; all change the same columns."""
    rows = [{"of_id": one.id, **{name: _kept(name, value) for name, value in new.items()}} for one, new in changes]
    if rows:
        conn.execute(_CHANGE, rows)


def due(conn: Connection, until: datetime, limit: int) -> list[tuple[int, datetime]]:
    """Id and time of the active reservations that fire by `until`, soonest first."""
    return [(row.id, row.next_at) for row in conn.execute(_DUE, {"until": until, "limit": limit})]


def of_user(conn: Connection, user_id: int, states: Sequence[ReservationState], limit: int) -> list[Reservation]:
    """A person's reservations in these states, soonest first."""
    statement = (
        select(reservations)
        .where(reservations.c.user_id == user_id, reservations.c.state.in_(states))
        .order_by(reservations.c.next_at.is_(None), reservations.c.next_at, reservations.c.id)
        .limit(limit)
    )
    return [_reservation(row) for row in conn.execute(statement)]


def recent(
    conn: Connection, *, user_id: int | None = None, states: Sequence[ReservationState] = (), limit: int = 20
) -> list[Reservation]:
    """The newest first, of one person or of everybody."""
    statement = select(reservations).order_by(reservations.c.id.desc()).limit(limit)
    if user_id is not None:
        statement = statement.where(reservations.c.user_id == user_id)
    if states:
        statement = statement.where(reservations.c.state.in_(states))
    return [_reservation(row) for row in conn.execute(statement)]


def in_chat(conn: Connection, platform: str, chat_id: str, states: Sequence[ReservationState]) -> list[Reservation]:
    """Those ordered in one chat that are in these states, oldest first."""
    statement = select(reservations).where(
        reservations.c.state.in_(states), within(reservations.c.origin, platform, chat_id)
    )
    return [_reservation(row) for row in conn.execute(statement.order_by(reservations.c.id))]


def count(conn: Connection, state: ReservationState, user_id: int | None = None) -> int:
    """How many are in this state, of one person or of everybody."""
    statement = select(func.count()).select_from(reservations).where(reservations.c.state == state)
    if user_id is not None:
        statement = statement.where(reservations.c.user_id == user_id)
    return int(conn.execute(statement).scalar_one())


def proposed_before(conn: Connection, moment: datetime, limit: int) -> list[int]:
    """Ids of proposals older than `moment`."""
    statement = select(reservations.c.id).where(
        reservations.c.state == ReservationState.PROPOSED, reservations.c.created_at < moment
    )
    return list(conn.execute(statement.order_by(reservations.c.id).limit(limit)).scalars())


def window_work(conn: Connection, kind: Kind, opens: datetime, closes: datetime, but: int) -> float:
    """The work booked into windows that overlap this one, without reservation `but`."""
    statement = select(func.coalesce(func.sum(reservations.c.work), 0.0)).where(
        reservations.c.kind == kind,
        reservations.c.state == ReservationState.ACTIVE,
        reservations.c.next_at < closes,
        reservations.c.closes_at > opens,
        reservations.c.id != but,
    )
    return float(conn.execute(statement).scalar_one())


def occurrences_at(conn: Connection, keys: Sequence[tuple[int, str]]) -> dict[tuple[int, str], Occurrence]:
    """What became of these due times, each a reservation and a key, as far as anything has."""
    found = (_occurrence(row) for row in conn.execute(_SEEN, {"keys": list(keys)}))
    return {(one.reservation_id, one.key): one for one in found}


def occurrences_of(conn: Connection, reservation_id: int, limit: int = 20) -> list[Occurrence]:
    """What became of its due times, newest first."""
    statement = select(occurrences).where(occurrences.c.reservation_id == reservation_id)
    return [_occurrence(row) for row in conn.execute(statement.order_by(occurrences.c.due_at.desc()).limit(limit))]


def record(conn: Connection, found: Sequence[Occurrence]) -> None:
    """Keep what became of due times. One that was kept before is an error and undoes the transaction."""
    if found:
        conn.execute(_ADD, [_row(one) for one in found])


def record_skipped(conn: Connection, found: Sequence[Occurrence]) -> None:
    """Keep due times that are not run; those kept before stay as they are."""
    if found:
        conn.execute(insert_on(conn.dialect.name, occurrences).on_conflict_do_nothing(), [_row(one) for one in found])


def _kept(name: str, value: Any) -> Any:
    return _AS_KEPT[name](value) if name in _AS_KEPT else value


def _reservation(row: Row[Any]) -> Reservation:
    data = dict(row._mapping)
    data["kind"] = Kind(data["kind"])
    data["state"] = ReservationState(data["state"])
    data["origin"] = Origin.from_json(data["origin"])
    data["choices"] = tuple(data["choices"])
    return Reservation(**data)


def _row(found: Occurrence) -> dict[str, Any]:
    return {name: getattr(found, name) for name in Occurrence.__dataclass_fields__}


def _occurrence(row: Row[Any]) -> Occurrence:
    return Occurrence(**{**row._mapping, "fate": Fate(row.fate)})
