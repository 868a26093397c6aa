"""Who writes: one thread with group commit on SQLite, a pool of transactions on PostgreSQL.

SQLite has one writer at a time anyway, and a transaction costs a flush to disk. So all calls that wait share one
transaction: each runs in a savepoint of its own, one COMMIT flushes them together, and only then are they answered.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Lock, Thread, current_thread
from typing import Any, NoReturn, Protocol

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from storage.errors import Closed, StorageError, translate

#: What is run: the caller's function with its arguments bound, waiting for a connection inside a transaction.
Work = Callable[[Connection], Any]

CLEAN_AFTER = 0.25  # seconds without a call, after which deleted text is taken out of the log too
CLEAN_WITHIN = 5.0  # seconds after which that is done among calls that never pause
GROUP = 64  # calls to one commit: bounds how long the first of them waits for the last
ATTEMPTS = 6  # of one transaction on PostgreSQL, when it lost against another one
LOST_AGAINST_ANOTHER = frozenset({"40001", "40P01"})  # serialization failure, deadlock


_ERASED = "moqi-erased"  # in a connection's `info`


def erased(conn: Connection) -> None:
    """Note that this transaction deletes text which must leave the disk, not only the table.

    SQLite overwrites it in the file (`secure_delete`), but its log still holds the pages as they were written.
    """
    conn.info[_ERASED] = True


class Writer(Protocol):
    """Runs work in a write transaction and answers after it is on disk."""

    async def run(self, work: Work) -> Any: ...

    def run_sync(self, work: Work) -> Any: ...

    def close(self) -> None:
        """Finish what was accepted, then stop."""


class _Call:
    """One piece of work on its way to the writing thread and back."""

    __slots__ = ("error", "future", "loop", "value", "work")

    def __init__(self, work: Work, loop: asyncio.AbstractEventLoop | None) -> None:
        self.work = work
        self.loop = loop  # None: a thread waits
        self.future: asyncio.Future[Any] | Future[Any] = Future() if loop is None else loop.create_future()
        self.value: Any = None
        self.error: BaseException | None = None

    def attempt(self, conn: Connection) -> None:
        """Do the work in a savepoint: an error undoes this call only. Raises when SQLite gave up the whole group."""
        driver: Any = conn.connection.dbapi_connection  # without SQLAlchemy's 50 µs for each of these statements
        driver.execute("SAVEPOINT call")
        try:
            self.value = self.work(conn)
        except BaseException as error:
            if not driver.in_transaction:  # some errors (disk full, I/O) make SQLite roll back everything
                raise
            driver.execute("ROLLBACK TO call")
            self.error = translate(error)
        driver.execute("RELEASE call")

    def resolve(self) -> None:
        """Answer the caller, unless it left: what was done for it stays done."""
        if self.future.done():
            return
        if isinstance(self.error, StopIteration):  # a future cannot carry it
            self.error = RuntimeError(f"the call raised {self.error!r}")
        if self.error is None:
            self.future.set_result(self.value)
        else:
            self.future.set_exception(self.error)


class GroupWriter:
    """The one writing connection of a SQLite file and the thread that owns it. First come, first served."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._conn: Connection | None = None
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._gate = Lock()  # so that nothing is accepted behind the end mark
        self._closed = False  # nothing more is accepted
        self._ended = False  # everything accepted was taken
        self._unclean: float | None = time.monotonic()  # since when the log may hold erased text, of a killed one too
        self._thread = Thread(target=self._serve, name="moqi-writer", daemon=True)
        self._thread.start()

    async def run(self, work: Work) -> Any:
        return await self._submit(_Call(work, asyncio.get_running_loop()))

    def run_sync(self, work: Work) -> Any:
        if current_thread() is self._thread:
            raise RuntimeError("a call inside a write transaction would wait for itself: use its connection")
        return self._submit(_Call(work, None)).result()

    def close(self) -> None:
        with self._gate:
            if not self._closed:
                self._calls.put(None)
            self._closed = True
        self._thread.join()

    def _submit(self, call: _Call) -> Any:
        with self._gate:
            if self._closed:
                raise Closed
            self._calls.put(call)
        return call.future

    def _serve(self) -> None:
        while group := self._take():
            self._commit(group)
            _answer(group)
            del group  # keep no result alive while waiting
            if self._unclean is not None and time.monotonic() - self._unclean > CLEAN_WITHIN:
                self._clean()
        if self._unclean is not None:
            self._clean()
        self._disconnect()

    def _take(self) -> list[_Call]:
        """All that wait: at least one, at most GROUP; none once the end mark was reached."""
        group: list[_Call] = []
        while len(group) < GROUP and not self._ended:
            try:
                call = self._calls.get(not group, CLEAN_AFTER if self._unclean and self._conn else None)
            except Empty:
                if group:
                    break
                self._clean()
                continue
            if call is None:
                self._ended = True
            else:
                group.append(call)
        return group

    def _commit(self, group: list[_Call]) -> None:
        """Do all in one transaction. If that fails nothing was kept, and every one of them is told."""
        try:
            conn = self._conn = self._conn or self._engine.connect()
            transaction = conn.begin()
            for call in group:
                call.attempt(conn)
            transaction.commit()
            if conn.info.pop(_ERASED, False) and self._unclean is None:
                self._unclean = time.monotonic()
        except BaseException as error:  # noqa: BLE001 - whatever it was, the callers must hear it, the thread live on
            self._disconnect(broken=True)
            for call in group:
                call.error = _of_group(error)

    def _clean(self) -> None:
        """Empty the log. While somebody reads in it that cannot be done: then it stays to be done."""
        self._unclean = time.monotonic()
        if self._conn is None:
            return
        driver: Any = self._conn.connection.dbapi_connection
        [[patience]] = driver.execute("PRAGMA busy_timeout").fetchall()
        try:
            driver.execute("PRAGMA busy_timeout = 0").close()
            [[busy, _, _]] = driver.execute("PRAGMA wal_checkpoint(truncate)").fetchall()
            self._unclean = time.monotonic() if busy else None
        except driver.Error:  # a disk that is full: it stays to be done
            return
        finally:
            driver.execute(f"PRAGMA busy_timeout = {patience}").close()

    def _disconnect(self, broken: bool = False) -> None:
        conn, self._conn = self._conn, None
        if conn is None:
            return
        if broken:  # its state is unknown: closing the file handle is the one sure roll-back
            conn.invalidate()
        conn.close()


class PoolWriter:
    """Transactions side by side on PostgreSQL, each in a thread and on a connection of its own.

    One that lost against another (deadlock, serialization) is run again, so work must have no effect but on its
    connection.
    """

    def __init__(self, engine: Engine, threads: int = 8) -> None:
        self._engine = engine
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="moqi-writer")

    async def run(self, work: Work) -> Any:
        # Shielded: a caller that leaves must not take a waiting call out of the line, as on SQLite.
        return await asyncio.shield(asyncio.wrap_future(self._submit(work)))

    def run_sync(self, work: Work) -> Any:
        return self._transact(work)

    def close(self) -> None:
        self._threads.shutdown(wait=True)

    def _submit(self, work: Work) -> Future[Any]:
        try:
            return self._threads.submit(self._transact, work)
        except RuntimeError as error:
            raise Closed from error

    def _transact(self, work: Work) -> Any:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with self._engine.begin() as conn:
                    return work(conn)
            except DBAPIError as error:
                if attempt == ATTEMPTS or not _lost(error):
                    raise_translated(error)
            time.sleep(random.uniform(0, 0.01 * 2**attempt))  # apart, not again at once
        raise AssertionError("unreachable: the last attempt returns or raises")


def raise_translated(error: BaseException) -> NoReturn:
    """Raise our own error where this one has a meaning for the storage, else the same one."""
    found = translate(error)
    if found is error:
        raise error
    raise found from error


def _lost(error: DBAPIError) -> bool:
    return getattr(error.orig, "sqlstate", None) in LOST_AGAINST_ANOTHER


def _of_group(error: BaseException) -> StorageError:
    found = translate(error)
    if isinstance(found, StorageError):
        return found
    failed = StorageError(f"The transaction could not be completed ({error}); nothing of it was kept.")
    failed.__cause__ = error
    return failed


def _answer(group: Iterable[_Call]) -> None:
    """Wake the callers: threads directly, each event loop once for all of its own."""
    loops: dict[asyncio.AbstractEventLoop, list[_Call]] = {}
    for call in group:
        if call.loop is None:
            call.resolve()
        else:
            loops.setdefault(call.loop, []).append(call)
    for loop, calls in loops.items():
        with suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits there any more
            loop.call_soon_threadsafe(_resolve, calls)


def _resolve(calls: Iterable[_Call]) -> None:
    for call in calls:
        call.resolve()
