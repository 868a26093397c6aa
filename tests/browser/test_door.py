"""The sign-in page with Feishu behind it, in a real browser: off and back again, and what is said when it fails."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bot.platforms.feishu.login import FeishuLogin
from bot.platforms.feishu.settings import FeishuSettings
from tests.bot.console.harness import serving, stage
from tests.simulators.feishu import FeishuSimulator

if TYPE_CHECKING:
    from playwright.async_api import Browser

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_off_to_feishu_and_back_again(browser: Browser, tmp_path: Path) -> None:
    with FeishuSimulator() as feishu:
        feishu.directory.join("ou_alice", "王小墨")

        async def organisation() -> str:
            return "tenant"

        login = FeishuLogin("feishu", FeishuSettings.model_validate(feishu.settings), organisation)
        with stage(tmp_path, names=False, logins={"feishu": login}) as made:
            async with serving(made) as url:
                context = await browser.new_context()
                page = await context.new_page()
                faults: list[str] = []
                page.on("pageerror", lambda error: faults.append(str(error)))
                page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
                await page.goto(url)
                account = page.get_by_role("link", name="用飞书登录")
                await account.wait_for()
                assert not await page.locator("#door-input").is_visible()  # names are not given out here
                await page.get_by_role("button", name="我有登录码").click()
                assert await page.locator("#door-input").is_visible()
                await page.get_by_role("button", name="返回").click()
                assert not await page.locator("#door-input").is_visible()

                feishu.accounts.cancels = True
                await account.click()
                error = page.locator("#door-error:not(:empty)")
                await error.wait_for()
                assert "在飞书里取消了登录" in await error.inner_text()
                assert page.url == f"{url}/"  # nothing to bookmark or to reload
                await page.goto(f"{url}/?login=<b>no such code</b>")
                await error.wait_for()
                assert "没有配置好" in await error.inner_text()

                feishu.accounts.cancels = False
                await account.click()
                await page.locator("#who:visible").wait_for()
                assert await page.locator("#who").inner_text() == "王小墨"
                assert faults == []
                await context.close()
        await login.close()
