"""Named points at which a test may kill the process, to prove that a restart loses nothing.

Off unless armed: `MOQI_FAULTS=after-claim:3` ends the process with SIGKILL at the third passage of that point.
"""

from __future__ import annotations

import os
import signal

#: The points that ordinary work passes; a test walks this list, and a name in neither list is refused at once.
POINTS = (
    "inbox-accepted",  # the event is committed, not yet acknowledged
    "inbox-handling",  # taken from the inbox, its transaction not yet begun
    "job-submitted",  # job, hold, inbox and card are committed
    "job-claimed",  # a worker holds the lease
    "picture-drawn",  # pixels exist in memory only
    "asset-written",  # the file exists, no row knows it
    "job-finished",  # outcome, ledger and outbox are committed
    "reservation-confirmed",  # the reservation is active, no alarm is set for it yet
    "reservation-due",  # its time has come, the transaction has not begun
    "reservation-firing",  # job and occurrence are written, nothing is committed
    "reservation-fired",  # committed, no worker knows of the job yet
    "delivery-claimed",  # leased, nothing sent yet
    "delivery-sent",  # the platform has it, the row does not say so yet
    "delivery-kept",  # marked as sent
)

#: Points of what is done once a day or less: known, but not among those that every chaos run passes.
RARE = (
    "pictures-retired",  # their rows say that they are removed, their files are still there
    "picture-deleted",  # a file is deleted, the list of those to be deleted still names it
    "key-alone",  # the database is to get another key, and nobody else has it open
    "key-copied",  # the copy with the new key is whole and on disk
    "key-replaced",  # the copy is the database now, what was there before is not yet overwritten
)

_armed: dict[str, int] = {}


def arm(spec: str) -> None:
    """Arm `name:count` pairs separated by commas; an empty text disarms everything."""
    _armed.clear()
    for item in filter(None, spec.split(",")):
        name, _, count = item.partition(":")
        if name not in POINTS + RARE:
            raise ValueError(f"MOQI_FAULTS: unknown point {name!r}; known: {', '.join(POINTS + RARE)}")
        _armed[name] = int(count or 1)


def point(name: str) -> None:
    """Pass a named point; dies here when armed and counted down."""
    if not _armed or name not in _armed:
        return
    _armed[name] -= 1
    if _armed[name] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
