"""The real program with the real practice model, whose passes stop where a file says, so that a journey can look.

`python -m tests.journeys.slow_pictures serve …` is `moqi serve …`. The file of MOQI_STEPS holds how many steps a pass
may have told of by now; no file: all of them. A pass that is held ends at its step when it is cancelled or cut, like
any other. Previews are for every pass, also for one that takes no time, and a stop waits less long for what runs.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from bot import services
from bot.cli import main
from inference import device
from scheduler.runners import draw

LOOK = 0.02  # seconds between two looks at the file
GRACE = 3.0  # seconds that running work gets when the program is asked to stop


class HeldWatch(device._StoppableWatch):
    """Waits, on the engine's thread, before it tells of a step of somebody's picture that is not allowed yet."""

    def step(self, index: int, done: int, total: int) -> None:
        while isinstance(self._watch, draw.PassWatch) and done > _allowed() and not self.cancelled(index):
            time.sleep(LOOK)
        super().step(index, done, total)


def _allowed() -> int:
    try:
        return int(Path(os.environ["MOQI_STEPS"]).read_text(encoding="utf-8") or 0)
    except FileNotFoundError:
        return 2**31


if __name__ == "__main__":
    vars(device).update(_StoppableWatch=HeldWatch)
    vars(draw).update(LONG=0.0)
    vars(services).update(GRACE=GRACE)
    main()
