"""Coming in with a Feishu account: the same person as in the chat, and every way it may go wrong said in words."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from bot.console import words
from bot.console.logins import COOKIE
from bot.platforms.feishu.login import FeishuLogin
from bot.platforms.feishu.settings import FeishuSettings
from bot.platforms.web.settings import WebSettings
from storage import logins, profiles, users
from storage.records import Identity, User, utcnow
from tests.bot.console.harness import Stage, stage
from tests.simulators.feishu import FeishuSimulator

HERE = "http://127.0.0.1:8080"
BACK = f"{HERE}/login/feishu"
ALICE = Identity(platform="feishu", external_id="ou_alice")


@dataclass
class Door:
    """The page, Feishu behind it, and a browser for whoever wants one."""

    made: Stage
    feishu: FeishuSimulator
    own: list[str]  # what tells the own organisation
    greeted: list[Identity]

    def browser(self, address: str = HERE) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.ASGITransport(self.made.app), base_url=address)

    async def leave(self, browser: httpx.AsyncClient) -> str:
        """Press the button on the page: the address at Feishu."""
        answer = await browser.get("/login/feishu/start")
        assert answer.status_code == 303
        return answer.headers["location"]

    async def agree(self, address: str) -> str:
        """What Feishu does next: the address it sends the browser back to."""
        return await asyncio.to_thread(_sent_back, address)

    async def log_in(self, browser: httpx.AsyncClient) -> httpx.Response:
        return await browser.get(await self.agree(await self.leave(browser)))

    def person(self, identity: Identity = ALICE) -> User | None:
        return self.made.console.db.read_sync(users.of_identity, identity)


def _sent_back(address: str) -> str:
    parts = urlsplit(address)
    outside = http.client.HTTPConnection(parts.netloc)  # httpx would set up TLS first, each time
    try:
        outside.request("GET", f"{parts.path}?{parts.query}")
        answer = outside.getresponse()
        assert answer.status == 302, answer.read()
        return str(answer.headers["location"])
    finally:
        outside.close()


@asynccontextmanager
async def open_door(feishu: FeishuSimulator, folder: Path, **more: Any) -> AsyncIterator[Door]:
    own, greeted = ["tenant"], list[Identity]()
    settings = FeishuSettings.model_validate({**feishu.settings, "allowed_tenants": ["friends"]})

    async def organisation() -> str:
        return own[0]

    login = FeishuLogin("feishu", settings, organisation)
    with stage(folder, **{"logins": {"feishu": login}, "greet": greeted.append, **more}) as made:
        yield Door(made, feishu, own, greeted)
    await login.close()


@pytest.fixture(scope="module")
def platform() -> Iterator[FeishuSimulator]:
    with FeishuSimulator() as simulator:
        simulator.directory.join("ou_alice", "王小墨")
        simulator.directory.join("ou_other", "外人", tenant_key="other")
        simulator.directory.join("ou_friend", "友人", tenant_key="friends")
        yield simulator


@pytest.fixture
async def door(platform: FeishuSimulator, tmp_path: Path) -> AsyncIterator[Door]:
    platform.accounts.at_browser, platform.accounts.cancels = "ou_alice", False
    platform.accounts.unavailable.clear()
    platform.accounts.redirect_urls = {BACK, "https://moqi.example/login/feishu"}
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
    code = parse_qs(address.query).get("login", [""])[0]
    return words.of("zh")[f"error_{code}"] if code else ""


async def session(browser: httpx.AsyncClient) -> Any:
    return (await browser.get("/api/session")).json()


async def test_a_person_of_the_chat_is_the_same_person_here(door: Door, browser: httpx.AsyncClient) -> None:
    known = await door.made.console.db.run(users.resolve, ALICE, "ou_alice", utcnow())
    answer = await door.log_in(browser)
    assert said(answer) == ""
    assert await session(browser) == {"id": known.id, "name": "王小墨", "role": "user"}
    assert door.greeted == [ALICE]
    profile = door.made.console.db.read_sync(profiles.get, ALICE)
    assert profile is not None
    assert (profile.union_id, profile.tenant_key) == ("on_alice", "tenant")


async def test_somebody_new_is_made_and_never_an_admin(door: Door, browser: httpx.AsyncClient) -> None:
    await door.log_in(browser)
    assert (await session(browser))["role"] == "user"  # `first_is_admin` is for names on the page


async def test_what_feishu_is_asked_for(door: Door, browser: httpx.AsyncClient) -> None:
    answer = await browser.get("/login/feishu/start")
    address = urlsplit(answer.headers["location"])
    asked = {name: values[0] for name, values in parse_qs(address.query).items()}
    assert f"{address.scheme}://{address.netloc}" == door.feishu.url
    assert address.path == "/open-apis/authen/v1/authorize"
    assert (asked["redirect_uri"], asked["response_type"], asked["code_challenge_method"]) == (BACK, "code", "S256")
    assert asked["client_id"] == door.feishu.app.app_id
    assert len(asked["state"]) >= 43
    cookie = answer.headers["set-cookie"].lower()
    for part in ("httponly", "samesite=lax", "path=/login/feishu", "max-age=600"):
        assert part in cookie
    secret = browser.cookies[COOKIE]
    assert secret not in answer.headers["location"]  # the proof never leaves the browser before the code is back
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "form-action 'self'" in answer.headers["content-security-policy"]


async def test_the_address_is_the_public_one_where_it_is_set(platform: FeishuSimulator, tmp_path: Path) -> None:
    web = WebSettings(public_url="https://moqi.example/")
    async with open_door(platform, tmp_path, web=web) as door:
        async with door.browser("https://inside:8443") as browser:
            answer = await browser.get("/login/feishu/start")
        assert "redirect_uri=https%3A%2F%2Fmoqi.example%2Flogin%2Ffeishu&" in answer.headers["location"]
        assert "secure" in answer.headers["set-cookie"].lower()


# --- what may go wrong ------------------------------------------------------------------------------------------


async def test_a_state_works_once(door: Door, browser: httpx.AsyncClient) -> None:
    back = await door.agree(await door.leave(browser))
    proof = browser.cookies[COOKIE]
    assert said(await browser.get(back)) == ""
    async with door.browser() as again:
        again.cookies.set(COOKIE, proof, path="/login/feishu")
        assert "已失效" in said(await again.get(back))
        assert await session(again) is None


async def test_a_login_belongs_to_the_browser_that_began_it(door: Door, browser: httpx.AsyncClient) -> None:
    """Whoever is sent somebody else's address back must not end up in their account."""
    back = await door.agree(await door.leave(browser))
    async with door.browser() as victim:
        await door.leave(victim)
        assert "已失效" in said(await victim.get(back))
        assert await session(victim) is None
    assert "已失效" in said(await browser.get(back))  # and the state is used up


@pytest.mark.parametrize("query", ["", "?code=x", "?state=x", "?state=x&code=y", "?error=access_denied"])
async def test_an_address_nobody_began_is_refused(door: Door, browser: httpx.AsyncClient, query: str) -> None:
    assert "已失效" in said(await browser.get(f"/login/feishu{query}"))


async def test_ten_minutes_are_all_there_is(door: Door, browser: httpx.AsyncClient) -> None:
    db = door.made.console.db
    early = utcnow() - logins.LASTS
    state, proof = await db.run(logins.begin, "feishu", BACK, early)
    assert await db.run(logins.finish, "feishu", state, proof, utcnow()) is None
    state, proof = await db.run(logins.begin, "feishu", BACK, early + timedelta(seconds=30))
    assert await db.run(logins.finish, "feishu", state, proof, utcnow()) == BACK


async def test_a_login_of_another_app_is_refused(door: Door) -> None:
    db = door.made.console.db
    state, proof = await db.run(logins.begin, "feishu", BACK, utcnow())
    assert await db.run(logins.finish, "lark", state, proof, utcnow()) is None


async def test_a_flood_of_logins_is_refused(
    door: Door, browser: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logins, "MOST", 2)
    await door.leave(browser)
    await door.leave(browser)
    assert "没有回应" in said(await browser.get("/login/feishu/start"))


async def test_only_hashes_of_a_login_are_kept(door: Door, browser: httpx.AsyncClient) -> None:
    address = await door.leave(browser)
    state = parse_qs(urlsplit(address).query)["state"][0]
    kept = b"".join(path.read_bytes() for path in door.made.console.files.root.parent.glob("moqi.db*"))
    assert state.encode() not in kept
    assert browser.cookies[COOKIE].encode() not in kept


async def test_somebody_who_cancels_is_told_how_to_go_on(door: Door, browser: httpx.AsyncClient) -> None:
    door.feishu.accounts.cancels = True
    assert "取消了登录" in said(await door.log_in(browser))


async def test_a_code_that_waited_too_long(door: Door, browser: httpx.AsyncClient) -> None:
    back = await door.agree(await door.leave(browser))
    door.feishu.advance(301)
    assert "过期" in said(await browser.get(back))


async def test_trap_29_people_of_another_organisation_stay_out(door: Door, browser: httpx.AsyncClient) -> None:
    door.feishu.accounts.at_browser = "ou_other"
    assert "另一家公司" in said(await door.log_in(browser))
    assert door.person(Identity(platform="feishu", external_id="ou_other")) is None


async def test_an_organisation_that_an_admin_named_comes_in(door: Door, browser: httpx.AsyncClient) -> None:
    door.feishu.accounts.at_browser = "ou_friend"
    assert said(await door.log_in(browser)) == ""


async def test_nobody_comes_in_while_the_own_organisation_is_unknown(
    door: Door, browser: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    door.own[0] = ""
    assert "没有配置好" in said(await door.log_in(browser))
    assert "tenant:tenant:readonly" in caplog.text


async def test_somebody_without_the_right_to_use_the_app(door: Door, browser: httpx.AsyncClient) -> None:
    door.feishu.accounts.unavailable.add("ou_alice")
    assert "可用范围" in said(await door.log_in(browser))


async def test_an_app_secret_that_is_not_right_any_more(
    door: Door, browser: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    before, door.feishu.secret = door.feishu.secret, "rotated"
    try:
        assert "没有配置好" in said(await door.log_in(browser))
    finally:
        door.feishu.secret = before
    assert "20002" in caplog.text
    assert before not in caplog.text


@pytest.mark.parametrize(
    ("on", "fault"),
    [
        *(("/oauth/v3/token", fault) for fault in ("html", "500", "garbage", "empty", "close", "cut")),
        ("/authen/v1/user_info", "html"),
        ("/authen/v1/user_info", "close"),
    ],
)
async def test_a_bad_day_of_feishu(door: Door, browser: httpx.AsyncClient, on: str, fault: str) -> None:
    back = await door.agree(await door.leave(browser))
    door.feishu.fail(fault, on=on)
    assert "没有回应" in said(await browser.get(back))
    assert await session(browser) is None


async def test_somebody_who_is_banned_stays_out(door: Door, browser: httpx.AsyncClient) -> None:
    person = await door.made.console.db.run(users.resolve, ALICE, "x", utcnow())
    await door.made.console.db.run(users.set_banned, person.id, True)
    assert "停用" in said(await door.log_in(browser))
    assert "moqi_session" not in browser.cookies


async def test_no_log_names_a_code_or_a_token(
    door: Door, browser: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", logger="moqi")
    caplog.set_level("DEBUG", logger="bot")
    door.feishu.accounts.unavailable.add("ou_alice")
    await door.log_in(browser)
    secrets = [*door.feishu.accounts.grants, *door.feishu.accounts.tokens, door.feishu.app.app_secret]
    assert not any(secret in caplog.text for secret in secrets)


# --- the page ---------------------------------------------------------------------------------------------------


async def page(door: Door) -> str:
    async with door.browser() as browser:
        return (await browser.get("/")).text


async def test_the_page_offers_the_account_before_the_name(door: Door) -> None:
    text = await page(door)
    assert text.index('href="/login/feishu/start"') < text.index('id="door-input"')
    assert json.loads(re.findall(r'id="boot">(.*?)</script>', text)[0])["names"] is True


async def test_where_names_are_not_given_out_a_code_still_works(platform: FeishuSimulator, tmp_path: Path) -> None:
    async with open_door(platform, tmp_path, names=False) as door:
        assert '<div id="door-own" class="door-own" hidden>' in await page(door)
        async with door.browser() as browser:
            answer = await browser.post("/api/session", json={"name": "小墨"})
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "no_names")
            assert "飞书" in answer.json()["error"]["text"]
            answer = await browser.post("/api/session", json={"login": "no such"})
            assert answer.json()["error"]["code"] == "bad_code"


async def test_without_feishu_the_page_is_as_it_was(tmp_path: Path) -> None:
    with stage(tmp_path) as made:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(made.app), base_url=HERE) as browser:
            assert "/login/" not in (await browser.get("/")).text
            assert (await browser.get("/login/feishu/start")).status_code == 404
