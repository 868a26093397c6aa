"""Asks Feishu what our app has in the developer console. Reads only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from bot.platforms.feishu.client import FeishuClient

#: The states of an app in which its bot does not answer, by the number that Feishu gives.
STATES: Final[Mapping[int, str]] = {
    0: "not installed in the organisation yet: publish a version",
    1: "switched off by the organisation's admin",
    3: "installed and not switched on yet",
    4: "waiting for an upgrade",
    5: "switched off: its licence is over",
    6: "switched off: the organisation's plan is over or was lowered",
}
_PUBLISHED: Final = 1
_GRANTED: Final = 1
_MODES: Final = {"webhook": "webhook", "websocket": "long_connection"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Bot:
    """The bot of the app."""

    open_id: str  # empty: the app has none
    state: str  # why it does not answer; empty when it does


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """What is subscribed in the developer console; None = there is no published version."""

    events: frozenset[str] | None
    callbacks: frozenset[str]
    mode: str  # of the callbacks: webhook | long_connection; empty when not told
    request_url: str


async def bot(client: FeishuClient) -> Bot:
    """Raises PlatformError, as all of these."""
    answer = await client.call("GET", "/bot/v3/info", "")
    told = _object(answer.body.get("bot"))
    state = told.get("activate_status")
    return Bot(open_id=_text(told.get("open_id")), state=STATES.get(state, "") if isinstance(state, int) else "")


async def scopes(client: FeishuClient) -> frozenset[str]:
    """The scopes that are granted to the app's own identity."""
    found = await _list(client, "/application/v6/scopes", "scopes")
    return frozenset(
        _text(one.get("scope_name"))
        for one in found
        if one.get("grant_status") == _GRANTED and one.get("scope_type", "tenant") == "tenant"
    )


async def page(client: FeishuClient) -> Page:
    """Events as they are published, callbacks as they are set. Needs application:application:self_manage."""
    answer = await client.call("GET", "/application/v6/applications/me?lang=zh_cn", "")
    told = _object(_object(_object(answer.body.get("data")).get("app")).get("callback_info"))
    versions = await _list(client, "/application/v6/applications/me/app_versions?lang=zh_cn&page_size=10", "items")
    live = next((one for one in versions if one.get("status") == _PUBLISHED and one.get("publish_time")), None)
    return Page(
        events=None if live is None else frozenset(_events(live)),
        callbacks=frozenset(_texts(told.get("subscribed_callbacks"))),
        mode=_MODES.get(_text(told.get("callback_type")), ""),
        request_url=_text(told.get("request_url")),
    )


async def sees_people(client: FeishuClient) -> bool:
    """Whether anybody at all is in the contact range of the app. Needs contact:contact.base:readonly."""
    answer = await client.call("GET", "/contact/v3/scopes?user_id_type=open_id", "")
    told = _object(answer.body.get("data"))
    return any(told.get(name) for name in ("department_ids", "user_ids", "group_ids"))


async def _list(client: FeishuClient, path: str, name: str) -> list[Mapping[str, Any]]:
    answer = await client.call("GET", path, "")
    found = _object(answer.body.get("data")).get(name)
    return [_object(one) for one in found] if isinstance(found, list) else []


def _events(version: Mapping[str, Any]) -> set[str]:
    """By their types; older answers have names only, which are the types as well."""
    infos = version.get("event_infos")
    named = {_text(_object(one).get("event_type")) for one in infos} if isinstance(infos, list) else set()
    return {one for one in named | set(_texts(version.get("events"))) if one}


def _texts(value: object) -> list[str]:
    return [_text(one) for one in value] if isinstance(value, list) else []


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""
