"""Whose turn it is. Pure: start-time fair queueing tags and the choice of the next batch.

Every job gets a tag when it is accepted: `max(virtual time, end of the person's last job)`. The lane serves by
(priority, tag, id) and moves the virtual time of that priority to the tag it serves. Somebody with 200 waiting pictures
has tags far in the future; somebody new starts at the present and is next. Each priority has a virtual time of its own:
in a common one, what waits behind would lose its place to whoever comes later. Source: Goyal, Vin, Cheng, "Start-time
Fair Queueing", 1996.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from scheduler.policy import BATCH, INTERACTIVE, RESERVED, SUSPECT
from storage.records import Job

_CLASSES = (INTERACTIVE, RESERVED, BATCH, SUSPECT)


@dataclass(frozen=True, kw_only=True, slots=True)
class Tag:
    """Where a new job stands (`start`) and where the person's next one will (`finish`)."""

    start: float
    finish: float


def tag(vtime: float, vfinish: float, work: float, share: float = 1.0) -> Tag:
    """The tag of a new job of `work`; a person with share 2 advances half as fast."""
    start = max(vtime, vfinish)
    return Tag(start=start, finish=start + work / share)


def before(priority: int) -> int:
    """The class that a job rises into when it has waited too long in this one."""
    return max((one for one in _CLASSES if one < priority), default=INTERACTIVE)


def pictures(job: Job) -> int:
    """How many members the job brings into a batch."""
    return int(job.params.get("count", 1))


def choose(
    waiting: Sequence[Job], running: Mapping[int, int], concurrency: int, room: Callable[[Job], int]
) -> list[Job]:
    """The next batch out of the jobs waiting in order of their turn.

    The head is the first whose owner is below the limit of running jobs; others join when they share its non-empty
    batch key, stay below their owner's limit and fit into the head's `room`. A job larger than that runs alone.
    """
    busy = Counter(running)
    batch: list[Job] = []
    used = 0
    for job in waiting:
        if busy[job.user_id] >= concurrency:
            continue
        if batch and (job.batch_key != batch[0].batch_key or used + pictures(job) > room(batch[0])):
            continue
        batch.append(job)
        busy[job.user_id] += 1
        used += pictures(job)
        if not job.batch_key or used >= room(batch[0]):
            break
    return batch
