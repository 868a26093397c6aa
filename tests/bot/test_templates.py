"""Templates as people meet them: kept, listed, shown, ordered from; by whom and where; what the books say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bot import gate, router
from bot import templates as shelves
from bot.commands import Draw, Used, parse
from bot.commands.slots import MOST
from bot.console.chat import Pressed
from bot.context import Handled
from bot.moderation import Rule, Screen, words
from bot.platforms.feishu import render
from bot.platforms.feishu.rules import check_card
from bot.platforms.wecom import render as wecom
from bot.replies import job_reply
from bot.reply import Reply
from bot.settings import SettingsError, load
from storage import audit, jobs, reservations, templates, users
from storage.database import Database
from storage.records import ChatType, Identity, Job, Role, Scope
from tests.blank import blank
from tests.bot.test_reserve import CARD, NOW, Chat, house

BRAND = frozenset(words(["某某牌"]))
SAVE = "/template save 海报 一张{主题}的海报，{颜色=蓝色}背景 --size 512x768"


@pytest.fixture
def chat(tmp_path: Path) -> Iterator[Chat]:
    blank(tmp_path / "moqi.db")
    with Database.open(f"sqlite:///{tmp_path / 'moqi.db'}") as opened:
        chat = Chat(opened, house())
        boss = opened.run_sync(users.resolve, Identity(platform="feishu", external_id="boss"), "boss", NOW)
        opened.run_sync(users.set_role, boss.id, Role.ADMIN)
        yield chat


def said(chat: Chat, text: str, who: str = "anna", **values: Any) -> str:
    return shown(chat.say(text, who, **values))


def shown(handled: Handled) -> str:
    assert handled.reply is not None, handled.outcome
    reply = handled.reply
    return "\n".join([reply.title, reply.text, *(f"{name}：{value}" for name, value in reply.fields)])


def ordered(chat: Chat, text: str, who: str = "anna") -> Job:
    outcome = chat.say(text, who).outcome
    assert outcome.startswith("job:"), outcome
    return chat.db.read_sync(jobs.recent, limit=1)[0]


def alone(chat: Chat, text: str, who: str = "anna") -> Handled:
    """Said to the bot directly."""
    event = chat.event("message", who, text=text)
    origin = replace(event.origin, chat_id=f"ou_{who}", chat_type=ChatType.DIRECT)
    return chat.tell(replace(event, origin=origin))


# --- ordered from -------------------------------------------------------------------------------------------------


def test_a_template_is_kept_ordered_from_and_on_the_card(chat: Chat) -> None:
    assert "已存为我的模板“海报”。\n用法：`/draw --template 海报 主题=…`" in said(chat, SAVE)
    job = ordered(chat, "/draw --template 海报 秋招")
    assert job.params["prompt"] == "一张秋招的海报，蓝色背景"
    assert (job.params["width"], job.params["height"]) == (512, 768)
    assert job.params["template"] == {"name": "海报", "scope": "user", "version": 1}
    assert job.cost == 1
    assert dict(job_reply(job, chat.house.words, card=CARD).fields)["模板"] == "海报 · 第 1 版"
    again = ordered(chat, f"/redo {job.id} --steps 9")
    assert again.params["template"]["version"] == 1
    other = ordered(chat, f"/redo {job.id} 一只狗")
    assert "template" not in other.params, "these words are nobody's template"


def test_a_reservation_keeps_the_text_it_was_made_with(chat: Chat) -> None:
    said(chat, SAVE)
    chat.say("/draw --template 海报 秋招 --every 每天9:00")
    assert dict(chat.card().fields)["模板"] == "海报 · 第 1 版"
    chat.push("确认")
    assert "原来：一张{主题}的海报" in said(chat, "/template save 海报 {主题}，红底")
    chat.now = datetime(2026, 11, 22, 1, tzinfo=UTC)
    chat.fire()
    [job] = chat.db.read_sync(jobs.recent)
    assert job.params["prompt"] == "一张秋招的海报，蓝色背景"
    used = job.params["template"]
    assert used == {"name": "海报", "scope": "user", "version": 1}
    place = (Scope.USER, str(job.user_id))
    kept = chat.db.read_sync(templates.version, place, used["name"], used["version"])
    assert kept is not None
    assert kept.body.startswith("一张{主题}"), "which text was used can still be read"


def test_a_dry_run_and_a_picture_to_begin_with(chat: Chat) -> None:
    said(chat, SAVE)
    tried = chat.say("/draw --template 海报 秋招 --dry-run")
    assert "一张秋招的海报" in shown(tried)
    assert "模板：海报 · 第 1 版" in shown(tried)
    assert not chat.db.read_sync(jobs.recent)
    refused = said(chat, "/draw --template 海报 秋招 --from")
    assert "没有找到参考图" in refused, "it was read as an order with a picture"


def test_rules_and_limits_see_what_is_drawn(chat: Chat) -> None:
    chat.house = replace(chat.house, screen=Screen(rules=(Rule(name="竞品", words=BRAND),)))
    said(chat, "/template save 广告 {谁}的广告")
    assert "不符合团队的使用规定" in said(chat, "/draw --template 广告 某 某 牌")
    assert "不符合团队的使用规定" in said(chat, "/draw --template 广告 某某牌 --at 明天9:00")
    assert "不符合团队的使用规定" in said(chat, "/template save 坏 某某牌"), "nor is it kept for others to read"
    assert not chat.db.read_sync(jobs.recent)
    assert "最多 2000 个" in said(chat, "/draw --template 广告 " + "长" * 1999)


def test_outside_the_hours_the_order_is_written_out(chat: Chat) -> None:
    """Until it is sent the template may change: what was meant is drawn."""
    said(chat, SAVE)
    ordered(chat, "/draw --template 海报 秋招")
    [job] = chat.db.read_sync(jobs.recent)
    used = Used(name="海报", scope=Scope.USER, version=1)
    wanted = parse(f"/draw {job.params['prompt']} --size 512x768", chat.house.rules)
    assert isinstance(wanted, Draw)
    written = gate.reservation(replace(wanted, template=used), "2026-11-22T09:00", chat.house.rules)
    assert written == "/draw 一张秋招的海报，蓝色背景 --size 512x768 --at 2026-11-22T09:00"


def test_what_is_missing_is_asked_with_an_order_to_copy(chat: Chat) -> None:
    said(chat, SAVE)
    assert said(chat, "/draw --template 海报").strip() == (
        "模板“海报”还要填：主题。可以直接照着写：`/draw --template 海报 主题=…`"
    )
    assert "你是不是想写 `主题`" in said(chat, "/draw --template 海报 主提=秋招")
    assert "你是不是想写 `--template 海报`" in said(chat, "/draw --template 海抱 秋招")
    assert chat.say("/draw --template 没有").outcome == "refused:unknown_template"


# --- whose --------------------------------------------------------------------------------------------------------


def test_own_then_this_group_then_the_team(chat: Chat) -> None:
    chat.house = replace(chat.house, templates={"徽标": "公司徽标，{色=黑}色", "Logo": "a logo"})
    said(chat, "/template save 海报 --for 全体 全体的{主题}", "boss")
    assert ordered(chat, "/draw --template 海报 x").params["prompt"] == "全体的x"
    said(chat, "/template save 海报 --for 本群 本群的{主题}", "ben")
    assert ordered(chat, "/draw --template 海报 x").params["prompt"] == "本群的x"
    note = said(chat, "/template save 海报 我的{主题}")
    assert "注意" not in note
    assert ordered(chat, "/draw --template 海报 x").params["prompt"] == "我的x"
    assert ordered(chat, "/draw --template 海报 x", "ben").params["prompt"] == "本群的x", "nobody else has anna's"
    for name, prompt in (("本群/海报", "本群的x"), ("全体/海报", "全体的x"), ("team/海报", "全体的x")):
        assert ordered(chat, f"/draw --template {name} x").params["prompt"] == prompt
    assert said(chat, "/template") == "\n".join(
        [
            "模板",
            "**我的**",
            "`海报` · 主题",
            "**本群的**",
            "`海报` · 主题（同名，先用我的；用这个写 `本群/海报`）",
            "**全体的**",
            "`海报` · 主题（同名，先用我的；用这个写 `全体/海报`）",
            "**全体的（policy.yaml）**",
            "`徽标` · 色（默认黑）",
            "`Logo` · 不用填",
        ]
    )
    anna = chat.db.read_sync(users.of_identity, Identity(platform="feishu", external_id="anna"))
    assert anna is not None
    here = chat.event("message", "anna").origin
    suggested = chat.db.read_sync(lambda conn: shelves.Prompts(conn, anna, here, {"签": "福"}).suggestions())
    assert suggested == [("海报", "主题"), ("签", "")]
    elsewhere = alone(chat, "/template")
    assert "本群" not in shown(elsewhere), "a group's templates are at hand in that group"
    assert ordered(chat, "/draw --template logo").params["template"] == {
        "name": "Logo", "scope": "settings", "version": 0
    }  # fmt: skip


def test_who_may_change_what(chat: Chat) -> None:
    def outcome(text: str, who: str) -> str:
        return chat.say(text, who).outcome

    assert outcome("/template save 海报 --for 全体 x", "anna") == "refused:template_team"
    assert outcome("/template save 海报 --for 全体 x", "boss") == "reply"
    assert outcome("/template delete 海报", "anna") == "refused:template_team"
    assert outcome("/template save 海报 --for 本群 a", "anna") == "reply"
    assert outcome("/template save 海报 --for 本群 b", "ben") == "refused:not_yours_template"
    assert outcome("/template delete 海报 --for 本群", "ben") == "refused:not_yours_template"
    assert outcome("/template save 海报 --for 本群 c", "boss") == "reply"
    assert outcome("/template save 海报 --for 本群 d", "anna") == "reply", "an admin's change takes it from nobody"
    assert outcome("/template delete 海报", "boss") == "reply"
    assert outcome("/template save 海报 --for 本群 b", "ben") == "reply", "it was free again"
    assert alone(chat, "/template save 海报 --for 本群 x").outcome == "refused:template_no_group"
    chat.house = replace(chat.house, templates={"徽标": "x"})
    assert outcome("/template save 徽标 --for 全体 y", "boss") == "refused:template_in_settings"
    assert outcome("/template delete 徽标", "boss") == "refused:template_in_settings"
    assert outcome("/template save 徽标 y", "anna") == "reply", "under one's own name anything goes"
    assert outcome("/template delete 徽标 --for 我的", "ben") == "refused:unknown_template"


def test_saved_again_it_is_said_what_changed(chat: Chat) -> None:
    said(chat, SAVE)
    assert "本来就是这样" in said(chat, SAVE)
    changed = said(chat, "/template save 海报 {地点}的{主题}").strip().splitlines()
    assert changed == [
        "已更新我的模板“海报” · 第 2 版。",
        "原来：一张{主题}的海报，{颜色=蓝色}背景 --size 512x768",
        "新增可填：地点",
        "不再有：颜色",
        "用法：`/draw --template 海报 地点=… 主题=…`",
    ]
    entries = [one for one in chat.db.read_sync(audit.entries) if one.action.startswith("template.")]
    assert [(one.action, one.detail["version"]) for one in entries] == [("template.save", 2), ("template.save", 1)]
    assert "主题" not in str([one.detail for one in entries]), "no prompt belongs into the audit log"


def test_a_hidden_name_says_how_it_is_written_and_a_deleted_one_what_is_left(chat: Chat) -> None:
    said(chat, SAVE)
    assert "我的同名模板在先，要用这个请写 `本群/海报`" in said(chat, "/template save 海报 --for 本群 b")
    assert "“海报”现在指本群的那个。" in said(chat, "/template delete 海报")
    assert said(chat, "/template delete 海报").strip() == "已删除本群的模板“海报”。以前用它订的不受影响。"
    assert "这里还没有模板" in said(chat, "/template delete 海报")
    assert "还没有模板。存一个试试" in said(chat, "/template")


def test_nobody_keeps_more_than_there_is_room_for(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(shelves.MOST, Scope.USER, 2)
    assert [chat.say(f"/template save t{n} x").outcome for n in range(3)] == [
        "reply",
        "reply",
        "refused:templates_full",
    ]
    assert chat.say("/template save t1 y").outcome == "reply", "another version of one needs no room"
    assert chat.say("/template save t1 x", "ben").outcome == "reply"


# --- shown, and its form ------------------------------------------------------------------------------------------


def card(chat: Chat, who: str = "anna") -> Reply:
    handled = chat.say("/template show 海报", who)
    assert handled.reply is not None
    return handled.reply


def press(chat: Chat, reply: Reply, who: str = "anna", action: str = "template_form", **value: Any) -> Handled:
    assert reply.form is not None
    event = chat.event("action", who, action=action, value={**reply.form.value, **value})
    return chat.db.run_sync(router.press, chat.house, event, chat.now)


def test_the_card_of_one(chat: Chat) -> None:
    said(chat, SAVE)
    found = card(chat)
    assert found.title == "模板 海报 · 我的 · 第 1 版"
    assert found.text.splitlines() == [
        "一张{主题}的海报，{颜色=蓝色}背景 --size 512x768",
        "用法：`/draw --template 海报 主题=…`",
    ]
    assert found.fields == (
        ("要填", "主题、颜色（默认蓝色）"),
        ("保存", "anna · 11月21日 12:00"),
    )
    assert found.form is not None
    assert [(one.name, one.label, one.value) for one in found.form.fields] == [
        ("slota", "主题", ""),
        ("slotb", "颜色", "蓝色"),
        ("more", "补充（可写 --size 等选项）", ""),
    ]
    assert Reply.from_json(found.to_json()) == found
    for opened in (False, True):  # as Feishu wants it, and as WeCom, which has no forms
        drawn = render.card(replace(found, form=replace(found.form, open=opened)), {})
        assert check_card(drawn) == []
        assert ("用这个" in str(drawn), "slota" in str(drawn)) == (not opened, opened)
    assert wecom.card(found, "moqi-1") is None, "nothing to press: it is said as a text"


def test_its_form_is_opened_filled_in_and_orders_once(chat: Chat) -> None:
    said(chat, SAVE)
    found = card(chat)
    opened = press(chat, found, action="form_open")
    assert opened.shown is not None
    form = opened.shown.reply.form
    assert form is not None
    assert form.open
    assert opened.shown.receipt == {"images": {}}, "Feishu looks there for the pictures of a card"
    filled = {"form": {"slota": "x --n 4", "slotb": "红色", "more": "水彩 --n 2"}, "nonce": form.value["nonce"]}
    sent = press(chat, found, **filled)
    assert sent.outcome == "job:1"
    assert sent.shown is not None
    [job] = chat.db.read_sync(jobs.recent)
    assert (job.params["prompt"], job.params["count"]) == ("一张x --n 4的海报，红色背景，水彩", 2)
    assert job.params["template"]["name"] == "海报"
    missing = press(chat, found, form={"slotb": "红"})
    assert missing.outcome == "refused:slots_missing"
    assert "还要填：主题" in missing.toast[1]


def test_a_page_may_send_a_form_with_every_slot(chat: Chat) -> None:
    said(chat, "/template save 海报 " + " ".join(f"{{s{n}}}" for n in range(MOST)))
    form = card(chat).form
    assert form is not None
    filled = {field.name: "x" for field in form.fields}
    sent = Pressed(id="a" * 32, value=form.value, form=filled, action=form.action, message=1)
    assert sent.form == filled


def test_one_opening_of_a_form_orders_once(chat: Chat) -> None:
    said(chat, SAVE)
    found = card(chat)
    assert found.form is not None
    value = {**found.form.value, "nonce": "abcd", "form": {"slota": "a"}}
    event = chat.event("action", "anna", action="template_form", value=value)
    twice = replace(event, key="another")
    assert chat.db.run_sync(router.press, chat.house, event, chat.now).outcome == "job:1"
    assert chat.db.run_sync(router.press, chat.house, twice, chat.now).outcome == "ignored:repeated"


def test_a_form_that_no_longer_fits_orders_nothing(chat: Chat) -> None:
    chat.house = replace(chat.house, templates={"徽标": "{色}徽标"})
    said(chat, SAVE)
    mine, shared = card(chat), chat.say("/template show 徽标").reply
    assert shared is not None
    assert press(chat, mine, "ben", form={"slota": "a"}).outcome == "refused:template_stale", "it is anna's"
    assert press(chat, shared, "ben", form={"slota": "红"}).outcome.startswith("job:")
    said(chat, "/template save 海报 {另一个}")
    assert press(chat, mine, form={"slota": "a"}).outcome == "refused:template_stale"
    assert press(chat, mine, action="form_open").outcome == "refused:template_stale"
    chat.house = replace(chat.house, templates={"徽标": "{字}徽标"})
    assert press(chat, shared, form={"slota": "a"}).outcome == "refused:template_stale"
    odd = chat.event("action", "anna", action="template_form", value={"template": "1", "form": ["x"]})
    assert chat.db.run_sync(router.press, chat.house, odd, chat.now).outcome == "refused:template_stale"


def test_a_reservation_may_come_from_a_form(chat: Chat) -> None:
    said(chat, SAVE)
    handled = press(chat, card(chat), form={"slota": "a", "more": "--at 明天9:00"})
    assert handled.outcome.startswith("reservation:")
    found = chat.db.read_sync(reservations.get, 1)
    assert found is not None
    assert found.params["prompt"] == "一张a的海报，蓝色背景"


def test_help_tells_of_them(chat: Chat) -> None:
    assert "花括号里是每次要填的" in said(chat, "/help template")
    assert "--template 海报 主题=秋招" in said(chat, "/help draw")
    assert "`/template` " in said(chat, "/help")
    english = Chat(chat.db, house("en"))
    english.number = 500
    assert "poster of {subject} on {colour=blue}" in said(english, "/help template")


# --- the settings -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("  海报: 一张{主题}的海报，{颜色=蓝色}背景 --size 1024x1360 --neg 文字模糊\n", ""),
        ("  海报: 一张{主题的海报\n", "海报: a brace opens nothing at {主题的海报: write {name} or {name=default}"),
        ("  海报: 一张{1}\n", "海报: {1} is no slot"),
        ("  海报: '{a=1} {a=2}'\n", "海报: the slot a has two defaults, 1 and 2"),
        ("  海报: 猫 --at 9:00\n", "海报: --at cannot stand in a template"),
        ("  海报: 猫 --szie 7\n", "海报: there is no --szie"),
        ("  海报: --n 2\n", "海报: has no text"),
        ("  list: 猫\n", "list: the name list cannot be used"),
        ("  Card: a\n  card: b\n", "two names that differ in case"),
    ],
)
def test_those_of_the_settings(tmp_path: Path, written: str, problem: str) -> None:
    (tmp_path / "policy.yaml").write_text(f"templates:\n{written}", encoding="utf-8")
    if not problem:
        assert list(load(tmp_path, {}).policy.templates) == ["海报"]
        return
    with pytest.raises(SettingsError) as error:
        load(tmp_path, {})
    assert problem in str(error.value)
    assert "policy.yaml:" in str(error.value)
