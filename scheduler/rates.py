"""How often somebody may order: the generic cell rate algorithm, one moment per person and scope.

The moment says when somebody who had kept to the rate evenly would have come to this order. It may lie ahead by a whole
period: so many orders may come at once, and then each share of the period frees one. In the database it survives a
restart and holds for all processes; and it never lies further ahead than a period, whatever the wall clock did.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from scheduler.policy import Policy, Rate, Refusal
from storage import rates
from storage.dialect import serialise


@dataclass(frozen=True, slots=True)
class Turn:
    """What becomes of one more order."""

    moment: datetime  # to be kept if the order goes ahead
    wait: timedelta  # until it would be allowed; zero: now


def turn(moment: datetime | None, rate: Rate, now: datetime) -> Turn:
    """Whether one more order is within the rate. Pure."""
    share = rate.period / rate.count
    start = now if moment is None else max(now, min(moment, now + rate.period))
    return Turn(start + share, max(timedelta(0), start + share - (now + rate.period)))


def take(conn: Connection, user_id: int, scopes: Sequence[str], policy: Policy, now: datetime) -> Refusal | None:
    """Count one more order in each of these scopes; too many in one of them, and it counts in none."""
    limited = _limited(scopes, policy)
    if not limited:
        return None
    serialise(conn, f"rate:{user_id}")
    turns = _turns(conn, user_id, limited, now)
    refusal = _too_fast(turns, limited)
    if refusal is None:
        rates.keep(conn, user_id, {scope: found.moment for scope, found in turns.items()})
    return refusal


def look(conn: Connection, user_id: int, scopes: Sequence[str], policy: Policy, now: datetime) -> Refusal | None:
    """What `take` would say; nothing is counted."""
    limited = _limited(scopes, policy)
    return _too_fast(_turns(conn, user_id, limited, now), limited) if limited else None


def _limited(scopes: Sequence[str], policy: Policy) -> dict[str, Rate]:
    return {scope: policy.rates[scope] for scope in scopes if scope in policy.rates}


def _turns(conn: Connection, user_id: int, limited: Mapping[str, Rate], now: datetime) -> dict[str, Turn]:
    before = rates.of_user(conn, user_id, list(limited))
    return {scope: turn(before.get(scope), rate, now) for scope, rate in limited.items()}


def _too_fast(turns: Mapping[str, Turn], limited: Mapping[str, Rate]) -> Refusal | None:
    """The refusal by the scope that is to wait longest, if one is."""
    scope = max(turns, key=lambda scope: turns[scope].wait)
    rate, wait = limited[scope], turns[scope].wait
    if not wait:
        return None
    detail = {"scope": scope, "count": rate.count, "period": rate.name, "wait": wait.total_seconds()}
    return Refusal(code="too_fast", detail=detail)
