"""The file that proves a trusted domain is served as it came, and nothing else of the settings folder is."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from bot.app import add_proof
from bot.platforms.wecom import proof

NAME = "WW_verify_Ab3dEf6hIjKlMnOp.txt"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    config = tmp_path / "config"
    config.mkdir()
    (config / NAME).write_bytes(b"Ab3dEf6hIjKlMnOp")
    (config / "platforms.yaml").write_text("wecom: {}\n", encoding="utf-8")
    (config / "WW_verify_large.txt").write_bytes(b"x" * 1025)
    (config / "WW_verify_folder.txt").mkdir()
    (tmp_path / "WW_verify_outside.txt").write_bytes(b"secret")
    return config


@pytest.mark.parametrize(
    ("name", "found"),
    [
        (NAME, b"Ab3dEf6hIjKlMnOp"),
        ("WW_verify_none.txt", None),
        ("WW_verify_large.txt", None),
        ("WW_verify_folder.txt", None),
        ("platforms.yaml", None),
        ("../WW_verify_outside.txt", None),
        (f"{NAME}\n", None),
        ("WW_verify_../platforms.yaml", None),
    ],
)
def test_what_is_read(folder: Path, name: str, found: bytes | None) -> None:
    assert proof.read(folder, name) == found


def test_what_is_named(folder: Path) -> None:
    assert proof.names(folder) == [NAME]
    assert proof.names(folder / "nowhere") == []


async def test_it_is_served_at_the_root_as_it_came(folder: Path) -> None:
    app = FastAPI()
    add_proof(app, folder)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://moqi.example") as wecom:
        answer = await wecom.get(f"/{NAME}")
        assert (answer.status_code, answer.content) == (200, b"Ab3dEf6hIjKlMnOp")
        assert answer.headers["content-type"].startswith("text/plain")
        for other in ("WW_verify_none.txt", "WW_verify_..%2Fplatforms.yaml.txt", "WW_verify_%2e%2e.txt"):
            assert (await wecom.get(f"/{other}")).status_code == 404
        (folder / "WW_verify_later.txt").write_bytes(b"later")
        assert (await wecom.get("/WW_verify_later.txt")).content == b"later"  # no restart needed
