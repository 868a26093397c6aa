"""moqi assets: an archive of what was drawn, and the retention rule by hand."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from bot.cli.common import Exit
from storage.files import Files
from storage.records import utcnow
from tests.bot.cli.installation import Installation
from tests.bot.console.harness import painting
from tests.pictured import NOW, ordered, person

PICTURES = (("anna", "一只猫", False), ("anna", "狗", False), ("ben", "猫", True), ("ben", "猫", False))


def drawn(conn: Connection, name: str, prompt: str, sha: str, private: bool) -> None:
    more: dict[str, Any] = {"private": True} if private else {}
    ordered(conn, person(conn, name), prompt, shas=(sha,), **more)


def test_export_packs_what_fits_and_nothing_private(moqi: Installation, tmp_path: Path) -> None:
    files = Files(moqi.data / "files")
    with moqi.database() as db:
        for name, prompt, private in PICTURES:
            sha = files.put(painting(f"{name} {prompt} {private}"))
            db.run_sync(drawn, name, prompt, sha, private)
    target = tmp_path / "all.zip"
    ran = moqi("assets", "export", "-o", target, "--words", "猫", "--since", "2026-11-01", "--until", "2026-11-30")
    assert (ran.code, ran.out.endswith("2 pictures\n")) == (0, True), ran
    with zipfile.ZipFile(target) as archive:
        stated = json.loads(archive.read("manifest.json"))
        for one in stated["pictures"]:
            assert hashlib.sha256(archive.read(one["file"])).hexdigest() == one["sha256"]
    assert [(one["by"], one["recipe"]["prompt"]) for one in stated["pictures"]] == [("ben", "猫"), ("anna", "一只猫")]
    assert moqi("assets", "export", "-o", target).code == Exit.REFUSED
    assert moqi("assets", "export", "-o", target, "--force", "--user", "anna").code == 0
    with zipfile.ZipFile(target) as archive:
        assert len(archive.namelist()) == 3
    refused = moqi("assets", "export", "-o", tmp_path / "none.zip", "--model", "nothing")
    assert (refused.code, "Leave something out" in refused.err) == (Exit.USAGE, True)
    assert sorted(path.name for path in tmp_path.glob("*.zip")) == ["all.zip"]
    assert not list(tmp_path.glob(".moqi-export-*"))


def test_purge_follows_the_rule_and_verify_stays_true(moqi: Installation) -> None:
    files = Files(moqi.data / "files")
    sha = files.put(b"old")
    os.utime(files.path(sha), (0, NOW.timestamp()))
    with moqi.database() as db:
        old = utcnow() - timedelta(days=40)
        db.run_sync(lambda conn: ordered(conn, person(conn, "anna"), shas=(sha,), at=old))
    ran = moqi("assets", "purge")
    assert (ran.code, "retention.pictures_days" in ran.err) == (Exit.USAGE, True)
    assert (
        "1 pictures and 0 given to draw from, 100 bytes (nothing was deleted)"
        in moqi("assets", "purge", "--days", "30", "--dry-run").out
    )
    assert files.exists(sha)
    with (moqi.config / "policy.yaml").open("a", encoding="utf-8") as settings:
        settings.write("\nretention: {pictures_days: 30}\n")
    assert "1 pictures" in moqi("assets", "purge").out
    assert not files.exists(sha)
    checks = {one["invariant"]: one["broken"] for one in moqi("verify", "--json").json["checks"]}
    assert checks["every asset has its file, and every file its asset"] == []
    assert checks["the audit chain is unbroken"] == []
