"""What admins do to people and jobs, the same for a chat command and for `moqi`; the audit log keeps who did it.

Every function takes the caller's connection and belongs into one transaction.

ManageError
├── NoPerson   nobody, or more than one person, has this name (write <platform>:<user id>)
├── NoChat     this is no group chat, or no platform has one of this name
├── NotLimited nothing limits this account, or it is the default: there is nothing to add to
├── NoJob      there is no job of this number
├── NoReservation  there is no reservation of this number
├── NoToken    there is no token of this number that still works
└── Ended      the job is over, or not over yet: what was asked for does not fit its state
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection

from bot.platforms.web.wire import chosen_name
from scheduler import queue, quota, reservations
from scheduler.policy import Policy, Refusal
from scheduler.queue import Submission
from scheduler.standing import Standing, payer
from storage import audit, jobs, ledger, profiles, tokens, users
from storage import reservations as kept
from storage.records import Allowance, ChatType, Identity, Job, JobState, Origin, Payer, Reservation, Role, Unit, User
from storage.tokens import Token

#: Where people come from: the names an identity may begin with. A further Feishu app is feishu-<name>.
PLATFORMS = re.compile(r"web|terminal|feishu(-[a-z0-9-]{1,20})?|wecom")

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


class NoChat(ManageError):
    """There is no group chat of this name."""

    def __init__(self, text: str) -> None:
        super().__init__(
            f"{text!r} names no group chat. Write group:<platform>:<chat id>, for example group:feishu:oc_1."
        )


class NotLimited(ManageError):
    """Nothing limits this account, or it is nobody's."""

    def __init__(self, subject: str) -> None:
        if subject == quota.DEFAULT:
            super().__init__("everybody has the default by themselves: it can be set, but nothing granted to it.")
        else:
            super().__init__(f"{subject} has no quota, so there is nothing to add to. `moqi quota set` gives it one.")


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Holder:
    """Whose quota is shown or changed."""

    subject: str  # of the account, or `default`
    name: str = ""  # person, department or chat; empty for this very chat and for the default
    people: int = 0  # of a department

    @property
    def payer(self) -> Payer:
        return payer(self.subject)


# --- people -----------------------------------------------------------------------------------------------------


def identity(text: str) -> Identity | None:
    """The identity that `platform:id` names; None for anything else, such as a name. Raises `NoPerson`."""
    platform, colon, external_id = text.strip().partition(":")
    platform = platform.lower()
    if not colon or not PLATFORMS.fullmatch(platform):
        return None
    # As the platform keeps it, or the person made here and the one who writes there would be two.
    known = chosen_name(external_id) if platform == "web" else external_id.strip()
    if not known:
        raise NoPerson(text)
    return Identity.written(platform, known)


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


def set_department(conn: Connection, actor: str, person: User, department: str, now: datetime) -> User:
    """Say which department somebody's orders count for, too; empty = none."""
    changed = users.set_department(conn, person.id, department)
    audit.append(conn, actor, "dept.set", f"user:{person.id}", {"department": changed.department}, now)
    return changed


def follow_department(conn: Connection, actor: str, person: User, now: datetime) -> User:
    """Take back what an admin set: from now on it is the department that the person's platform tells."""
    changed = users.follow_department(conn, person.id, profiles.department(conn, person.id))
    detail = {"department": changed.department, "by": "platform"}
    audit.append(conn, actor, "dept.set", f"user:{person.id}", detail, now)
    return changed


# --- quotas -----------------------------------------------------------------------------------------------------


def holder(conn: Connection, of: Payer, who: str, now: datetime, here: Origin | None = None) -> Holder:
    """Whose quota is meant. `here`: the chat it is said in. Raises `NoPerson`, `NoChat`."""
    if of is Payer.USER:
        return of_person(find_or_make(conn, who, now))
    if of is Payer.DEPARTMENT:
        name = users.shown(who)
        return Holder(subject=quota.department(name), name=name, people=users.departments(conn).get(name, 0))
    if of is Payer.DEFAULT:
        return Holder(subject=quota.DEFAULT)
    platform, chat = _chat(who, here)
    this = here is not None and (platform, chat) == (here.platform, here.chat_id)
    return Holder(subject=quota.group(platform, chat), name="" if this else f"{platform}:{chat}")


def of_person(person: User) -> Holder:
    """The quota of somebody."""
    return Holder(subject=quota.subject(person.id), name=person.name)


def _chat(who: str, here: Origin | None) -> tuple[str, str]:
    if not who and here is not None and here.chat_type is ChatType.GROUP:
        return here.platform, here.chat_id
    platform, _, chat = who.partition(":")
    if not PLATFORMS.fullmatch(platform.lower()) or not chat.strip():
        raise NoChat(who)
    return platform.lower(), chat.strip()


def set_quota(conn: Connection, actor: str, subject: str, unit: Unit, allowance: Allowance, now: datetime) -> None:
    """Give an account an allowance of its own, from this period on; those of its other periods stay."""
    ledger.set_allowance(conn, subject, unit, allowance)
    detail = {"unit": unit.value, "amount": allowance.amount, "period": allowance.period}
    audit.append(conn, actor, "quota.set", subject, detail, now)


def clear_quota(conn: Connection, actor: str, subject: str, unit: Unit, period: str, now: datetime) -> None:
    """Take back what was set for an account, for one period or (empty) for all: it has what everybody has."""
    ledger.clear_allowances(conn, subject, unit, period)
    audit.append(conn, actor, "quota.clear", subject, {"unit": unit.value, "period": period or "all"}, now)


def grant(
    conn: Connection,
    actor: str,
    subject: str,
    unit: Unit,
    amount: int,
    policy: Policy,
    now: datetime,
    until: date | None = None,
) -> Standing:
    """Give an account units once, to be spent by the end of the day `until`; returns where it stands now.

    Raises `NotLimited`.
    """
    if subject == quota.DEFAULT or subject not in quota.allowed(conn, (subject,), unit, policy):
        raise NotLimited(subject)
    quota.grant(conn, subject, unit, amount, actor, now, until)
    detail = {"unit": unit.value, "amount": amount, **({"until": until.isoformat()} if until else {})}
    audit.append(conn, actor, "quota.grant", subject, detail, now)
    return quota.standings(conn, (subject,), unit, policy, now)[0]


# --- secrets ----------------------------------------------------------------------------------------------------


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
        card=None if job.origin.platform == "terminal" else queue.when_sent,
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
