"""The web chat as somebody at a browser sees it, and the watch for what must never happen on any page."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, Locator, Page, Request, ViewportSize, expect

DESK: ViewportSize = {"width": 1180, "height": 860}
PHONE: ViewportSize = {"width": 390, "height": 844}


def chromium() -> str:
    """The browser's path. Without one the test is skipped, and fails where CI is set."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    found = os.environ.get("CHROMIUM") or next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        reason = "no Chromium found: install one (Debian: apt-get install chromium) or set CHROMIUM to its path"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


class Watch:
    """What a page did that it must not: requests to elsewhere, console errors, uncaught errors."""

    def __init__(self, page: Page, url: str) -> None:
        self.home = urlsplit(url).netloc
        self.seen: list[str] = []
        page.on("request", self._request)
        page.on("console", lambda line: self.seen.append(f"console: {line.text}") if line.type == "error" else None)
        page.on("pageerror", lambda error: self.seen.append(f"page error: {error}"))

    def _request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in ("data", "blob") and parts.netloc != self.home:
            self.seen.append(f"request to {request.url}")

    def forgive(self, pattern: str) -> None:
        """Take out what this test provoked on purpose; it must have happened."""
        kept = [line for line in self.seen if not re.search(pattern, line)]
        assert len(kept) < len(self.seen), f"nothing matches {pattern!r} in {self.seen}"
        self.seen = kept


class ChatPage:
    """One person at one browser."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.watch = Watch(page, url)
        self.input = page.locator("#input")
        self.cards = page.locator(".card")
        self.messages = page.locator(".message")

    @classmethod
    async def open(cls, browser: Browser, url: str, *, dark: bool = False, phone: bool = False) -> ChatPage:
        """A browser profile of its own, at the door."""
        context = await browser.new_context(
            viewport=PHONE if phone else DESK,
            color_scheme="dark" if dark else "light",
            has_touch=phone,
            locale="zh-CN",
        )
        context.set_default_timeout(60_000)  # a loaded machine is slow, not broken
        expect.set_options(timeout=60_000)
        chat = cls(await context.new_page(), url)
        await chat.page.goto(url)
        return chat

    async def enter(self, name: str) -> ChatPage:
        """Choose a name at the door."""
        await self.page.fill("#door-input", name)
        await self.page.press("#door-input", "Enter")
        await expect(self.input).to_be_visible()
        return self

    async def say(self, text: str) -> None:
        """Type and send, as from the keyboard."""
        await self.input.fill(text)
        await self.input.press("Enter")

    def own(self, text: str) -> Locator:
        return self.page.locator(".own .bubble", has_text=text)

    def headline(self, text: str | re.Pattern[str]) -> Locator:
        return self.page.locator(".card .state", has_text=text)

    def finished(self, index: int = 0) -> Locator:
        return self.page.locator(".card.done").nth(index)

    async def press(self, card: Locator, label: str) -> None:
        await card.get_by_role("button", name=label, exact=True).click()

    async def shown(self, picture: Locator) -> None:
        """Wait until a picture is really decoded."""
        await expect(picture).to_be_visible()
        loaded = "image => image.complete && image.naturalWidth > 0"
        await self.page.wait_for_function(loaded, arg=await picture.element_handle())

    async def overflow(self) -> int:
        """Pixels by which the page is wider than its window."""
        return int(await self.page.evaluate("document.documentElement.scrollWidth - innerWidth"))

    async def shot(self, path: Path) -> None:
        await self.page.screenshot(path=path, animations="disabled")

    async def leave(self) -> None:
        """Close the browser profile; whatever the watch saw fails the test."""
        await self.page.context.close()
        assert self.watch.seen == []
