"""Brings this process's image engine to the model that is chosen, at the start and whenever another one is.

The row says which (storage/models.py); the engine follows within seconds, in every process on the database. What cannot
be loaded is taken back for all of them, and whoever chose it is told.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Connection

from bot.delivery import reply_row
from bot.models import Shelf, UnknownModel
from bot.replies import Words
from inference.device import ImageDevice
from inference.errors import DeviceClosed, ImageError, InferenceError
from inference.images.registry import Choice, LoadOptions
from scheduler import queue, switching
from scheduler.progress import Signal
from scheduler.runners.draw import DrawRunner
from storage import jobs, models
from storage.database import Database
from storage.models import Chosen
from storage.records import Kind, utcnow

log = logging.getLogger("moqi.models")

LOOK = 5.0  # seconds between two looks at the row: what another process was told

#: Tells the admins of a problem that nobody's message waits for.
Alarm = Callable[[Connection, str], None]


class Switcher:
    """Follows the row."""

    def __init__(
        self,
        db: Database,
        device: ImageDevice,
        drawing: DrawRunner,
        shelf: Callable[[], Shelf],
        options: LoadOptions,
        words: Callable[[], Words],
        alarm: Alarm,
        changed: Callable[[], None],
    ) -> None:
        """`changed` is called when jobs may be claimed again and messages wait to be sent."""
        self._db = db
        self._device = device
        self._drawing = drawing
        self._shelf = shelf
        self._options = options
        self._words = words
        self._alarm = alarm
        self._changed = changed
        self._at = -1  # the version that was last followed, whatever came of it
        self.wake = Signal()
        self.settled = asyncio.Event()  # the first model is loaded and measured, or cannot be

    def hurry(self) -> None:
        """Another model was chosen in this process: what waits now waits for it."""
        self._drawing.awaits_switch = True
        self.wake.give()

    async def run(self) -> None:
        """Load what is chosen, then follow, until the engine is closed."""
        self.wake.attach(asyncio.get_running_loop())
        while True:
            try:
                await self.follow()
                self.settled.set()
            except DeviceClosed:
                return  # the choice stays as it is: the next start follows it
            await self.wake.wait(LOOK)

    async def follow(self) -> None:
        """Bring the engine to the newest choice, if it is not there. Raises StorageError, DeviceClosed."""
        chosen, before = await self._db.read(models.chosen, Kind.DRAW), self._at
        while chosen.version != self._at:
            began = time.monotonic()
            problem = await self._become(chosen)
            if problem is None:
                await self._warm_up(chosen, time.monotonic() - began)
            else:
                await self._db.run(self._failed, chosen, problem)
            self._at = chosen.version
            chosen = await self._db.read(models.chosen, Kind.DRAW)
        self._drawing.awaits_switch = False
        if self._at != before:
            self._changed()

    async def _become(self, chosen: Chosen) -> str | None:
        """Why the engine is not what was chosen, if so; then it is what it was."""
        try:
            choice = await asyncio.to_thread(self._shelf().choice, chosen.name)
            if self._is(choice):
                await self._device.ready()
            else:
                gc.unfreeze()  # what the old model leaves can be collected
                await self._drawing.switch(choice, self._options)
        except DeviceClosed:
            raise
        except (InferenceError, UnknownModel) as error:
            return str(error)
        return None

    def _is(self, choice: Choice) -> bool:
        """Whether the engine has this model, or will load it when it starts."""
        card = self._device.card
        return self._device.problem is None and (card.name, Path(card.path)) == (choice.name, choice.path)

    async def _warm_up(self, chosen: Chosen, seconds: float) -> None:
        """Measure a model that was never measured, and end the switch."""
        first = await self._db.run(self._settled, chosen, seconds)
        if first or not (await self._db.read(jobs.peek_lane, Kind.DRAW)).samples:
            try:
                await self._db.run(queue.learn, Kind.DRAW, await self._drawing.measure())
            except ImageError:  # then the first job shows how fast it is
                log.exception("model not measured", extra={"action": "measure-failed"})
        set_aside()

    def _settled(self, conn: Connection, chosen: Chosen, seconds: float) -> bool:
        done = switching.settle(conn, chosen.version)
        if done is None:
            return False
        name = self._device.card.name
        log.info("pictures are drawn by %s now", name, extra={"action": "model-switched", "model": name})
        if done.origin is not None:
            reply = self._words().model_ready(name, seconds, default=not done.name)
            reply_row(conn, f"model-{chosen.version}", done.origin, reply, utcnow())
        return True

    def _failed(self, conn: Connection, chosen: Chosen, problem: str) -> None:
        if not chosen.version:
            return  # model.yaml's own: the engine has logged it, and every refusal says what is wrong
        failed = switching.take_back(conn, chosen.version, problem, utcnow())
        if failed is None:
            return
        log.error("model %s: %s", failed.name or "default", problem, extra={"action": "model-failed"})
        if failed.origin is not None:
            reply = self._words().model_failed(failed.name, problem, self._device.card.name)
            reply_row(conn, f"model-{chosen.version}", failed.origin, reply, utcnow())
        else:
            self._alarm(conn, problem)


def set_aside() -> None:
    """Take what is loaded now out of the garbage collector's sight: it stays until the end.

    With torch and diffusers loaded a full collection looked at a million objects and held everybody up for 0.3 s.
    """
    gc.collect()
    gc.freeze()
