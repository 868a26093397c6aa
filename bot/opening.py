"""Opening what the settings name: the data folder's database, the image checkpoint."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bot.settings import Environment, Settings
from inference.images.adapters import Wanted
from inference.images.registry import Choice, LoadOptions, resolve
from inference.text.registry import TextOptions
from storage import models
from storage.database import Database, located
from storage.migrations import migrate
from storage.models import Chosen
from storage.records import Kind


def migrated(environment: Environment) -> str:
    """The database's URL, once it is at this version's schema."""
    environment.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    url = located(environment.database_url, environment.data)
    migrate(url)
    return url.render_as_string(hide_password=False)


@asynccontextmanager
async def open_database(environment: Environment) -> AsyncIterator[Database]:
    """The database, opened off the event loop."""
    url = await asyncio.to_thread(migrated, environment)
    db = await asyncio.to_thread(Database.open, url)
    try:
        yield db
    finally:
        await asyncio.to_thread(db.close)


def chosen_model(environment: Environment) -> Chosen:
    """Which model an admin chose; nothing is made or changed. Raises StorageError."""
    url = located(environment.database_url, environment.data)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
        return Chosen()
    with Database.open(url.render_as_string(hide_password=False)) as db:
        return db.read_sync(models.chosen, Kind.DRAW)


def image_choice(settings: Settings) -> Choice:
    """The checkpoint that model.yaml asks for."""
    wanted = settings.model.image
    return resolve(str(settings.path(wanted.path)), wanted.id) if wanted.path else resolve(None)


def load_options(settings: Settings, data: Path) -> LoadOptions:
    """How model.yaml wants it loaded; what is learned about this machine is kept in the data folder."""
    wanted = settings.model.image
    return LoadOptions(
        dtype=wanted.dtype,
        attention=wanted.attention,
        compiling=wanted.compile,
        offload=wanted.offload,
        quantization=wanted.quantization,
        guidance=wanted.guidance,
        memory_fraction=None if wanted.memory_fraction == "auto" else wanted.memory_fraction,
        notes=data / "engine",
        adapters=_adapters(settings),
    )


def _adapters(settings: Settings) -> tuple[Wanted, ...]:
    """The style adapters that model.yaml names, and the folder of further ones."""
    wanted = settings.model.image
    named = tuple(
        Wanted(path=settings.path(one.path), name=name, weight=one.weight, description=one.description)
        for name, one in wanted.adapters.items()
    )
    return (*named, Wanted(path=settings.path(wanted.adapters_folder))) if wanted.adapters_folder else named


def text_options(settings: Settings, data: Path | None = None) -> TextOptions:
    """Which language model model.yaml asks for; what its engine keeps goes to the data folder, where one is given."""
    written = settings.model.text.path
    notes = data / "engine" if data is not None else None
    return settings.model.text.options(settings.path(written) if written else None, notes)
