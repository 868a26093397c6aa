"""Starts the program many times for the price of one: a process that has imported all of it once, and forks.

    python -m tests.nursery SOCKET

What is forked is a process of its own with its own pid: it may be killed, stopped and started again as any other. Only
its modules are there already, 6 s of importing each time, and importing does nothing: what is read from the environment
or opened is read and opened by the child. With MOQI_COLD in its environment, and on macOS, where a process with
frameworks loaded must not fork, a process is started the ordinary way.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import runpy
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).parents[1]
COLD = "MOQI_COLD"  # in the environment: the process shall import everything itself, as a user's does
#: What takes long to import, and does nothing else when it is. Of a package that loads its parts when they are asked
#: for (diffusers, transformers) these are the parts that the picture model asks for.
HEAVY = (
    "torch",
    "peft",
    "diffusers.pipelines.z_image.pipeline_z_image",
    "diffusers.pipelines.z_image.pipeline_z_image_img2img",
    "diffusers.models.transformers.transformer_z_image",
    "transformers.models.qwen2.tokenization_qwen2",
    "transformers.models.qwen3.modeling_qwen3",
    "alembic.command",
    "anyio._backends._asyncio",
    "httpcore",
    "opencc",
    "psycopg",
    "rjieba",
    "semantic_text_splitter",
    "sqlcipher3.dbapi2",
    "sqlalchemy.dialects.postgresql.psycopg",
    "uvicorn.loops.uvloop",
    "uvicorn.protocols.http.httptools_impl",
    "uvicorn.protocols.websockets.auto",
    "bot.app",
    "bot.cli",
    "inference.images.sketch",
    "inference.images.zimage",
    "storage.fulltext",
)
#: Variables that only an interpreter of its own obeys.
OF_ITS_OWN = {"LD_PRELOAD", COLD}
LONGEST = 1_000_000  # bytes of a request: an environment and a command line


class Child:
    """A forked process; the part of subprocess.Popen that the journeys need."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self.returncode: int | None = None
        self.pid = self._number()

    def __del__(self) -> None:
        self._line.close()

    def poll(self) -> int | None:
        """The exit status as Popen has it, None while it runs."""
        if self.returncode is None and select.select([self._line], [], [], 0)[0]:
            self._ended()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; raises subprocess.TimeoutExpired."""
        if self.returncode is None:
            if not select.select([self._line], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0.0)
            self._ended()
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _ended(self) -> None:
        self.returncode = self._number()
        self._line.close()

    def _number(self) -> int:
        raw = self._line.recv(4, socket.MSG_WAITALL)
        assert len(raw) == 4, "the nursery is gone"
        return int(struct.unpack("!i", raw)[0])


#: Any process of the program, forked or not.
Process = Child | subprocess.Popen[bytes]


class Nursery:
    """The process that forks, started at the first wish and ended with the tests."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="moqi-", ignore_cleanup_errors=True)
        self._door = Path(self._folder.name) / "door"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, arguments: Sequence[str], environment: Mapping[str, str], output: int, errors: int) -> Child:
        """Run `python -m <arguments>` in the repository's folder."""
        if self._process is None:
            self._open()
        line = socket.socket(socket.AF_UNIX)
        line.connect(str(self._door))
        request = json.dumps({"arguments": list(arguments), "environment": dict(environment)}).encode()
        socket.send_fds(line, [struct.pack("!i", len(request))], [output, errors])
        line.sendall(request)
        return Child(line)

    def close(self) -> None:
        """End the nursery; a child that still runs ends with the tests' own process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()  # waits, and closes its pipe
        self._folder.cleanup()

    def _open(self) -> None:
        quiet = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}  # it starts its threads at once, and none survives a fork
        command = [sys.executable, "-m", "tests.nursery", str(self._door)]
        self._process = subprocess.Popen(command, cwd=ROOT, env=quiet, stdout=subprocess.PIPE)
        atexit.register(self.close)  # before anything that may fail: it would stay behind
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"open\n", "the nursery did not open"


def process(arguments: Sequence[str], environment: Mapping[str, str], output: int, errors: int) -> Process:
    """Start `python -m <arguments>` with its output into these file descriptors."""
    if sys.platform != "linux" or environment.keys() & OF_ITS_OWN:
        command = [sys.executable, "-m", *arguments]
        return subprocess.Popen(command, cwd=ROOT, env=dict(environment), stdout=output, stderr=errors)
    return _nursery().start(arguments, environment, output, errors)


def run(arguments: Sequence[str], environment: Mapping[str, str], timeout: float) -> subprocess.CompletedProcess[str]:
    """Run `python -m <arguments>` to its end. Raises subprocess.TimeoutExpired, after killing it."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        started = process(arguments, environment, output.fileno(), errors.fileno())
        try:
            status = started.wait(timeout)
        except subprocess.TimeoutExpired:
            started.kill()
            raise
        said = []
        for stream in (output, errors):
            stream.seek(0)
            said.append(stream.read().decode())
        return subprocess.CompletedProcess(list(arguments), status, *said)


_open_nursery: list[Nursery] = []


def _nursery() -> Nursery:
    if not _open_nursery:
        _open_nursery.append(Nursery())
    return _open_nursery[0]


# --- the process itself -----------------------------------------------------------------------------------------


def main(door: str) -> NoReturn:
    """Import what is heavy, then fork for everybody who knocks."""
    for name in HEAVY:
        import_module(name)
    gc.collect()
    gc.freeze()  # a child that looked for garbage would copy every page
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for a guardian
    server = socket.socket(socket.AF_UNIX)
    server.bind(door)
    server.listen(16)
    print("open", flush=True)
    while True:
        line, _ = server.accept()
        if os.fork() == 0:
            server.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _guard(line)
        line.close()


def _guard(line: socket.socket) -> NoReturn:
    """Fork the child and tell how it ends; when nobody listens any more, end it."""
    raw, descriptors, _, _ = socket.recv_fds(line, 4, 2)
    (length,) = struct.unpack("!i", raw)
    assert 0 < length < LONGEST
    request = json.loads(line.recv(length, socket.MSG_WAITALL))
    pid = os.fork()
    if pid == 0:
        line.close()
        _become(request["arguments"], request["environment"], descriptors)
    for one in descriptors:
        os.close(one)
    line.sendall(struct.pack("!i", pid))
    watched = os.pidfd_open(pid)
    ready, _, _ = select.select([watched, line.fileno()], [], [])
    if watched not in ready:  # the tests are gone, or have lost interest
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    if watched in ready:
        line.sendall(struct.pack("!i", os.waitstatus_to_exitcode(status)))
    os._exit(0)


def _become(arguments: Sequence[str], environment: Mapping[str, str], descriptors: Sequence[int]) -> NoReturn:
    """Be `python -m <arguments>`."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, one in enumerate(descriptors, start=1):
        os.dup2(one, number)
        os.close(one)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [arguments[0], *arguments[1:]]
    status = 0
    try:
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:  # noqa: BLE001 - said as the interpreter says it
        sys.excepthook(*sys.exc_info())
        status = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    # As an interpreter ends, but for what only belongs to the nursery.
    atexit._run_exitfuncs()
    os._exit(status)


if __name__ == "__main__":
    main(sys.argv[1])
