"""The Feishu simulator's accounts: the page where people agree to log in, the token endpoint, and who a token is of."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlencode

from tests.simulators.feishu_contacts import Directory, Member
from tests.simulators.feishu_events import App
from tests.simulators.feishu_http import ApiError, Call

_CODE_SECONDS = 300.0


@dataclass
class Grant:
    """A code somebody was sent back with."""

    open_id: str
    redirect_uri: str
    challenge: str
    at: float
    used: bool = False


class Accounts:
    """People in front of a browser. `at_browser` is who is logged in at Feishu there."""

    def __init__(self, app: App, directory: Directory, now: Callable[[], float], secret: Callable[[], str]) -> None:
        self.at_browser = "ou_alice"
        self.cancels = False  # they press "refuse"
        self.unavailable: set[str] = set()  # outside the availability range: 20010
        self.redirect_urls: set[str] | None = None  # those whitelisted in the console; None = any
        self.grants: dict[str, Grant] = {}
        self.tokens: dict[str, str] = {}  # user token -> open_id
        self.scopes: list[str] = []  # asked for, by each login
        self._app, self._directory, self._now, self._secret = app, directory, now, secret

    def answer(self, call: Call) -> dict[str, Any] | None:
        """The JSON of a success; None when the call is none of ours. Raises ApiError, also to send a browser on."""
        match call.method, call.path:
            case "GET", "/open-apis/authen/v1/authorize":
                raise self._agree(call)
            case "POST", "/oauth/v3/token":
                return self._token(call)
            case "GET", "/open-apis/authen/v1/user_info":
                return {"data": self._user_info(call)}
        return None

    def _agree(self, call: Call) -> ApiError:
        """The page, on which everybody presses the button at once."""
        asked = call.query
        if asked.get("client_id") != self._app.app_id or asked.get("response_type") != "code":
            return ApiError(20029, "client_id or response_type is invalid")
        address = asked.get("redirect_uri", "")
        if not address or (self.redirect_urls is not None and address not in self.redirect_urls):
            return ApiError(20029, "redirect_uri is not in the list of the console")
        if asked.get("code_challenge") and asked.get("code_challenge_method") != "S256":
            return ApiError(20063, "code_challenge_method")
        self.scopes.append(asked.get("scope", ""))
        if self.cancels:
            back = {"error": "access_denied", "state": asked.get("state", "")}
        else:
            code = secrets.token_urlsafe(32)
            self.grants[code] = Grant(self.at_browser, address, asked.get("code_challenge", ""), self._now())
            back = {"code": code, "state": asked.get("state", "")}
        return ApiError(0, "moved", 302, Location=f"{address}{'&' if '?' in address else '?'}{urlencode(back)}")

    def _token(self, call: Call) -> dict[str, Any]:
        form = call.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
        asked = {k: v[-1] for k, v in parse_qs(call.body.decode()).items()} if form else call.json()
        if asked.get("grant_type") != "authorization_code":
            raise ApiError(20036, "unsupported grant_type")
        if asked.get("client_id") != self._app.app_id or asked.get("client_secret") != self._secret():
            raise ApiError(20002, "The app secret is invalid.")
        grant = self.grants.get(str(asked.get("code")))
        if grant is None:
            raise ApiError(20003, "The authorization code is not found.")
        if grant.used:
            raise ApiError(20065, "The authorization code has been used.")
        grant.used = True
        if self._now() - grant.at > _CODE_SECONDS:
            raise ApiError(20004, "The authorization code has expired.")
        if grant.redirect_uri != asked.get("redirect_uri"):
            raise ApiError(20071, "The redirect_uri is not the one of the authorization request.")
        self._check_pkce(grant, str(asked.get("code_verifier") or ""))
        if grant.open_id in self.unavailable:
            raise ApiError(20010, "The user does not have permission to use this app.")
        token = f"eyJ{secrets.token_urlsafe(400)}"  # a JWT of a few kilobytes, not u-…
        self.tokens[token] = grant.open_id
        return {"access_token": token, "expires_in": 7200, "scope": "auth:user.id:read", "token_type": "Bearer"}

    def _check_pkce(self, grant: Grant, verifier: str) -> None:
        """Both ways: a verifier without a challenge is refused as well."""
        shown = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        if (shown if verifier else "") != grant.challenge:
            raise ApiError(20049, "PKCE validation failed.")
        if verifier and not 43 <= len(verifier) <= 128:
            raise ApiError(20063, "code_verifier has 43 to 128 characters")

    def _user_info(self, call: Call) -> dict[str, Any]:
        open_id = self.tokens.get(call.headers.get("authorization", "").removeprefix("Bearer "))
        if open_id is None:
            raise ApiError(99991668, "Invalid access token for authorization. Please make a test with token attached.")
        person = self._directory.people.get(open_id) or Member(open_id=open_id, name=open_id)
        return {
            "name": person.name,
            "en_name": person.name,
            "avatar_url": "https://example.invalid/a.png",
            "open_id": open_id,
            "union_id": f"on_{open_id[3:]}",
            "tenant_key": person.tenant_key,
        }
