"""Who had the data folder before, whatever became of them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from storage import owner
from storage.database import data_lock

Become = Callable[[int], None]  # become(5): from here on this is process 5


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with data_lock(tmp_path / "data"):
        return tmp_path / "data"


@pytest.fixture
def become(monkeypatch: pytest.MonkeyPatch) -> Become:
    return lambda pid: monkeypatch.setattr(os, "getpid", lambda: pid)


def named(pid: int, become: Become) -> str:
    become(pid)
    return owner.name()


def test_every_process_has_a_name_of_its_own_and_keeps_it(become: Become) -> None:
    one, two = named(1, become), named(2, become)
    assert one != two
    assert named(1, become) == one


def test_a_successor_is_told_of_all_whose_leases_nobody_has_ended(folder: Path, become: Become) -> None:
    first, second = named(1, become), named(2, become)
    become(1)
    assert owner.succeed(folder) == []
    owner.forget(folder)
    become(2)
    assert owner.succeed(folder) == [first]  # killed before it came to end them
    become(3)
    assert owner.succeed(folder) == [first, second]
    assert owner.succeed(folder) == [first, second]  # it is no predecessor of itself
    owner.forget(folder)
    third = owner.name()
    become(4)
    assert owner.succeed(folder) == [third]


def test_a_copy_of_the_folder_has_no_predecessors(folder: Path, tmp_path: Path, become: Become) -> None:
    become(1)
    owner.succeed(folder)  # it is alive
    shutil.copytree(folder, tmp_path / "copy")
    become(2)
    assert owner.succeed(tmp_path / "copy") == []


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"names": 3}', "null"])
def test_notes_that_cannot_be_read_name_nobody(folder: Path, become: Become, damage: str) -> None:
    (folder / owner.NOTES).write_text(damage, encoding="utf-8")
    become(1)
    assert owner.succeed(folder) == []
    assert json.loads((folder / owner.NOTES).read_text(encoding="utf-8"))["names"] == [owner.name()]
