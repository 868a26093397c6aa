"""The checkpoint that ships with Moqi is what its training script makes, and small enough to ship."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inference.images.builtin import components
from inference.images.builtin.second import ADAPTERS
from inference.images.builtin.training.__main__ import SEED
from inference.images.builtin.training.captions import corpus
from inference.images.preflight import preflight
from inference.images.registry import BUILTIN

LIMIT = 20_000_000  # bytes


def test_the_tokenizer_is_rebuilt_byte_for_byte(tmp_path: Path) -> None:
    components.tokenizer(corpus(SEED)).save_pretrained(tmp_path)
    for name in ("tokenizer.json", "chat_template.jinja"):
        assert (tmp_path / name).read_bytes() == (BUILTIN / "tokenizer" / name).read_bytes()


@pytest.mark.parametrize(
    ("make", "file"),
    [
        (components.transformer, "transformer/config.json"),
        (components.vae, "vae/config.json"),
        (components.scheduler, "scheduler/scheduler_config.json"),
    ],
)
def test_a_part_has_the_shape_that_its_script_gives_it(make: Callable[[], Any], file: str) -> None:
    assert plain(make().config) == plain(json.loads((BUILTIN / file).read_text(encoding="utf-8")))


def plain(config: Any) -> dict[str, Any]:
    """A configuration without what the library adds when it writes a file."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in config.items()
        if not name.startswith("_")
    }


def test_everybody_may_read_it_and_it_stays_small() -> None:
    files = [file for folder in (BUILTIN, ADAPTERS) for file in folder.rglob("*") if file.is_file()]
    assert all(file.stat().st_mode & 0o444 == 0o444 for file in files)
    assert sum(file.stat().st_size for file in files) < LIMIT
    assert preflight(BUILTIN).ok
