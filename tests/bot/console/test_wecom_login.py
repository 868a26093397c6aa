"""Coming in with a WeCom account: by QR code or inside WeCom, the same person as in the chat, and every refusal."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest

from bot.console import words
from bot.platforms.feishu.login import FeishuLogin
from bot.platforms.feishu.settings import FeishuSettings
from bot.platforms.web.settings import WebSettings
from bot.platforms.wecom.app.client import WecomClient
from bot.platforms.wecom.login import WecomLogin
from bot.platforms.wecom.settings import WecomApp
from storage import profiles, users
from storage.records import Identity, User, utcnow
from tests.blank import blank
from tests.bot.console.harness import Stage, stage
from tests.simulators.wecom import WecomSimulator

HERE = "https://moqi.example.com"
BACK = f"{HERE}/login/wecom"
ALICE = Identity(platform="wecom", external_id="alice")
DESK = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
INSIDE = f"{DESK} wxwork/4.1.36 (MicroMessenger/6.2) WindowsWechat"
PHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 "
    "wxwork/4.1.36 MicroMessenger/7.0.1 Language/zh ColorScheme/Light"
)


@dataclass
class Door:
    """The page, WeCom behind it, and a browser for whoever wants one."""

    made: Stage
    wecom: WecomSimulator
    greeted: list[Identity]

    def browser(self, agent: str = DESK) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.made.app)
        return httpx.AsyncClient(transport=transport, base_url=HERE, headers={"User-Agent": agent})

    async def leave(self, browser: httpx.AsyncClient) -> str:
        """Press the button on the page: the address at WeCom."""
        answer = await browser.get("/login/wecom/start")
        assert answer.status_code == 303
        return str(answer.headers["location"])

    def back(self, address: str, user: str = "Alice") -> str:
        """Where WeCom sends the browser next, as `user`; "" is somebody who is no member."""
        asked = query(address)
        answer = {"code": self.wecom.login(user), "state": asked["state"], "appid": asked["appid"]}
        return f"{asked['redirect_uri']}?{urlencode(answer)}"

    async def log_in(self, browser: httpx.AsyncClient, user: str = "Alice") -> httpx.Response:
        return await browser.get(self.back(await self.leave(browser), user))

    def person(self, identity: Identity = ALICE) -> User | None:
        return self.made.console.db.read_sync(users.of_identity, identity)


def query(address: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}


@asynccontextmanager
async def open_door(wecom: WecomSimulator, folder: Path, **more: Any) -> AsyncIterator[Door]:
    blank(folder / "moqi.db")
    greeted = list[Identity]()
    settings = WecomApp.model_validate(wecom.app_settings)
    client = WecomClient(settings)
    doors: dict[str, Any] = {"logins": {"wecom": WecomLogin(settings, client)}, "greet": greeted.append}
    with stage(folder, **{"web": WebSettings(public_url=HERE), **doors, **more}) as made:
        yield Door(made, wecom, greeted)
    await client.close()


@pytest.fixture(scope="module")
def platform() -> Iterator[WecomSimulator]:
    with WecomSimulator() as simulator:
        simulator.join("Alice", "爱丽丝", 2)
        simulator.join("hidden", "隐身", visible=False)
        yield simulator


@pytest.fixture
async def door(platform: WecomSimulator, tmp_path: Path) -> AsyncIterator[Door]:
    platform.app.trusted_ip = platform.app.enabled = True
    async with open_door(platform, tmp_path) as opened:
        yield opened


@pytest.fixture
async def browser(door: Door) -> AsyncIterator[httpx.AsyncClient]:
    async with door.browser() as client:
        yield client


def said(answer: httpx.Response) -> str:
    """What the page will say to somebody who was not let in; empty for somebody who was."""
    assert answer.status_code == 303
    address = urlsplit(answer.headers["location"])
    assert (address.scheme, address.netloc, address.path) == ("", "", "/")
    told = query(answer.headers["location"])
    if not told:
        return ""
    assert told["at"] == "wecom"
    return words.of("zh")[f"error_{told['login']}"].format(platform=words.of("zh")[f"platform_{told['at']}"])


async def session(browser: httpx.AsyncClient) -> Any:
    return (await browser.get("/api/session")).json()


# --- off to WeCom -----------------------------------------------------------------------------------------------


async def test_a_desk_is_shown_the_code_to_scan(door: Door, browser: httpx.AsyncClient) -> None:
    address = await door.leave(browser)
    assert address.startswith("https://login.work.weixin.qq.com/wwlogin/sso/login?login_type=CorpApp&")
    asked = query(address)
    assert re.fullmatch(r"[A-Za-z0-9]{32,128}", asked.pop("state"))
    app = door.wecom.app
    wanted = {"appid": app.corp_id, "agentid": str(app.agent_id), "redirect_uri": BACK, "login_type": "CorpApp"}
    assert asked == wanted
    assert not urlsplit(address).fragment


@pytest.mark.parametrize("agent", [INSIDE, PHONE])
async def test_inside_wecom_nobody_scans_anything(door: Door, agent: str) -> None:
    async with door.browser(agent) as browser:
        address = await door.leave(browser)
    assert address.startswith("https://open.weixin.qq.com/connect/oauth2/authorize?")
    assert address.endswith("#wechat_redirect")
    asked = query(address)
    assert re.fullmatch(r"[A-Za-z0-9]{32,128}", asked.pop("state"))
    assert asked == {
        "appid": door.wecom.app.corp_id,
        "agentid": str(door.wecom.app.agent_id),
        "redirect_uri": BACK,
        "response_type": "code",
        "scope": "snsapi_base",
    }


async def test_a_state_that_wecom_would_not_bring_back_is_a_defect(door: Door) -> None:
    login = door.made.console.logins["wecom"]
    for state in ("", "a-b_c", "x" * 129):
        with pytest.raises(ValueError, match="letters and digits"):
            login.address(BACK, state, "", DESK)


# --- and back again ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("agent", [DESK, PHONE])
async def test_a_person_of_the_chat_is_the_same_person_here(door: Door, agent: str) -> None:
    """The chat knows her in lower case, WeCom says her userid as it was once written."""
    known = await door.made.console.db.run(users.resolve, ALICE, "alice", utcnow())
    async with door.browser(agent) as browser:
        assert said(await door.log_in(browser, "ALICE")) == ""
        assert await session(browser) == {"id": known.id, "name": "爱丽丝", "role": "user"}
    assert door.greeted == [ALICE]
    profile = door.made.console.db.read_sync(profiles.get, ALICE)
    assert profile is not None
    assert (profile.tenant_key, profile.guest) == (door.wecom.app.corp_id, False)


async def test_a_code_works_once_and_for_five_minutes(door: Door, browser: httpx.AsyncClient) -> None:
    back = door.back(await door.leave(browser))
    door.wecom.advance(301)
    assert "再点一次“用企业微信登录”" in said(await browser.get(back))
    again = door.back(await door.leave(browser))
    code = query(again)["code"]
    assert said(await browser.get(again)) == ""
    other = query(await door.leave(browser))["state"]
    assert "已经用过" in said(await browser.get(f"{BACK}?{urlencode({'code': code, 'state': other})}"))


async def test_a_login_belongs_to_the_browser_that_began_it(door: Door, browser: httpx.AsyncClient) -> None:
    back = door.back(await door.leave(browser))
    asked = door.wecom.calls.count("GET /cgi-bin/auth/getuserinfo")
    async with door.browser() as victim:
        await door.leave(victim)
        assert "已失效" in said(await victim.get(back))
        assert await session(victim) is None
    assert "已失效" in said(await browser.get(back))
    assert door.wecom.calls.count("GET /cgi-bin/auth/getuserinfo") == asked


async def test_somebody_who_comes_back_without_a_code_is_told_how_to_go_on(
    door: Door, browser: httpx.AsyncClient
) -> None:
    state = query(await door.leave(browser))["state"]
    assert "在企业微信里取消了登录" in said(await browser.get(f"{BACK}?{urlencode({'state': state})}"))


async def test_somebody_outside_the_company_is_refused_politely(
    door: Door, browser: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    assert "不是本公司的成员" in said(await door.log_in(browser, ""))
    assert await session(browser) is None
    assert "openid and external_userid" in caplog.text


async def test_a_member_outside_the_visible_range_stays_out(door: Door, browser: httpx.AsyncClient) -> None:
    assert "可用范围" in said(await door.log_in(browser, "hidden"))
    assert door.person(Identity(platform="wecom", external_id="hidden")) is None


async def test_wecom_may_tell_the_id_of_a_member_whom_the_app_does_not_see(
    door: Door, browser: httpx.AsyncClient
) -> None:
    """auth/getuserinfo answers for every member of the company: the directory is what keeps them out."""
    member = door.wecom.join("moved", "走了")
    back = door.back(await door.leave(browser), "moved")
    door.wecom.fail("code", on="user/get", code=60011)
    assert "可用范围" in said(await browser.get(back))
    assert door.person(Identity(platform="wecom", external_id="moved")) is None
    del door.wecom.members[member.userid]


@pytest.mark.parametrize(
    ("code", "cause", "person"),
    [
        (50001, "网页授权及JS-SDK", "没有配置好"),
        (60020, "203.0.113.7", "没有配置好"),
        (50003, "switched off", "没有配置好"),
        (40001, "Secret", "没有配置好"),
        (45009, "limit of calls", "没有回应"),
        (-1, "busy", "没有回应"),
    ],
)
async def test_the_operator_gets_the_cause_and_the_person_a_plain_sentence(
    door: Door, browser: httpx.AsyncClient, caplog: pytest.LogCaptureFixture, code: int, cause: str, person: str
) -> None:
    back = door.back(await door.leave(browser))
    door.wecom.fail("code", on="auth/getuserinfo", code=code, times=2)
    try:
        assert person in said(await browser.get(back))
    finally:
        door.wecom.world.faults.clear()
    assert f"WeCom {code}" in caplog.text
    assert cause in caplog.text
    assert await session(browser) is None


@pytest.mark.parametrize("on", ["auth/getuserinfo", "user/get"])
@pytest.mark.parametrize("fault", ["html", "garbage", "close", "torn"])
async def test_a_bad_day_of_wecom(door: Door, browser: httpx.AsyncClient, on: str, fault: str) -> None:
    back = door.back(await door.leave(browser))
    door.wecom.fail(fault, on=on, times=1)
    try:
        assert "没有回应" in said(await browser.get(back))
    finally:
        door.wecom.world.faults.clear()
    assert await session(browser) is None


async def test_a_token_that_was_taken_back_is_renewed_on_the_way(door: Door, browser: httpx.AsyncClient) -> None:
    await door.log_in(browser)
    door.wecom.revoke_tokens(42001)
    async with door.browser() as other:
        assert said(await door.log_in(other, "bob")) == ""


async def test_no_log_names_a_code_or_a_token(
    door: Door, browser: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    back = door.back(await door.leave(browser))
    secrets = [query(back)["code"], door.wecom.app.secret, *door.wecom.api.tokens]
    door.wecom.fail("code", on="auth/getuserinfo", code=60020)
    await browser.get(back)
    await door.log_in(browser)
    logged = "\n".join(record.getMessage() for record in caplog.records if not record.name.startswith("httpx"))
    assert not any(secret in logged for secret in secrets)


async def test_somebody_who_is_banned_stays_out(door: Door, browser: httpx.AsyncClient) -> None:
    person = await door.made.console.db.run(users.resolve, ALICE, "x", utcnow())
    await door.made.console.db.run(users.set_banned, person.id, True)
    assert "停用" in said(await door.log_in(browser))


# --- the page ---------------------------------------------------------------------------------------------------


async def test_the_page_has_a_button_for_each_platform(platform: WecomSimulator, tmp_path: Path) -> None:
    async def organisation() -> str:
        return "tenant"

    settings = FeishuSettings.model_validate({"enabled": True, "app_id": "cli_1", "app_secret": "s"})
    wecom = WecomApp.model_validate(platform.app_settings)
    client = WecomClient(wecom)
    doors = {
        "feishu": FeishuLogin("feishu", settings, organisation),
        "feishu-design": FeishuLogin("feishu-design", settings, organisation),
        "wecom": WecomLogin(wecom, client),
    }
    async with open_door(platform, tmp_path, logins=doors, names=False) as door, door.browser() as browser:
        page = (await browser.get("/")).text
        answer = await browser.post("/api/session", json={"name": "小墨"})
    await client.close()
    buttons = re.findall(r'door-account" href="(/login/[\w-]+/start)">(.*?)</a>', page)
    assert buttons == [
        ("/login/feishu/start", "用飞书登录"),
        ("/login/feishu-design/start", "用飞书登录 · design"),
        ("/login/wecom/start", "用企业微信登录"),
    ]
    assert "和飞书或企业微信里的你是同一个人" in page
    assert "请用飞书或企业微信登录" in answer.json()["error"]["text"]
