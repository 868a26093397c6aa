"""The web chat in a real browser, against a scripted bot."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from PIL import Image
from sqlalchemy import Connection, select

from bot.platforms.base import Outgoing
from bot.reply import Picture, Reply, SourceLink
from storage.records import ChatType, Origin
from storage.tables import users
from tests.bot.console.harness import Stage, serving, stage

if not os.environ.get("CI"):  # there its absence must be an error, not a skip
    pytest.importorskip("playwright", reason="playwright is not installed: pip install playwright")
from playwright.async_api import Browser, Route, expect

from tests.browser.page import ChatPage

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

Opened = Callable[..., Awaitable[ChatPage]]
PROBES = (
    "<script>document.title='x'</script>",
    "<img src=x onerror=\"document.title='x'\">",
    "[a](javascript:alert(1)) **<b>粗</b>** `<i>`",
    "</at><svg onload=alert(1)>",
    "{{7*7}} ${7*7} &lt;",
)


async def only_user(made: Stage) -> int:
    def query(conn: Connection) -> int:
        return int(conn.execute(select(users.c.id)).scalar_one())

    return await made.console.db.read(query)


async def tell(made: Stage, key: str, reply: Reply) -> None:
    """The bot says something to the only person there is."""
    chat = str(await only_user(made))
    origin = Origin(platform="web", chat_id=chat, chat_type=ChatType.DIRECT, message_id="x", sender="小墨")
    await made.script.platform.post(Outgoing(key=key, origin=origin, reply=reply, receipt={}), {})


async def test_a_running_picture_is_shown_as_it_is_and_gives_way_to_the_finished_one(
    opened: Opened, made: Stage
) -> None:
    made.script.step = 0.3
    chat = await opened("小墨")
    await chat.say("/draw 一只猫")
    preview = chat.page.locator(".card.queued .sketch img")
    await chat.shown(preview)
    assert await preview.get_attribute("alt") == "还没画完的预览"
    before = await preview.get_attribute("src")
    assert (before or "").startswith("data:image/jpeg;base64,")
    await expect(preview).not_to_have_attribute("src", before or "")
    await chat.page.reload()  # who comes meanwhile sees it, too
    await chat.shown(preview)
    card = chat.finished()
    await chat.shown(card.locator("img"))
    await expect(card.locator(".sketch img")).to_have_count(0)


async def test_a_picture_from_the_typed_line_to_the_wall(opened: Opened, made: Stage) -> None:
    chat = await opened("小墨")
    await expect(chat.page.locator("#empty")).to_be_visible()
    await chat.page.locator(".example").first.click()
    await expect(chat.input).to_have_value(re.compile("^/draw "))
    await chat.say("/draw 一只戴红围巾的熊猫 --seed 7")
    await expect(chat.own("一只戴红围巾的熊猫")).to_be_visible()
    await expect(chat.headline("排队中 · 第 1 位 · 约 2 秒")).to_be_visible()
    await expect(chat.headline(re.compile("正在画 · 第 [1-8] / 8 步"))).to_be_visible()
    await expect(chat.page.locator("progress")).to_have_attribute("max", "8")
    card = chat.finished()
    await chat.shown(card.locator("img"))
    await expect(card).to_contain_text("种子7")
    await expect(card).to_contain_text("内容由 AI 生成")
    await expect(card.locator("progress, .waiting, .typing")).to_have_count(0)
    await expect(chat.input).to_be_focused()

    await card.locator(".frame").click()
    lightbox = chat.page.locator("#lightbox")
    await chat.shown(lightbox.locator(".stage img"))
    assert await lightbox.locator(".stage img").evaluate("image => image.naturalWidth") == 512
    await chat.page.keyboard.press("Escape")
    await expect(lightbox).to_be_hidden()

    await chat.press(card, "换种子")
    await expect(chat.page.locator(".toast")).to_have_text("已加入队列")
    await chat.shown(chat.finished(1).locator("img"))
    assert [event.action for event in made.script.pressed] == ["reseed"]

    before = await chat.messages.all_inner_texts()
    await chat.page.reload()
    await expect(chat.messages).to_have_count(len(before))
    assert await chat.messages.all_inner_texts() == before


async def test_a_picture_is_attached_taken_off_and_sent_to_draw_from(
    opened: Opened, made: Stage, tmp_path: Path
) -> None:
    red, wrong = tmp_path / "red.png", tmp_path / "notes.png"
    Image.new("RGB", (320, 160), "red").save(red)
    wrong.write_text("no picture")
    chat = await opened("小墨")
    await chat.page.set_input_files("#attach", red)
    await chat.shown(chat.page.locator("#attached img"))
    await chat.page.get_by_role("button", name="不附图片了").click()
    await expect(chat.page.locator("#attached")).to_be_hidden()
    await chat.page.set_input_files("#attach", red)
    await chat.shown(chat.page.locator("#attached img"))
    await chat.say("/draw 一只猫")
    await chat.shown(chat.own("/draw 一只猫 --from").locator("img"))
    await expect(chat.page.locator("#attached")).to_be_hidden()
    await expect(chat.finished()).to_be_visible()
    (event,) = made.script.accepted
    assert event.text == "/draw 一只猫 --from"
    assert len(event.value["picture"]) == 64
    await chat.page.reload()
    await chat.shown(chat.own("/draw 一只猫 --from").locator("img"))
    await chat.page.set_input_files("#attach", wrong)
    await expect(chat.page.locator(".toast")).to_contain_text("不是能用的图片")
    chat.watch.forgive("422")


async def test_an_answer_is_typed_and_its_sources_open(opened: Opened, made: Stage) -> None:
    made.script.step = 0.15
    chat = await opened("小墨")
    await chat.say("/ask 年假怎么休？")
    typing = chat.page.locator(".card .typing")
    await expect(typing).to_contain_text("入职")
    await expect(chat.page.locator(".card")).to_have_attribute("aria-busy", "true")
    await chat.page.reload()  # in the middle: what was typed so far is still there
    await expect(typing).to_contain_text("入职满一年")
    card = chat.finished()
    await expect(card.locator("strong").first).to_have_text("满一年")
    await expect(card.locator("strong a.mark")).to_have_text("2")  # also inside bold
    await expect(card.locator(".source")).to_have_count(2)
    async with chat.page.context.expect_page() as opening:
        await card.locator(".text a.mark").first.click()
    passage = await opening.value
    await expect(passage.locator("mark")).to_contain_text("员工入职满一年后享有带薪年假")
    await expect(passage.locator(".page")).to_contain_text("逾期作废")  # two passages on: the context


async def test_two_people_see_nothing_of_each_other(opened: Opened) -> None:
    first, second = await opened("小墨"), await opened("阿契")
    await first.say("/draw 秘密")
    await expect(first.finished()).to_be_visible()
    await second.say("你好")
    await expect(second.page.locator(".bot")).to_have_text("你说：你好")
    await expect(second.messages).to_have_count(2)
    await second.page.reload()
    await expect(second.messages).to_have_count(2)
    assert "秘密" not in await second.page.content()


async def test_a_taken_name_gets_a_sentence(opened: Opened) -> None:
    await opened("小墨")
    late = await opened(None)
    await late.page.fill("#door-input", "小墨")
    await late.page.press("#door-input", "Enter")
    await expect(late.page.locator("#door-error")).to_contain_text("“小墨”已经有人在用")
    await late.enter("小墨二号")
    late.watch.forgive("409")


async def test_leaving_leads_to_the_door_and_leaves_nothing_on_the_page(opened: Opened) -> None:
    chat = await opened("小墨")
    await chat.say("你好")
    await expect(chat.messages).to_have_count(2)
    chat.page.once("dialog", lambda dialog: dialog.accept())
    await chat.page.locator("#leave").click()
    await expect(chat.page.locator("#door-input")).to_be_focused()
    await expect(chat.messages).to_have_count(0)


async def test_markup_is_text(opened: Opened, made: Stage) -> None:
    chat = await opened("小墨")
    for number, probe in enumerate(PROBES):
        source = SourceLink(mark=1, document=probe, heading=probe, passage=1, quote=probe, url=f"javascript:{probe}")
        reply = Reply(text=probe, title=probe, fields=((probe, probe),), sources=(source,), note=probe)
        await tell(made, f"probe-{number}", reply)
        await expect(chat.cards).to_have_count(number + 1)
        await chat.say(probe)
        await expect(chat.page.locator(".own .bubble").nth(number)).to_have_text(probe)
        await expect(chat.page.locator(".plain")).to_have_count(number + 1)
        for place in (".state", ".note", "dt", "dd", ".source q"):
            await expect(chat.cards.nth(number).locator(place)).to_have_text(probe)
    # Only what our own renderer makes stands in the conversation, above all nothing that came from a probe.
    assert await chat.page.locator("#log :is(script, img, b, i, svg)").count() == 0
    assert await chat.page.locator("#log a.original").count() == 0
    assert await chat.page.title() == "墨契"


async def test_a_source_with_an_original_on_the_web_leads_there(opened: Opened, made: Stage) -> None:
    chat = await opened("小墨")
    address = "https://acme.feishu.cn/wiki/wikcn1?from=a&b"
    source = SourceLink(mark=1, document="制度/年假", heading="", passage=1, quote="年假十天", url=address)
    await tell(made, "linked", Reply(text="十天。", title="答", sources=(source,)))
    link = chat.cards.first.locator("a.original")
    await expect(link).to_have_text("打开原文")
    await expect(link).to_have_attribute("href", address)
    await expect(link).to_have_attribute("rel", "noopener noreferrer")


async def test_the_keyboard(opened: Opened, made: Stage) -> None:
    chat = await opened("小墨")
    await chat.page.keyboard.type("第一行")
    await chat.page.keyboard.press("Shift+Enter")
    await chat.page.keyboard.type("第二行")
    await chat.page.keyboard.press("Enter")
    await expect(chat.page.locator(".bot")).to_have_text("你说：第一行\n第二行")
    await chat.say("再来")
    await expect(chat.page.locator(".bot")).to_have_count(2)
    for expected in ("再来", "第一行\n第二行"):
        await chat.page.keyboard.press("ArrowUp")
        await expect(chat.input).to_have_value(expected)
    for expected in ("再来", ""):
        await chat.page.keyboard.press("ArrowDown")
        await expect(chat.input).to_have_value(expected)
    await chat.page.keyboard.press("Enter")  # nothing to send
    assert len(made.script.accepted) == 2


async def test_enter_in_an_input_method_chooses_a_word(opened: Opened, made: Stage) -> None:
    chat = await opened("小墨")
    await chat.input.fill("xiongmao")
    event = {"key": "Enter", "isComposing": True, "bubbles": True, "cancelable": True}
    await chat.input.dispatch_event("keydown", event)
    await expect(chat.input).to_have_value("xiongmao")
    assert made.script.accepted == []


async def test_a_slash_lists_the_commands(opened: Opened) -> None:
    chat = await opened("小墨")
    rows = chat.page.locator(".hint-row")
    await expect(chat.input).to_be_focused()  # the page does so once it has its history
    await chat.page.keyboard.type("/")
    await expect(rows).to_have_count(9)
    await chat.page.keyboard.type("q")
    await expect(rows).to_have_count(1)
    await chat.page.keyboard.press("Tab")
    await expect(chat.input).to_have_value("/quota ")
    await expect(rows.first).to_be_hidden()
    await chat.input.fill("／画")
    await expect(rows).to_have_text(re.compile("/draw"))
    await chat.page.keyboard.press("Escape")
    await expect(rows.first).to_be_hidden()
    await chat.input.fill("/draw --template ")
    await expect(rows).to_have_text(["海报主题 颜色", "徽标"])
    await chat.page.keyboard.type("徽")
    await expect(rows).to_have_count(1)
    await chat.page.keyboard.press("Tab")
    await expect(chat.input).to_have_value("/draw --template 徽标 ")
    await expect(rows.first).to_be_hidden()
    await chat.input.fill("/draw 猫 --size 25")
    await expect(rows).to_have_text(["256x1924:3每张计 1 份额度"])
    await chat.page.keyboard.press("Tab")
    await expect(chat.input).to_have_value("/draw 猫 --size 256x192 ")
    await chat.say("/help")  # a whole command is sent by Enter, list or not
    await expect(chat.page.locator(".bot code").first).to_have_text("/draw")


async def test_a_slash_typed_before_the_commands_came_lists_them_when_they_come(opened: Opened) -> None:
    chat = await opened("小墨")
    await expect(chat.input).to_be_focused()
    may_come = asyncio.Event()

    async def late(route: Route) -> None:
        await may_come.wait()
        await route.continue_()

    await chat.page.route("**/api/commands", late)
    await chat.page.reload()
    await expect(chat.input).to_be_focused()
    await chat.page.keyboard.type("/")
    await expect(chat.page.locator(".hint-row")).to_have_count(0)
    may_come.set()
    await expect(chat.page.locator(".hint-row")).to_have_count(9)


async def test_a_cut_connection_is_said_and_made_good(opened: Opened, made: Stage, url: str) -> None:
    chat = await opened("小墨")
    await chat.say("之前")
    await expect(chat.messages).to_have_count(2)
    await chat.page.context.set_offline(True)
    made.console.feed.end(await only_user(made))
    await expect(chat.page.locator("#banner")).to_be_visible()
    await chat.say("断网时写的")
    await expect(chat.page.locator(".own.failed")).to_contain_text("没有发出去")
    await chat.page.context.set_offline(False)
    await expect(chat.page.locator("#banner")).to_be_hidden()
    await expect(chat.page.locator(".bot").nth(1)).to_have_text("你说：断网时写的")
    await expect(chat.page.locator(".own.failed")).to_have_count(0)
    assert [event.text for event in made.script.accepted] == ["之前", "断网时写的"]
    chat.watch.forgive("ERR_INTERNET_DISCONNECTED")


@pytest.mark.parametrize("dark", [False, True])
async def test_a_phone_and_both_lights(opened: Opened, tmp_path: Path, dark: bool) -> None:
    chat = await opened(None, phone=True, dark=dark)
    assert await chat.overflow() == 0
    await chat.enter("一个名字很长很长很长很长很长很长很长的人")
    assert await chat.overflow() == 0
    await chat.say("/draw 一只猫 " + "很长的词" * 40 + "w" * 200)
    await chat.shown(chat.finished().locator("img"))
    await chat.say("/ask 年假怎么休？")
    await expect(chat.finished(1)).to_be_visible()
    await chat.page.set_viewport_size({"width": 390, "height": 480})  # the keyboard comes up: the end stays in view
    await expect(chat.finished(1).locator(".note")).to_be_in_viewport()
    assert await chat.overflow() == 0
    assert await chat.page.evaluate("document.getElementById('scroll').scrollWidth <= innerWidth")
    box = await chat.finished(1).bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390
    paper = await chat.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == ("rgb(22, 21, 20)" if dark else "rgb(247, 244, 238)")
    await chat.page.locator("#theme").click()  # system -> light
    await chat.page.locator("#theme").click()  # light -> dark
    await chat.page.reload()
    assert await chat.page.evaluate("document.documentElement.dataset.theme") == "dark"
    await chat.shot(tmp_path / "phone.png")


async def test_a_tab_nobody_looks_at_keeps_no_stream_and_catches_up(opened: Opened, made: Stage) -> None:
    chat = await opened("小墨")
    await expect(chat.page.locator("#empty")).to_be_visible()
    who = await only_user(made)
    assert made.console.feed.pages(who) == 1
    await look(chat, away=True)
    await until(lambda: made.console.feed.pages(who) == 0)
    for n in range(60):  # more than one page of history: no gap may remain
        await tell(made, f"away-{n}", Reply(text=f"第{n:02}条"))
    await look(chat, away=False)
    await expect(chat.messages).to_have_count(50)
    await expect(chat.messages.last).to_have_text("第59条")
    await until(lambda: made.console.feed.pages(who) == 1)


async def look(chat: ChatPage, *, away: bool) -> None:
    """Turn to another tab, or back to this one."""
    hidden = str(away).lower()
    await chat.page.evaluate(
        f"Object.defineProperty(document, 'hidden', {{value: {hidden}, configurable: true}});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.02)


async def test_a_picture_that_is_gone_says_so(opened: Opened, made: Stage) -> None:
    chat = await opened("小墨")
    reply = Reply(state="done", pictures=(Picture(asset=99, width=64, height=64, alt="猫"),))
    await tell(made, "gone", reply)
    await expect(chat.page.locator(".gone")).to_contain_text("重画")
    chat.watch.forgive("404")


async def test_older_messages_come_on_demand_and_in_order(opened: Opened, made: Stage) -> None:
    chat = await opened("小墨")
    for n in range(60):
        await tell(made, f"old-{n}", Reply(text=f"第{n:02}条"))
    await chat.page.reload()
    await expect(chat.messages).to_have_count(50)
    await expect(chat.messages.last).to_be_in_viewport()
    await chat.page.locator("#older").click()
    await expect(chat.messages).to_have_count(60)
    assert await chat.messages.all_inner_texts() == [f"第{n:02}条" for n in range(60)]
    await expect(chat.page.locator("#older")).to_be_hidden()


async def test_the_server_comes_back(browser: Browser, tmp_path: Path) -> None:
    with stage(tmp_path) as first:
        async with serving(first) as url:
            chat = await (await ChatPage.open(browser, url)).enter("小墨")
            await chat.say("之前")
            await expect(chat.messages).to_have_count(2)
    await expect(chat.page.locator("#banner")).to_be_visible()
    with stage(tmp_path) as second:
        async with serving(second, int(url.rpartition(":")[2])):
            await expect(chat.page.locator("#banner")).to_be_hidden()
            await chat.say("之后")
            await expect(chat.page.locator(".bot").nth(1)).to_have_text("你说：之后")
            chat.watch.forgive("ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED|ERR_EMPTY_RESPONSE")
            await chat.leave()


async def test_a_picture_is_drawn_again_in_other_words(opened: Opened, made: Stage) -> None:
    chat = await opened("小墨", phone=True)
    await chat.say("/draw 一只熊猫")
    card = chat.finished()
    await chat.shown(card.locator("img"))
    await expect(card.locator("form")).to_have_count(0)
    await chat.press(card, "改词重画")
    prompt, size, seed = (card.get_by_label(name, exact=True) for name in ("描述", "尺寸", "种子"))
    await expect(prompt).to_have_value("一只熊猫")
    await expect(prompt).to_be_focused()
    assert await chat.overflow() <= 0
    await prompt.fill("一只猫")
    await size.fill("7")
    await chat.press(card, "按这个画")
    await expect(chat.page.locator(".toast-warning")).to_have_text("尺寸没看懂")
    await expect(prompt).to_have_value("一只猫")  # nothing is lost
    await chat.press(card, "收起")
    await expect(prompt).to_be_hidden()
    await chat.press(card, "改词重画")
    await expect(size).to_have_value("7")
    await size.fill("512x256")
    await seed.fill("8")
    await seed.press("Enter")
    await expect(card.locator("form")).to_be_hidden()
    await chat.shown(chat.finished(1).locator("img"))
    await expect(chat.finished(1)).to_contain_text("一只猫")
    sent = [event.value["form"] for event in made.script.pressed]
    assert sent[-1] == {"prompt": "一只猫", "size": "512x256", "seed": "8"}
    assert [event.action for event in made.script.pressed] == ["redo_form", "redo_form"]


async def test_thumbs(opened: Opened, made: Stage) -> None:
    chat = await opened("小墨")
    await chat.say("/draw 一只熊猫")
    card = chat.finished()
    await card.get_by_role("button", name="有帮助", exact=True).click()
    await expect(chat.page.locator(".toast")).to_have_text("谢谢")
    await card.get_by_role("button", name="没有帮助", exact=True).press("Enter")
    await expect(chat.page.locator(".toast")).to_have_count(2)
    assert [event.action for event in made.script.pressed] == ["vote_up", "vote_down"]

    made.script.asks = True
    down, sheet = card.get_by_role("button", name="没有帮助", exact=True), card.locator(".asked")
    await down.click()
    await expect(sheet.get_by_role("button")).to_have_count(6)
    await sheet.locator("textarea").fill("旧了")
    await sheet.get_by_role("button", name="内容有错误").click()
    await expect(sheet).to_have_count(0)
    pressed = made.script.pressed[-1]
    assert (pressed.action, pressed.value["reason"], pressed.value["form"]) == ("why_form", 3, {"reason": "旧了"})
    await down.click()
    await expect(sheet).to_be_visible()
    await card.get_by_role("button", name="有帮助", exact=True).click()
    await expect(sheet).to_have_count(0)
