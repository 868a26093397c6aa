"""Asks Feishu what our app has in the developer console. Reads only, and opens no connection that takes events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx

from bot.platforms.base import PlatformError
from bot.platforms.feishu.client import FeishuClient
from bot.platforms.feishu.settings import FeishuSettings

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

#: Codes of the long connection's endpoint: what is wrong, and the next step.
_ENDPOINT: Final[Mapping[int, tuple[str, str]]] = {
    403: ("The app may not use the long connection.", "Only self-built apps may: create one, or use mode: webhook."),
    514: ("Feishu refuses the credentials.", "Copy feishu.app_id and app_secret again from the developer console."),
    1000040344: ("Feishu misses the credentials.", "Copy feishu.app_id and app_secret again from the console."),
    1000040345: ("Feishu refuses the credentials.", "Copy feishu.app_id and app_secret again from the console."),
    1000040350: (
        "The app has as many long connections as Feishu allows (50).",
        "Stop other programs that use the same app: each takes a part of the events.",
    ),
    1000040351: (
        "The app belongs to the other platform.",
        "Feishu: domain: https://open.feishu.cn; Lark: domain: https://open.larksuite.com, in platforms.yaml.",
    ),
}


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Reached:
    """How a question to the long connection's endpoint ended."""

    problem: str = ""
    next_step: str = ""


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


async def endpoint(settings: FeishuSettings, http: httpx.AsyncClient) -> Reached:
    """Ask where the long connection would go. The address is a secret and not looked at: nothing is opened."""
    asked = {"AppID": settings.app_id, "AppSecret": settings.app_secret.get_secret_value()}
    network = "Check the network and any proxy of this machine, and feishu.domain in platforms.yaml."
    try:
        response = await http.post("/callback/ws/endpoint", json=asked, headers={"locale": "zh"})
        code = response.json().get("code")
    except (httpx.HTTPError, ValueError, AttributeError) as error:
        return Reached(
            problem=f"No usable answer about the long connection: {type(error).__name__}.", next_step=network
        )
    if code == 0:
        return Reached()
    problem, step = _ENDPOINT.get(code, (f"Feishu answers {code} about the long connection.", "Try again in a moment."))
    return Reached(problem=f"{problem} ({code})", next_step=step)


def refusal(error: PlatformError) -> str:
    """What Feishu said, as a part of a sentence."""
    return str(error) or type(error).__name__


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
