"""The project's plugins as an installation has them, for the processes that a test starts."""

from __future__ import annotations

import importlib.util
import tempfile
from importlib.metadata import EntryPoint, distributions
from pathlib import Path

ROOT = Path(__file__).parents[1]


def listed() -> list[EntryPoint]:
    """The entry points that vLLM looks for."""
    with tempfile.TemporaryDirectory() as folder:
        [found] = distributions(path=[str(installed(Path(folder)))])
        return list(found.entry_points.select(group="vllm.general_plugins"))


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
