"""A headless Chromium for each test; who opens a page must have closed it cleanly at the end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from storage.migrations import migrate
from tests.bot.console.harness import Stage, serving, stage

if TYPE_CHECKING:
    from playwright.async_api import Browser

    from tests.browser.page import ChatPage

#: opened("小墨", phone=True) -> that person's page, in the room
Opened = Callable[..., Awaitable["ChatPage"]]


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    pytest.importorskip("playwright", reason="playwright is not installed: pip install playwright")
    from playwright.async_api import async_playwright

    from tests.browser.page import chromium

    path = chromium()
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=path)
        yield launched
        await launched.close()


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Stage]:
    migrate(f"sqlite:///{tmp_path / 'moqi.db'}")
    with stage(tmp_path, step=0.05) as made:
        yield made


@pytest.fixture
async def url(made: Stage) -> AsyncIterator[str]:
    async with serving(made) as url:
        yield url
        await made.script.settled()


@pytest.fixture
async def opened(browser: Browser, url: str) -> AsyncIterator[Opened]:
    from tests.browser.page import ChatPage

    pages: list[ChatPage] = []

    async def new(name: str | None, **options: bool) -> ChatPage:
        pages.append(await ChatPage.open(browser, url, **options))
        return pages[-1] if name is None else await pages[-1].enter(name)

    yield new
    for page in pages:
        await page.leave()
