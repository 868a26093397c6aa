"""Asks WeCom what the app has in the admin console, and tries the robot's connection. Changes nothing in WeCom."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bot.platforms.wecom.app.client import WecomClient
from bot.platforms.wecom.places import userid
from bot.platforms.wecom.robot import frames
from bot.platforms.wecom.settings import WecomAibot

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

#: Where things stand in WeCom's consoles.
APP_PAGE: Final = "the admin console (管理后台) > 应用管理 > the app"
ROBOT_PAGE: Final = "工作台 > 智能机器人 > the robot > API 模式"
RANGE_PAGE: Final = f"{APP_PAGE} > 可见范围"

_quiet: Final = logging.getLogger("moqi.wecom.websocket")  # the library's own: at DEBUG it would show the secret


@dataclass(frozen=True, kw_only=True, slots=True)
class App:
    """The app as its page in the admin console shows it."""

    name: str
    off: bool  # switched off
    domain: str  # the trusted domain, host or host:port; empty = none
    members: tuple[str, ...]  # userids in its visible range by name
    departments: tuple[int, ...]  # in its visible range
    tags: int  # in its visible range

    @property
    def visible(self) -> bool:
        """Whether anybody is in its range."""
        return bool(self.members or self.departments or self.tags)


async def app(client: WecomClient, agent_id: str) -> App:
    """Raises PlatformError, as all of these that take a client."""
    told = await client.call("GET", "agent/get", {"agentid": agent_id})
    users = [_object(one) for one in _list(_object(told.get("allow_userinfos")).get("user"))]
    parties = _list(_object(told.get("allow_partys")).get("partyid"))
    return App(
        name=_text(told.get("name")),
        off=told.get("close") == 1,
        domain=_text(told.get("redirect_domain")),
        members=tuple(member for one in users if (member := _text(one.get("userid")))),
        departments=tuple(one for one in parties if isinstance(one, int)),
        tags=len(_list(_object(told.get("allow_tags")).get("tagid"))),
    )


async def name_of(client: WecomClient, member: str) -> str:
    """What the directory calls somebody; empty when it does not tell, or only their userid once more."""
    name = _text((await client.call("GET", "user/get", {"userid": member})).get("name"))
    return "" if userid(name) == userid(member) else name


async def departments(client: WecomClient) -> list[str]:
    """The names of the departments that the app sees; empty names where it may not read them."""
    told = await client.call("GET", "department/list")
    return [_text(_object(one).get("name")) for one in _list(told.get("department"))]


@dataclass(frozen=True, kw_only=True, slots=True)
class Subscription:
    """How WeCom took the robot's id and secret."""

    code: int | None  # 0 = it would serve it; None = no answer
    said: str = ""


async def subscribe(settings: WecomAibot, patience: float) -> Subscription:
    """Subscribe as the server does, and close at once. Whoever has the robot's connection loses it by this."""
    from websockets.asyncio.client import connect
    from websockets.exceptions import WebSocketException

    try:
        async with asyncio.timeout(2 * patience):
            line = await connect(settings.ws_url, open_timeout=patience, close_timeout=1, logger=_quiet)
            async with line:
                return await _subscribed(line, settings)
    except TimeoutError:
        return Subscription(code=None, said="no answer in time")
    except (OSError, WebSocketException) as error:
        return Subscription(code=None, said=type(error).__name__)


async def _subscribed(line: ClientConnection, settings: WecomAibot) -> Subscription:
    """The answer is known by the id of what was asked: events may come before it."""
    asked = f"{frames.SUBSCRIBE}_{secrets.token_hex(12)}"
    body = frames.subscription(settings.bot_id, settings.secret.get_secret_value())
    await line.send(frames.encode(frames.SUBSCRIBE, asked, body))
    async for raw in line:
        try:
            frame = frames.decode(raw)
        except frames.BadFrame:
            continue
        if frame.is_answer and frame.req_id == asked:
            return Subscription(code=frame.code or 0, said=" ".join(frame.said.split())[:200])
    return Subscription(code=None, said="the connection was closed")


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""
