"""What the commands share: settings, the database, the exit codes."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bot.settings import Environment, Settings
    from storage.database import Database


class Exit(IntEnum):
    """What the exit code means (contract)."""

    DONE = 0
    BROKEN = 1  # a check found something
    USAGE = 2
    REFUSED = 3  # quota, policy
    UNAVAILABLE = 4


class Failed(Exception):  # noqa: N818 - the end of a command, said in one sentence
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


@contextmanager
def database() -> Iterator[Database]:
    """The database of the data folder, at this version's schema. May be open in a server at the same time."""
    from bot.opening import migrated
    from storage.database import Database
    from storage.errors import StorageError

    try:
        with Database.open(migrated(environment())) as db:
            yield db
    except StorageError as error:
        raise Failed(str(error), Exit.UNAVAILABLE) from error


def show_json(value: Any) -> None:
    """Print a value for a program."""
    print(json.dumps(value, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None))
