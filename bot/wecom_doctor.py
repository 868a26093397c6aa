"""What `moqi doctor` looks at in WeCom: the app's credentials, range, callbacks and login; the robot; group robots.

What keeps people from talking to the bot, or from coming in where they are meant to, is broken; what only a feature
needs is a next step. Nobody is written to, and a robot that somebody may be serving is left alone.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Iterator, Mapping
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlsplit

from bot.doctor import PATIENCE, Check, failed, packages
from bot.platforms.base import PlatformError, Retry
from bot.platforms.wecom import inspection, proof
from bot.platforms.wecom.app.client import WecomClient
from bot.platforms.wecom.inspection import APP_PAGE, RANGE_PAGE, App
from bot.platforms.wecom.settings import Wecom, WecomApp, WecomWebhook, check
from bot.settings import Environment, Settings
from bot.settings.platforms import Platforms
from bot.wecom_robot_doctor import robot

T = TypeVar("T")

TRUSTED_PAGE: Final = f"{APP_PAGE} > 网页授权及JS-SDK > 可信域名"
_UNTRUSTED: Final = 60020
_TRUST: Final = (
    f"Add it to {APP_PAGE} > 企业可信IP; it counts after about a minute. It must be the organisation's own, and the "
    "page takes none before the app has a trusted domain or an address for callbacks. Behind a changing address the "
    "app cannot be served; the robot's long connection can."
)
#: What is wrong by WeCom's codes, and what to do about it.
_FIELDS: Final[Mapping[int, tuple[str, str]]] = {
    40013: ("wecom.app.corp_id is wrong", "Copy it from the admin console (管理后台) > 我的企业 > 企业ID."),
    40001: ("wecom.app.secret is not the app's", f"Copy it again from {APP_PAGE} > Secret; each app has its own."),
    40125: ("wecom.app.secret is not the app's", f"Copy it again from {APP_PAGE} > Secret; each app has its own."),
    40056: ("wecom.app.agent_id is wrong", f"Copy it from {APP_PAGE} > AgentId."),
    301002: ("wecom.app.agent_id and wecom.app.secret are of two apps", f"Copy both from the same page: {APP_PAGE}."),
    50003: ("The app is switched off", f"Switch it on: {APP_PAGE} > 启用. WeCom itself switches off what nobody uses."),
}
_SEEN: Final = re.compile(r"from ip: ?([0-9a-fA-F.:]{3,45})")  # the address that WeCom sees us come from
_KEY: Final = re.compile(r"[0-9A-Za-z-]{32,64}")  # of a group robot; 8-4-4-4-12 as WeCom gives them
_HOST: Final = "https://<your host>"


def wecom(settings: Settings, environment: Environment) -> Iterator[Check]:
    """Every check of WeCom, or one that says that it is not enabled."""
    wanted = settings.platforms.wecom
    if not wanted.enabled:
        yield Check(name="wecom", detail="not enabled in platforms.yaml")
        return
    yield packages("wecom")
    if problems := check(wanted):
        yield failed("wecom", " ".join(problems), "Install what is missing, then look again.")
        return
    if wanted.app.enabled:
        yield from asyncio.run(examine_app(settings.platforms, settings.folder))
    if wanted.aibot.enabled:
        yield from robot(settings.platforms, environment, shown(settings.platforms))
    yield from webhooks(wanted)


# --- the app ----------------------------------------------------------------------------------------------------


async def examine_app(platforms: Platforms, folder: Path) -> list[Check]:
    """The checks of the self-built app; `folder` is where the settings are."""
    wanted = platforms.wecom.app
    client = WecomClient(wanted, timeout=PATIENCE)
    try:
        first, found = await _app(client, wanted)
        people = [await _people(client, found)] if found is not None and first.ok else []
    finally:
        await client.close()
    return [first, *people, _callback(platforms), *_login(platforms, found, folder)]


async def _app(client: WecomClient, wanted: WecomApp) -> tuple[Check, App | None]:
    name = "wecom app"
    try:
        found = await _soon(inspection.app(client, wanted.agent_id))
    except (Retry, TimeoutError) as error:
        problem = f"{wanted.base_url} gives no usable answer: {str(error) or 'it took too long'}."
        step = "Check the network and any proxy of this machine, and wecom.app.base_url in platforms.yaml."
        return failed(name, problem, step), None
    except PlatformError as error:
        if error.code == _UNTRUSTED:
            return failed(name, _untrusted(str(error)), _TRUST), None
        usual = ("WeCom refuses the app", f"Correct wecom.app in platforms.yaml from {APP_PAGE}.")
        meaning, step = _FIELDS.get(error.code or 0, usual)
        return failed(name, f"{meaning}: {error}.", step), None
    if found.off:
        meaning, step = _FIELDS[50003]
        return failed(name, f"{meaning}.", step), found
    if not found.visible:
        step = f"Add members or departments: {RANGE_PAGE}."
        return failed(name, "Nobody is in the app's visible range: nobody can use or be sent anything.", step), found
    detail = f"{wanted.base_url} accepts {wanted.corp_id}; the app is {found.name or wanted.agent_id}"
    step = (
        f"Who may use it, be looked up and log in is the visible range: {RANGE_PAGE}. WeCom switches off an app that "
        "nobody uses for long."
    )
    return Check(name=name, detail=f"{detail}, for {_range(found)}", next_step=step), found


def _untrusted(said: str) -> str:
    seen = _SEEN.search(said)
    address = f", {seen[1].rstrip('.:')}" if seen else f" ({said})"
    return f"WeCom {_UNTRUSTED}: it takes no calls from this machine's address{address}."


def _range(found: App) -> str:
    counted = {"members": len(found.members), "departments": len(found.departments), "tags": found.tags}
    return ", ".join(f"{count} {what}" for what, count in counted.items() if count)


async def _people(client: WecomClient, found: App) -> Check:
    """Whether names and departments can be read, tried on one member whom the range names, and on what it sees."""
    name = "wecom app people"
    try:
        named = not found.members or bool(await _soon(inspection.name_of(client, found.members[0])))
        placed = any(await _soon(inspection.departments(client)))
    except (PlatformError, TimeoutError) as error:
        return Check(name=name, detail=f"names and departments cannot be looked up ({_said(error)})", next_step=_SEES)
    missing = [what for what, told in (("names", named), ("departments", placed)) if not told]
    if missing:
        return Check(name=name, detail=f"WeCom does not tell the app {' and '.join(missing)}", next_step=_SEES)
    return Check(name=name, detail=f"{'names and ' if found.members else ''}departments can be looked up")


_SEES: Final = (
    f"Widen the visible range to everybody who uses Moqi, best to the whole department: {RANGE_PAGE}. Without "
    "it people are called by their ids, and count for no department."
)


def _callback(platforms: Platforms) -> Check:
    """Whether members may write to the app. That WeCom reaches us can only be tried by WeCom."""
    wanted, page = platforms.wecom.app, f"{APP_PAGE} > 接收消息 > 设置API接收"
    if not wanted.listens:
        step = f"For commands to the app set wecom.app.token and encoding_aes_key, both from {page}."
        return Check(name="wecom app messages", detail="the app only sends: it has no token", next_step=step)
    step = (
        f"Enter {shown(platforms)}/wecom/app as URL, with the same Token and EncodingAESKey: {page}. Save it while "
        "`moqi serve` runs: WeCom asks at once, and wants its answer within a second."
    )
    return Check(name="wecom app messages", detail="token and encoding_aes_key are set", next_step=step)


def _login(platforms: Platforms, found: App | None, folder: Path) -> Iterator[Check]:
    if not (platforms.web.enabled and "wecom" in platforms.account_platforms):
        return
    name, wanted = "wecom login", domain_of(platforms.web.public_url)
    if not wanted:
        step = f"Set web.public_url in platforms.yaml, and its host, and port if it has one, as {TRUSTED_PAGE}."
        yield Check(
            name=name, detail="people can only come back to a trusted domain, and none is known", next_step=step
        )
        return
    set_it = f"Enter {wanted} exactly, without https:// and path: {TRUSTED_PAGE}. {_proof(platforms, folder)}"
    if found is None:
        yield Check(name=name, detail="the trusted domain cannot be asked for", next_step=set_it)
    elif domain_of(f"https://{found.domain}") != wanted:
        now = f"is {found.domain}" if found.domain else "is not set"
        problem = f"The app's trusted domain {now}, the page is at {wanted}: WeCom sends nobody back there."
        yield failed(name, problem, set_it)
    else:
        names = "Whoever reaches the page can still take a free name: web.login: wecom ends that."
        step = names if platforms.takes_names else ""
        yield Check(name=name, detail=f"the trusted domain is {wanted}, as web.public_url", next_step=step)


def domain_of(address: str) -> str:
    """Host, and port unless it is the usual one: what WeCom compares exactly."""
    parts = urlsplit(address.lower())
    usual = {"https": ":443", "http": ":80"}.get(parts.scheme, "")
    return parts.netloc.removesuffix(usual) if usual else parts.netloc


def _proof(platforms: Platforms, folder: Path) -> str:
    there = proof.names(folder)
    address = shown(platforms)
    if there:
        return f"It is proved by {', '.join(f'{address}/{one}' for one in there)}, served from {folder}."
    return (
        f"The file WW_verify_….txt offered there goes into {folder}; Moqi serves it at {address}/ at once. The "
        "domain's ICP filing (备案) must be the organisation's."
    )


# --- group robots -----------------------------------------------------------------------------------------------


def webhooks(wanted: Wecom) -> Iterator[Check]:
    """A test message would be read by the whole group, so only the form of each address is looked at."""
    for name, hook in wanted.webhooks.items():
        yield _webhook(f"wecom webhook {name}", hook)


def _webhook(name: str, hook: WecomWebhook) -> Check:
    if not _KEY.fullmatch(hook.key):
        step = "Copy the whole address again: the group > 群机器人 (消息推送) > the robot > Webhook地址."
        return failed(name, "The address does not end with a key as WeCom gives them.", step)
    detail = "the key has the right form; nothing was sent, so that is all that is known"
    return Check(name=name, detail=detail)


# --- for all ----------------------------------------------------------------------------------------------------


def shown(platforms: Platforms) -> str:
    """Where people and WeCom reach the server."""
    return platforms.web.public_url or _HOST


async def _soon(question: Awaitable[T]) -> T:
    async with asyncio.timeout(2 * PATIENCE):
        return await question


def _said(error: PlatformError | TimeoutError) -> str:
    return " ".join(str(error).split())[:300] or "it took too long"
