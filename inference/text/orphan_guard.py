"""Ends a language model's processes when the program that started them has gone, however that ended.

vLLM computes in processes of its own, and they do not notice that nobody is left to ask them: after a `kill -9` of the
program they would keep the GPU for ever. vLLM calls `register` in each of its processes (the entry point
`vllm.general_plugins` in pyproject.toml). It must not import anything slow.
"""

from __future__ import annotations

import atexit
import json
import logging
import multiprocessing
import os
import signal
import threading
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

#: What `VLLM_PLUGINS` calls it.
NAME = "moqi"
#: Names the file in which an engine notes itself, for the next start (inference/text/leftover.py).
NOTE = "MOQI_TEXT_ENGINE_NOTE"
ENGINE = "EngineCore"  # what vLLM calls its process that computes
PATIENCE = 3.0  # seconds that an orphan gets to leave in order; it has nobody left to answer

#: What of vLLM's own log is for an operator.
LEVELS = {
    "vllm": logging.ERROR,
    "vllm.logging_utils.dump_input": logging.CRITICAL + 1,  # what it was computing when it failed: people's questions
    "vllm.v1.engine.async_llm": logging.CRITICAL + 1,  # that the engine died: whoever started it says so
}


def register() -> None:
    """Watch over this process, unless it is the program itself. Called once in each of vLLM's processes."""
    for name, level in LEVELS.items():
        logging.getLogger(name).setLevel(level)
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    logging.basicConfig(format="%(asctime)s %(levelname)-7s %(name)s  %(message)s")
    # Ctrl-C at a terminal goes to the whole group: the engine must finish what is written, and the program ends it.
    os.setpgid(0, 0)
    # Nothing is left to do at that point, and Python takes seconds to take itself apart.
    atexit.register(os._exit, 0)
    note = os.environ.get(NOTE, "")
    if note and not parent.name.startswith(ENGINE):  # what an engine starts itself ends with it
        _note(Path(note))
    threading.Thread(target=_follow, args=(parent,), name="orphan-guard", daemon=True).start()


def _follow(parent: BaseProcess) -> None:
    parent.join()  # returns at once for one that has gone already
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(PATIENCE)
    os._exit(1)


def _note(path: Path) -> None:
    """Which process this is: its number alone may be another's by the next start."""
    import psutil

    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}")
    draft.write_text(json.dumps({"pid": os.getpid(), "began": psutil.Process().create_time()}), encoding="utf-8")
    draft.replace(path)
