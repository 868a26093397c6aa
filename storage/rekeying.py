"""Another key for a SQLite file, a first one, or none: a copy is written beside it, checked, and put in its place.

The replacing is the one instant that counts: a process that is killed before leaves the old file with the old key, one
that is killed after leaves the new file with the new one.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import URL

from storage import faults
from storage.database import prepare
from storage.encryption import Key, key_of, unlock
from storage.errors import Busy, Corrupt, DiskFull, translate
from storage.writer import raise_translated

#: Seconds that whoever else has the database open gets to end.
PATIENCE = 5
_CHUNK = 1 << 20
_ENDS = ("", "-journal")


def rekey(old: URL, new: URL) -> None:
    """Write the database at `old` anew for the key that `new` names; both name the same file.

    Nobody else may have it open; until it is done it takes its size on the disk once more. Raises `Busy`, `DiskFull`,
    `Sealed`, `Corrupt`; then everything is as it was.
    """
    path, key = Path(old.database or ""), key_of(new)
    fresh = _beside(path)
    sweep(path)
    _has_room(path)
    try:
        with _alone(old) as connection:
            faults.point("key-alone")
            _copy(connection, path, fresh, key)
            _check(connection, fresh, key)
            _sync(fresh)
            faults.point("key-copied")
            _replace(path, fresh, connection)
    except OSError as error:
        raise_translated(error)
    finally:
        sweep(path)


def sweep(path: Path) -> None:
    """Remove what a killed `rekey` left beside the database. The caller holds the data folder."""
    for end in _ENDS:
        with suppress(FileNotFoundError):
            _overwrite(_beside(path).with_name(_beside(path).name + end))


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.rekeyed")


def _has_room(path: Path) -> None:
    needed, free = path.stat().st_size, shutil.disk_usage(path.parent).free
    if free < needed:
        raise DiskFull(f"A copy of {path} needs {needed / 1e6:,.0f} MB, and {free / 1e6:,.0f} MB are free.")


@contextmanager
def _alone(url: URL) -> Iterator[Any]:
    """The driver's own connection, which has the file for itself, all of its log in it. Raises `Busy`."""
    from sqlcipher3 import dbapi2

    connection = dbapi2.connect(url.database, isolation_level=None)
    try:
        prepare(connection, url, key_of(url), f"busy_timeout = {PATIENCE * 1000}")
        # Exclusive first: between leaving the log and the lock somebody could come in and begin a new one.
        for statement in ("PRAGMA locking_mode = exclusive", "PRAGMA journal_mode = delete", "BEGIN EXCLUSIVE"):
            connection.execute(statement).close()
        connection.execute("COMMIT").close()
        yield connection
    except dbapi2.Error as error:
        found = translate(error)
        if isinstance(found, Busy):
            raise Busy("Another program has the database open.", "Stop `moqi serve` and whatever uses it.") from error
        raise found from error
    finally:
        connection.close()


def _copy(connection: Any, path: Path, fresh: Path, key: Key | None) -> None:
    """Everything in it into a new file, whose owner and rights are those of the old one."""
    of = path.stat()
    os.close(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    with suppress(PermissionError):  # only the superuser may, and only for it the owner differs
        os.chown(fresh, of.st_uid, of.st_gid)
    fresh.chmod(of.st_mode & 0o777)
    connection.execute("ATTACH ? AS fresh KEY ?", (str(fresh), key.literal if key else "")).close()
    for statement in ("PRAGMA fresh.synchronous = off", "SELECT sqlcipher_export('fresh')", "DETACH fresh"):
        connection.execute(statement).fetchall()


def _check(connection: Any, fresh: Path, key: Key | None) -> None:
    """The copy is sound, opens with its key, and holds as much as the old one. Raises `Corrupt`."""
    from sqlcipher3 import dbapi2

    copy = dbapi2.connect(str(fresh), isolation_level=None)
    try:
        unlock(copy, key)
        [found] = copy.execute("PRAGMA integrity_check(1)").fetchone()
        if found != "ok" or _content(copy) != _content(connection):
            raise Corrupt(f"The copy of the database is not what it should be ({found}); nothing was changed.")
    finally:
        copy.close()


def _content(connection: Any) -> dict[str, tuple[str | None, int]]:
    """Every table with its definition and its number of rows."""
    tables = connection.execute("select name, sql from sqlite_master where type = 'table'").fetchall()
    return {name: (sql, _rows(connection, name)) for name, sql in tables}


def _rows(connection: Any, table: str) -> int:
    quoted = table.replace('"', '""')
    [count] = connection.execute(f'select count(*) from "{quoted}"').fetchone()  # noqa: S608 - a name cannot be bound
    return int(count)


def _replace(path: Path, fresh: Path, connection: Any) -> None:
    """Put the copy in place, and overwrite what was there.

    Somebody may wait with the old file open, and would go on in it once its lock is gone: zeros he takes for no
    database, and they are also what is left of the old text on the disk. Its descriptor is closed behind SQLite's, for
    to close any of them ends the process's locks.
    """
    with path.open("r+b") as old:
        fresh.replace(path)
        _sync(path.parent)
        faults.point("key-replaced")
        _zero(old.fileno())
        connection.close()


def _overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        _zero(file.fileno())
    path.unlink()


def _zero(handle: int) -> None:
    size = os.fstat(handle).st_size
    for at in range(0, size, _CHUNK):
        os.pwrite(handle, bytes(min(_CHUNK, size - at)), at)
    os.fsync(handle)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
