"""The whole program in a real browser: the real server, the real queue, a real picture."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.journeys.moqi import Moqi

if not os.environ.get("CI"):  # there its absence must be an error, not a skip
    pytest.importorskip("playwright", reason="playwright is not installed: pip install playwright")
from playwright.async_api import Browser, expect

from tests.browser.page import ChatPage

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

Visit = Callable[..., Awaitable[ChatPage]]
LONG = "/draw 一只戴红围巾的熊猫 --size 512x512 --steps 30 --seed 7"


@pytest.fixture(scope="module")
def house(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moqi]:
    """A running installation; only where there is a browser to visit it."""
    house = Moqi(tmp_path_factory.mktemp("browser"))
    house.start()
    house.ready()
    yield house
    assert house.stop() == 0
    house.verify()


@pytest_asyncio.fixture(loop_scope="session")
async def visit(browser: Browser, house: Moqi) -> AsyncIterator[Visit]:
    """visit("小墨", phone=True): that person's page. What must never happen on a page fails the test at its end."""
    pages: list[ChatPage] = []

    async def new(name: str, **options: bool) -> ChatPage:
        pages.append(await ChatPage.open(browser, house.url, **options))
        pages[-1].page.context.set_default_timeout(60_000)
        return await pages[-1].enter(name)

    yield new
    for page in pages:
        await page.leave()


async def test_draw_watch_reseed_ask_and_come_back(visit: Visit, house: Moqi) -> None:
    chat = await visit("小墨")
    expect.set_options(timeout=60_000)
    await chat.say(LONG)
    await expect(chat.headline(re.compile(r"正在画 · 第 \d+ / 30 步"))).to_be_visible()
    await expect(chat.page.locator("progress")).to_have_attribute("max", "30")
    card = chat.finished()
    await chat.shown(card.locator("img"))
    await expect(card).to_contain_text("种子7")
    await expect(card).to_contain_text("512x512")
    await expect(card).to_contain_text("内容由 AI 生成")
    await expect(card.get_by_role("button")).to_have_count(8)  # the picture, and seven buttons

    await chat.say("/draw 一只猫 --size 256x256 --seed 7")
    await chat.shown(chat.finished(1).locator("img"))
    await chat.press(chat.finished(1), "换种子")
    await expect(chat.page.locator(".toast")).to_contain_text("已排队")
    await chat.shown(chat.finished(2).locator("img"))
    await expect(chat.finished(2)).not_to_contain_text("种子7步")

    await chat.say("/ask 年假怎么休？")
    answer = chat.finished(3)
    await expect(answer.locator(".source").first).to_contain_text("请假与年假制度.md")
    async with chat.page.context.expect_page() as opening:
        await answer.locator("a.mark").first.click()
    passage = await opening.value
    await expect(passage.locator("mark")).to_contain_text("年假")

    before = await chat.messages.all_inner_texts()
    await chat.page.reload()
    await expect(chat.messages).to_have_count(len(before))
    assert await chat.messages.all_inner_texts() == before
    await chat.shown(chat.finished().locator("img"))


async def test_a_running_picture_is_cancelled_by_its_button(visit: Visit) -> None:
    chat = await visit("阿契")
    await chat.say(LONG.replace("--steps 30", "--steps 50"))
    await expect(chat.headline(re.compile("正在画 · 第"))).to_be_visible()
    await chat.press(chat.cards.first, "取消")
    await expect(chat.headline("已取消")).to_be_visible()
    await expect(chat.cards.first).to_contain_text("没有计额度")


@pytest.mark.parametrize("options", [{"dark": True}, {"phone": True}, {"dark": True, "phone": True}], ids=str)
async def test_dark_and_on_a_phone(visit: Visit, options: dict[str, bool], tmp_path: Path) -> None:
    chat = await visit(f"客人{len(options)}{options.get('phone', False)}", **options)
    await chat.say("/draw 海边的灯塔 --size 256x256")
    await chat.shown(chat.finished().locator("img"))
    await chat.say("/ask 去上海出差住宿标准是多少")
    await expect(chat.page.locator(".source").first).to_be_visible()
    assert await chat.overflow() == 0
    await chat.shot(tmp_path / "page.png")
