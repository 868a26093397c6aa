"""Answers without a model and by a tiny one in the real vLLM: first text, total, event loop, memory, and its end.

Both answer the same questions over the same passages, in turns. It runs in a process of its own
(benchmarks/answers_process.py), which is killed at the end: how long the engine outlives it is measured too.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import psutil

from benchmarks.common import Figure, figure, part
from inference.text.vllm_engine import installed
from tests import plugins

TITLE = "Answers: quoted, and by a tiny model in vLLM"
ORPHANED = 60.0  # seconds until an engine that should be gone is one that is not

#: Unit and the goal of what has one, by the end of a figure's name.
UNITS: Mapping[str, tuple[str, float | None]] = {
    "first text, p50": ("ms", None),
    "first token, p50": ("ms", None),
    "first token, p99": ("ms", None),
    "whole answer, p50": ("ms", None),
    "whole answer, p99": ("ms", None),
    "answers a second": ("1/s", None),
    "event loop late, p99": ("ms", 20.0),
    "event loop late, longest": ("ms", None),
    "event loop late while it starts": ("ms", None),
    "started in": ("s", None),
    "memory": ("MiB", None),
    "gone after kill -9 of the program": ("s", 10.0),
}


def run(quick: bool = False) -> list[Figure]:
    """The figures of one process; none where vLLM is not installed."""
    if not installed():
        print("skipped: vllm is not installed")
        return []
    with tempfile.TemporaryDirectory() as folder:
        path = os.pathsep.join(filter(None, (str(plugins.installed(Path(folder))), os.environ.get("PYTHONPATH"))))
        command = [sys.executable, "-m", "benchmarks.answers_process", folder, "1" if quick else "8"]
        # One thread: two that share a busy core wait for each other.
        environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            said = json.loads(process.stdout.readline() or "{}")
            engine = psutil.Process(said["engine"])
            process.kill()
            began = time.perf_counter()
            engine.wait(ORPHANED)
    found: dict[str, list[float]] = said["figures"]
    found["vLLM: gone after kill -9 of the program"] = [time.perf_counter() - began]
    return [_figure(name, values) for name, values in found.items()]


def _figure(name: str, values: list[float]) -> Figure:
    unit, goal = next(known for end, known in UNITS.items() if name.endswith(end))
    return figure(name, values, unit, at_most=goal)


if __name__ == "__main__":
    part(run, TITLE)
