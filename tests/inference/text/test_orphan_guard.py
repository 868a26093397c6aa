"""An engine's process ends with the program that started it, and one that did not is ended by the next start."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from inference.text import leftover, orphan_guard

ROOT = Path(__file__).parents[3]
PATIENCE = 20.0  # seconds until a process that should be gone is one that is not

#: A program that starts an engine, which registers as vLLM has it do, says so, and computes for ever.
PROGRAM = """
import multiprocessing, sys, time
from inference.text import orphan_guard

def compute(ready):
    orphan_guard.register()
    {stubborn}
    ready.set()
    time.sleep(3600)

if __name__ == "__main__":
    spawn = multiprocessing.get_context("spawn")
    ready = spawn.Event()
    engine = spawn.Process(target=compute, args=(ready,), name=orphan_guard.ENGINE)
    engine.start()
    ready.wait()
    print(engine.pid, flush=True)
    time.sleep(3600)
"""


@pytest.fixture
def program(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[subprocess.Popen[str], psutil.Process]]:
    """The running program and its engine."""
    file = tmp_path / "program.py"
    file.write_text(PROGRAM.format(stubborn=getattr(request, "param", "")), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), orphan_guard.NOTE: str(tmp_path / "notes" / "engine.json")}
    command = [sys.executable, str(file)]
    # In a session of its own, as at a terminal: its group is not the one of these tests.
    started = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert started.stdout is not None
    engine = psutil.Process(int(started.stdout.readline()))
    yield started, engine
    for process in (started, engine):
        if process.poll() is None if isinstance(process, subprocess.Popen) else process.is_running():
            process.kill()
    started.wait()
    started.stdout.close()


Program = tuple[subprocess.Popen[str], psutil.Process]


def test_a_killed_program_leaves_no_engine(program: Program) -> None:
    started, engine = program
    started.kill()
    engine.wait(PATIENCE)


STUBBORN = "orphan_guard.PATIENCE = 0.2; __import__('signal').signal(15, lambda *_: None)"


@pytest.mark.parametrize("program", [STUBBORN], indirect=True)
def test_one_that_does_not_want_to_leave_has_to(program: Program) -> None:
    started, engine = program
    started.kill()
    engine.wait(PATIENCE)


def test_ctrl_c_at_a_terminal_does_not_reach_the_engine(program: Program) -> None:
    started, engine = program
    assert os.getpgid(engine.pid) != os.getpgid(started.pid)
    os.killpg(started.pid, signal.SIGSTOP)
    try:
        assert engine.status() != psutil.STATUS_STOPPED
    finally:
        os.killpg(started.pid, signal.SIGCONT)


def test_the_next_start_ends_the_engine_that_is_noted(program: Program, tmp_path: Path) -> None:
    _, engine = program
    note = tmp_path / "notes" / "engine.json"
    assert json.loads(note.read_text())["pid"] == engine.pid
    assert leftover.end(note) == engine.pid
    assert engine.status() == psutil.STATUS_ZOMBIE  # nobody has asked after it yet
    assert leftover.end(note) is None
    assert not note.exists()


@pytest.mark.parametrize("said", ["", "{", "[]", '{"pid": 1}', '{"pid": "x", "began": 1}'])
def test_a_note_that_says_nothing_ends_nobody(tmp_path: Path, said: str) -> None:
    note = tmp_path / "engine.json"
    note.write_text(said)
    assert leftover.end(note) is None


def test_a_number_that_is_another_process_by_now_is_left_alone(program: Program, tmp_path: Path) -> None:
    _, engine = program
    note = tmp_path / "engine.json"
    note.write_text(json.dumps({"pid": engine.pid, "began": engine.create_time() - 60}))
    assert leftover.end(note) is None
    assert engine.status() != psutil.STATUS_ZOMBIE


def test_in_the_program_itself_nothing_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    group = os.getpgid(0)
    monkeypatch.setattr(os, "setpgid", lambda *_: pytest.fail("the program left its own group"))
    orphan_guard.register()
    assert os.getpgid(0) == group
