"""One headless Chromium for all tests, a profile for each person; a page must come to its end without a fault."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from tests.bot.console.harness import Stage, serving, stage

if TYPE_CHECKING:
    from playwright.async_api import Browser

    from tests.browser.page import ChatPage

#: opened("小墨", phone=True) -> that person's page, in the room
Opened = Callable[..., Awaitable["ChatPage"]]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    from playwright.async_api import async_playwright

    from tests.browser.page import chromium

    path = chromium()
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=path)
        yield launched
        await launched.close()


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Stage]:
    with stage(tmp_path, step=0.05) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="session")
async def url(made: Stage) -> AsyncIterator[str]:
    async with serving(made) as url:
        yield url
        await made.script.settled()


@pytest_asyncio.fixture(loop_scope="session")
async def opened(browser: Browser, url: str) -> AsyncIterator[Opened]:
    from tests.browser.page import ChatPage

    pages: list[ChatPage] = []

    async def new(name: str | None, **options: bool) -> ChatPage:
        pages.append(await ChatPage.open(browser, url, **options))
        return pages[-1] if name is None else await pages[-1].enter(name)

    yield new
    for page in pages:
        await page.leave()
