"""What `moqi doctor` looks at of pages of the web: whether each that knowledge.yaml names can be fetched from here."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from bot import sources
from bot.doctor import PATIENCE, Check, failed
from bot.kb_fetch import Fetcher, FetchError
from bot.kb_urls import UrlSource
from bot.settings import Settings

MOST = 20  # pages that are tried: a list of hundreds is read by the server, not by the doctor
STEP = "Open it from this machine, and correct url, hosts or private in knowledge.yaml."


def pages(settings: Settings, fetcher: Fetcher | None = None) -> Iterator[Check]:
    """One check for each page, up to `MOST`."""
    wanted = sources.urls(settings)
    trying = fetcher or Fetcher(patience=2 * PATIENCE)
    for source in wanted[:MOST]:
        yield asyncio.run(_page(source, trying))
    if len(wanted) > MOST:
        yield Check(name="pages", detail=f"{len(wanted) - MOST} more were not tried; `moqi kb sources` tells of all")


async def _page(source: UrlSource, fetcher: Fetcher) -> Check:
    try:
        page = await fetcher.fetch(source.url, source.limits, {})
    except FetchError as error:
        return failed(source.name, f"{error}.", STEP)
    return Check(name=source.name, detail=f"{len(page.data) if page else 0} bytes")
