"""The children that read documents: what they may take, what they know, and what becomes of them."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from inference.grounding import document, parse, parse_child, reader
from inference.grounding.chunk import Cutting
from inference.grounding.parse import NoText, TooLarge, Unreadable, Unsupported
from inference.grounding.reader import Readers
from tests.inference.grounding.made import archive, docx

ROOT = Path(__file__).parents[3]
HANDBOOK = (ROOT / "deploy/knowledge/差旅与费用报销.md").read_bytes()


@pytest.fixture
def readers() -> Iterator[Readers]:
    made = Readers()
    yield made
    made.close()


def asked(name: str, data: bytes, **more: object) -> dict[str, object]:
    request = {"name": name, "kind": "", "title": "", "size": 500, "overlap": 75, "seconds": 20, "bytes": len(data)}
    return {**request, **more}


def read(readers: Readers, name: str, data: bytes, **more: object) -> reader.Reading:
    return readers.read(asked(name, data, **more), data)


def pid(readers: Readers) -> int:
    """The one child."""
    (child,) = readers._idle
    return child._process.pid


def alive(readers: Readers) -> None:
    """A child answers, at the least cost."""
    with pytest.raises(NoText):
        read(readers, "a.md", b" ")


def test_a_child_answers_what_reading_here_gives() -> None:
    cutting = Cutting(size=200, overlap=30)
    text = document.read(HANDBOOK, "差旅.md", title="差旅", cutting=cutting)
    here = tuple(document.passages(text, document.cut(text, cutting)))
    there = reader.read(HANDBOOK, "差旅", kind=".md", title="差旅", cutting=cutting)
    assert (there.title, there.passages, there.unread) == ("差旅", here, ())
    assert len(here) > 6
    assert here[1].terms.words
    assert here[1].terms.bigrams


def test_what_is_too_large_or_unknown_needs_no_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parse, "MAX_BYTES", 10)
    monkeypatch.setattr(reader, "_shared", None)
    with pytest.raises(TooLarge, match=r"a\.txt.*limit"):
        reader.read(b"12345678901", "a.txt")
    with pytest.raises(Unsupported, match=r"a\.exe"):
        reader.read(b"MZ", "a.exe")


def test_one_child_reads_many_and_an_error_is_one_documents_own(readers: Readers) -> None:
    assert len(read(readers, "a.md", HANDBOOK).passages) > 3
    first = pid(readers)
    with pytest.raises(Unreadable, match=r"^b\.pdf is damaged"):
        read(readers, "b.pdf", b"hello")
    with pytest.raises(Unreadable, match=r"^c\.pptx is damaged\. Open it"):  # its library knows no such error
        read(readers, "c.pptx", archive({"ppt/presentation.xml": "<x/>"}))
    assert len(read(readers, "c.docx", docx("制度", "年假十天。")).passages) == 1
    assert pid(readers) == first


def test_a_child_that_ended_meanwhile_is_replaced(readers: Readers) -> None:
    alive(readers)
    first = pid(readers)
    readers._idle[0]._process.kill()
    alive(readers)
    assert pid(readers) != first


def test_a_child_that_takes_too_long_is_ended_and_the_next_one_reads(
    readers: Readers, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive(readers)
    first = readers._idle[0]._process
    monkeypatch.setattr(reader, "TIMEOUT", 0.0)
    with pytest.raises(Unreadable, match=r"slow\.md was not read within 0 s\. Split it"):
        read(readers, "slow.md", HANDBOOK * 100)
    assert first.returncode is not None
    monkeypatch.undo()
    alive(readers)


def test_processor_time_is_limited(readers: Readers) -> None:
    with pytest.raises(Unreadable, match=r"long\.txt was not read within .* s of computing"):
        read(readers, "long.txt", "年假制度。".encode() * 1_000_000, seconds=1)
    alive(readers)


def test_processor_time_is_counted_for_each_document(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a child has used for others is not counted against a document."""
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrusage", lambda who: SimpleNamespace(ru_utime=700.5, ru_stime=20.0))
    monkeypatch.setattr(resource, "getrlimit", lambda which: (900, 1000))
    monkeypatch.setattr(resource, "setrlimit", lambda which, limits: given.append(limits))
    parse_child._allow(60)
    parse_child._allow(400)  # no more than the system lets it have
    assert given == [(780, 1000), (1000, 1000)]


def test_closing_does_not_wait_for_what_is_being_read(readers: Readers) -> None:
    said: list[str] = []

    def go() -> None:
        try:
            read(readers, "long.txt", "年假制度。".encode() * 1_000_000)
        except Unreadable as error:
            said.append(str(error))

    thread = threading.Thread(target=go)
    thread.start()
    while not readers._busy:
        thread.join(0.001)
    readers.close()
    thread.join()
    assert said == ["long.txt was not read to its end: the program ends. It is read at the next start."]
    alive(readers)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the address space")
def test_memory_is_limited(readers: Readers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MEMORY", 100 * 1024**2)
    with pytest.raises(Unreadable, match=r"much\.txt would need more than"):
        read(readers, "much.txt", b"x" * parse.MAX_BYTES)


def test_several_threads_have_a_child_each(readers: Readers) -> None:
    found: list[int] = []
    together = threading.Barrier(3)

    def go() -> None:
        together.wait()
        alive(readers)
        found.append(1)

    threads = [threading.Thread(target=go) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3
    assert 1 <= len(readers._idle) <= reader.AT_ONCE


@pytest.fixture
def spy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A module in the child's place: it tells what it sees, tries to write a file, and ends."""
    folder = tmp_path / "inference/grounding"
    folder.mkdir(parents=True)
    (tmp_path / "inference/__init__.py").touch()
    (folder / "__init__.py").touch()
    said = "json.dumps({'title': ' '.join(os.environ), 'unread': [], 'passages': 0})"
    (folder / "parse_child.py").write_text(f"import json, os, sys\nprint({said})\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_a_child_knows_no_secret(spy: Path, readers: Readers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_SECRET", "hunter2")
    seen = read(readers, "a.md", b"").title
    assert "PYTHONPATH" in seen
    assert "APP_SECRET" not in seen


def test_a_child_writes_no_file_and_ignores_the_terminal(tmp_path: Path) -> None:
    code = f"""
import signal
from inference.grounding import parse_child
parse_child.limit({reader.MEMORY})
signal.raise_signal(signal.SIGINT)
try:
    with open({str(tmp_path / "leak")!r}, "w") as file:
        file.write("x")
except OSError as error:
    print(error.strerror)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.stdout.strip() == os.strerror(27)
    assert (tmp_path / "leak").read_text(encoding="utf-8") == ""


def test_a_child_ends_with_the_process_that_started_it() -> None:
    """The other side is killed in the middle of a request: half a document is all that came."""
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "inference.grounding.parse_child", str(reader.MEMORY)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": str(ROOT)},
    )
    said, _ = child.communicate(json.dumps(asked("a.md", HANDBOOK)).encode() + b"\n" + HANDBOOK[:100], timeout=60)
    assert child.returncode == 0
    assert said == b""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not count the memory of whoever started it")
def test_a_child_does_not_count_the_memory_of_who_started_it() -> None:
    """Beside a loaded model it would else end after every document."""
    large = bytearray(b"x" * (400 << 20))
    counted = "from inference.grounding import parse_child; print(parse_child._memory())"
    done = subprocess.run([sys.executable, "-c", counted], capture_output=True, text=True, check=True)
    assert 0 < int(done.stdout) < len(large)
