"""The real program with the real practice model, whose passes stop where a file says, so that a journey can look.

`python -m tests.journeys.slow_pictures serve …` is `moqi serve …`. The file of MOQI_STEPS holds how many steps a pass
may have told of by now; no file: all of them. Previews are for every pass, also for one that takes no time.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from bot.cli import main
from scheduler.runners import draw

LOOK = 0.02  # seconds between two looks at the file


class HeldWatch(draw.PassWatch):
    """Waits, on the engine's thread, before it tells of a step that is not allowed yet."""

    def step(self, index: int, done: int, total: int) -> None:
        while done > _allowed():
            time.sleep(LOOK)
        super().step(index, done, total)


def _allowed() -> int:
    try:
        return int(Path(os.environ["MOQI_STEPS"]).read_text(encoding="utf-8") or 0)
    except FileNotFoundError:
        return 2**31


if __name__ == "__main__":
    vars(draw).update(PassWatch=HeldWatch, LONG=0.0)
    main()
