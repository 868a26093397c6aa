"""`moqi doctor` about Feishu: each thing that may be missing in the console, named exactly, with where to add it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bot.doctor import Check
from bot.feishu_doctor import examine
from bot.platforms.feishu import requirements
from bot.platforms.feishu.requirements import CALLBACKS, EVENTS, SCOPES, WIKI_SCOPES
from bot.platforms.feishu.settings import FeishuSettings
from bot.settings import Platforms
from tests.bot.cli.installation import Installation
from tests.bot.cli.test_doctor import broken, examined, write
from tests.simulators.feishu import FeishuSimulator
from tests.simulators.feishu_events import App

Checks = dict[str, dict[str, Any]]
RELEASE = "Version Management & Release (版本管理与发布)"


@pytest.fixture
def feishu() -> Iterator[FeishuSimulator]:
    with FeishuSimulator(limits=False) as simulator:
        yield simulator


@pytest.fixture
def look(moqi: Installation, feishu: FeishuSimulator) -> Callable[..., Checks]:
    """look(web={…}) -> the checks of an installation that serves this Feishu."""

    def look(**platforms: Any) -> Checks:
        write(moqi, "platforms", {"feishu": feishu.settings, **platforms})
        return examined(moqi)

    return look


Look = Callable[..., Checks]


def test_an_app_that_has_everything(look: Look, feishu: FeishuSimulator) -> None:
    checks = look()
    assert broken(checks) == {}
    assert "all 16 scopes" in checks["feishu scopes"]["detail"]
    assert "all 7 events" in checks["feishu events"]["detail"]
    assert "card.action.trigger" in checks["feishu callbacks"]["detail"]
    assert "/feishu/events" in checks["feishu delivery"]["next_step"]
    assert not any("/im/v1/messages" in call for call in feishu.calls)  # nobody is written to


async def checks_of(feishu: FeishuSimulator, **more: Any) -> dict[str, Check]:
    """The checks of one app, without the rest of the machine."""
    section = {**feishu.settings, **more}
    return {one.name: one for one in await examine(Platforms(), FeishuSettings.model_validate(section))}


async def test_trap_30_each_scope_that_is_missing_is_named(feishu: FeishuSimulator) -> None:
    whole = set(feishu.console.granted)
    for need in SCOPES:
        feishu.console.granted = whole - {need.name, *need.instead}
        check = (await checks_of(feishu))["feishu scopes"]
        assert check.ok is not need.vital
        assert f"\n  {need.name} — {need.why}\n" in check.next_step
        assert f"/app/{feishu.app.app_id}/auth?q={need.name}" in check.next_step
        assert "Permissions & Scopes (权限管理)" in check.next_step
        assert RELEASE in check.next_step
        alone = [one for one in SCOPES if one.name != need.name and one.name not in need.instead]
        assert not any(f"  {one.name} —" in check.next_step for one in alone)


def test_trap_30_a_scope_that_waits_for_a_version_is_missing(look: Look, feishu: FeishuSimulator) -> None:
    """In the console it looks granted; until a version is published it is not."""
    feishu.console.granted.discard("im:message.p2p_msg:readonly")
    feishu.console.waiting.add("im:message.p2p_msg:readonly")
    assert "im:message.p2p_msg:readonly" in broken(look())["feishu scopes"]


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        ("im:message", "im:message:send_as_bot"),
        ("im:message.group_msg", "im:message.group_at_msg:readonly"),
        ("im:chat", "im:chat:readonly"),
        ("contact:contact:readonly_as_app", "contact:user.base:readonly"),
    ],
)
def test_a_wider_scope_will_do(wide: str, narrow: str) -> None:
    have = {need.name for need in SCOPES} - {narrow} | {wide}
    assert requirements.lacking(SCOPES, have) == ()


async def test_each_event_that_is_not_subscribed_is_named(feishu: FeishuSimulator) -> None:
    whole = list(feishu.console.events)
    for need in EVENTS:
        feishu.console.events = [name for name in whole if name != need.name]
        check = (await checks_of(feishu))["feishu events"]
        assert check.ok is not need.vital
        assert f"\n  {need.name} — {need.why}\n" in check.next_step
        assert "Event Configuration (事件配置)" in check.next_step
        assert RELEASE in check.next_step


def test_callbacks_have_a_page_of_their_own(look: Look, feishu: FeishuSimulator) -> None:
    feishu.console.callbacks.clear()
    text = broken(look())["feishu callbacks"]
    assert "card.action.trigger — " in text
    assert "Callback Configuration (回调配置)" in text


def test_callbacks_that_go_elsewhere(look: Look, feishu: FeishuSimulator) -> None:
    feishu.console.mode = "websocket"
    text = broken(look())["feishu callbacks"]
    assert "by long_connection, feishu.mode is webhook" in text
    assert "https://<your host>/feishu/events" in text


def test_an_app_without_a_published_version(look: Look, feishu: FeishuSimulator) -> None:
    feishu.console.published = False
    assert RELEASE in broken(look())["feishu events"]


def test_without_the_right_to_look_everything_is_listed(look: Look, feishu: FeishuSimulator) -> None:
    feishu.console.granted.discard("application:application:self_manage")
    checks = look()
    assert broken(checks) == {}
    step = checks["feishu events"]["next_step"]
    for need in (*EVENTS, *CALLBACKS):
        assert need.name in step
    assert "99991672" in checks["feishu events"]["detail"]


@pytest.mark.parametrize(
    ("status", "said"), [(0, "publish a version"), (1, "switched off"), (3, "not switched on"), (5, "licence")]
)
def test_an_app_that_does_not_run(look: Look, feishu: FeishuSimulator, status: int, said: str) -> None:
    feishu.console.activate_status = status
    assert said in broken(look())["feishu"]


def test_an_app_without_a_bot(moqi: Installation) -> None:
    with FeishuSimulator(App(bot_open_id="")) as feishu:
        write(moqi, "platforms", {"feishu": feishu.settings})
        assert "Add Features (添加应用能力) > Bot (机器人)" in broken(examined(moqi))["feishu"]


def test_nobody_in_the_contact_range(look: Look, feishu: FeishuSimulator) -> None:
    feishu.directory.join("ou_alice", "王小墨", hidden=True)
    check = look()["feishu people"]
    assert check["ok"]
    assert "Contacts (通讯录)" in check["next_step"]


def test_the_login_says_its_redirect_url(look: Look) -> None:
    step = look()["feishu login"]["next_step"]
    assert "https://<your host>/login/feishu" in step
    assert "web.login: feishu" in step
    checks = look(web={"public_url": "https://moqi.example"})
    assert "https://moqi.example/login/feishu under Security Settings (安全设置)" in checks["feishu login"]["next_step"]
    assert "web.login" not in checks["feishu login"]["next_step"]
    assert "feishu login" not in look(web={"login": "name"})


@pytest.mark.parametrize("fault", ["html", "garbage"])
def test_a_console_that_cannot_be_asked(look: Look, feishu: FeishuSimulator, fault: str) -> None:
    feishu.fail(fault, times=9, on="/application/")
    checks = look()
    assert broken(checks) == {}
    assert "cannot be asked for" in checks["feishu scopes"]["detail"]
    assert "moqi feishu scopes" in checks["feishu scopes"]["next_step"]


# --- the long connection ----------------------------------------------------------------------------------------


async def delivery(feishu: FeishuSimulator) -> dict[str, str]:
    """What is said of an app that dials out."""
    feishu.console.mode = "websocket"
    found = await checks_of(feishu, mode="long_connection")
    return {name: f"{one.ok} {one.detail}{one.problem} {one.next_step}" for name, one in found.items()}


async def test_the_long_connection_could_be_opened_and_is_not(
    feishu: FeishuSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    found = await delivery(feishu)
    assert found["feishu delivery"].startswith("True by long connection")
    assert found["feishu callbacks"].startswith("True")
    assert "ticket" not in caplog.text
    assert not any("hidden-" in text for text in found.values())


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (1000040351, "https://open.larksuite.com"),
        (1000040350, "50"),
        (1000040345, "app_secret"),
        (403, "self-built"),
        (1, "tries again"),
    ],
)
async def test_why_it_could_not_be_opened(feishu: FeishuSimulator, code: int, said: str) -> None:
    feishu.console.endpoint_code = code
    text = (await delivery(feishu))["feishu delivery"]
    assert text.startswith("False")
    assert said in text
    assert str(code) in text


async def test_an_endpoint_that_does_not_answer(feishu: FeishuSimulator) -> None:
    feishu.fail("html", on="/callback/ws/endpoint")
    assert "an outage, or a proxy" in (await delivery(feishu))["feishu delivery"]


async def test_further_apps_have_checks_of_their_own(feishu: FeishuSimulator) -> None:
    apps = Platforms.model_validate({"feishu_apps": {"design": feishu.settings}})
    found = {one.name: one for one in await examine(apps, apps.feishu_by_name()["feishu-design"], "feishu-design")}
    assert {"feishu-design", "feishu-design scopes", "feishu-design events"} < set(found)
    assert "https://<your host>/feishu/design/events" in found["feishu-design delivery"].next_step
    assert "https://<your host>/login/feishu-design" in found["feishu-design login"].next_step
    feishu.secret = "another"
    (check,) = await examine(apps, apps.feishu_by_name()["feishu-design"], "feishu-design")
    assert "feishu_apps.design" in check.next_step


# --- what to paste ----------------------------------------------------------------------------------------------


def test_scopes_to_paste_need_no_settings(moqi: Installation) -> None:
    for path in moqi.config.glob("*.yaml"):
        path.unlink()
    ran = moqi("feishu", "scopes")
    assert ran.json == {"scopes": {"tenant": [need.name for need in SCOPES], "user": []}}
    wiki = moqi("feishu", "scopes", "--wiki").json["scopes"]["tenant"]
    assert wiki == [need.name for need in (*SCOPES, *WIKI_SCOPES)]


def test_the_lists_are_the_contract() -> None:
    assert {need.name for need in EVENTS} == {
        "im.message.receive_v1",
        "im.message.recalled_v1",
        "im.chat.member.bot.added_v1",
        "im.chat.member.bot.deleted_v1",
        "im.chat.disbanded_v1",
        "im.chat.access_event.bot_p2p_chat_entered_v1",
        "application.bot.menu_v6",
    }
    for needs in (SCOPES, EVENTS, CALLBACKS, WIKI_SCOPES):
        names = [need.name for need in needs]
        assert len(names) == len(set(names))


@pytest.mark.parametrize("name", ["README.md", "README.en.md"])
def test_the_readme_names_the_same_scopes_and_events(name: str) -> None:
    text = (Path(__file__).parents[3] / name).read_text(encoding="utf-8")
    (block,) = re.findall(r"```json\n(\s*\{\s*\"scopes\".*?)```", text, re.DOTALL)
    assert json.loads(block) == json.loads(requirements.import_json(SCOPES))
    for need in (*EVENTS, *CALLBACKS):
        assert f"`{need.name}`" in text


def test_one_line_for_each_where_there_is_no_terminal(moqi: Installation, feishu: FeishuSimulator) -> None:
    feishu.console.events.remove("application.bot.menu_v6")
    (moqi.config / "platforms.yaml").write_text(yaml.safe_dump({"feishu": feishu.settings}), encoding="utf-8")
    out = moqi("doctor", "--port", "0").out
    assert "\n         application.bot.menu_v6 — the menu below the input of the chat\n" in out
