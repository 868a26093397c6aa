"""What the settings say about readers and sources, made true before anybody is answered. Needs no network: access that
was taken away must not wait for another server to answer."""

from __future__ import annotations

from collections.abc import Mapping

from bot import kb
from bot.kb_access import Access
from storage import documents, syncs
from storage.database import Database


async def confine(db: Database, readers: Mapping[str, frozenset[str]], access: Access) -> None:
    """Let documents be read as said, and take out those of sources that are named no more.

    `readers` are those of each source but the folders, whose documents get theirs when the folders are looked through.
    """
    for source in await db.read(documents.totals):
        if source == kb.SYNCED:
            continue
        held = await db.read(documents.holdings, source)
        if source and source not in readers:
            for one in held:
                await db.run(documents.delete_document, one.document.name)
        elif changed := access.changes(held, readers):
            await db.run(documents.grant, changed)
    await db.run(syncs.keep_only, [kb.SYNCED, *readers])
