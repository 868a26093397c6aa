"""Opening what the settings name: the data folder's database, the image checkpoint."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy import URL

from bot.settings import Environment, Settings, encryption_required
from bot.settings.model import RankingModel, VectorModel
from inference.embedding.registry import EncoderOptions
from inference.images.adapters import Wanted
from inference.images.registry import Choice, LoadOptions, resolve
from inference.text.registry import TextOptions
from storage import models, rekeying
from storage.database import POSTGRESQL_AT_REST, Database, located
from storage.encryption import key_path
from storage.errors import BadKey, KeyNeeded
from storage.migrations import migrate
from storage.models import Chosen
from storage.records import Kind


def database_of(environment: Environment) -> URL:
    """Where the database is and the file of its key. Raises StorageError, too where the settings want a key.

    Settings that cannot be read want none: whatever reads a document into the database needs them and stops there.
    """
    url = located(environment.database_url, environment.data, environment.key_file)
    key = key_path(url)
    if key is None and encryption_required(environment.config):
        if url.get_backend_name() != "sqlite":
            raise KeyNeeded("knowledge.yaml wants the data encrypted, and this is PostgreSQL.", POSTGRESQL_AT_REST)
        raise KeyNeeded
    if key is not None:
        outside(key, environment)
    return url


def outside(key: Path, environment: Environment) -> None:
    """Refuse a key that lies with the data it locks. Raises `BadKey`."""
    if key.resolve().is_relative_to(environment.data.resolve()):
        step = "Keep it elsewhere: whoever copies the folder would have both."
        raise BadKey(f"The key file {key} lies in the data folder.", step)


def tidy(environment: Environment) -> None:
    """Remove what a killed `moqi key` left beside the database. The caller holds the data folder."""
    url = database_of(environment)
    if url.get_backend_name() == "sqlite":
        rekeying.sweep(Path(url.database or ""))


def migrated(environment: Environment) -> str:
    """The database's URL, once it is at this version's schema."""
    environment.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    url = database_of(environment)
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
    url = database_of(environment)
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


def encoder_options(settings: Settings, wanted: VectorModel | RankingModel) -> EncoderOptions:
    """A model for vectors or ranks, as the engines want it."""
    return EncoderOptions(
        engine=wanted.engine,
        model=wanted.id,
        base_url=wanted.base_url,
        api_key=wanted.api_key.get_secret_value(),
        path=settings.path(wanted.path) if wanted.path else None,
        dimensions=wanted.dimensions if isinstance(wanted, VectorModel) else 0,
        instruction=wanted.instruction if isinstance(wanted, VectorModel) else None,
        device=wanted.device,
    )
