"""What `moqi doctor` looks at in Feishu: credentials, bot, scopes, events, callbacks, how events come, the web login.

What the bot cannot be talked to without is broken when it is missing; what only a feature needs is a next step.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator, Sequence
from typing import TypeVar

import httpx

from bot.doctor import PATIENCE, Check, failed, packages
from bot.platforms.base import PlatformError, Retry
from bot.platforms.feishu import endpoint, inspection
from bot.platforms.feishu import requirements as console
from bot.platforms.feishu.client import FeishuClient, pooled
from bot.platforms.feishu.endpoint import NotConnected, Wishes
from bot.platforms.feishu.requirements import Need
from bot.platforms.feishu.settings import FeishuSettings, Mode, check, webhook_path
from bot.settings import Settings
from bot.settings.platforms import Platforms

T = TypeVar("T")


def feishu(settings: Settings) -> Iterator[Check]:
    """Every check of every Feishu app, or one that says that none is enabled."""
    apps = {name: app for name, app in settings.platforms.feishu_by_name().items() if app.enabled}
    if not apps:
        yield Check(name="feishu", detail="not enabled in platforms.yaml")
        return
    yield packages("feishu")
    for name, app in apps.items():
        problems = check(app)
        if problems:
            yield failed(name, " ".join(problems), f"Correct {section(name)} in platforms.yaml.")
        else:
            yield from asyncio.run(examine(settings.platforms, app, name))


def section(name: str) -> str:
    """Where the settings of the app with this platform name stand in platforms.yaml."""
    return name.replace("-", "_apps.", 1)


async def examine(platforms: Platforms, wanted: FeishuSettings, name: str = "feishu") -> list[Check]:
    """The checks of one app; `name` is what its checks are called after."""
    http = pooled(wanted, PATIENCE)
    client = FeishuClient(wanted, http)
    try:
        first = await _credentials(client, wanted, name)
        if not first.ok:
            return [first]
        found = [first, *await _console_page(client, wanted, name), await _reach(wanted, http, name)]
        return [*found, await _people(client, name), *_login(platforms, name)]
    finally:
        await client.close()


async def _credentials(client: FeishuClient, wanted: FeishuSettings, name: str) -> Check:
    try:
        bot = await _soon(inspection.bot(client))
    except (Retry, TimeoutError) as error:
        problem = f"{wanted.domain} gives no usable answer: {str(error) or 'it took too long'}."
        step = f"Check the network and any proxy of this machine, and {section(name)}.domain in platforms.yaml."
        return failed(name, problem, step)
    except PlatformError as error:
        step = (
            f"Correct {section(name)} in platforms.yaml from the app's page in the developer console; an app of Lark "
            "needs domain: https://open.larksuite.com, one of Feishu domain: https://open.feishu.cn."
        )
        return failed(name, f"{error}.", step)
    if not bot.open_id:
        return failed(name, "The app has no bot.", f"{console.BOT_PAGE}. {console.RELEASE}")
    if bot.state:
        step = f"In the admin console (管理后台) switch the app on, or publish a version: {console.RELEASE_PAGE}."
        return failed(name, f"The app is {bot.state}.", step)
    return Check(name=name, detail=f"{wanted.domain} accepts {wanted.app_id}; the bot is {bot.open_id}")


async def _console_page(client: FeishuClient, wanted: FeishuSettings, name: str) -> list[Check]:
    """Scopes, events and callbacks: what is missing, what for, where to add it."""
    checks = [await _scopes(client, wanted, name)]
    try:
        page = await _soon(inspection.page(client))
    except (PlatformError, TimeoutError) as error:
        checks.append(_unseen(error, name))
        return checks
    if page.events is None:
        step = f"{console.RELEASE_PAGE}; add scopes, events and callbacks before."
        checks.append(failed(f"{name} events", "No version of the app is published: nothing works yet.", step))
    else:
        checks.append(_compared(f"{name} events", "events", console.EVENTS, page.events, console.EVENTS_PAGE))
    callbacks = _compared(f"{name} callbacks", "callbacks", console.CALLBACKS, page.callbacks, console.CALLBACKS_PAGE)
    if callbacks.ok and page.mode and page.mode != wanted.mode.value:
        problem = f"The console delivers callbacks by {page.mode}, {section(name)}.mode is {wanted.mode.value}."
        step = f"Make them the same, for events and for callbacks, which have a page each: {_delivery(wanted, name)}"
        callbacks = failed(f"{name} callbacks", problem, step)
    return [*checks, callbacks]


async def _scopes(client: FeishuClient, wanted: FeishuSettings, name: str) -> Check:
    try:
        granted = await _soon(inspection.scopes(client))
    except (PlatformError, TimeoutError) as error:
        step = f"Compare with what `moqi feishu scopes` prints: {console.SCOPES_PAGE}."
        return Check(name=f"{name} scopes", detail=f"cannot be asked for ({_said(error)})", next_step=step)
    missing = console.lacking(console.SCOPES, granted)
    link = console.scopes_link(wanted.domain, wanted.app_id, missing)
    how = (
        f"{console.SCOPES_PAGE}, or with one button:\n  {link}\nAll at once: Batch import (批量导入) there of what "
        f"`moqi feishu scopes` prints.\n{console.RELEASE}"
    )
    return _said_of(f"{name} scopes", "scopes", console.SCOPES, missing, how)


def _compared(name: str, what: str, needs: Sequence[Need], have: frozenset[str], where: str) -> Check:
    return _said_of(name, what, needs, console.lacking(needs, have), f"{where}.\n{console.RELEASE}")


def _said_of(name: str, what: str, needs: Sequence[Need], missing: Sequence[Need], how: str) -> Check:
    if not missing:
        return Check(name=name, detail=f"all {len(needs)} {what} are there" if len(needs) > 1 else needs[0].name)
    step = f"Add:\n{console.listed(missing)}\nWhere: {how}"
    vital = [need.name for need in missing if need.vital]
    if vital:
        return failed(name, f"Missing {what} without which the bot cannot be used: {', '.join(vital)}.", step)
    return Check(
        name=name, detail=f"{len(missing)} of {len(needs)} {what} are missing, for features only", next_step=step
    )


def _unseen(error: PlatformError | TimeoutError, name: str) -> Check:
    """Without the right to look: everything there is to compare."""
    step = (
        f"Add the scope application:application:self_manage ({console.SCOPES_PAGE}), then doctor can compare; or see "
        f"to it yourself that these are there.\n"
        f"Events:\n{console.listed(console.EVENTS)}\nWhere: {console.EVENTS_PAGE}.\n"
        f"Callbacks:\n{console.listed(console.CALLBACKS)}\nWhere: {console.CALLBACKS_PAGE}.\n{console.RELEASE}"
    )
    return Check(name=f"{name} events", detail=f"cannot be asked for ({_said(error)})", next_step=step)


async def _reach(wanted: FeishuSettings, http: httpx.AsyncClient, name: str) -> Check:
    if wanted.mode is Mode.WEBHOOK:
        detail = "by webhook; encrypt_key and verification_token are set"
        return Check(name=f"{name} delivery", detail=detail, next_step=_delivery(wanted, name))
    try:
        # Only the address, which is not looked at: a connection would take events from the server that runs.
        await endpoint.ask(http, wanted, Wishes(), section(name))
    except NotConnected as error:
        step = f"Correct that; the server tries again by itself. {_delivery(wanted, name)}"
        return failed(f"{name} delivery", f"Feishu opens no long connection: {error}.", step)
    detail = "by long connection, which Feishu would open"
    return Check(name=f"{name} delivery", detail=detail, next_step=_delivery(wanted, name))


def _delivery(wanted: FeishuSettings, name: str) -> str:
    pages = "Event Configuration (事件配置) and Callback Configuration (回调配置)"
    if wanted.mode is Mode.WEBHOOK:
        address = f"https://<your host>{webhook_path(name)}"
        return f"{pages} both need: send to developer's server (发送至开发者服务器), {address}"
    return f"{pages} both need: long connection (使用长连接接收); it can be saved while `moqi serve` runs."


async def _people(client: FeishuClient, name: str) -> Check:
    try:
        seen = await _soon(inspection.sees_people(client))
    except (PlatformError, TimeoutError) as error:
        return Check(name=f"{name} people", detail=f"names and departments are not looked up ({_said(error)})")
    if not seen:
        step = f"Widen the contact range, best to the same as the app's availability: {console.RANGE_PAGE}."
        return Check(name=f"{name} people", detail="nobody is in the app's contact range: no names", next_step=step)
    return Check(name=f"{name} people", detail="names and departments can be looked up")


def _login(platforms: Platforms, name: str) -> Iterator[Check]:
    if not (platforms.web.enabled and platforms.takes_accounts):
        return
    shown = platforms.web.public_url or "https://<your host>"
    steps = [f"Add {shown}/login/{name} under {console.REDIRECT_PAGE}."]
    if not platforms.web.public_url:
        steps.append("Set web.public_url in platforms.yaml where a proxy stands before Moqi.")
    if platforms.takes_names:
        steps.append("Whoever reaches the page can still take a free name: web.login: feishu ends that.")
    yield Check(name=f"{name} login", detail="the web page opens with a Feishu account", next_step=" ".join(steps))


async def _soon(question: Awaitable[T]) -> T:
    async with asyncio.timeout(2 * PATIENCE):
        return await question


def _said(error: PlatformError | TimeoutError) -> str:
    return " ".join(str(error).split())[:160] or "it took too long"
