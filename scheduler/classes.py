"""The classes of a lane: interactive work before reserved before batch, each fair in itself, and nobody forgotten.

A job is tagged in the virtual time of its class (scheduler/fairness.py). What has waited too long in one rises into the
class before, tagged there as if it had been ordered at that moment: it is served in the end however busy the first
class is, and a person with hundreds of old jobs still does not come before everybody else.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from scheduler import fairness
from scheduler.fairness import Tag
from scheduler.policy import Policy
from storage import jobs, line
from storage.dialect import serialise
from storage.line import Person
from storage.records import Kind

#: How many jobs rise at once: the next look follows in seconds.
AT_ONCE = 200


def tag(conn: Connection, kind: Kind, person: Person, priority: int, work: float, share: float) -> Tag:
    """The tag that a job of this person gets in a class now."""
    return fairness.tag(line.vtime(conn, kind, priority), person.end(priority), work, share)


def waiting_long(conn: Connection, policy: Policy, now: datetime) -> bool:
    """Whether anything would rise now."""
    return bool(jobs.risen(conn, now - policy.ageing, 1))


def rise(conn: Connection, policy: Policy, now: datetime) -> int:
    """Move what has waited too long into the class before; how many jobs that were."""
    for kind in Kind:
        serialise(conn, f"lane:{kind}")
    found = jobs.risen(conn, now - policy.ageing, AT_ONCE)
    for job in found:
        priority = fairness.before(job.priority)
        person = line.person(conn, job.kind, job.user_id)
        to = tag(conn, job.kind, person, priority, job.weight, policy.share(job.role))
        line.set_vfinish(conn, job.kind, job.user_id, priority, to.finish)
        jobs.rise(conn, job.id, priority, to.start, to.finish - to.start, now)
    return len(found)
