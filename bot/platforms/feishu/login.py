"""Signing in to the web chat with a Feishu account: OAuth 2 with PKCE. Moves bytes; whom to let in is the console's."""

from __future__ import annotations

import base64
import hashlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from urllib.parse import urlencode

import httpx

from bot.platforms.base import PlatformError
from bot.platforms.feishu.client import pooled
from bot.platforms.feishu.settings import FeishuSettings
from bot.platforms.login import LoginFailed, Visitor
from storage.records import Identity

log = logging.getLogger(__name__)

#: Feishu's codes of the token endpoint that a person can do something about; any other one is an operator's.
_CODES: Final[Mapping[int, str]] = {
    20003: "login_expired",  # no such code, or used up
    20004: "login_expired",
    20065: "login_expired",
    20008: "login_nobody",
    20010: "login_not_available",  # outside the availability range of the app
    20066: "login_nobody",  # frozen or resigned
    20072: "login_unavailable",
}


class FeishuLogin:
    """One app's door to the web chat."""

    def __init__(
        self,
        platform: str,
        settings: FeishuSettings,
        organisation: Callable[[], Awaitable[str]],
        make_http: Callable[[FeishuSettings], httpx.AsyncClient] = pooled,
    ) -> None:
        """`organisation` tells the tenant_key of the app's own organisation, empty when nothing tells it."""
        self.platform = platform
        self._settings = settings
        self._organisation = organisation
        self._make_http = make_http
        self._http: httpx.AsyncClient | None = None  # made at the first login: the TLS set-up takes its time

    def address(self, redirect_uri: str, state: str, verifier: str, agent: str) -> str:
        """Where to send the browser, whatever it is."""
        query = {
            "client_id": self._settings.app_id,
            "response_type": "code",
            "redirect_uri": redirect_uri,
            "state": state,
            "code_challenge": challenge(verifier),
            "code_challenge_method": "S256",
        }
        return f"{self._settings.accounts_domain}/open-apis/authen/v1/authorize?{urlencode(query)}"

    async def visitor(self, code: str, redirect_uri: str, verifier: str) -> Visitor:
        """Who came back with `code`, one of ours. Raises LoginFailed."""
        token = await self._token(code, redirect_uri, verifier)
        found = await self._user_info(token)
        await self._check_tenant(found.tenant_key)
        return found

    async def close(self) -> None:
        if self._http is not None:
            await self._http.aclose()

    async def _token(self, code: str, redirect_uri: str, verifier: str) -> str:
        asked = {
            "grant_type": "authorization_code",
            "client_id": self._settings.app_id,
            "client_secret": self._settings.app_secret.get_secret_value(),
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        }
        body = await self._exchange("POST", f"{self._settings.accounts_domain}/oauth/v3/token", json=asked)
        return _needed(body, "access_token")

    async def _user_info(self, token: str) -> Visitor:
        url = f"{self._settings.domain}/open-apis/authen/v1/user_info"
        body = await self._exchange("GET", url, headers={"Authorization": f"Bearer {token}"})
        data = body.get("data")
        told = data if isinstance(data, Mapping) else {}
        identity = Identity(platform=self.platform, external_id=_needed(told, "open_id"))
        name, union_id = (str(told.get(key) or "") for key in ("name", "union_id"))
        return Visitor(identity=identity, name=name, union_id=union_id, tenant_key=_needed(told, "tenant_key"))

    async def _check_tenant(self, tenant_key: str) -> None:
        """Outsiders stay out of the pages, also where they may write in a group."""
        if tenant_key in self._settings.allowed_tenants:
            return
        try:
            own = await self._organisation()
        except PlatformError as error:
            raise LoginFailed("login_unavailable", f"the own organisation is not known: {error}") from error
        if not own:
            cause = "nothing tells the app's own organisation: grant tenant:tenant:readonly, or write to the bot once"
            raise LoginFailed("login_misconfigured", cause)
        if tenant_key != own:
            raise LoginFailed("login_outsider", f"somebody of {tenant_key}; to let them in: feishu.allowed_tenants")

    async def _exchange(self, method: str, url: str, **what: Any) -> Mapping[str, Any]:
        if self._http is None:
            self._http = self._make_http(self._settings)
        try:
            response = await self._http.request(method, url, **what)
            body = response.json()
        except (httpx.HTTPError, ValueError, RecursionError) as error:
            raise LoginFailed("login_unavailable", f"no usable answer: {type(error).__name__}") from error
        if not isinstance(body, Mapping):
            raise LoginFailed("login_unavailable", "no usable answer: not an object")
        refused = body.get("code") or body.get("error")
        if not refused and response.status_code < 400:
            return body
        number = refused if isinstance(refused, int) else 0
        usual = "login_unavailable" if response.status_code >= 500 else "login_misconfigured"
        # Feishu's words name what is wrong (the secret, the redirect address); they do not repeat what we sent.
        said = " ".join(str(body.get("error_description") or body.get("msg") or body.get("error") or "").split())[:300]
        raise LoginFailed(_CODES.get(number, usual), f"Feishu {number} (HTTP {response.status_code}): {said}")


def challenge(verifier: str) -> str:
    """What PKCE shows of a secret before the secret itself: base64url(SHA-256), without padding."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _needed(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise LoginFailed("login_unavailable", f"success without a {name}")
    return value
