"""The real program with a stand-in for the picture model, so that a start costs a second and the engine has moods.

`python -m tests.chaos.serve serve …` is `moqi serve …`; it obeys a file: which fault points are armed, and how the
engine behaves from now on. Everything else is the product as it is shipped.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from inference import device
from inference.errors import NotFinite, OutOfMemory
from inference.images.model import ModelCard, Watch
from inference.images.registry import Choice, LoadOptions, expected_card
from inference.requests import ImageRequest
from inference.results import ImageResult
from storage import faults

LOOK = 0.02  # seconds between two looks at the file
STEP = 0.005  # seconds of a step


class StandIn:
    """Draws a plain colour, step by step; or does what its mood says, and writes down that it did."""

    def __init__(self, choice: Choice, options: LoadOptions, orders: Orders) -> None:
        self._card = expected_card(choice, options)
        self._orders = orders

    @property
    def card(self) -> ModelCard:
        return self._card

    def generate(self, batch: Sequence[ImageRequest], watch: Watch) -> list[ImageResult | None]:
        began = time.monotonic()
        self._suffer(self._orders.mood())
        for step in range(batch[0].steps):
            time.sleep(STEP)
            for index in range(len(batch)):
                watch.step(index, step + 1, batch[0].steps)
        seconds = time.monotonic() - began
        return [
            None if watch.cancelled(index) else _picture(request, seconds, len(batch))
            for index, request in enumerate(batch)
        ]

    def close(self) -> None:
        """Nothing is held."""

    def _suffer(self, mood: str) -> None:
        match mood:
            case "oom":
                raise OutOfMemory("The device ran out of memory, as ordered.")
            case "garbage":
                raise NotFinite("The model produced NaN, as ordered.")
            case "crash":
                raise RuntimeError("an error that nobody foresaw, as ordered")
            case "hang":
                while self._orders.hangs():
                    time.sleep(LOOK)


def _picture(request: ImageRequest, seconds: float, together: int) -> ImageResult:
    colour = (request.seed % 256, request.seed // 256 % 256, 128)
    image = Image.new("RGB", (request.width, request.height), colour)
    return ImageResult(image=image, seed=request.seed, seconds=seconds, batch_size=together)


class Orders:
    """The file that says what shall go wrong; a mood lasts for so many calls of the engine."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._seen = ""
        self._moods: list[str] = []

    def obey(self) -> None:
        """Look for ever."""
        while True:
            text = self._file.read_text(encoding="utf-8")
            if text != self._seen:
                self._seen, wanted = text, _read(text)
                self._moods = [str(wanted.get("mood", ""))] * int(wanted.get("times", 1))
                faults.arm(str(wanted.get("faults", "")))
                self._note(f"armed {wanted.get('number', 0)}")
            time.sleep(LOOK)

    def mood(self) -> str:
        """The engine's mood for this call."""
        mood = self._moods.pop() if self._moods else ""
        if mood:
            self._note(mood)
        return mood

    def hangs(self) -> bool:
        """Whether the mood still stands in the file."""
        return _read(self._seen).get("mood") == "hang"

    def _note(self, what: str) -> None:
        with self._file.with_suffix(".did").open("a", encoding="utf-8") as notes:
            notes.write(f"{what}\n")


def _read(text: str) -> dict[str, Any]:
    return dict(json.loads(text)) if text else {}


def main() -> None:
    """Become moqi."""
    orders = Orders(Path(os.environ["CHAOS_ORDERS"]))
    vars(device)["load"] = lambda choice, options: StandIn(choice, options, orders)  # the name it was imported under
    threading.Thread(target=orders.obey, daemon=True).start()
    from bot.cli import main as moqi

    moqi()


if __name__ == "__main__":
    main()
