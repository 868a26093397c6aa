"""Opening the data: folder, schema, database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bot.settings import Environment
from storage.database import Database, located
from storage.migrations import migrate


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
