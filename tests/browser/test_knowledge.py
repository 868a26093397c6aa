"""The knowledge page in a real browser: documents dropped, readers chosen, passages found, questions seen to."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import Connection

from storage import feedback, users
from storage.feedback import DOWN
from storage.records import Identity, utcnow
from tests.asked import asked, shelved
from tests.bot.console.harness import Stage

if not os.environ.get("CI"):  # there its absence must be an error, not a skip
    pytest.importorskip("playwright", reason="playwright is not installed: pip install playwright")
from playwright.async_api import expect

from tests.browser.page import ChatPage

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

Opened = Callable[..., Awaitable[ChatPage]]

#: Files as somebody drops them on the page.
DROP = """files => {
    const data = new DataTransfer();
    for (const [name, text] of files) data.items.add(new File([text], name));
    for (const type of ["dragenter", "dragover", "drop"])
        document.body.dispatchEvent(new DragEvent(type, { dataTransfer: data, bubbles: true, cancelable: true }));
}"""


def questions(made: Stage) -> None:
    def work(conn: Connection) -> None:
        lin = users.resolve(conn, Identity(platform="feishu", external_id="ou_1"), "林晓", utcnow())
        users.set_department(conn, lin.id, "人事部")
        pay = shelved(conn, "薪酬.md", "P5 两万", readers="dept:人事部", source="folder")
        asked(conn, lin.id, "可以带狗上班吗", offered={}, at=utcnow())
        job = asked(conn, lin.id, "P5 多少", "两万 <b>[1]</b>", grounded=True, offered={"薪酬.md": pay}, at=utcnow())
        feedback.say(conn, job, lin.id, DOWN, utcnow(), ["wrong"], "<script>旧了</script>")

    made.console.db.run_sync(work)


async def test_an_admin_brings_documents_in_and_sees_to_questions(opened: Opened, made: Stage) -> None:
    chat = await opened("管理员")
    questions(made)
    page = chat.page
    await page.click("#knowledge")
    await expect(page.locator("#open-count")).to_have_text("2")
    await page.click("#tab-documents")
    await expect(page.locator(".row")).to_have_count(1)
    await page.evaluate(DROP, [["年假.md", "# 年假\n\n| 工龄 | 天数 |\n|---|---|\n| 满一年 | 五天 |"], ["空.txt", " "]])
    uploads = page.locator(".upload")
    await expect(uploads.nth(0)).to_contain_text("已加入知识库：年假.md")
    await expect(uploads.nth(1)).to_contain_text("空.txt 没有加入知识库")
    chat.watch.forgive("422")
    await page.evaluate("drop.dataset.largest = 0.00001")
    await page.set_input_files("#files", {"name": "大.md", "mimeType": "text/markdown", "buffer": b"# 12345678901234"})
    await expect(uploads.nth(2)).to_contain_text("太大了")
    row = page.locator(".row", has_text="年假.md")
    await expect(row.locator(".reader")).to_have_text("所有人")

    await row.get_by_role("button", name="改谁能问到").click()
    dialog = page.locator("#granting")
    await dialog.get_by_text("只有…").click()
    await dialog.get_by_role("button", name="保存").click()
    await expect(dialog.locator("#granting-error")).to_contain_text("还没写谁能问到")
    await dialog.locator("input[list]").fill("林晓")
    await dialog.locator("input[list]").press("Enter")
    await expect(dialog.locator(".reader")).to_have_text("林晓")
    await dialog.locator("input[list]").fill("dept:人事部")  # not added, and meant all the same
    await dialog.get_by_role("button", name="保存").click()
    await expect(dialog).to_be_hidden()
    await expect(row.locator(".reader")).to_have_text(["人事部", "林晓"])

    await page.click("#tab-unanswered")
    question = page.locator(".question")
    await expect(question).to_have_count(2)
    await expect(question.nth(0).locator("blockquote")).to_have_text("<script>旧了</script>")
    await expect(question.nth(0)).to_contain_text("谁问的：林晓")
    await expect(question.nth(0)).to_contain_text("这里不显示")
    await question.nth(0).get_by_role("button", name="标为已处理").click()
    await expect(page.locator("#open-count")).to_have_text("1")
    await question.nth(0).get_by_role("button", name="撤销").click()
    await expect(page.locator("#open-count")).to_have_text("2")
    await question.nth(1).get_by_role("button", name="再找找看").click()
    await expect(page.locator("#question")).to_have_value("可以带狗上班吗")

    page.once("dialog", lambda asked: asked.accept())
    await page.click("#tab-documents")
    await row.get_by_role("button", name="移除").click()
    await expect(row).to_have_count(0)


async def test_everybody_finds_passages_on_a_phone_in_the_dark(opened: Opened, made: Stage) -> None:
    await opened("管理员")
    chat = await opened("小墨", phone=True, dark=True)
    page = chat.page
    made.console.db.run_sync(
        lambda conn: shelved(conn, "年假.md", "年假按工龄：\n\n| 工龄 | 天数 |\n|---|---|\n| 满一年 | 五天 |") and None
    )
    await page.goto(f"{chat.url}/knowledge?view=documents")  # not theirs: they get what is
    await expect(page.locator("#tabs")).to_be_hidden()
    await page.fill("#question", "年假几天")
    await page.press("#question", "Enter")
    await expect(page.locator(".passage td")).to_have_text(["满一年", "五天"])
    assert await chat.overflow() == 0
    async with page.expect_popup() as popup:
        await page.get_by_role("link", name="看上下文").click()
    await expect((await popup.value).locator("mark")).to_contain_text("年假按工龄")
    await page.fill("#question", "完全没有提到的东西")
    await page.get_by_role("button", name="查找").click()
    await expect(page.locator("#found-nothing")).to_be_visible()
    await page.context.clear_cookies()
    await page.reload()
    await expect(page.locator("#outside")).to_contain_text("登录后才能查知识库")
