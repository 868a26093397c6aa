"""The environment variables Moqi reads, read in one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

#: Where an installed package keeps the settings it shipped with.
_SHIPPED = Path(__file__).parent.parent / "defaults" / "config"


@dataclass(frozen=True, kw_only=True, slots=True)
class Environment:
    """Where this process finds its settings and keeps its data."""

    config: Path
    data: Path
    database_url: str = field(repr=False)  # may hold a password; empty = SQLite in the data folder
    key_file: Path | None = None  # holds the key that the SQLite file is encrypted with; None = it is not

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Environment:
        """From the variables whose names begin with MOQI_; an empty one counts as unset."""
        return cls(
            config=Path(environ["MOQI_CONFIG"]) if environ.get("MOQI_CONFIG") else _default_config(),
            data=Path(environ.get("MOQI_DATA") or "data"),
            database_url=environ.get("MOQI_DATABASE_URL", ""),
            key_file=Path(environ["MOQI_DATABASE_KEY_FILE"]) if environ.get("MOQI_DATABASE_KEY_FILE") else None,
        )


def _default_config() -> Path:
    """deploy/config of the working directory; an installed package elsewhere uses what it shipped with."""
    local = Path("deploy/config")
    return _SHIPPED if _SHIPPED.is_dir() and not local.is_dir() else local
