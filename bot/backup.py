"""One file with everything that is kept: the SQLite database as of one instant, the pictures it names, the settings.

The database stays encrypted in it, where it is; the key is not in it.
The archive holds `moqi.db`, `files/<xx>/<sha256>`, `config/<name>.yaml` and at its end `manifest.json` with the
SHA-256 of each. It is private: messages, and any secret that was written into a settings file, are in it.

BackupError
├── NotSqlite      PostgreSQL has tools of its own
├── Nothing        there is no database to back up
├── Exists         what would be overwritten is there already (say so with --force)
├── OtherKey       the database in the archive and the key named here do not go together
└── BadArchive     the file is no backup, or is damaged: nothing was changed
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from sqlalchemy import URL

from bot.opening import database_of
from bot.settings import Environment
from bot.version import version
from storage import assets
from storage.database import Database, damage, snapshot
from storage.errors import Corrupt, Encrypted, NewerSchema, NotEncrypted, Sealed, WrongKey
from storage.files import Files
from storage.migrations import current, revisions
from storage.records import utcnow

FORMAT = 1
MANIFEST = "manifest.json"
DATABASE = "moqi.db"
_MEMBER = re.compile(r"moqi\.db|files/[0-9a-f]{2}/[0-9a-f]{64}|config/[a-z]+\.yaml", re.ASCII)
_CHUNK = 1 << 20

Report = Callable[[str], None]


def _silent(name: str) -> None:
    """Nobody watches."""


class BackupError(Exception):
    """It cannot be backed up or restored; the text says why and what to do."""


class NotSqlite(BackupError):
    """PostgreSQL is backed up by its own tools."""

    def __init__(self, url: URL, data: Path) -> None:
        super().__init__(
            f"This database is PostgreSQL, which has tools of its own: pg_dump --format=custom --file=moqi.dump "
            f"--host={url.host} {url.database} (back with pg_restore --clean), and copy the folder {data / 'files'}."
        )


class Nothing(BackupError):
    """There is no database yet."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"There is nothing to back up: {path} does not exist. Is MOQI_DATA the right folder?")


class Exists(BackupError):
    """Something would be overwritten."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is there already. Add --force to replace it.")


class BadArchive(BackupError):
    """The file is no backup of Moqi, or not whole any more."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"{path} {what}. Nothing was changed; use another backup.")


class OtherKey(BackupError):
    """The archive's database and the key of this installation do not go together."""

    def __init__(self, archive: Path, error: Sealed) -> None:
        what, step = "is encrypted with another key", "Name the key of its day in MOQI_DATABASE_KEY_FILE."
        if isinstance(error, Encrypted):
            what = "is encrypted"
        if isinstance(error, NotEncrypted):
            what, step = "is not encrypted", "Unset MOQI_DATABASE_KEY_FILE for this, then run: moqi key encrypt"
        super().__init__(f"The database in {archive} {what}; nothing was changed. {step}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """What a backup holds."""

    files: int  # pictures
    size: int  # bytes of the archive
    damaged: tuple[str, ...]  # pictures that are missing or changed, a sentence each


def sqlite_file(environment: Environment) -> URL:
    """Where the database lies, and its key's file. Raises `NotSqlite`."""
    url = database_of(environment)
    if url.get_backend_name() != "sqlite":
        raise NotSqlite(url, environment.data)
    return url


# --- making one -------------------------------------------------------------------------------------------------


def make(environment: Environment, target: Path, *, force: bool = False, report: Report = _silent) -> Made:
    """Write everything into `target`, also while a server runs. `report` hears of each file.

    Raises `BackupError`, `StorageError`, `OSError`; then there is no file, or the old one still.
    """
    url = sqlite_file(environment)
    database = Path(url.database or "")
    if not database.exists():
        raise Nothing(database)
    if target.exists() and not force:
        raise Exists(target)
    with tempfile.TemporaryDirectory(prefix=".moqi-backup-", dir=target.absolute().parent) as name:
        copy = url.set(database=str(Path(name) / DATABASE))
        wanted = _snapshot(url, copy)
        archive = Path(name) / "archive"
        damaged = _pack(archive, copy, wanted, environment, report)
        archive.replace(target)
    return Made(files=len(wanted) - len(damaged), size=target.stat().st_size, damaged=tuple(damaged))


def _snapshot(url: URL, copy: URL) -> list[str]:
    """Copy the database as it is at one instant, check the copy, and list the pictures it names."""
    snapshot(url, Path(copy.database or ""))
    with Database.open(copy) as db:
        harm = db.read_sync(damage)
        if harm:
            raise Corrupt(f"The database is damaged: {harm[0]}.")
        return sorted(db.read_sync(assets.shas))


def _pack(archive: Path, copy: URL, wanted: list[str], environment: Environment, done: Report) -> list[str]:
    """Write the archive, readable by its owner alone. Returns what is wrong with the pictures."""
    files, damaged = Files(environment.data / "files"), []
    settings = sorted(environment.config.glob("*.yaml"))
    with _private(archive) as out, tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as tar:
        held = [_put(tar, DATABASE, Path(copy.database or ""), done)]
        held += [_put(tar, f"config/{path.name}", path, done) for path in settings]
        for sha in wanted:
            name = f"files/{sha[:2]}/{sha}"
            if not files.exists(sha):
                damaged.append(f"picture {sha} is missing")
                continue
            held.append(_put(tar, name, files.path(sha), done))
            if held[-1]["sha256"] != sha:
                damaged.append(f"picture {sha} was changed on the disk")
        _put_manifest(tar, held, current(copy))
    return damaged


@contextmanager
def _private(path: Path) -> Iterator[IO[bytes]]:
    """A new file that only its owner may read, on disk when it is closed."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        yield out
        out.flush()
        os.fsync(out.fileno())


def _put(tar: tarfile.TarFile, name: str, path: Path, done: Report) -> dict[str, Any]:
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = path.stat().st_size, int(path.stat().st_mtime), 0o600
    with path.open("rb") as file:
        hashed = _Hashed(file)
        tar.addfile(info, hashed)
    done(name)
    return {"path": name, "sha256": hashed.sha256.hexdigest(), "size": info.size}


def _put_manifest(tar: tarfile.TarFile, held: list[dict[str, Any]], revision: str | None) -> None:
    stated = {"format": FORMAT, "moqi": version(), "made_at": utcnow().isoformat(), "revision": revision, "files": held}
    text = json.dumps(stated, ensure_ascii=False, indent=1).encode()
    info = tarfile.TarInfo(MANIFEST)
    info.size, info.mode = len(text), 0o600
    tar.addfile(info, io.BytesIO(text))


class _Hashed:
    """Reads a file and hashes what it reads: a large one need not be read twice."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.sha256 = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.sha256.update(data)
        return data


# --- bringing one back ------------------------------------------------------------------------------------------


def restore(
    environment: Environment, archive: Path, *, force: bool = False, settings: bool = False, report: Report = _silent
) -> list[Path]:
    """Put the data of `archive` in place; the settings too with `settings`, or where there are none.

    The caller holds the data folder. Everything is unpacked and checked beside the data first: what fails before
    that leaves them untouched. Returns the settings files that were written. Raises as `make` does.
    """
    url, folder = sqlite_file(environment), environment.data
    database = Path(url.database or "")
    for path in (database, folder / "files"):
        if _holds_something(path) and not force:
            raise Exists(path)
    with tempfile.TemporaryDirectory(prefix=".moqi-restore-", dir=folder) as name:
        fresh, old = Path(name) / "fresh", Path(name) / "old"
        unpack(archive, fresh, report)
        _check_database(archive, url.set(database=str(fresh / DATABASE)))
        _swap(fresh, old, database, folder / "files")
        return _settings(fresh / "config", environment.config, settings)


def unpack(archive: Path, into: Path, report: Report) -> None:
    """Unpack a backup into a folder and check it against its manifest. Raises `BadArchive`."""
    found: dict[str, str] = {}
    stated: dict[str, Any] | None = None
    try:
        with tarfile.open(archive, "r|gz") as tar:
            for member in tar:
                if member.name == MANIFEST and member.isreg():
                    stated = _manifest(archive, tar.extractfile(member))
                elif member.isreg() and _MEMBER.fullmatch(member.name) and member.name not in found:
                    found[member.name] = _extract(tar, member, into)
                    report(member.name)
                else:
                    raise BadArchive(archive, f"holds {member.name!r}, which belongs into no backup of Moqi")
    except (tarfile.TarError, EOFError, zlib.error, UnicodeError) as error:
        raise BadArchive(archive, f"is no backup, or is cut off ({error})") from error
    except OSError as error:
        if error.errno:
            raise
        raise BadArchive(archive, f"is damaged ({error})") from error  # gzip's own: a wrong checksum
    _compare(archive, stated, found)


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, into: Path) -> str:
    """Write one member; its name was checked. Returns its SHA-256."""
    path, source = into / member.name, tar.extractfile(member)
    assert source is not None
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    hashed = _Hashed(source)
    with _private(path) as out:
        shutil.copyfileobj(hashed, out, _CHUNK)
    return hashed.sha256.hexdigest()


def _manifest(archive: Path, file: IO[bytes] | None) -> dict[str, Any]:
    try:
        stated = json.loads(file.read() if file else b"")
        known = stated["format"] == FORMAT and all({"path", "sha256"} <= set(one) for one in stated["files"])
    except (ValueError, TypeError, KeyError) as error:
        raise BadArchive(archive, "has a manifest that cannot be read") from error
    if not known:
        raise BadArchive(archive, "is of a format this version does not know")
    return dict(stated)


def _compare(archive: Path, stated: dict[str, Any] | None, found: dict[str, str]) -> None:
    if stated is None or DATABASE not in found:
        raise BadArchive(archive, "is no backup of Moqi: it has no manifest or no database")
    promised = {str(one["path"]): str(one["sha256"]) for one in stated["files"]}
    wrong = sorted(name for name in promised.keys() | found.keys() if promised.get(name) != found.get(name))
    if wrong:
        more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise BadArchive(archive, f"is damaged: {wrong[0]}{more} is not what the manifest says")


def _check_database(archive: Path, url: URL) -> None:
    try:
        at = current(url)
        if at is not None and at not in revisions():
            raise NewerSchema(at)
        with Database.open(url) as db:
            harm = db.read_sync(damage)
    except (Encrypted, NotEncrypted, WrongKey) as error:
        raise OtherKey(archive, error) from error
    except Corrupt as error:
        raise BadArchive(archive, f"holds a damaged database ({error.problem})") from error
    if harm:
        raise BadArchive(archive, f"holds a damaged database ({harm[0]})")


def _swap(fresh: Path, old: Path, database: Path, files: Path) -> None:
    """Move what is there aside and the new in its place; put the old back if that fails half-way."""
    old.mkdir()
    (fresh / "files").mkdir(mode=0o700, exist_ok=True)
    # The log of the old database must not be read into the new one: it goes first, and with it.
    beside = [database.with_name(f"{database.name}{end}") for end in ("-wal", "-shm")]
    moved: list[tuple[Path, Path]] = []
    try:
        for path in (*beside, database, files):
            if path.exists():
                moved.append((path, Path(shutil.move(path, old / path.name))))  # noqa: PERF401 - read when the next one fails
        files.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(fresh / "files", files)
        shutil.move(fresh / DATABASE, database)
    except OSError:
        for path, kept in moved:
            if path.is_dir():
                shutil.rmtree(path)
            shutil.move(kept, path)
        raise


def _settings(source: Path, target: Path, wanted: bool) -> list[Path]:
    if not source.is_dir() or not (wanted or not _holds_something(target)):
        return []
    target.mkdir(parents=True, exist_ok=True)
    return [Path(shutil.copyfile(path, target / path.name)) for path in sorted(source.iterdir())]


def _holds_something(path: Path) -> bool:
    return any(path.iterdir()) if path.is_dir() else path.exists()
