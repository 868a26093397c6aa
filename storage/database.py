"""The one door to the database: plain functions `fn(conn, …)` run in a transaction, off the event loop.

`run` writes and returns after the COMMIT is on disk; `read` only reads and goes on beside a write. The functions are
synchronous, take what they need as arguments and have no effect but on their connection.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TextIO, TypeVar, cast
from weakref import WeakSet

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError

from storage import vector_functions
from storage.encryption import KEY_FILE, Key, key_of, refusal, unlock, without_key
from storage.errors import BadKey, Closed, Locked, StorageError, translate
from storage.writer import GroupWriter, PoolWriter, Work, Writer, raise_translated

P = ParamSpec("P")
T = TypeVar("T")

POSTGRESQL_AT_REST = (
    "Unset MOQI_DATABASE_KEY_FILE, set encryption.required to false in knowledge.yaml, and encrypt the server's disk."
)
_URLS = "Use sqlite:///path/to/file or postgresql+psycopg://user:password@host/name."

_CURSORS = "moqi-cursors"  # in a connection's `info`: what was executed on it in this call

LOCK = "moqi.lock"  # in the data folder
READERS = 4  # threads, each with a connection of its own
WAL_PATIENCE = 5.0  # seconds that another process may take to make a new file a WAL one
WRITERS = 8  # the same for writing, on PostgreSQL only

#: KiB of pages that a connection keeps as far as it reads them, decrypted where there is a key. A question to 100,000
#: passages reads up to 170 MB: with SQLite's own 2 MB it took half as much time of the processor again, with a key four
#: times as much; with this one as much with a key as without.
CACHE = 256 * 1024

#: FULL: what was committed is on disk, also after a power cut; fullfsync is what that takes on macOS.
_PRAGMAS = (
    "journal_mode = wal",
    "synchronous = full",
    "fullfsync = on",
    "foreign_keys = on",
    "secure_delete = on",  # a document taken out is gone from the file, not only from the index
    "busy_timeout = 30000",
    "journal_size_limit = 67108864",
    f"cache_size = -{CACHE}",
)


class Database:
    """An open database: SQLite in one file, or PostgreSQL."""

    def __init__(self, url: URL, writer: Writer, reader: Engine, engines: tuple[Engine, ...]) -> None:
        self.url = url
        self._writer = writer
        self._reader = reader
        self._engines = engines
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="moqi-reader")

    @classmethod
    def open(cls, url: str | URL = "", *, data: Path | None = None) -> Self:
        """Open `url`; without one, `moqi.db` in the folder `data`, which is made if needed.

        Raises `Unreachable`, `Corrupt` or `Busy` at once when nothing can be read. Tables are made by
        `storage.migrations.migrate`.
        """
        if data is not None:
            data.mkdir(mode=0o700, parents=True, exist_ok=True)
        where = located(url, data)
        db = cls._sqlite(where) if where.get_backend_name() == "sqlite" else cls._postgresql(where)
        try:
            db.run_sync(_touch)
        except BaseException:
            db.close()
            raise
        return db

    @classmethod
    def _sqlite(cls, url: URL) -> Self:
        writing, reading = sqlite_engine(url, "BEGIN IMMEDIATE"), sqlite_engine(url, "BEGIN", "query_only = on")
        return cls(url, GroupWriter(writing), reading, (writing, reading))

    @classmethod
    def _postgresql(cls, url: URL) -> Self:
        engine = postgresql_engine(url)
        reading = engine.execution_options(postgresql_readonly=True, isolation_level="REPEATABLE READ")
        return cls(url, PoolWriter(engine, WRITERS), reading, (engine,))

    async def run(self, fn: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`fn(conn, …)` in a write transaction; its result is returned after the COMMIT.

        What `fn` raises undoes this call alone and comes out here. A caller that is cancelled while it waits leaves
        the outcome as it comes: the call is still done. Calls begin in the order they came.
        """
        return cast(T, await self._writer.run(_bound(fn, *args, **kwargs)))

    def run_sync(self, fn: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The same as `run`, for programs without an event loop. Blocks."""
        return cast(T, self._writer.run_sync(_bound(fn, *args, **kwargs)))

    async def read(self, fn: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`fn(conn, …)` on one snapshot of the data, on a connection that refuses to write."""
        work = _bound(fn, *args, **kwargs)
        try:
            future = asyncio.get_running_loop().run_in_executor(self._threads, self._read, work)
        except RuntimeError as error:
            raise Closed from error
        return cast(T, await future)

    def read_sync(self, fn: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The same as `read`, for programs without an event loop. Blocks."""
        return cast(T, self._read(_bound(fn, *args, **kwargs)))

    def close(self) -> None:
        """Finish every call that was accepted, then close the files and connections. May be repeated."""
        self._writer.close()
        self._threads.shutdown(wait=True)
        for engine in self._engines:
            engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self, work: Work) -> Any:
        try:
            with self._reader.begin() as conn:
                return work(conn)
        except (DBAPIError, OSError) as error:
            raise_translated(error)


def damage(conn: Connection) -> list[str]:
    """What SQLite finds wrong in its own file, by reading all of it (seconds per gigabyte); empty = sound."""
    if conn.dialect.name != "sqlite":
        return []
    found = conn.exec_driver_sql("PRAGMA integrity_check").scalars().all()
    return [] if found == ["ok"] else [str(line) for line in found]


def snapshot(source: URL, copy: Path) -> None:
    """Copy a SQLite file as it is at one instant, also while others write to it; encrypted with the same key.

    Raises StorageError.
    """
    from sqlcipher3 import dbapi2

    engine = sqlite_engine(source, "BEGIN")
    try:
        with engine.connect() as conn:  # the driver's own connection: VACUUM runs in no transaction
            driver: Any = conn.connection.dbapi_connection
            driver.execute("VACUUM INTO ?", (str(copy),)).close()
    except (DBAPIError, dbapi2.Error) as error:
        raise translate(error) from error
    finally:
        engine.dispose()


def _set(connection: Any, pragma: str) -> None:
    """Set a pragma. While another process makes a new file a WAL one, SQLite refuses the same at once: try again."""
    from sqlcipher3 import dbapi2

    until = time.monotonic() + WAL_PATIENCE
    while True:
        try:
            connection.execute(f"PRAGMA {pragma}").close()
            return
        except dbapi2.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() >= until:
                raise
        time.sleep(0.05)


def prepare(connection: Any, url: URL, key: Key | None, *pragmas: str) -> None:
    """Give a new connection its key and its pragmas. Raises `Sealed` where the file and the key do not go together."""
    from sqlcipher3 import dbapi2

    try:
        unlock(connection, key)
        for pragma in (*_PRAGMAS, *pragmas):
            _set(connection, pragma)
    except dbapi2.DatabaseError as error:
        connection.close()
        if told := refusal(url, key, error):
            raise told from error
        raise


def sqlite_engine(url: URL, begin: str, *pragmas: str) -> Engine:
    """Connections to a SQLite file whose transactions start with `begin`, with `pragmas` beside the usual ones.

    The key that the URL names is read now. Raises `BadKey`; a connection raises `Sealed` where it does not fit.
    """
    from sqlcipher3 import dbapi2

    key = key_of(url)
    # The driver's own transactions are off: it would begin at the first write, and not at all before DDL.
    arguments = {"isolation_level": None, "check_same_thread": False, "timeout": 30}
    engine = create_engine(
        without_key(url), module=dbapi2, connect_args=arguments, pool_size=READERS, max_overflow=READERS
    )

    @event.listens_for(engine, "connect")
    def configure(connection: Any, record: object) -> None:
        prepare(connection, url, key, *pragmas)
        vector_functions.install(connection)

    @event.listens_for(engine, "begin")
    def start(conn: Connection) -> None:
        conn.exec_driver_sql(begin)

    @event.listens_for(engine, "before_cursor_execute")
    def remember(conn: Connection, cursor: Any, *_: object) -> None:
        conn.info.setdefault(_CURSORS, WeakSet()).add(cursor)

    return engine


def postgresql_engine(url: URL) -> Engine:
    """A pool for all writing and reading threads; a connection that died while idle is replaced before use."""
    arguments = {"connect_timeout": 10}
    try:
        return create_engine(url, connect_args=arguments, pool_size=READERS + WRITERS, pool_pre_ping=True)
    except ModuleNotFoundError as error:
        raise StorageError(
            "PostgreSQL's driver is not installed.", "Install it: pip install 'moqi[postgres]'"
        ) from error


def located(url: str | URL, data: Path | None = None, key_file: Path | None = None) -> URL:
    """The database meant by a URL, opened with the key in `key_file`; empty means `moqi.db` in the folder `data`."""
    found = _named(url, data)
    if key_file is None:
        return found
    if found.drivername != "sqlite":
        raise BadKey("A key was named, and Moqi cannot encrypt PostgreSQL.", POSTGRESQL_AT_REST)
    return found.update_query_dict({KEY_FILE: str(key_file.absolute())})


def _named(url: str | URL, data: Path | None) -> URL:
    if not url:
        if data is None:
            raise StorageError("No database was named.", "Set MOQI_DATABASE_URL or MOQI_DATA.")
        return URL.create("sqlite", database=str(data / "moqi.db"))
    try:
        found = make_url(url)
    except ArgumentError as error:  # its text would show the password
        raise StorageError("The database URL cannot be read.", _URLS) from error
    if found.drivername == "postgresql":
        found = found.set(drivername="postgresql+psycopg")
    if found.drivername not in ("sqlite", "postgresql+psycopg"):
        raise StorageError(f"Databases of kind {found.drivername!r} are not supported.", _URLS)
    if found.drivername == "sqlite" and found.database in (None, "", ":memory:"):
        raise StorageError("A database in memory would be gone with the program.", _URLS)
    return found


@contextmanager
def data_lock(folder: Path, port: int = 0) -> Iterator[None]:
    """Hold the data folder for this process, which serves `port` (0 = none).

    Raises `Locked` with the holder's pid and port. The kernel lets go when the process ends, however it ends.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / LOCK).open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Locked(str(folder), *_holder(file)) from error
        file.truncate(0)
        json.dump({"pid": os.getpid(), "port": port}, file)
        file.flush()
        yield


def _holder(file: TextIO) -> tuple[int, int]:
    """Pid and port of who holds the lock; zeros while it has not written them yet."""
    file.seek(0)
    try:
        found = json.load(file)
        return int(found["pid"]), int(found["port"])
    except (ValueError, KeyError, TypeError):
        return 0, 0


def _bound(fn: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> Work:
    def work(conn: Connection) -> T:
        try:
            return fn(conn, *args, **kwargs)
        except StopIteration as error:  # no future can carry it: the caller would wait for ever
            raise RuntimeError(f"{fn!r} raised StopIteration") from error
        finally:
            _close_cursors(conn)

    return work


def _close_cursors(conn: Connection) -> None:
    """Let no open cursor out with a result or a traceback.

    The thread that drops it would reset its statement: the event loop then waited for the writer's SQLite, and for
    ever when the writer closed that connection meanwhile (seen in a test: the mutex was freed under the waiting one).
    """
    if conn.invalidated:  # they went with it, and to ask for them would be an error in place of the one that tells why
        return
    for cursor in conn.info.pop(_CURSORS, ()):
        cursor.close()


def _touch(conn: Connection) -> None:
    """Read something, so that a file that is no database is found out now."""
    conn.execute(text("select count(*) from sqlite_master" if conn.dialect.name == "sqlite" else "select 1"))
