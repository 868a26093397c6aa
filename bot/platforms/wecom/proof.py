"""The file by which WeCom sees that a trusted domain is ours: WW_verify_….txt, put beside platforms.yaml as it came."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

_NAME: Final = re.compile(r"WW_verify_[A-Za-z0-9]{1,64}\.txt")
_MOST: Final = 1024  # bytes; it is a word


def read(folder: Path, name: str) -> bytes | None:
    """The file `name` in the settings folder; None when there is none, or when it is no such file."""
    path = folder / name
    if not _NAME.fullmatch(name) or not path.is_file() or path.stat().st_size > _MOST:
        return None
    return path.read_bytes()


def names(folder: Path) -> list[str]:
    """Those that are there."""
    return sorted(path.name for path in folder.glob("WW_verify_*.txt") if read(folder, path.name) is not None)
