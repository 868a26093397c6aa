"""Which version of Moqi this is."""

from __future__ import annotations

import tomllib
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path


def version() -> str:
    """The installed version; in a checkout that was never installed, the one its pyproject.toml states."""
    try:
        return installed("moqi")
    except PackageNotFoundError:
        stated = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
        return str(stated["project"]["version"])
