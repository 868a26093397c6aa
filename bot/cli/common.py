"""What the commands share: settings, the database, the exit codes, tables, progress."""

from __future__ import annotations

import getpass
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from bot.settings import Environment, Settings
    from storage.database import Database

P = ParamSpec("P")
T = TypeVar("T")


class Exit(IntEnum):
    """What the exit code means (contract)."""

    DONE = 0
    BROKEN = 1  # a check found something
    USAGE = 2
    REFUSED = 3  # quota, policy
    UNAVAILABLE = 4


class Failed(Exception):
    """The command ends here, with a sentence for the person and an exit code for the program."""

    def __init__(self, message: str, code: Exit) -> None:
        super().__init__(message)
        self.code = code


def environment() -> Environment:
    """Where this process finds its settings and data."""
    from bot.settings import Environment

    return Environment.read(os.environ)


def settings() -> Settings:
    """The settings, or the end of the command with everything that is wrong with them."""
    from bot.settings import SettingsError, load

    try:
        return load(environment().config, os.environ)
    except SettingsError as error:
        raise Failed(str(error), Exit.USAGE) from error
    except OSError as error:
        problem = f"cannot read the settings: {error.filename}: {error.strerror}"
        raise Failed(f"{problem}. Check whose it is, or name another folder with MOQI_CONFIG.", Exit.USAGE) from error


@contextmanager
def database() -> Iterator[Database]:
    """The database of the data folder, at this version's schema. May be open in a server at the same time."""
    from storage import lexical
    from storage.errors import StorageError

    try:
        with _opened() as db:
            yield db
            if db.read_sync(lexical.unsettled):  # what was put in counts now, not when a server comes by
                db.run_sync(lexical.settle)
    except StorageError as error:
        raise Failed(str(error), Exit.UNAVAILABLE) from error


def _opened() -> Database:
    from bot.opening import migrated
    from storage.database import Database

    where = environment()
    try:
        return Database.open(migrated(where))
    except OSError as error:
        problem = f"cannot use the data folder {where.data}: {error.strerror}"
        raise Failed(f"{problem}. Check that it is yours, or name another with MOQI_DATA.", Exit.UNAVAILABLE) from error


def change(db: Database, fn: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run an act of management in its transaction; what cannot be done ends the command with its sentence.

    The audit entry is linked into the chain at once: perhaps no server will run for days.
    """
    from bot.manage import Ended, ManageError
    from storage import audit

    try:
        result = db.run_sync(fn, *args, **kwargs)
    except ManageError as error:
        raise Failed(str(error), Exit.REFUSED if isinstance(error, Ended) else Exit.USAGE) from error
    db.run_sync(audit.seal)
    return result


def look(db: Database, fn: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Read something; a person or job that does not exist ends the command with its sentence."""
    from bot.manage import ManageError

    try:
        return db.read_sync(fn, *args, **kwargs)
    except ManageError as error:
        raise Failed(str(error), Exit.USAGE) from error


def actor() -> str:
    """Who gives this command, for the audit log."""
    return f"cli:{login()}"


def login() -> str:
    """The name of the user of this machine; a container may know only a number."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


# --- saying it --------------------------------------------------------------------------------------------------


def show_json(value: Any) -> None:
    """Print a value for a program."""
    print(json.dumps(value, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None))


def show_table(headers: Sequence[str], rows: Sequence[Sequence[object]], empty: str) -> None:
    """Print rows: a table on a terminal, else lines of tab-separated values under their headers."""
    if not rows:
        print(empty)
    elif sys.stdout.isatty():
        _draw_table(headers, rows)
    else:
        for row in (headers, *rows):
            print("\t".join(" ".join(str(cell).split()) for cell in row))


def _draw_table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for header in headers:
        table.add_column(header, overflow="fold")
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))  # Text: what people wrote is no markup
    Console().print(table)


def moment(at: datetime | None) -> str:
    """An instant in the time of this machine, for people."""
    return "" if at is None else at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def iso(at: datetime | None) -> str | None:
    """An instant for programs."""
    return None if at is None else at.isoformat()


@contextmanager
def progress(title: str, total: int | None, *, quiet: bool = False) -> Iterator[Callable[[str], None]]:
    """Call what is yielded with each thing done: a bar on a terminal, else a line each; `quiet` says nothing then."""
    if not sys.stderr.isatty():
        yield (lambda line: None) if quiet else (lambda line: print(line, flush=True))
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=total)
        yield lambda line: bar.update(task, advance=1)
