"""Who this process is, for what it holds in a database that others share; and who had its data folder before it.

The lock of the data folder (`storage.database.data_lock`) ends with its holder, however that ended. So whoever has the
lock knows that everybody noted in the folder before is gone, and may end at once what they still hold in the database.
Processes with a folder of their own are not in these notes: their leases end by themselves.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from storage.database import LOCK

NOTES = "moqi.owners"


def name() -> str:
    """This process, as no other is called."""
    return _name(os.getpid())


@cache
def _name(pid: int) -> str:
    return f"{socket.gethostname()}:{pid}:{secrets.token_hex(4)}"


def is_gone(owner: str) -> bool:
    """Whether a process by this name was one of this machine and runs no more. Of others nothing is known: False."""
    host, _, rest = owner.partition(":")
    pid = rest.partition(":")[0]
    if host != socket.gethostname() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False  # somebody else's
    return int(pid) == os.getpid() and owner != name()  # a number that was given again, to us


def succeed(folder: Path) -> list[str]:
    """Note this process as the one that has the folder, whose lock it must hold.

    Returns those who had it before and whose leases nobody has ended yet: also those of a process that died before it
    came to that. Raises OSError.
    """
    gone = [one for one in _noted(folder) if one != name()]
    _note(folder, [*gone, name()])
    return gone


def forget(folder: Path) -> None:
    """The leases of all who had the folder before have been ended. Raises OSError."""
    _note(folder, [name()])


def _noted(folder: Path) -> list[str]:
    try:
        found = json.loads((folder / NOTES).read_text(encoding="utf-8"))
        # A copy of the folder has a lock of its own: those who had the other one may well be alive.
        return [str(one) for one in found["names"]] if found["lock"] == _lock(folder) else []
    except (OSError, ValueError, KeyError, TypeError):
        return []  # then the leases end by themselves


def _note(folder: Path, names: Sequence[str]) -> None:
    draft = folder / f"{NOTES}.new"
    draft.write_text(json.dumps({"lock": _lock(folder), "names": names}), encoding="utf-8")
    draft.replace(folder / NOTES)


def _lock(folder: Path) -> int:
    return (folder / LOCK).stat().st_ino
