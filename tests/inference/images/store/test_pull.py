"""Bringing a model in: what is refused before it begins, what a kill leaves behind, and what verify finds later."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from collections import namedtuple
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from inference.errors import PullError
from inference.images.checkpoint_files import BrokenFileError
from inference.images.preflight import preflight
from inference.images.registry import BUILTIN
from inference.images.store import lock, pull
from inference.images.store.parts import belongs, in_folder, local
from storage.records import utcnow
from tests.inference.images import versions

ROOT = Path(__file__).parents[4]
TRANSFORMER, VAE = versions.TRANSFORMER, versions.VAE
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 24000000000\n"
COMMIT = "f332072aa78be7aecdf3ee76d5c247082da564a6"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return versions.hollow(tmp_path / "Z-Image-Turbo")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "data" / "models"


def bring(store: Path, source: Path, name: str = "") -> Path:
    with local(source) as found:
        plan = pull.prepare(store, found, name)
        pull.execute(plan, utcnow())
    return plan.target


def names(store: Path) -> list[str]:
    """What can be seen in a store."""
    return sorted(one.name for one in store.iterdir() if not one.name.startswith(".")) if store.exists() else []


def hub_cache(source: Path, folder: Path) -> Path:
    """The same as the Hugging Face cache keeps it: links into blobs."""
    root = folder / "models--Tongyi-MAI--Z-Image-Turbo"
    snapshot = root / "snapshots" / COMMIT
    for number, file in enumerate(sorted(one for one in source.rglob("*") if one.is_file())):
        link, blob = snapshot / file.relative_to(source), root / "blobs" / f"{number:040x}"
        link.parent.mkdir(parents=True, exist_ok=True)
        blob.parent.mkdir(exist_ok=True)
        shutil.copy(file, blob)
        link.symlink_to(os.path.relpath(blob, link.parent))
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text(COMMIT)
    return root


def archive(source: Path, file: Path, arcname: str) -> Path:
    with tarfile.open(file, "w:gz" if file.suffix == ".gz" else "w") as tar:
        tar.add(source, arcname=arcname)
    return file


def test_a_folder_comes_in_whole_and_locked(store: Path, source: Path) -> None:
    (source / "README.md").write_text("# Z-Image-Turbo")
    (source / "assets").mkdir()
    (source / "assets" / "example.png").write_bytes(b"x")
    kept = bring(store, source)
    assert kept == store / "Z-Image-Turbo"
    found = lock.read(kept)
    assert found is not None
    assert lock.present(kept) == {*found.files, lock.LOCK}
    assert lock.present(kept) == {*lock.present(BUILTIN), "README.md", lock.LOCK}
    assert (found.source, found.revision, found.converted) == (str(source), "", ())
    assert found.files[VAE].sha256 == lock.sha256(source / VAE)
    assert preflight(kept).ok
    assert list(lock.verify(kept, found)) == []


@pytest.mark.parametrize("part", ["", f"snapshots/{COMMIT}"])
def test_a_snapshot_of_links_comes_in_as_files(store: Path, source: Path, tmp_path: Path, part: str) -> None:
    kept = bring(store, hub_cache(source, tmp_path / "hub") / part)
    found = lock.read(kept)
    assert found is not None
    assert (kept.name, found.source, found.revision) == ("Z-Image-Turbo", "Tongyi-MAI/Z-Image-Turbo", COMMIT)
    assert not [file for file in kept.rglob("*") if file.is_symlink()]
    assert preflight(kept).ok


@pytest.mark.parametrize(
    ("packed", "arcname", "file"),
    [
        ("source", "Z", "z.tar"),
        ("source", ".", "z.tar.gz"),
        ("cache", "hub/models--Tongyi-MAI--Z-Image-Turbo", "z.tar"),
    ],
)
def test_an_archive_comes_in(store: Path, source: Path, tmp_path: Path, packed: str, arcname: str, file: str) -> None:
    folder = source if packed == "source" else hub_cache(source, tmp_path / "hub")
    kept = bring(store, archive(folder, tmp_path / file, arcname), "turbo")
    found = lock.read(kept)
    assert found is not None
    assert found.source == str(tmp_path / file)
    assert found.revision == ("" if packed == "source" else COMMIT)
    assert {name: one.sha256 for name, one in found.files.items()} == {
        name: lock.sha256(source / name) for name in lock.present(source)
    }


def remove(name: str) -> Callable[[Path], object]:
    def apply(folder: Path) -> None:
        target = folder / name
        shutil.rmtree(target) if target.is_dir() else target.unlink()

    return apply


def write(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


def cut(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:-7])


def dangle(folder: Path) -> None:
    (folder / VAE).unlink()
    (folder / VAE).symlink_to("../../blobs/gone")


BROKEN: list[tuple[str, Callable[[Path], object], str, str]] = [
    ("lfs weights", write(TRANSFORMER, POINTER), "git-lfs pointer", "git lfs pull"),
    ("lfs configuration", write("transformer/config.json", POINTER), "git-lfs pointer", "git lfs pull"),
    ("truncated", cut(TRANSFORMER), "its header promises", "again"),
    ("pickle", write("vae/weights.bin", b"x"), "can run code when opened", "safetensors"),
    ("code", write("pipeline.py", b"x"), "can run code when opened", "safetensors"),
    ("no vae", remove("vae"), "lacks vae/", "whole folder"),
    ("no weights", remove(VAE), "lacks vae/*.safetensors", "whole folder"),
    ("no index", remove("model_index.json"), "model_index.json", ""),
    ("no template", remove("tokenizer/chat_template.jinja"), "no chat template", ""),
    ("a link to nothing", dangle, "is not", ""),
]


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "archive"])
@pytest.mark.parametrize(("name", "break_it", "says", "step"), BROKEN, ids=[row[0] for row in BROKEN])
def test_what_is_broken_is_named_and_leaves_nothing(
    store: Path, source: Path, tmp_path: Path, name: str, break_it: Callable[[Path], object], says: str, step: str,
    packed: bool,
) -> None:  # fmt: skip
    break_it(source)
    given = archive(source, tmp_path / "z.tar", "z") if packed else source
    with pytest.raises(PullError) as refused:
        bring(store, given)
    assert says in refused.value.problem, refused.value.problem
    assert step in refused.value.next_step
    assert not [one for one in store.rglob("*") if one.name != ".lock"], "no trace"


@pytest.mark.parametrize("name", [TRANSFORMER, "transformer/config.json", "tokenizer/tokenizer.json"])
def test_an_archive_of_pointers_is_noticed_before_20_gigabytes_are_copied(
    store: Path, source: Path, tmp_path: Path, name: str
) -> None:
    (source / name).write_bytes(POINTER)
    with local(archive(source, tmp_path / "z.tar", "z")) as found, pytest.raises(PullError, match="git-lfs pointer"):
        pull.prepare(store, found)


def test_a_folder_is_looked_at_before_it_is_copied(store: Path, source: Path) -> None:
    (source / "tokenizer" / "chat_template.jinja").unlink()
    with pytest.raises(PullError, match="no chat template"):
        pull.prepare(store, in_folder(source))


def test_an_archive_cannot_reach_out_of_the_store(store: Path, source: Path, tmp_path: Path) -> None:
    file = archive(source, tmp_path / "z.tar", "z")
    (tmp_path / "secret").write_bytes(b"{}")
    with tarfile.open(file, "a") as tar:
        for name in ("z/../../outside.json", "/absolute.json", "z/vae/../../../../up.json"):
            member = tarfile.TarInfo(name)
            tar.addfile(member)
        link = tarfile.TarInfo("z/vae/secret.json")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "secret")
        tar.addfile(link)
    with pytest.raises(PullError, match="which is not in it"):
        bring(store, file)
    assert not list(tmp_path.rglob("outside.json")) + list(tmp_path.rglob("up.json"))


@pytest.mark.parametrize(
    ("path", "taken"),
    [
        ("model_index.json", True),
        ("LICENSE", True),
        ("README.md", True),
        ("transformer/config.json", True),
        ("transformer/a.safetensors", True),
        ("tokenizer/merges.txt", True),
        ("assets/example.png", False),
        (".gitattributes", False),
        (".cache/huggingface/download/x.bin", False),
        ("transformer/.hidden.json", False),
        ("transformer/deep/config.json", False),
        ("../transformer/config.json", False),
        ("safety_checker/model.safetensors", False),
        ("transformer/notes.md", False),
    ],
)
def test_only_what_belongs_to_a_pipeline_is_taken(path: str, taken: bool) -> None:
    assert belongs(path) == taken


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", "default", "Builtin", "x" * 65])
def test_names_that_would_mean_something_else(store: Path, source: Path, name: str) -> None:
    with pytest.raises(PullError, match="cannot be called"):
        pull.prepare(store, replace(in_folder(source), name=name))


def test_a_name_is_given_once(store: Path, source: Path) -> None:
    bring(store, source, "Turbo")
    with pytest.raises(PullError, match="a model called Turbo already"):
        bring(store, source, "turbo")


def test_a_full_disk_is_noticed_before_it_begins(store: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 0, pull.MARGIN + 1_000))
    with pytest.raises(PullError, match="are free on the disk"):
        bring(store, source)
    assert not store.exists()


def test_a_full_disk_on_the_way_leaves_nothing(store: Path, source: Path) -> None:
    def full(name: str, count: int) -> None:
        if name == VAE:
            raise OSError(28, "No space left on device")

    plan = pull.prepare(store, in_folder(source))
    with pytest.raises(PullError, match="No space left"):
        pull.execute(plan, utcnow(), full)
    assert [one.name for one in store.iterdir()] == [".lock"]


def test_what_changes_while_it_is_copied_is_refused(store: Path, source: Path) -> None:
    plan = pull.prepare(store, in_folder(source))
    with (source / "model_index.json").open("a") as stream:
        stream.write(" ")
    with pytest.raises(PullError, match="changed while it was copied"):
        pull.execute(plan, utcnow())
    assert names(store) == []


def test_two_cannot_bring_models_in_at_once(store: Path, source: Path) -> None:
    plan = pull.prepare(store, in_folder(source), "a")
    second = pull.prepare(store, in_folder(source), "b")

    def meanwhile(name: str, count: int) -> None:
        pull.execute(second, utcnow())

    with pytest.raises(PullError, match="Another `moqi models pull`"):
        pull.execute(plan, utcnow(), meanwhile)
    pull.execute(second, utcnow())
    assert names(store) == ["b"]


KILLED = """
import os, signal, sys
from pathlib import Path
from inference.images.store import pull
from inference.images.store.parts import in_folder
from storage.records import utcnow
store, source, at = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
def die():
    os.kill(os.getpid(), signal.SIGKILL)
def sync(folder, then=pull._sync):  # whole, checked and locked, and not renamed yet
    if at == "locked" and folder.name == ".turbo.part" and (folder / "moqi.lock.json").exists():
        die()
    then(folder)
pull._sync = sync
plan = pull.prepare(store, in_folder(source), "turbo")
pull.execute(plan, utcnow(), lambda name, count: die() if name == at else None)
"""


@pytest.mark.parametrize("at", [TRANSFORMER, "locked"])
def test_a_kill_leaves_no_half_model_and_the_next_pull_succeeds(store: Path, source: Path, at: str) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, str(store), str(source), at], cwd=ROOT, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert names(store) == []
    kept = bring(store, source, "turbo")
    found = lock.read(kept)
    assert found is not None
    assert list(lock.verify(kept, found)) == []
    assert sorted(one.name for one in store.iterdir()) == [".lock", "turbo"]


# --- afterwards -------------------------------------------------------------------------------------------------


def flip(folder: Path) -> None:
    file = folder / VAE
    raw = bytearray(file.read_bytes())
    raw[-1] ^= 1
    file.write_bytes(raw)


CHANGED: list[tuple[str, Callable[[Path], object], str, bool]] = [
    ("a bit", flip, f"{VAE} was changed", False),
    ("a size", write("README.md", b"longer"), "README.md has 6 bytes", True),
    ("gone", remove("README.md"), "README.md is missing", True),
    ("extra", write("vae/more.json", b"{}"), "vae/more.json does not belong", False),
]


@pytest.mark.parametrize(("name", "change", "says", "quick"), CHANGED, ids=[row[0] for row in CHANGED])
def test_verify_names_each_change_and_loading_sees_sizes(
    store: Path, source: Path, name: str, change: Callable[[Path], object], says: str, quick: bool
) -> None:
    (source / "README.md").write_text("read me")
    kept = bring(store, source)
    found = lock.read(kept)
    assert found is not None
    change(kept)
    done: dict[str, int] = {}
    problems = list(lock.verify(kept, found, lambda name, count: done.update({name: done.get(name, 0) + count})))
    assert [says in one.problem for one in problems] == [True], problems
    assert problems[0].next_step
    assert done[TRANSFORMER] == found.files[TRANSFORMER].size
    assert preflight(kept).ok is not quick


@pytest.mark.parametrize("content", [b"{}", b"[]", b'{"files": 3}', b"not json"])
def test_a_lock_file_that_is_none(store: Path, source: Path, content: bytes) -> None:
    kept = bring(store, source)
    (kept / lock.LOCK).write_bytes(content)
    with pytest.raises(BrokenFileError):
        lock.read(kept)
    assert not preflight(kept).ok


def test_what_is_kept_can_be_read_by_a_person(store: Path, source: Path) -> None:
    kept = bring(store, source)
    found = json.loads((kept / lock.LOCK).read_text(encoding="utf-8"))
    assert found["format"] == 1
    assert found["files"]["model_index.json"] == {
        "size": (BUILTIN / "model_index.json").stat().st_size,
        "sha256": lock.sha256(BUILTIN / "model_index.json"),
    }
