"""How fast a server comes up and what it takes of memory, with and without the image engine.

Without: the server runs where `import torch` fails, as on a machine that only talks and answers.
"""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.common import Figure, figure, part
from tests.journeys.moqi import ROOT, free_port, until

TITLE = "Start and memory of a server (web and knowledge on, SQLite)"


def run(quick: bool = False) -> list[Figure]:
    """Starts in turns, each in an empty data folder but the last kind, which starts again in a used one."""
    rounds = 1 if quick else 5
    first, again, ready, loaded, light = [], [], [], [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        blocked = without_torch(folder / "blocked")
        for number in range(rounds):
            data = folder / f"data{number}"
            with server(data) as (port, began, process):
                first.append(answers_after(port, "/healthz", began))
                ready.append(answers_after(port, "/readyz", began))
                loaded.append(memory(process.pid))
            with server(data) as (port, began, _):
                again.append(answers_after(port, "/healthz", began))
            with server(folder / f"light{number}", PYTHONPATH=str(blocked)) as (port, began, process):
                answers_after(port, "/healthz", began)
                time.sleep(1.0 if quick else 4.0)  # the sample documents are read and indexed: at rest after that
                light.append(memory(process.pid))
    return [
        figure("process start → listening, empty data folder", first, "s", at_most=2.0),
        figure("process start → listening, used data folder", again, "s", at_most=2.0),
        figure("process start → ready, built-in model loaded", ready, "s"),
        figure("memory at rest without torch", light, "MB", at_most=150.0),
        figure("memory at rest with torch and the built-in model", loaded, "MB"),
    ]


@contextmanager
def server(data: Path, **more: str) -> Iterator[tuple[int, float, subprocess.Popen[bytes]]]:
    """A server on a data folder, starting: its port, when it began, its process."""
    port = free_port()
    environment = {**os.environ, "MOQI_DATA": str(data), "MOQI_CONFIG": str(ROOT / "deploy" / "config"), **more}
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "bot.cli", "serve", "--port", str(port)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield port, began, process
    finally:
        process.terminate()
        process.wait()


def answers_after(port: int, path: str, began: float) -> float:
    """Seconds from `began` until `path` answers 200."""
    until(lambda: _answers(port, path), f"{path} to answer")
    return time.perf_counter() - began


def _answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def memory(pid: int) -> float:
    """Resident megabytes of a process."""
    if not Path("/proc").is_dir():  # macOS
        said = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True)
        return int(said.stdout) / 1024
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")) / 1024


def without_torch(folder: Path) -> Path:
    """A folder that, in front of the path, makes the engine's packages uninstalled."""
    folder.mkdir()
    for package in ("torch", "diffusers", "transformers"):
        text = f'raise ModuleNotFoundError("blocked by the benchmark", name="{package}")\n'
        (folder / f"{package}.py").write_text(text, encoding="utf-8")
    return folder


if __name__ == "__main__":
    part(run, TITLE)
