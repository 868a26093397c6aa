"""What was learned about a machine outlives the process, and what is damaged costs nothing but the knowledge."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from inference.images.notes import FILE, Notebook, Notes, worth_measured

KNOWN = Notes(
    wanted="auto/auto",
    attention="_native_cudnn",
    compiled=True,
    trying="native, compiled",
    held="none/0.6",
    learned=((1024, 2),),
    seconds=((4096, 1, 0.2), (4096, 2, 0.1)),
)


def test_they_are_kept_for_each_model_on_each_device(tmp_path: Path) -> None:
    Notebook(tmp_path / "engine", "one").write(KNOWN)
    Notebook(tmp_path / "engine", "other").write(Notes(wanted="x"))
    assert Notebook(tmp_path / "engine", "one").notes == KNOWN
    assert Notebook(tmp_path / "engine", "third").notes == Notes()
    assert [file.name for file in (tmp_path / "engine").iterdir()] == [FILE], "no draft is left"


def test_without_a_folder_nothing_is_kept() -> None:
    book = Notebook(None, "one")
    book.write(KNOWN)
    assert book.notes == KNOWN
    assert Notebook(None, "one").notes == Notes()


@pytest.mark.parametrize(
    "damaged",
    [
        "",
        "{",
        "[]",
        '{"version": 99, "entries": {"one": {}}}',
        '{"version": 1, "entries": {"one": {"wanted": 1}}}',
        '{"version": 1, "entries": {"one": {"learned": "x"}}}',
        '{"version": 1, "entries": 7}',
    ],
)
def test_a_damaged_file_is_as_none_and_written_anew(tmp_path: Path, damaged: str) -> None:
    (tmp_path / FILE).write_text(damaged, encoding="utf-8")
    book = Notebook(tmp_path, "one")
    assert book.notes == Notes()
    book.write(KNOWN)
    assert Notebook(tmp_path, "one").notes == KNOWN
    assert json.loads((tmp_path / FILE).read_text(encoding="utf-8"))["version"] == 1


def test_a_folder_that_cannot_be_written_costs_only_the_knowledge(tmp_path: Path) -> None:
    (tmp_path / "engine").write_text("a file where the folder should be", encoding="utf-8")
    book = Notebook(tmp_path / "engine", "one")
    book.write(KNOWN)
    assert book.notes == KNOWN


def test_the_worth_of_each_measured_size() -> None:
    seconds = ((4096, 1, 0.2), (4096, 2, 0.12), (4096, 4, 0.119), (65536, 1, 0.4), (65536, 2, 0.39), (262144, 1, 0.9))
    assert worth_measured(seconds) == ((4096, 2), (65536, 1))
