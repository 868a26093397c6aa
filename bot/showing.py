"""Pictures as they leave Moqi: copies with the visible mark where the policy wants one, of masters that bear none.

What goes to a chat, a page, a terminal or into a zip comes from here; what a picture is drawn from is the master.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection

from bot.settings.policy import Labels
from storage import assets, audit
from storage.database import Database
from storage.files import Files
from storage.records import Asset, Origin, utcnow

log = logging.getLogger("moqi.labels")

CACHED = 48_000_000  # bytes of copies that are kept in memory: one picture is shown to several, and asked for again
CHANGED = "labels.changed"  # in the audit log


def space_of(origin: Origin | None) -> str:
    """What the policy calls the chat of `origin`: <platform>:<chat id>. Nowhere in particular = empty."""
    return "" if origin is None else f"{origin.platform}:{origin.chat_id}"


class Showing:
    """Makes and remembers shown copies. Everything here may block for 100 ms: call it in a thread."""

    def __init__(self, db: Database, files: Files, labels: Labels | None = None) -> None:
        """Until `note` has seen the policy, every copy is marked: the mark is never off without an audit entry."""
        self._db = db
        self._files = files
        self._labels = labels or Labels()
        self._copies: OrderedDict[tuple[str, str, str], tuple[bytes, str]] = OrderedDict()
        self._held = 0  # bytes
        self._lock = threading.Lock()

    @property
    def labels(self) -> Labels:
        """The policy in force."""
        return self._labels

    async def note(self, labels: Labels, settings: str) -> None:
        """Put a policy in force, and a change of it into the audit log, before a copy is made by it.

        `settings`: the hash of the files it stands in. Raises StorageError; then the old policy stays.
        """
        if await self._db.run(noted, labels, settings):
            log.info("labels of pictures changed: %s", labels.summary(), extra={"action": "labels-changed"})
        self._labels = labels

    def read(self, asset_id: int, origin: Origin | None) -> bytes:
        """A made picture as it is shown in a chat. Raises LookupError, StorageError."""
        asset = self._db.read_sync(assets.get, asset_id)
        if asset is None:
            raise LookupError(f"asset {asset_id} does not exist")
        return self.picture(asset, space_of(origin))

    def picture(self, asset: Asset, space: str) -> bytes:
        """A made picture in full. Raises StorageError."""
        mark = self._labels.mark(space)
        if not mark:
            return self._files.read(asset.sha256)
        return self._copy(("whole", asset.sha256, mark), self._whole)[0]

    def small(self, asset: Asset, space: str) -> tuple[bytes, str]:
        """Its thumbnail and the media type of that. Raises StorageError."""
        return self._copy(("small", asset.sha256, self._labels.mark(space)), self._small)

    def marked(self, data: bytes, space: str) -> bytes:
        """An encoded master, wherever it lies, as it is shown."""
        from inference.images.finish import shown

        mark = self._labels.mark(space)
        return shown(data, mark) if mark else data

    def preview(self, jpeg: bytes, origin: Origin) -> bytes:
        """What a picture looks like while it is drawn, as it is shown. 1 ms."""
        from inference.images.finish import shown_jpeg

        mark = self._labels.mark(space_of(origin))
        return shown_jpeg(jpeg, mark) if mark else jpeg

    def etag(self, asset: Asset, space: str) -> str:
        """What a shown copy is known by: another mark makes another file."""
        mark = self._labels.mark(space)
        return f'"{asset.sha256}{hashlib.sha256(mark.encode()).hexdigest()[:8] if mark else ""}"'

    def _whole(self, sha: str, mark: str) -> tuple[bytes, str]:
        from inference.images.finish import shown

        return shown(self._files.read(sha), mark), "image/png"

    def _small(self, sha: str, mark: str) -> tuple[bytes, str]:
        from inference.images.finish import thumbnail

        return thumbnail(self._files.read(sha), mark)

    def _copy(self, key: tuple[str, str, str], make: Callable[[str, str], tuple[bytes, str]]) -> tuple[bytes, str]:
        with self._lock:
            if key in self._copies:
                self._copies.move_to_end(key)
                return self._copies[key]
        made = make(*key[1:])
        with self._lock:
            if key not in self._copies:
                self._copies[key] = made
                self._held += len(made[0])
            while self._held > CACHED and len(self._copies) > 1:
                self._held -= len(self._copies.popitem(last=False)[1][0])
        return made


def noted(conn: Connection, labels: Labels, settings: str) -> bool:
    """Append to the audit log how the policy differs from the one noted last; False = it does not."""
    last = audit.entries(conn, 1, action=CHANGED)
    before: dict[str, Any] = last[0].detail["after"] if last else Labels().model_dump(mode="json")
    after = labels.model_dump(mode="json")
    if before == after:
        return False
    detail = {"before": before, "after": after, "settings": settings}
    audit.append(conn, "settings", CHANGED, "policy.yaml", detail, utcnow())
    return True
