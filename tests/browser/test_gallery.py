"""The gallery in a real browser: found, seen in full, ordered from, packed; back in the chat with a picture in hand."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from PIL import Image
from sqlalchemy import Connection

from storage import users
from storage.records import Identity
from tests.bot.console.harness import Stage
from tests.pictured import ordered

if not os.environ.get("CI"):  # there its absence must be an error, not a skip
    pytest.importorskip("playwright", reason="playwright is not installed: pip install playwright")
from playwright.async_api import expect

from tests.browser.page import ChatPage

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

Opened = Callable[..., Awaitable[ChatPage]]


def hang(made: Stage, name: str, count: int) -> None:
    """Pictures of somebody's on the wall; every third one is of a cat."""

    def work(conn: Connection) -> None:
        owner = users.of_identity(conn, Identity(platform="web", external_id=name))
        assert owner is not None
        for number in range(count):
            out, shape = io.BytesIO(), ((48, 48), (72, 48), (48, 72))[number % 3]
            Image.new("RGB", shape, (number * 3, 90, 60)).save(out, "PNG")
            sha = made.console.files.put(out.getvalue())
            ordered(conn, owner.id, f"山水 {number}" if number % 3 else "金毛在海边", shas=(sha,), size=shape)

    made.console.db.run_sync(work)


async def test_find_open_order_pack_and_take_along(opened: Opened, made: Stage, tmp_path: Path) -> None:
    chat = await opened("小墨")
    hang(made, "小墨", 66)
    page = chat.page
    await page.click("#gallery")
    tiles = page.locator(".tile")
    await expect(page.locator("#count")).to_have_text("已显示 60 张，往下还有")
    await chat.shown(tiles.first.locator("img"))
    assert await chat.overflow() == 0
    await page.locator("#more").scroll_into_view_if_needed()
    await expect(tiles).to_have_count(66)

    await page.fill("#q", "金毛")
    await expect(page.locator("#count")).to_have_text("22 张")
    await expect(page).to_have_url(f"{chat.url}/gallery?q=%E9%87%91%E6%AF%9B")
    await page.reload()
    await expect(tiles).to_have_count(22)
    await tiles.nth(0).locator(".choose").click()
    await tiles.nth(2).locator(".choose").click()
    await expect(page.locator("#chosen")).to_have_text("已选 2 张")
    async with page.expect_download() as download:
        await page.click("#take")
    packed = tmp_path / "pictures.zip"
    await (await download.value).save_as(packed)
    with zipfile.ZipFile(packed) as archive:
        assert len(archive.namelist()) == 3

    await tiles.nth(1).locator(".open").click()
    viewer = page.locator("#viewer")
    await expect(viewer.locator(".prompt")).to_have_text("金毛在海边")
    await chat.shown(viewer.locator(".stage img"))
    await page.keyboard.press("ArrowRight")
    await expect(viewer.locator(".facts")).to_contain_text("#58")
    await viewer.get_by_role("button", name="变体").click()
    await expect(page.locator(".toast")).to_be_visible()
    assert made.script.pressed[-1].value == {"job": 58, "index": 1}
    await viewer.get_by_role("link", name="照着画").click()
    await expect(chat.input).to_have_value("/draw  --from 58")
    await expect(page).to_have_url(f"{chat.url}/")


async def test_on_a_phone_in_the_dark_and_signed_out(opened: Opened, made: Stage) -> None:
    chat = await opened("小墨", phone=True, dark=True)
    hang(made, "小墨", 3)
    await chat.page.goto(f"{chat.url}/gallery?q=%E7%8B%97")
    await expect(chat.page.locator("#nothing")).to_be_visible()
    await chat.page.click("#clear")
    await expect(chat.page.locator(".tile")).to_have_count(3)
    assert await chat.overflow() == 0
    await chat.page.locator(".tile .open").first.click()
    await expect(chat.page.locator("#viewer .deeds")).to_be_visible()
    assert await chat.overflow() == 0
    await chat.page.context.clear_cookies()
    await chat.page.goto(f"{chat.url}/gallery")
    await expect(chat.page.locator("#outside")).to_contain_text("登录后才能看图库")
