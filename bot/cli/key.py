"""`moqi key`: the key that the SQLite file is encrypted with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli import common
from bot.cli.common import Exit, Failed

if TYPE_CHECKING:
    from sqlalchemy import URL


def add(app: typer.Typer) -> None:
    """Add the words of this module."""
    words = typer.Typer(no_args_is_help=True, help="Encrypt the database: make a key, use it, change it.")
    words.command("new")(new)
    words.command("encrypt")(encrypt)
    words.command("decrypt")(decrypt)
    words.command("rekey")(rekey)
    app.add_typer(words, name="key")


def new(file: Annotated[Path, typer.Argument(help="File to write; outside the data folder.", metavar="FILE")]) -> None:
    """Make a key: 32 random bytes in a new file that only you may read.

    Without it nobody reads the data again, so keep a copy of it apart from the backups.
    """
    from bot.opening import outside
    from storage.encryption import Key

    with _sentences(file):
        outside(file, common.environment())
        key = Key.make(file)
    print(f"{file}: key {key.id}. Keep a copy somewhere else: without it nobody reads the data again.")
    print(f"To use it: stop Moqi, set MOQI_DATABASE_KEY_FILE={file.absolute()} and run `moqi key encrypt`")


def encrypt(
    file: Annotated[Path | None, typer.Argument(help="Key to use; default: MOQI_DATABASE_KEY_FILE.")] = None,
) -> None:
    """Encrypt the database, with no server running. A kill at any instant leaves the old file or the new one."""
    from bot.opening import database_of
    from storage.encryption import without_key

    environment = common.environment()
    with _sentences(file):
        if not (file or environment.key_file):
            raise Failed("Name a key: moqi key encrypt FILE. `moqi key new FILE` makes one.", Exit.USAGE)
        keyed = database_of(replace(environment, key_file=file or environment.key_file))
        _change(without_key(keyed), keyed, "database.encrypted")
    if file:
        print(f"From now on set MOQI_DATABASE_KEY_FILE={file.absolute()}")
    print("Backups made before are not encrypted. Pictures and settings files are not either: see the README.")


def decrypt() -> None:
    """Write the database without encryption again, with no server running."""
    from bot.opening import database_of

    environment = common.environment()
    with _sentences(environment.key_file):
        plain = database_of(replace(environment, key_file=None))
        _change(database_of(environment), plain, "database.decrypted")
    print("From now on leave MOQI_DATABASE_KEY_FILE unset")


def rekey(file: Annotated[Path, typer.Argument(help="The new key, made by `moqi key new`.", metavar="FILE")]) -> None:
    """Encrypt the database with another key, with no server running; MOQI_DATABASE_KEY_FILE names the old one.

    A kill at any instant leaves the old file, which opens with the old key, or the new one with the new key.
    """
    from bot.opening import database_of

    environment = common.environment()
    with _sentences(file):
        if environment.key_file is None:
            raise Failed("Name the present key in MOQI_DATABASE_KEY_FILE.", Exit.USAGE)
        changed = database_of(replace(environment, key_file=file))
        _change(database_of(environment), changed, "database.rekeyed")
    print(f"From now on set MOQI_DATABASE_KEY_FILE={file.absolute()}")
    print("Keep the old key as long as you keep backups made with it.")


def _change(old: URL, wanted: URL, action: str) -> None:
    """Write the database anew and note it in the audit log. What a killed command had done already is not an error."""
    from storage import audit
    from storage.database import Database, data_lock
    from storage.encryption import key_of
    from storage.migrations import migrate
    from storage.records import utcnow
    from storage.rekeying import rekey as write_anew

    path, key = Path(wanted.database or ""), key_of(wanted)
    if not path.exists():
        raise Failed(f"There is no database yet: {path} is made with the key at the first start.", Exit.UNAVAILABLE)
    with data_lock(common.environment().data):
        if _opens(wanted):
            print(f"{path} is so already")
            return
        write_anew(old, wanted)
        migrate(wanted)
        detail = {"key": key.id if key else ""}
        with Database.open(wanted) as db:
            db.run_sync(audit.append, common.actor(), action, path.name, detail, utcnow())
            db.run_sync(audit.seal)
    print(f"{path} is {f'encrypted with the key {key.id}' if key else 'not encrypted any more'}")


def _opens(url: URL) -> bool:
    from storage.database import Database
    from storage.errors import Sealed

    try:
        Database.open(url).close()
    except Sealed:
        return False
    return True


@contextmanager
def _sentences(file: Path | None) -> Iterator[None]:
    """Every foreseeable failure as its sentence and exit code."""
    from storage.errors import StorageError

    try:
        yield
    except FileExistsError as error:
        raise Failed(f"{file} is there already, and nobody can make an overwritten key again.", Exit.REFUSED) from error
    except StorageError as error:
        raise Failed(str(error), Exit.UNAVAILABLE) from error
    except OSError as error:
        raise Failed(f"{error.filename or file}: {error.strerror}. Check the path.", Exit.UNAVAILABLE) from error
