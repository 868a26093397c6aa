"""The key of an encrypted SQLite file (SQLCipher), and what a file says that does not open with it.

A key is 32 random bytes, kept as 64 hexadecimal digits in a file of its own outside the data folder. A database URL
names that file and never the key: `sqlite:///data/moqi.db?key_file=/run/secrets/moqi.key`.
"""

from __future__ import annotations

import hmac
import os
import re
import secrets
from pathlib import Path
from typing import Any

from sqlalchemy import URL

from storage.errors import BadKey, Encrypted, NotEncrypted, WrongKey

KEY_FILE = "key_file"  # in the query of a database URL

_HEX = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)
_FEWEST = 16  # different bytes in a key: of 32 random ones about 30 differ; fewer than this nobody drew at random
_LONGEST = 1024  # bytes read of a key file: a wrong path may name anything
_NOT_A_DATABASE = 26  # SQLite's code for a file that does not begin as one, and for a key that does not open it
_PAGE = 4096


class Key:
    """32 random bytes. Never shown: `id` tells keys apart."""

    __slots__ = ("_hex",)

    def __init__(self, text: str) -> None:
        """From 64 hexadecimal digits. Raises ValueError, without the text."""
        if not _HEX.fullmatch(text):
            raise ValueError("it does not hold 64 hexadecimal digits")
        if len(set(bytes.fromhex(text))) < _FEWEST:
            raise ValueError("its digits are no random ones")
        self._hex = text.lower()

    @classmethod
    def read(cls, path: Path) -> Key:
        """The key in a file. Raises `BadKey`."""
        try:
            if not path.is_file():  # a pipe could be read once only, and every connection needs it
                raise BadKey(f"The key file {path} {'is no file' if path.exists() else 'does not exist'}.")
            with path.open("rb") as file:
                return cls(file.read(_LONGEST).decode("ascii", "replace").strip())
        except OSError as error:
            raise BadKey(f"The key file {path} cannot be read: {error.strerror}.") from error
        except ValueError as error:
            raise BadKey(f"The key file {path} holds no key: {error}.") from None

    @classmethod
    def make(cls, path: Path) -> Key:
        """Draw a key and keep it in a new file that only its owner may read. Raises OSError, FileExistsError too."""
        text = secrets.token_hex(32)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(f"{text}\n")
            file.flush()
            os.fsync(file.fileno())
        return cls(text)

    @property
    def id(self) -> str:
        """Eight digits to tell keys apart by; nothing of the key can be told from them."""
        return hmac.digest(bytes.fromhex(self._hex), b"moqi database key", "sha256").hex()[:8]

    @property
    def literal(self) -> str:
        """How SQLCipher is given it: secret."""
        return f"x'{self._hex}'"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key) and hmac.compare_digest(self._hex, other._hex)

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"Key(id={self.id!r})"


def key_of(url: URL) -> Key | None:
    """The key that a URL names; None = the file is not encrypted. Raises `BadKey`."""
    path = key_path(url)
    return None if path is None else Key.read(path)


def key_path(url: URL) -> Path | None:
    """The file of the key that a URL names."""
    named = url.query.get(KEY_FILE)
    if isinstance(named, tuple):
        raise BadKey(f"The database URL names {KEY_FILE} more than once.")
    return Path(named) if named else None


def without_key(url: URL) -> URL:
    """The same file, as the driver is told it."""
    return url.difference_update_query([KEY_FILE])


def unlock(connection: Any, key: Key | None) -> None:
    """Give a new connection its key; nothing was read on it yet. A wrong key shows when something is."""
    if key is None:
        return
    # It would write every page that it cannot decrypt to standard error; what it means is our own error.
    given = f'key = "{key.literal}"'
    for pragma in ("cipher_log_level = none", given, "temp_store = memory"):
        connection.execute(f"PRAGMA {pragma}").close()


def refusal(url: URL, key: Key | None, error: Any) -> Exception | None:
    """What it means that a file could not be read with this key, or without one; None = nothing about keys."""
    if getattr(error, "sqlite_errorcode", None) != _NOT_A_DATABASE:
        return None
    path = Path(url.database or "")
    if key is None:
        return Encrypted(path) if path.stat().st_size % _PAGE == 0 else None
    return NotEncrypted(path) if _plain(path) else WrongKey(path, key.id)


def _plain(path: Path) -> bool:
    """Whether SQLite opens the file without a key.

    SQLite is asked: to open the file ourselves would, on closing it, end the locks that this process has on it.
    """
    from sqlcipher3 import dbapi2

    connection = dbapi2.connect(str(path), isolation_level=None)
    try:
        connection.execute("select count(*) from sqlite_master").close()
    except dbapi2.Error:
        return False
    else:
        return True
    finally:
        connection.close()
