"""The project's plugins as an installation has them, for the processes that a test starts."""

from __future__ import annotations

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[1]


def installed(folder: Path) -> Path:
    """A folder that, on the path of a Python, makes this checkout's entry points known to it."""
    spec = importlib.util.spec_from_file_location("dev", ROOT / "dev.py")
    assert spec is not None
    assert spec.loader is not None
    dev = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(dev)
    info = folder / "moqi-0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: moqi\nVersion: 0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(dev.entry_points(ROOT), encoding="utf-8")
    return folder
