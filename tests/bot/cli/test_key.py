"""`moqi key`, and what the other commands say of a database that is locked or should be."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest
import yaml

from bot.cli.common import Exit
from bot.opening import tidy
from bot.settings import Environment
from storage.database import data_lock
from storage.encryption import Key
from tests.bot.cli.installation import Installation
from tests.storage.test_encryption import put

NAME = "MOQI_DATABASE_KEY_FILE"


@pytest.fixture
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A key that the environment names."""
    path = tmp_path / "moqi.key"
    Key.make(path)
    monkeypatch.setenv(NAME, str(path))
    return path


@pytest.fixture
def house(moqi: Installation, key: Path) -> Installation:
    """An installation with a document, encrypted with it."""
    stock(moqi)
    assert moqi("key", "encrypt").code == Exit.DONE
    return moqi


def stock(moqi: Installation) -> None:
    with moqi.database() as db:
        db.run_sync(put, "leave.md", "年假十天")


def require(moqi: Installation) -> None:
    (moqi.config / "knowledge.yaml").write_text(yaml.safe_dump({"encryption": {"required": True}}), encoding="utf-8")


def test_the_life_of_a_key(moqi: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Documents stay findable through all of it, backups come back with the key of their day."""
    one, two, archive = tmp_path / "one", tmp_path / "two", tmp_path / "moqi.tar.gz"
    stock(moqi)
    before = moqi("kb", "list", "--json").out
    made = moqi("key", "new", one)
    assert (made.code, f"{NAME}={one}" in made.out) == (Exit.DONE, True)
    assert moqi("key", "encrypt", one).code == Exit.DONE
    assert moqi("kb", "list").code == Exit.UNAVAILABLE
    monkeypatch.setenv(NAME, str(one))
    assert moqi("kb", "list", "--json").out == before
    again = moqi("key", "encrypt")
    assert (again.code, "is so already" in again.out) == (Exit.DONE, True)
    assert moqi("backup", archive).code == Exit.DONE
    moqi("key", "new", two)
    assert moqi("key", "rekey", two).code == Exit.DONE
    assert moqi("kb", "list").code == Exit.UNAVAILABLE
    monkeypatch.setenv(NAME, str(two))
    assert moqi("kb", "list", "--json").out == before
    lost = moqi("restore", archive, "--force")
    assert (lost.code, "another key; nothing was changed" in lost.err) == (Exit.UNAVAILABLE, True), lost
    assert moqi("key", "decrypt").code == Exit.DONE
    monkeypatch.delenv(NAME)
    assert moqi("kb", "list", "--json").out == before
    acts = [(entry["action"], set(entry["detail"])) for entry in moqi("audit", "list", "--json").json]
    assert acts[:3] == [(f"database.{done}", {"key"}) for done in ("decrypted", "rekeyed", "encrypted")]
    monkeypatch.setenv(NAME, str(one))
    back = moqi("restore", archive, "--force")
    assert (back.code, "BROKEN" in back.out) == (Exit.DONE, False)
    assert moqi("kb", "list", "--json").out == before


def test_the_archive_holds_neither_the_key_nor_anything_to_read(house: Installation, key: Path, tmp_path: Path) -> None:
    assert house("backup", tmp_path / "b.tar.gz").code == Exit.DONE
    with tarfile.open(tmp_path / "b.tar.gz") as tar:
        held = {member.name: tar.extractfile(member).read() for member in tar if member.isreg()}  # type: ignore[union-attr]
    secret = key.read_text(encoding="ascii").strip()
    assert [
        name for name, content in held.items() if secret.encode() in content or bytes.fromhex(secret) in content
    ] == []
    assert "年假".encode() not in held["moqi.db"]
    assert b"SQLite format" not in held["moqi.db"]


def test_a_backup_that_is_not_encrypted_is_refused_where_a_key_is_named(
    moqi: Installation, key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(NAME)
    stock(moqi)
    assert moqi("backup", tmp_path / "plain.tar.gz").code == Exit.DONE
    monkeypatch.setenv(NAME, str(key))
    moqi("key", "encrypt")
    refused = moqi("restore", tmp_path / "plain.tar.gz", "--force")
    assert refused.code == Exit.UNAVAILABLE
    assert "is not encrypted; nothing was changed" in refused.err
    assert moqi("kb", "list").code == Exit.DONE
    monkeypatch.delenv(NAME)
    moqi("key", "decrypt")
    sealed = tmp_path / "sealed.tar.gz"
    monkeypatch.setenv(NAME, str(key))
    moqi("backup", sealed)
    monkeypatch.delenv(NAME)
    refused = moqi("restore", sealed, "--force")
    assert (refused.code, ".moqi-restore" in refused.err) == (Exit.UNAVAILABLE, False)


# --- refusals -----------------------------------------------------------------------------------------------------


def test_no_key_is_made_in_the_data_folder_or_over_another(moqi: Installation, tmp_path: Path) -> None:
    moqi.data.mkdir(exist_ok=True)
    within = moqi("key", "new", moqi.data / "moqi.key")
    assert (within.code, "whoever copies the folder" in within.err) == (Exit.UNAVAILABLE, True)
    assert not (moqi.data / "moqi.key").exists()
    moqi("key", "new", tmp_path / "k")
    before = (tmp_path / "k").read_bytes()
    again = moqi("key", "new", tmp_path / "k")
    assert (again.code, (tmp_path / "k").read_bytes()) == (Exit.REFUSED, before)
    assert moqi("key", "new", tmp_path / "no" / "k").code == Exit.UNAVAILABLE


def test_a_key_that_lies_with_the_data_is_not_used(
    moqi: Installation, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moqi.data.mkdir(exist_ok=True)
    monkeypatch.setenv(NAME, str(key.rename(moqi.data / "moqi.key")))
    refused = moqi("kb", "list")
    assert (refused.code, "lies in the data folder" in refused.err) == (Exit.UNAVAILABLE, True)
    assert not (moqi.data / "moqi.db").exists()


@pytest.mark.parametrize("words", [["kb", "list"], ["migrate"], ["verify"], ["kb", "sync"], ["key", "decrypt"]])
def test_what_must_be_encrypted_is_neither_made_nor_opened_without_a_key(moqi: Installation, words: list[str]) -> None:
    require(moqi)
    refused = moqi(*words)
    assert (refused.code, NAME in refused.err) == (Exit.UNAVAILABLE, True), refused
    assert not (moqi.data / "moqi.db").exists()


@pytest.mark.parametrize("required", ["${MOQI_WANTED}", "perhaps", ["yes"]])
def test_a_wish_that_cannot_be_understood_counts_as_one(moqi: Installation, required: object) -> None:
    (moqi.config / "knowledge.yaml").write_text(yaml.safe_dump({"encryption": {"required": required}}))
    assert moqi("migrate").code == Exit.UNAVAILABLE
    assert not (moqi.data / "moqi.db").exists()


def test_what_must_be_encrypted_is_made_encrypted(moqi: Installation, key: Path) -> None:
    require(moqi)
    assert moqi("migrate").code == Exit.DONE
    assert not (moqi.data / "moqi.db").read_bytes().startswith(b"SQLite format")


def test_required_is_impossible_on_postgresql(moqi: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    require(moqi)
    monkeypatch.setenv("MOQI_DATABASE_URL", "postgresql://moqi:hidden@127.0.0.1:1/moqi")
    refused = moqi("kb", "list")
    assert refused.code == Exit.UNAVAILABLE
    assert "encrypt the server's disk" in refused.err
    assert "hidden" not in refused.err


@pytest.mark.parametrize("words", [["key", "encrypt"], ["key", "rekey", "k"], ["key", "decrypt"]])
def test_a_served_folder_is_left_alone(house: Installation, tmp_path: Path, words: list[str]) -> None:
    Key.make(tmp_path / "k")
    words = [str(tmp_path / "k") if word == "k" else word for word in words]
    with data_lock(house.data, 8080):
        refused = house(*words)
    assert (refused.code, "on port 8080" in refused.err) == (Exit.UNAVAILABLE, True)
    assert house("kb", "list").code == Exit.DONE


def test_a_key_that_is_not_named_or_not_there_is_said(moqi: Installation, tmp_path: Path) -> None:
    assert moqi("key", "encrypt").code == Exit.USAGE
    assert moqi("key", "rekey", tmp_path / "k").code == Exit.USAGE
    assert "does not exist" in moqi("key", "encrypt", tmp_path / "k").err
    Key.make(tmp_path / "k")
    assert "There is no database yet" in moqi("key", "encrypt", tmp_path / "k").err


def test_a_start_removes_what_a_killed_command_left_beside_the_database(house: Installation) -> None:
    left = house.data / "moqi.db.rekeyed"
    left.write_bytes(b"SQLite format 3")
    tidy(Environment.read(os.environ))
    assert not left.exists()
    assert house("kb", "list").code == Exit.DONE


# --- doctor -------------------------------------------------------------------------------------------------------


def test_doctor_says_whether_a_copy_could_be_read(
    house: Installation, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks = {one["name"]: one for one in house("doctor", "--json").json["checks"]}
    assert Key.read(key).id in str(checks["encryption"])
    assert checks["encryption"]["next_step"] == ""
    key.chmod(0o644)
    checks = {one["name"]: one for one in house("doctor", "--json").json["checks"]}
    assert "chmod 600" in checks["encryption"]["next_step"]
    monkeypatch.delenv(NAME)
    checks = {one["name"]: one for one in house("doctor", "--json").json["checks"]}
    assert not checks["database"]["ok"]
    assert NAME in checks["database"]["next_step"]
