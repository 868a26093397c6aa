"""What admins do to people and jobs, the same for a chat command and for `moqi`; the audit log keeps who did it.

Every function takes the caller's connection and belongs into one transaction.

ManageError
├── NoPerson   nobody, or more than one person, has this name (write <platform>:<user id>)
├── NoJob      there is no job of this number
├── NoReservation  there is no reservation of this number
├── NoToken    there is no token of this number that still works
└── Ended      the job is over, or not over yet: what was asked for does not fit its state
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from bot.platforms.web.wire import chosen_name
from scheduler import queue, quota, reservations
from scheduler.policy import Policy, Refusal
from scheduler.queue import Submission
from scheduler.quota import Standing
from storage import audit, jobs, ledger, tokens, users
from storage import reservations as kept
from storage.records import Allowance, Identity, Job, JobState, Reservation, Role, Unit, User
from storage.tokens import Token

#: Where people come from: the names an identity may begin with.
PLATFORMS = ("web", "terminal", "feishu", "wecom")

#: What a token made by an admin may be for; sessions are made by signing in.
PURPOSES = ("api", "login")


class ManageError(Exception):
    """It cannot be done as asked; the text says why and what to do instead."""


class NoPerson(ManageError):
    """Nobody, or more than one person, is called so."""

    def __init__(self, text: str, meant: Sequence[str] = ()) -> None:
        if meant:
            super().__init__(f"{text!r} may mean {', '.join(meant)}. Write one of these.")
        else:
            super().__init__(f"Nobody is called {text!r}. Write <platform>:<user id>, for example feishu:ou_123.")
        self.meant = tuple(meant)


class NoJob(ManageError):
    """There is no job of this number."""

    def __init__(self, job_id: int) -> None:
        super().__init__(f"There is no job {job_id}. `moqi jobs list` shows those there are.")


class NoReservation(ManageError):
    """There is no reservation of this number."""

    def __init__(self, number: int) -> None:
        super().__init__(f"There is no reservation {number}. `moqi reservations list` shows those there are.")


class NoToken(ManageError):
    """There is no token of this number that still works."""

    def __init__(self, token_id: int) -> None:
        super().__init__(f"There is no token {token_id} that still works. `moqi token list` shows those there are.")


class Ended(ManageError):
    """The job's state does not fit what was asked for."""


# --- people -----------------------------------------------------------------------------------------------------


def identity(text: str) -> Identity | None:
    """The identity that `platform:id` names; None for anything else, such as a name. Raises `NoPerson`."""
    platform, colon, external_id = text.strip().partition(":")
    platform = platform.lower()
    if not colon or platform not in PLATFORMS:
        return None
    # As the web chat keeps it, or the person made here and the one who signs in would be two.
    known = chosen_name(external_id) if platform == "web" else external_id.strip()
    if not known:
        raise NoPerson(text)
    return Identity(platform=platform, external_id=known)


def find(conn: Connection, text: str) -> User:
    """The person meant by a name or by `platform:id`. Raises `NoPerson`."""
    named = identity(text)
    known = users.of_identity(conn, named) if named else None
    found = [known] if known else [] if named else users.find(conn, text)
    if len(found) == 1:
        return found[0]
    raise NoPerson(text, [f"{one}" for person in found[:5] for one in users.identities_of(conn, person.id)])


def find_or_make(conn: Connection, text: str, now: datetime) -> User:
    """The same, but `platform:id` of somebody who never wrote yet makes them known. Raises `NoPerson`."""
    named = identity(text)
    return users.resolve(conn, named, named.external_id, now) if named else find(conn, text)


def set_role(conn: Connection, actor: str, person: User, role: Role, now: datetime) -> User:
    """Make somebody an admin, a reviewer or a user."""
    changed = users.set_role(conn, person.id, role)
    audit.append(conn, actor, "role.set", f"user:{person.id}", {"role": role.value}, now)
    return changed


def set_quota(
    conn: Connection, actor: str, person: User, unit: Unit, allowance: Allowance, policy: Policy, now: datetime
) -> Standing:
    """Give somebody an allowance of their own, from this period on; returns where they stand now."""
    ledger.set_allowance(conn, quota.subject(person.id), unit, allowance)
    detail = {"unit": unit.value, "amount": allowance.amount, "period": allowance.period}
    audit.append(conn, actor, "quota.set", f"user:{person.id}", detail, now)
    return quota.standing(conn, person.id, unit, policy, now)


def grant(
    conn: Connection, actor: str, person: User, unit: Unit, amount: int, policy: Policy, now: datetime
) -> Standing:
    """Give somebody units once, which do not lapse; returns where they stand now."""
    quota.grant(conn, person.id, unit, amount, actor, now)
    audit.append(conn, actor, "quota.grant", f"user:{person.id}", {"unit": unit.value, "amount": amount}, now)
    return quota.standing(conn, person.id, unit, policy, now)


def create_token(
    conn: Connection, actor: str, person: User, purpose: str, note: str, now: datetime, expires: datetime | None
) -> tuple[str, Token]:
    """A secret that stands for a person; it can be read this once only."""
    secret, token = tokens.create(conn, person.id, purpose, note, now, expires)
    detail = {"token": token.id, "purpose": purpose}
    audit.append(conn, actor, "token.create", f"user:{person.id}", detail, now)
    return secret, token


def revoke_token(conn: Connection, actor: str, token_id: int, now: datetime) -> None:
    """End a secret. Raises `NoToken`."""
    if not tokens.revoke(conn, token_id, now):
        raise NoToken(token_id)
    audit.append(conn, actor, "token.revoke", f"token:{token_id}", {}, now)


# --- jobs -------------------------------------------------------------------------------------------------------


def job(conn: Connection, job_id: int) -> Job:
    """The job of this number. Raises `NoJob`."""
    found = jobs.get(conn, job_id)
    if found is None:
        raise NoJob(job_id)
    return found


def cancel(conn: Connection, actor: str, job_id: int, now: datetime) -> JobState:
    """Stop a job: at once while it waits, at its next step while it runs. Raises `NoJob`, `Ended`."""
    found = job(conn, job_id)
    if found.state.terminal:
        raise Ended(f"Job {job_id} is over already ({found.state.value}).")
    return queue.cancel(conn, found, actor, now)


def retry(conn: Connection, actor: str, job_id: int, policy: Policy, now: datetime) -> Job | Refusal:
    """Order again what failed or was cancelled, for its owner, at its owner's cost. Raises `NoJob`, `Ended`."""
    found = job(conn, job_id)
    if found.state not in (JobState.FAILED, JobState.CANCELLED):
        raise Ended(f"Job {job_id} is {found.state.value}: only a failed or cancelled job can be retried.")
    owner = users.get(conn, found.user_id)
    if owner is None:
        raise NoPerson(f"user:{found.user_id}")
    fresh = queue.submit(conn, _again(found, owner), policy, now)
    if isinstance(fresh, Job):
        audit.append(conn, actor, "job.retry", f"job:{fresh.id}", {"of": job_id}, now)
    return fresh


def _again(job: Job, owner: User) -> Submission:
    return Submission(
        key=f"retry:{job.id}:{secrets.token_hex(8)}",
        kind=job.kind,
        user=owner,
        origin=job.origin,
        params=job.params,
        cost=job.cost,
        work=job.weight,
        batch_key=job.batch_key,
        parent_id=job.id,
        priority=job.priority,
        card=None if job.origin.platform == "terminal" else lambda conn, again: {},  # rendered when it is sent
    )


# --- reservations -----------------------------------------------------------------------------------------------


def reservation(conn: Connection, number: int) -> Reservation:
    """The reservation of this number. Raises `NoReservation`."""
    found = kept.get(conn, number)
    if found is None:
        raise NoReservation(number)
    return found


def cancel_reservation(conn: Connection, actor: str, number: int, now: datetime) -> Reservation:
    """Cancel a reservation for good. Raises `NoReservation`, `Ended`."""
    found = kept.lock(conn, number) or reservation(conn, number)
    done = reservations.cancel(conn, found, actor, now)
    if isinstance(done, Refusal):
        raise Ended(f"Reservation {number} is over already ({found.state.value}).")
    return done
