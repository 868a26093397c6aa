"""What a loaded model learns while it draws: how many pictures fit together, when to decode in tiles, how to compute.

Kept in the notes where it may hold at the next start. What one picture alone ran out of is not: somebody else may have
had the memory just then.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from inference.images.batching import BatchLimit
from inference.images.memory import Plan
from inference.images.notes import Notebook, worth_measured
from inference.images.speed import Way

#: Sides in pixels for which is written down what fits; between them the next larger one counts.
SIDES = (256, 512, 768, 1024, 1280, 1536, 2048)
TILES = (1024, 512)  # pixels a side; the second changes pictures a little, and is for those that would fail


class Learning:
    """Belongs to one loaded model, and is used on its thread."""

    def __init__(self, plan: Plan, notebook: Notebook, held: str) -> None:
        self.plan = plan
        self._notebook = notebook
        self._held = held
        self._tiles: dict[int, int] = {}  # by pixels of a picture that ran out, the side of its tiles
        notes = notebook.notes
        self.batches = BatchLimit(
            learned=notes.learned if notes.held == held else (),
            measured=worth_measured(notes.seconds),
            fitting=tuple((side * side, plan.most(side, side)) for side in SIDES),
        )

    @classmethod
    def of(cls, plan: Plan, folder: Path | None, key: str, held: str) -> Learning:
        """With what is known in `folder` of the model on this device (`key`), held in memory in this way (`held`)."""
        return cls(plan, Notebook(folder, key), held)

    def ran_out(self, width: int, height: int, batch: int) -> None:
        """A batch of this many pictures did not fit."""
        self.batches = self.batches.halve(width, height, batch)
        self._notebook.write(replace(self._notebook.notes, held=self._held, learned=self.batches.learned))

    def tile(self, width: int, height: int) -> int:
        """The side in pixels of the tiles in which the VAE decodes; 0 = the picture at once."""
        learned = [side for pixels, side in self._tiles.items() if pixels <= width * height]
        return min(learned, default=TILES[0] if self.plan.tiled(width, height) else 0)

    def tile_more(self, width: int, height: int) -> bool:
        """One picture alone did not fit: from now on in smaller tiles; False when there are none for its size."""
        now = self.tile(width, height)
        for side in TILES:
            if side < max(width, height) and (not now or side < now):
                self._tiles[width * height] = side
                return True
        return False

    def chosen(self, wanted: str) -> tuple[Way, ...]:
        """The way that was found fastest for these settings; empty when there is none, or it ended the process."""
        notes = self._notebook.notes
        way = Way(attention=notes.attention, compiled=notes.compiled)
        return (way,) if notes.wanted == wanted and notes.trying != str(way) else ()

    def safe(self, tried: tuple[Way, ...]) -> tuple[Way, ...]:
        """Those of several ways that did not end the process when they were tried; the simplest always stays."""
        return tuple(way for place, way in enumerate(tried) if not place or str(way) != self._notebook.notes.trying)

    def trying(self, way: Way | None) -> None:
        """Write down what is about to be tried, None afterwards: a fault of the device may end the process."""
        self._notebook.write(replace(self._notebook.notes, trying="" if way is None else str(way)))

    def choose(self, wanted: str, way: Way) -> None:
        """Keep which way was found fastest."""
        notes = replace(self._notebook.notes, wanted=wanted, attention=way.attention, compiled=way.compiled)
        self._notebook.write(notes)

    def measured(self, seconds: tuple[tuple[int, int, float], ...]) -> None:
        """Take over what `moqi bench` measured."""
        self._notebook.write(replace(self._notebook.notes, seconds=seconds))
        self.batches = replace(self.batches, measured=worth_measured(seconds))

    def forgive(self) -> None:
        """Let be tried again what ran out of memory: perhaps somebody else had it then."""
        self.batches = replace(self.batches, learned=())
        self._notebook.write(replace(self._notebook.notes, learned=()))
