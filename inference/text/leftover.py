"""An engine that outlived the program before this one is ended before another is started: both would want the GPU.

The guard in the engine (inference/text/orphan_guard.py) should have ended it. This is for one whose guard could not
run, and for one that is still on its way out when the program is back already.
"""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path

log = logging.getLogger(__name__)

PATIENCE = 10.0  # seconds for a killed process to be gone
LOOK = 0.02


def end(note: Path) -> int | None:
    """Kill the engine that the note names, if it is still that one, and wait until it is gone. Returns its number."""
    found = _noted(note)
    note.unlink(missing_ok=True)
    if found is None:
        return None
    import psutil

    pid, began = found
    try:
        process = psutil.Process(pid)
        if process.create_time() != began:
            return None  # the number is another's by now
        process.kill()
        deadline = time.monotonic() + PATIENCE
        # A dead one that its parent has not asked after holds nothing any more; in a container nobody may ever ask.
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
            time.sleep(LOOK)
    except psutil.NoSuchProcess:
        return None
    except psutil.AccessDenied:
        log.warning(
            "process %d, a language model's left by an earlier start, cannot be ended: it is another user's", pid
        )
        return None
    log.warning("ended process %d, a language model's left by an earlier start", pid, extra={"action": "leftover"})
    return pid


def _noted(note: Path) -> tuple[int, float] | None:
    try:
        found = json.loads(note.read_text(encoding="utf-8"))
        return int(found["pid"]), float(found["began"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
