"""Signing in to the web page with a WeCom account: by QR code at a desk, at once inside WeCom itself.

Both ways end in one code that the app exchanges for a userid. WeCom gives the userid of every member, also of those
outside the app's visible range, so they are looked up in the directory: whom the app may not see stays out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Protocol
from urllib.parse import urlencode

from bot.platforms.base import PlatformError, Retry
from bot.platforms.login import LoginFailed, Visitor
from bot.platforms.wecom.places import PLATFORM, userid
from bot.platforms.wecom.settings import WecomApp
from storage.records import Identity

#: WeCom's codes that a person can do something about; any other refusal is an operator's.
_CODES: Final[Mapping[int, str]] = {
    40029: "login_expired",  # no such code, used up, or five minutes are over
    40003: "login_nobody",
    50002: "login_not_available",  # outside the app's visible range
    60011: "login_not_available",
    60111: "login_not_available",
}
_STATE: Final = re.compile(r"[A-Za-z0-9]{1,128}")
_INSIDE: Final = "wxwork"  # stands in what WeCom's own browser calls itself, on a phone and at a desk


class Caller(Protocol):
    """The app's client, as far as a login needs it."""

    async def call(self, verb: str, path: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Raises PlatformError."""


class WecomLogin:
    """The app's door to the web page."""

    platform: Final = PLATFORM

    def __init__(self, settings: WecomApp, client: Caller) -> None:
        """`client` is not closed here."""
        self._settings = settings
        self._client = client

    def address(self, redirect_uri: str, state: str, verifier: str, agent: str) -> str:
        """A page with a QR code, or inside WeCom one that sends the browser back at once."""
        if not _STATE.fullmatch(state):
            raise ValueError("WeCom brings back letters and digits only, 128 at most")
        inside = _INSIDE in agent.lower()
        return self._inside(redirect_uri, state) if inside else self._desk(redirect_uri, state)

    def _desk(self, redirect_uri: str, state: str) -> str:
        app = self._settings
        query = {
            "login_type": "CorpApp",
            "appid": app.corp_id,
            "agentid": app.agent_id,
            "redirect_uri": redirect_uri,
            "state": state,
        }
        return f"{app.login_url}/wwlogin/sso/login?{urlencode(query)}"

    def _inside(self, redirect_uri: str, state: str) -> str:
        app = self._settings
        query = {
            "appid": app.corp_id,
            "redirect_uri": redirect_uri,
            "response_type": "code",
            "scope": "snsapi_base",  # the userid, without asking the person
            "state": state,
            "agentid": app.agent_id,
        }
        return f"{app.in_app_url}/connect/oauth2/authorize?{urlencode(query)}#wechat_redirect"

    async def visitor(self, code: str, redirect_uri: str, verifier: str) -> Visitor:
        """Who came back with `code`, a member whom the app may see. Raises LoginFailed."""
        told = await self._ask("auth/getuserinfo", {"code": code})
        member = userid(_text(told.get("userid")))
        if not member:
            known = [name for name in ("openid", "external_userid") if told.get(name)]
            if not known:
                raise LoginFailed("login_unavailable", "success without a userid")
            raise LoginFailed("login_no_member", f"WeCom knows them by {' and '.join(known)} only: no member")
        found = await self._ask("user/get", {"userid": member})
        name = _text(found.get("name"))
        identity = Identity(platform=PLATFORM, external_id=member)
        # An app that may not see names is told the userid instead.
        called = "" if userid(name) == member else name
        return Visitor(identity=identity, name=called, tenant_key=self._settings.corp_id)

    async def close(self) -> None:
        """Nothing is open here."""

    async def _ask(self, path: str, params: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return await self._client.call("GET", path, params)
        except PlatformError as error:
            raise LoginFailed(_meaning(error), str(error)) from error


def _meaning(error: PlatformError) -> str:
    """What to tell the person about an answer that was none."""
    usual = "login_unavailable" if isinstance(error, Retry) else "login_misconfigured"
    return usual if error.code is None else _CODES.get(error.code, usual)


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""
