"""Errors of what is kept, and the one place where a driver's error becomes one of them.

StorageError              something could not be kept or found
├── Busy                  somebody else holds the database (try again later)
├── DiskFull              the disk takes no more; nothing of the call was kept (free space, then try again)
├── Corrupt               the database file is damaged (restore a backup)
├── Sealed                the file and the key do not go together
│   ├── BadKey            the key file is missing, cannot be read, or holds no key
│   ├── KeyNeeded         the settings want the data encrypted, and no key was named
│   ├── Encrypted         the file is encrypted, and no key was named
│   ├── NotEncrypted      a key was named, and the file is not encrypted
│   └── WrongKey          the file is encrypted with another key
├── Unreachable           the database cannot be reached (try again later; the outcome may be unknown)
├── NewerSchema           the data was written by a newer version (install that one)
├── Locked                a second process on the same data folder (stop the first, or use it)
├── Missing               there is no such row or file
└── Closed                the database was closed while something still wanted to use it

`transient` says whether the same call may succeed later; every message ends with the next step.
"""

from __future__ import annotations

import errno
from pathlib import Path

from sqlalchemy.exc import DBAPIError


class StorageError(Exception):
    """Something could not be kept or found."""

    transient = False
    next_step = "See the log of the operator for the cause."

    def __init__(self, problem: str = "", next_step: str = "") -> None:
        self.problem = problem or str(self.__doc__)
        self.next_step = next_step or self.next_step
        super().__init__(f"{self.problem} {self.next_step}")


class Busy(StorageError):
    """Another process holds the database."""

    transient = True
    next_step = "Try again in a moment; if it stays so, end the other program that has the database open."


class DiskFull(StorageError):
    """The disk is full or takes no writes; nothing of this call was kept."""

    transient = True
    next_step = "Free space (or raise the quota) on the disk of the data folder; work goes on by itself then."


class Corrupt(StorageError):
    """The database file is damaged or is not a database."""

    next_step = "Stop Moqi, keep a copy of the file, and restore a backup with: moqi restore FILE"


class Sealed(StorageError):
    """The database's file and the key do not go together."""


class BadKey(Sealed):
    """The key of the database cannot be used."""

    next_step = "Name the file with the key in MOQI_DATABASE_KEY_FILE; `moqi key new FILE` makes one."


class KeyNeeded(Sealed):
    """knowledge.yaml wants the data encrypted (encryption.required), and no key was named."""

    next_step = "Name the file with the key in MOQI_DATABASE_KEY_FILE; `moqi key new FILE` makes one."


class Encrypted(Sealed):
    """The database is encrypted, and no key was named."""

    next_step = (
        "Name the file with its key in MOQI_DATABASE_KEY_FILE. If it never was encrypted it is damaged: "
        "restore a backup with: moqi restore FILE"
    )

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is encrypted, and no key was named.")


class NotEncrypted(Sealed):
    """A key was named, and the database is not encrypted."""

    next_step = "Stop Moqi and encrypt it with: moqi key encrypt. Or leave MOQI_DATABASE_KEY_FILE unset."

    def __init__(self, path: Path) -> None:
        super().__init__(f"A key was named, and {path} is not encrypted.")


class WrongKey(Sealed):
    """The database is encrypted with another key."""

    next_step = (
        "Name the key it was encrypted with in MOQI_DATABASE_KEY_FILE: after `moqi key rekey` that is the new one, of "
        "a backup the one of its day. If the key is right the file is damaged: moqi restore FILE"
    )

    def __init__(self, path: Path, key: str) -> None:
        super().__init__(f"{path} does not open with the key {key}.")


class Unreachable(StorageError):
    """The database cannot be reached."""

    transient = True
    next_step = "Check MOQI_DATABASE_URL, and that its server runs or its folder exists and is yours."


class NewerSchema(StorageError):
    """The data was written by a newer version of Moqi."""

    next_step = "Install that version again, or restore a backup made before the upgrade."

    def __init__(self, revision: str) -> None:
        super().__init__(f"The database is at revision {revision!r}, which this version does not know.")
        self.revision = revision


class Locked(StorageError):
    """Another process serves this data folder."""

    next_step = "Use that one, stop it first, or choose another folder with MOQI_DATA."

    def __init__(self, folder: str, pid: int, port: int) -> None:
        super().__init__(f"{folder} is in use by process {pid or '(unknown)'}" + (f" on port {port}." if port else "."))
        self.pid = pid  # 0 when the holder has not written it yet
        self.port = port  # 0 when it serves none


class Missing(StorageError):
    """There is no such row or file."""

    next_step = "Check the name; it may have been deleted since."


class Closed(StorageError):
    """The database is closed."""

    next_step = "The program is stopping; start it again."


#: SQLite's primary result codes (https://www.sqlite.org/rescode.html). 10 is an I/O error: also what a file-size
#: limit or a quota looks like.
_SQLITE: dict[int, type[StorageError]] = {
    5: Busy,
    6: Busy,
    10: DiskFull,
    11: Corrupt,
    13: DiskFull,
    14: Unreachable,
    26: Corrupt,
}

#: PostgreSQL's SQLSTATE, by longest prefix (appendix "PostgreSQL Error Codes" of its manual).
_POSTGRESQL: dict[str, type[StorageError]] = {
    "08": Unreachable,
    "28": Unreachable,
    "3D": Unreachable,
    "40": Busy,
    "53": Unreachable,
    "53100": DiskFull,
    "55P03": Busy,
    "57P": Unreachable,
    "58": DiskFull,
    "XX001": Corrupt,
    "XX002": Corrupt,
}

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS})


def translate(error: BaseException) -> BaseException:
    """The error a caller should see for this one: ours where it says what is wrong with the storage, else the same.

    A broken constraint stays what it is: the caller decides what it means.
    """
    kind, detail = _kind(error)
    if kind is None:
        return error
    found = kind(f"{kind.__doc__} ({detail})")
    found.__cause__ = error
    return found


def _kind(error: BaseException) -> tuple[type[StorageError] | None, str]:
    if isinstance(error, OSError):
        return (DiskFull if error.errno in _FULL else None), str(error.strerror)
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    return _of_driver(cause), (str(cause).strip() or type(cause).__name__).splitlines()[0]


def _of_driver(error: BaseException) -> type[StorageError] | None:
    code = getattr(error, "sqlite_errorcode", None)
    if isinstance(code, int):
        return _SQLITE.get(code & 0xFF)
    state = getattr(error, "sqlstate", None)
    if state:
        return next((_POSTGRESQL[state[:n]] for n in (5, 3, 2) if state[:n] in _POSTGRESQL), None)
    # Without a code no server was there to give one: refused, cut off, name not resolved.
    unanswered = type(error).__module__.startswith("psycopg") and type(error).__name__ == "OperationalError"
    return Unreachable if unanswered else None
