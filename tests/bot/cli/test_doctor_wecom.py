"""`moqi doctor` about WeCom: each thing that may be wrong in its consoles, named with where to set it right."""

from __future__ import annotations

import asyncio
import re
import textwrap
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from bot.cli.common import Exit
from bot.context import Pressed
from bot.doctor import Check
from bot.events import ChatEvent
from bot.platforms.wecom.robot.listener import open_robot
from bot.platforms.wecom.settings import WecomAibot
from bot.replies import Words
from bot.settings import Environment, Platforms
from bot.wecom_doctor import domain_of, examine_app, webhooks
from bot.wecom_robot_doctor import lease, robot
from storage import leases, links
from storage.records import utcnow
from tests.bot.cli.installation import Installation
from tests.bot.cli.test_doctor import broken, examined, write
from tests.simulators.wecom import WecomSimulator

PUBLIC = "https://moqi.example.com"


@pytest.fixture(scope="module")
def world() -> Iterator[WecomSimulator]:
    with WecomSimulator() as simulator:
        yield simulator


@pytest.fixture
def wecom(world: WecomSimulator) -> Iterator[WecomSimulator]:
    """One simulator for all, put right again after each."""
    yield world
    world.world.faults.clear()
    world.app.trusted_ip = world.app.enabled = True
    world.app.domain, world.robot.url = "moqi.example.com", ""
    for member in world.members.values():
        member.visible = True


def said(check: Check) -> str:
    return f"{check.ok} {check.detail}{check.problem} | {check.next_step}"


async def app_of(wecom: WecomSimulator, folder: Path, web: dict[str, Any] | None = None, **app: Any) -> dict[str, str]:
    """What is said of the app."""
    sections = {"web": {"public_url": PUBLIC, **(web or {})}, "wecom": {"app": {**wecom.app_settings, **app}}}
    return {one.name: said(one) for one in await examine_app(Platforms.model_validate(sections), folder)}


# --- the app ----------------------------------------------------------------------------------------------------


async def test_an_app_that_has_everything(wecom: WecomSimulator, tmp_path: Path) -> None:
    found = await app_of(wecom, tmp_path)
    assert list(found) == ["wecom app", "wecom app people", "wecom app messages", "wecom login"]
    assert all(text.startswith("True") for text in found.values())
    assert f"accepts {wecom.app.corp_id}; the app is 墨契, for 2 members" in found["wecom app"]
    assert "names and departments can be looked up" in found["wecom app people"]
    assert f"Enter {PUBLIC}/wecom/app as URL" in found["wecom app messages"]
    assert "the trusted domain is moqi.example.com" in found["wecom login"]
    assert not any("message/send" in call for call in wecom.calls)  # nobody is written to


@pytest.mark.parametrize(
    ("app", "field", "step"),
    [
        ({"corp_id": "ww0"}, "wecom.app.corp_id is wrong", "我的企业 > 企业ID"),
        ({"secret": "of-another"}, "wecom.app.secret is not the app's", "应用管理 > the app > Secret"),
        ({"agent_id": "7"}, "wecom.app.agent_id and wecom.app.secret are of two apps", "Copy both"),
    ],
)
async def test_credentials_that_are_wrong(
    wecom: WecomSimulator, tmp_path: Path, app: dict[str, Any], field: str, step: str
) -> None:
    found = await app_of(wecom, tmp_path, **app)
    assert found["wecom app"].startswith("False")
    assert field in found["wecom app"]
    assert step in found["wecom app"]
    assert "of-another" not in found["wecom app"]
    assert "wecom app people" not in found
    assert f"{PUBLIC}/wecom/app" in found["wecom app messages"]  # what is to be entered is said all the same


async def test_a_machine_whose_address_is_not_trusted(wecom: WecomSimulator, tmp_path: Path) -> None:
    wecom.app.trusted_ip = False
    text = (await app_of(wecom, tmp_path))["wecom app"]
    assert text.startswith("False")
    assert "60020: it takes no calls from this machine's address, 203.0.113.7." in text  # as WeCom sees it
    assert "企业可信IP" in text
    assert "before the app has a trusted domain or an address for callbacks" in text


async def test_an_app_that_is_switched_off(wecom: WecomSimulator, tmp_path: Path) -> None:
    wecom.app.enabled = False
    text = (await app_of(wecom, tmp_path))["wecom app"]
    assert text.startswith("False The app is switched off")
    assert "switches off what nobody uses" in text


async def test_an_app_that_nobody_sees(wecom: WecomSimulator, tmp_path: Path) -> None:
    for member in wecom.members.values():
        member.visible = False
    text = (await app_of(wecom, tmp_path))["wecom app"]
    assert text.startswith("False Nobody is in the app's visible range")
    assert "可见范围" in text


@pytest.mark.parametrize("call", ["user/get", "department/list"])
async def test_names_and_departments_that_cannot_be_read(wecom: WecomSimulator, tmp_path: Path, call: str) -> None:
    wecom.fail("code", on=call, code=60011)
    text = (await app_of(wecom, tmp_path))["wecom app people"]
    assert text.startswith("True names and departments cannot be looked up (WeCom 60011")
    assert "可见范围" in text


@pytest.mark.parametrize("fault", ["html", "garbage", "close"])
async def test_an_api_that_gives_no_usable_answer(wecom: WecomSimulator, tmp_path: Path, fault: str) -> None:
    wecom.fail(fault, on="/cgi-bin/", times=9)
    text = (await app_of(wecom, tmp_path))["wecom app"]
    assert text.startswith("False")
    assert "gives no usable answer" in text
    assert "wecom.app.base_url" in text


async def test_an_app_that_only_sends(wecom: WecomSimulator, tmp_path: Path) -> None:
    text = (await app_of(wecom, tmp_path, token="", encoding_aes_key=""))["wecom app messages"]
    assert text.startswith("True the app only sends")
    assert "wecom.app.token and encoding_aes_key" in text


@pytest.mark.parametrize(
    ("domain", "public_url", "ok"),
    [
        ("moqi.example.com", PUBLIC, True),
        ("Moqi.example.com", f"{PUBLIC}:443", True),
        ("moqi.example.com:8443", f"{PUBLIC}:8443", True),
        ("moqi.example.com", f"{PUBLIC}:8443", False),
        ("moqi.example.com:8443", PUBLIC, False),
        ("example.com", PUBLIC, False),
        ("", PUBLIC, False),
    ],
)
async def test_a_trusted_domain_is_host_and_port_exactly(
    wecom: WecomSimulator, tmp_path: Path, domain: str, public_url: str, ok: bool
) -> None:
    wecom.app.domain = domain
    text = (await app_of(wecom, tmp_path, {"public_url": public_url}))["wecom login"]
    assert text.startswith(str(ok))
    if not ok:
        assert f"Enter {domain_of(public_url)} exactly" in text
        assert f"WW_verify_….txt offered there goes into {tmp_path}" in text


async def test_the_file_that_proves_the_domain_is_named(wecom: WecomSimulator, tmp_path: Path) -> None:
    (tmp_path / "WW_verify_abc.txt").write_text("abc", encoding="ascii")
    wecom.app.domain = ""
    text = (await app_of(wecom, tmp_path))["wecom login"]
    assert f"It is proved by {PUBLIC}/WW_verify_abc.txt, served from {tmp_path}" in text


async def test_the_login_says_what_it_needs(wecom: WecomSimulator, tmp_path: Path) -> None:
    assert "Set web.public_url" in (await app_of(wecom, tmp_path, {"public_url": ""}))["wecom login"]
    assert "wecom login" not in await app_of(wecom, tmp_path, {"login": "name"})
    assert "wecom login" not in await app_of(wecom, tmp_path, {"enabled": False})
    assert "web.login: wecom ends that" in (await app_of(wecom, tmp_path, {"login": "both"}))["wecom login"]
    assert "ends that" not in (await app_of(wecom, tmp_path))["wecom login"]


# --- the robot --------------------------------------------------------------------------------------------------


def robot_of(wecom: WecomSimulator, environment: Environment, **aibot: Any) -> dict[str, str]:
    """What is said of the robot."""
    platforms = Platforms.model_validate({"wecom": {"aibot": {**wecom.aibot_settings, **aibot}}})
    return {one.name: said(one) for one in robot(platforms, environment, PUBLIC)}


@pytest.fixture
def nothing(tmp_path: Path) -> Environment:
    """Where no server ever ran."""
    return Environment(config=tmp_path, data=tmp_path / "data", database_url="")


def test_the_long_connection_is_tried_and_closed(wecom: WecomSimulator, nothing: Environment) -> None:
    text = robot_of(wecom, nothing)["wecom robot"]
    assert text.startswith("True by long connection, which WeCom accepts")
    assert "可使用的成员" in text
    assert "10 people or fewer" in text
    wecom.wait(lambda: wecom.gateway.of(wecom.robot) is None)
    assert not nothing.data.exists()
    assert not wecom.strange


@pytest.mark.parametrize(
    ("aibot", "blamed"),
    [
        ({"bot_id": "1000002"}, "wecom.aibot.bot_id begins with aib, this one does not"),
        ({"bot_id": "not-a-robot", "secret": "aibMoqiRobot0001"}, "wecom.aibot.secret is a Bot ID"),
        ({"secret": "reset-since"}, "it is the secret: get a new one"),
    ],
)
def test_which_field_wecom_means_by_853000(
    wecom: WecomSimulator, nothing: Environment, aibot: dict[str, str], blamed: str
) -> None:
    text = robot_of(wecom, nothing, **aibot)["wecom robot"]
    assert text.startswith("False WeCom 853000")
    assert blamed in text
    assert "使用长连接" in text
    assert "reset-since" not in text


def test_a_robot_in_the_other_mode_is_refused_alike(wecom: WecomSimulator, nothing: Environment) -> None:
    wecom.robot.url = f"{PUBLIC}/wecom/aibot"
    assert "with 设置接收消息回调地址 this is refused, too" in robot_of(wecom, nothing)["wecom robot"]


def test_a_gateway_that_does_not_answer(wecom: WecomSimulator, nothing: Environment) -> None:
    text = robot_of(wecom, nothing, ws_url="ws://127.0.0.1:1")["wecom robot"]
    assert text.startswith("False ws://127.0.0.1:1 does not answer: ")
    wecom.fail("close", on="aibot_subscribe")
    assert "wecom.aibot.ws_url" in robot_of(wecom, nothing)["wecom robot"]


def test_trap_12_a_robot_that_a_server_holds_is_left_alone(moqi: Installation, wecom: WecomSimulator) -> None:
    environment = Environment(config=moqi.config, data=moqi.data, database_url="")
    platforms = Platforms.model_validate({"wecom": {"aibot": wecom.aibot_settings}})
    mine, now = lease(platforms.wecom.aibot), utcnow()
    opened = wecom.gateway.opened
    with moqi.database() as db:
        assert db.run_sync(leases.take, mine, "the server", now + timedelta(seconds=60), now)
        text = robot_of(wecom, environment)["wecom robot"]
        assert text.startswith("True a running server holds its long connection")
        assert "/readyz" in text
        assert wecom.gateway.opened == opened  # not even dialled
        assert db.run_sync(leases.release, mine, "the server", utcnow())
    assert "which WeCom accepts" in robot_of(wecom, environment)["wecom robot"]
    assert wecom.gateway.opened == opened + 1
    with moqi.database() as db:  # and given back: a server may begin at once
        assert db.run_sync(leases.take, mine, "the server", now + timedelta(seconds=60), utcnow())


async def test_trap_12_what_the_server_holds_is_what_doctor_looks_at(moqi: Installation, wecom: WecomSimulator) -> None:
    environment = Environment(config=moqi.config, data=moqi.data, database_url="")
    settings = WecomAibot.model_validate(wecom.aibot_settings)

    async def nothing(event: ChatEvent) -> Pressed:
        raise AssertionError(event)

    with moqi.database() as db:
        _, listener = open_robot(settings, db, nothing, nothing, Words("zh"))
        serving = asyncio.create_task(listener.run())
        try:
            await asyncio.to_thread(wecom.connected)
            opened = wecom.gateway.opened
            text = (await asyncio.to_thread(robot_of, wecom, environment))["wecom robot"]
            assert text.startswith("True a running server holds its long connection")
            assert (wecom.gateway.opened, listener.complaint()) == (opened, "")
        finally:
            listener.stop()
            await serving


def test_trap_12_nobody_can_take_the_robot_while_it_is_tried(
    moqi: Installation, wecom: WecomSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bot.platforms.wecom import inspection

    environment = Environment(config=moqi.config, data=moqi.data, database_url="")
    real = inspection.subscribe
    taken: list[bool] = []
    with moqi.database() as db:

        async def meanwhile(settings: WecomAibot, patience: float) -> inspection.Subscription:
            now = utcnow()
            taken.append(await db.run(leases.take, lease(settings), "a server", now + timedelta(seconds=9), now))
            return await real(settings, patience)

        monkeypatch.setattr(inspection, "subscribe", meanwhile)
        assert "which WeCom accepts" in robot_of(wecom, environment)["wecom robot"]
    assert taken == [False]


def test_a_database_that_does_not_tell_who_holds_the_robot(wecom: WecomSimulator, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "moqi.db").write_bytes(b"no database" * 1000)
    opened = wecom.gateway.opened
    text = robot_of(wecom, Environment(config=tmp_path, data=data, database_url=""))["wecom robot"]
    assert text.startswith("True not tried: whether a server has its connection cannot be told")
    assert wecom.gateway.opened == opened


def test_the_robot_by_callback(wecom: WecomSimulator, nothing: Environment) -> None:
    platforms = Platforms.model_validate({"wecom": {"aibot": wecom.callback_settings}})
    found = {one.name: said(one) for one in robot(platforms, nothing, PUBLIC)}
    assert f"Enter {PUBLIC}/wecom/aibot as URL" in found["wecom robot"]
    assert "设置接收消息回调地址" in found["wecom robot"]
    assert "Token" in found["wecom robot"]


def test_the_name_of_the_robot(wecom: WecomSimulator, nothing: Environment) -> None:
    assert "True mentioned as @墨契 Moqi" in robot_of(wecom, nothing)["wecom robot name"]
    assert "Set wecom.aibot.name" in robot_of(wecom, nothing, name=" ")["wecom robot name"]


# --- whom the robot knows ---------------------------------------------------------------------------------------


def people_of(wecom: WecomSimulator, moqi: Installation, *ids: str, app: bool) -> str:
    """What is said of people once the robot was written to by these ids."""
    sections = {"aibot": wecom.callback_settings, **({"app": wecom.app_settings} if app else {})}
    environment = Environment(config=moqi.config, data=moqi.data, database_url="")
    with moqi.database() as db:
        db.run_sync(links.note, "wecom", {one: one.lower() for one in ids})
    platforms = Platforms.model_validate({"wecom": sections})
    return {one.name: said(one) for one in robot(platforms, environment, PUBLIC)}["wecom robot people"]


def test_encrypted_ids_without_an_app(moqi: Installation, wecom: WecomSimulator) -> None:
    wecom.robot.encrypts = True
    text = people_of(wecom, moqi, wecom.id_of("alice"), "zhangsan", app=False)
    wecom.robot.encrypts = False
    assert text.startswith("True 1 of 2 are known by an encrypted id only: the robot's creator is no super-admin")
    assert "超级管理员" in text
    assert "wecom.app" in text


def test_plain_ids_without_an_app(moqi: Installation, wecom: WecomSimulator) -> None:
    text = people_of(wecom, moqi, "zhangsan", app=False)
    assert text.startswith("True known by the ids that the robot is told | Without the app the robot's ids are all")


def test_ids_that_the_app_resolves(moqi: Installation, wecom: WecomSimulator) -> None:
    assert "the app tells who they are (0 met)" in people_of(wecom, moqi, app=True)
    assert "1 of 1 ids are not resolved yet" in people_of(wecom, moqi, "woXYZ", app=True)
    wecom.fail("code", on="openuserid_to_userid", code=48002)
    text = people_of(wecom, moqi, app=True)
    assert text.startswith("True the app cannot tell whose the robot's ids are (WeCom 48002")


# --- group robots, and all of it --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "ok"),
    [
        ("https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=693a91f6-7aec-4bc4-97a0-0ec2df5a5aaa", True),
        ("693a91f6-7aec-4bc4-97a0-0ec2df5a5aaa", True),
        ("https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=693a91f6", False),
        ("693a91f6 7aec 4bc4", False),
    ],
)
def test_only_the_form_of_a_webhook_is_looked_at(address: str, ok: bool) -> None:
    platforms = Platforms.model_validate({"wecom": {"webhooks": {"design": address}}})
    (check,) = webhooks(platforms.wecom)
    assert (check.name, check.ok) == ("wecom webhook design", ok)
    assert "693a91f6" not in said(check)
    assert "nothing was sent" in check.detail or not ok


def test_all_of_it_in_one_installation(moqi: Installation, wecom: WecomSimulator) -> None:
    sections = {"web": {"public_url": PUBLIC}, "wecom": {**wecom.settings, "webhooks": {"design": "x" * 36}}}
    write(moqi, "platforms", sections)
    checks = examined(moqi)
    assert broken(checks) == {}
    assert {"packages for wecom", "wecom app", "wecom robot", "wecom webhook design"} < set(checks)
    ran = moqi("doctor", "--port", "0")
    assert "ok     wecom robot: by long connection, which WeCom accepts\n       next step: Who may" in ran.out
    secrets = (wecom.app.secret, wecom.app.token, wecom.app.aes_key, wecom.robot.secret, "x" * 36)
    assert not any(secret in ran.out for secret in secrets)
    wecom.app.trusted_ip = False
    assert moqi("doctor", "--port", "0", "--json").code == Exit.BROKEN


@pytest.mark.parametrize("name", ["README.md", "README.en.md"])
def test_the_settings_in_the_readme_can_be_used(name: str) -> None:
    text = (Path(__file__).parents[3] / name).read_text(encoding="utf-8")
    blocks = [textwrap.dedent(one) for one in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]
    filled = [yaml.safe_load(re.sub(r"\$\{\w+\}", "x" * 43, one)) for one in blocks if "wecom:" in one]
    robot_, app, hooks = map(Platforms.model_validate, filled)
    assert (robot_.wecom.aibot.enabled, robot_.wecom.aibot.name) == (True, "墨契")
    assert (app.wecom.app.listens, app.account_platforms, app.takes_names) == (True, ("wecom",), False)
    assert f"{app.web.public_url}/wecom/app" in text
    assert f"{app.web.public_url}/login/wecom/start" in text
    assert next(webhooks(hooks.wecom)).ok


def test_without_wecom_one_line_says_so(moqi: Installation) -> None:
    assert "ok     wecom: not enabled in platforms.yaml\n" in moqi("doctor", "--port", "0").out
