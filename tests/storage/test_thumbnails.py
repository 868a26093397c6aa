"""Thumbnails: made once for each look, gone with their picture."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage.errors import Missing
from storage.thumbnails import Thumbnails

SHA = "ab" * 32


def test_each_look_is_made_once(tmp_path: Path) -> None:
    thumbnails, made = Thumbnails(tmp_path), []

    def make() -> bytes:
        made.append(1)
        return b"small %d" % len(made)

    found = [thumbnails.of(SHA, look, make, lambda sha: True) for look in ("", "AI", "", "AI")]
    assert found == [b"small 1", b"small 2", b"small 1", b"small 2"]
    thumbnails.forget(SHA)
    assert thumbnails.of(SHA, "", make, lambda sha: True) == b"small 3"


def test_nothing_is_left_of_a_picture_that_went_while_it_was_made_small(tmp_path: Path) -> None:
    thumbnails = Thumbnails(tmp_path)
    with pytest.raises(Missing):
        thumbnails.of(SHA, "", lambda: b"small", lambda sha: False)
    assert not list(tmp_path.glob("*/*"))
    thumbnails.of(SHA, "", lambda: b"small", lambda sha: True)
    assert (thumbnails.sweep(lambda sha: True), thumbnails.sweep(lambda sha: False)) == (0, 1)
    assert not list(tmp_path.glob("*/*"))
