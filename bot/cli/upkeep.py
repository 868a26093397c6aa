"""`moqi verify`, `moqi migrate`, `moqi backup`, `moqi restore`: keeping what is kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from bot.cli import common
from bot.cli.common import Exit, Failed


def add(app: typer.Typer) -> None:
    """Add the words of this module."""
    app.command("backup")(backup)
    app.command("restore")(restore)
    app.command("verify")(verify)
    app.command("migrate")(migrate)


def verify(as_json: Annotated[bool, typer.Option("--json", help="Print the result for a program.")] = False) -> None:
    """Check that nothing was lost or charged twice.

    The invariants are checked on the database, at rest or while a server runs; exit code 1 when one is broken.
    """
    from scheduler.verify import verify as check
    from storage.files import Files
    from storage.records import utcnow

    environment = common.environment()
    with common.database() as db:
        checks = db.read_sync(check, Files(environment.data / "files"), utcnow())
    ok = all(item.ok for item in checks)
    if as_json:
        listed = [{"invariant": item.invariant, "ok": item.ok, "broken": item.broken} for item in checks]
        common.show_json({"ok": ok, "checks": listed})
    else:
        for item in checks:
            print(f"{'ok    ' if item.ok else 'BROKEN'} {item.invariant}")
            for line in item.broken:
                print(f"         {line}")
    if not ok:
        raise typer.Exit(Exit.BROKEN)


def migrate() -> None:
    """Bring the database to this version's tables. `moqi serve` does so by itself."""
    from storage.migrations import current

    with common.database() as db:
        print(f"{db.url.render_as_string()}: {current(db.url)}")


def backup(
    file: Annotated[Path, typer.Argument(help="Archive to write, for example moqi-2026-11-21.tar.gz.", metavar="FILE")],
    force: Annotated[bool, typer.Option("--force", help="Replace the file when it is there.")] = False,
) -> None:
    """Write database, pictures and settings into one file, also while the server runs.

    The documents of the knowledge base are not in it as files, only what was read from them. Keep the file private.
    """
    from bot import backup as backups

    with _sentences(file), common.progress("packing", None, quiet=True) as done:
        made = backups.make(common.environment(), file, force=force, report=done)
    print(f"{file}: {made.size:,} bytes, {made.files} pictures")
    for line in made.damaged:
        print(f"  {line}")
    if made.damaged:
        raise typer.Exit(Exit.BROKEN)


def restore(
    file: Annotated[Path, typer.Argument(help="Archive that `moqi backup` wrote.", metavar="FILE")],
    force: Annotated[bool, typer.Option("--force", help="Replace the data that are there.")] = False,
    with_settings: Annotated[
        bool, typer.Option("--with-settings", help="Replace the settings too; else only where there are none.")
    ] = False,
) -> None:
    """Put a backup in place of the data, with no server running, and verify it.

    The archive is checked first; a damaged one changes nothing.
    """
    from bot import backup as backups
    from storage.database import data_lock

    environment = common.environment()
    with _sentences(file), data_lock(environment.data), common.progress("unpacking", None, quiet=True) as done:
        written = backups.restore(environment, file, force=force, settings=with_settings, report=done)
    print(f"{environment.data} is restored from {file}")
    print("settings: " + (", ".join(map(str, written)) or "left as they are (--with-settings replaces them)"))
    _waiting()
    verify()


def _waiting() -> None:
    """What was under way when the backup was made goes on: say so before a server is started."""
    from storage import jobs
    from storage.records import JobState, Kind

    with common.database() as db:
        waiting = sum(db.read_sync(jobs.count, JobState.QUEUED, JobState.RUNNING, kind=kind) for kind in Kind)
    if waiting:
        print(f"{waiting} jobs were waiting or running then; they run once a server is started")


@contextmanager
def _sentences(file: Path) -> Iterator[None]:
    """Every foreseeable failure of a backup as its sentence and exit code."""
    from bot.backup import BackupError, BadArchive, Exists
    from storage.errors import StorageError

    try:
        yield
    except BackupError as error:
        codes = {Exists: Exit.REFUSED, BadArchive: Exit.BROKEN}
        raise Failed(str(error), codes.get(type(error), Exit.UNAVAILABLE)) from error
    except StorageError as error:
        raise Failed(str(error), Exit.UNAVAILABLE) from error
    except OSError as error:
        problem = f"{error.filename or file}: {error.strerror}"
        step = "Check the path, its permissions and the space on its disk."
        raise Failed(f"{problem}. {step}", Exit.UNAVAILABLE) from error
