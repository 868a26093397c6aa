"""Calls to Feishu's API: one pooled client, one tenant token, rate budgets, every failure translated.

Nothing is tried twice in here but a call refused for its token: when to try again is the delivery loop's to decide.
A lost connection, a timeout, a page of HTML leave open whether Feishu acted; such a call raises Retry and is safe to
repeat because every message carries its `uuid`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from urllib.parse import quote

import httpx

from bot.platforms.base import TOO_LARGE, Retry, Unconfigured, Undelivered
from bot.platforms.budget import Budget
from bot.platforms.feishu.codes import Answer, Busy, Verdict, error_of
from bot.platforms.feishu.settings import FeishuSettings
from bot.platforms.trust import trusted

log = logging.getLogger(__name__)

PATIENCE: Final = 2.0  # seconds to wait for a budget in place; a longer wait goes back to the caller's queue
MAX_ANSWER: Final = 100_000  # bytes of what is said instead of a file
_WINDOW: Final = 1.05  # a second, and what the network may push together
_MARGIN: Final = 300.0  # seconds before its end at which a token is renewed

Files = Mapping[str, tuple[str, bytes, str]]


def pooled(settings: FeishuSettings, timeout: float = 10.0) -> httpx.AsyncClient:
    """The HTTP client to use: connections are kept, nothing waits longer than `timeout` seconds for an answer."""
    return httpx.AsyncClient(
        base_url=settings.domain,
        timeout=httpx.Timeout(timeout, connect=min(timeout, 3.0)),
        verify=trusted(),
        limits=httpx.Limits(max_connections=50, max_keepalive_connections=20, keepalive_expiry=30.0),
    )


class FeishuClient:
    """The calls a bot needs. Every method raises Retry, Undelivered (MessageGone) or Unconfigured."""

    def __init__(
        self,
        settings: FeishuSettings,
        http: httpx.AsyncClient | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._settings = settings
        self._http = http or pooled(settings)
        self._clock = clock
        self._sleep = sleep
        self._app = Budget(50, _WINDOW, passing=30)
        self._minute = Budget(1000, 60 * _WINDOW, passing=600)
        # A chat for new messages, a message for its changes; of those one a second may be progress.
        self._targets = Budget(5, _WINDOW, passing=1)
        self._cards = Budget(10, _WINDOW, passing=5)  # what is typed in by CardKit
        self._token = ""
        self._token_until = 0.0
        self._renewing = asyncio.Lock()

    async def send(self, receiver: str, receiver_type: str, msg_type: str, content: str, uuid: str) -> str:
        """A new message into a chat (`chat_id`) or to a person (`open_id`); returns its message id."""
        body = {"receive_id": receiver, "msg_type": msg_type, "content": content, "uuid": uuid}
        params = {"receive_id_type": receiver_type}
        return _named(await self.call("POST", "/im/v1/messages", receiver, json=body, params=params), "message_id")

    async def reply(
        self, message_id: str, chat: str, msg_type: str, content: str, uuid: str, *, in_thread: bool = False
    ) -> str:
        """An answer to a message, `in_thread` in its topic; returns the new message's id."""
        body: dict[str, Any] = {"msg_type": msg_type, "content": content, "uuid": uuid}
        if in_thread:
            body["reply_in_thread"] = True
        path = f"/im/v1/messages/{quote(message_id, safe='')}/reply"
        return _named(await self.call("POST", path, chat, json=body), "message_id")

    async def patch(self, message_id: str, content: str, *, passing: bool = False) -> None:
        """Replace a card; `passing` for progress, which is dropped (Busy) rather than kept waiting."""
        path, body = f"/im/v1/messages/{quote(message_id, safe='')}", {"content": content}
        await self.call("PATCH", path, message_id, json=body, passing=passing)

    async def upload_image(self, data: bytes, *, passing: bool = False) -> str:
        """Give Feishu a picture to show in messages; returns its image key. `passing` as for patch()."""
        files = {"image": ("picture", data, "application/octet-stream")}
        fields = {"image_type": "message"}
        answer = await self.call("POST", "/im/v1/images", "", data=fields, files=files, passing=passing)
        return _named(answer, "image_key")

    async def download(self, path: str, params: Mapping[str, str], limit: int, target: str = "") -> bytes:
        """A file, read as it comes. Raises as `call` does; Undelivered with TOO_LARGE beyond `limit` bytes."""
        budgets = self._budgets(target, card=False)
        await self._pace(budgets, passing=False)
        token = await self._tenant_token()
        found = await self._stream(path, params, token, limit)
        if isinstance(found, Answer) and found.verdict is Verdict.RENEW:
            found = await self._stream(path, params, await self._tenant_token(refused=token), limit)
        if isinstance(found, bytes):
            return found
        error = error_of(found)
        if isinstance(error, Busy):
            self._slow_down(found, budgets)
        raise error

    async def _stream(self, path: str, params: Mapping[str, str], token: str, limit: int) -> bytes | Answer:
        """The file, or what is said instead of one."""
        body = bytearray()
        headers = {"Authorization": f"Bearer {token}"}
        try:
            async with self._http.stream("GET", f"/open-apis{path}", headers=headers, params=params) as response:
                said = not response.is_success or "content-disposition" not in response.headers
                async for piece in response.aiter_bytes():
                    body += piece
                    if len(body) > (MAX_ANSWER if said else limit):
                        break
        except httpx.HTTPError as error:
            raise Retry(f"Feishu did not send the file: {type(error).__name__}") from error
        if not said and len(body) > limit:
            raise _too_large(limit)
        if not said:
            return bytes(body)
        return _read(httpx.Response(response.status_code, headers=_plain(response.headers), content=bytes(body)))

    async def bot_info(self) -> str:
        """The bot's own open_id."""
        answer = await self.call("GET", "/bot/v3/info", "")
        bot = answer.body.get("bot")
        return str(bot.get("open_id") or "") if isinstance(bot, dict) else ""

    async def close(self) -> None:
        await self._http.aclose()

    async def call(
        self,
        method: str,
        path: str,
        target: str,
        *,
        json: Mapping[str, Any] | None = None,
        params: Mapping[str, str] | None = None,
        data: Mapping[str, str] | None = None,
        files: Files | None = None,
        passing: bool = False,
        card: bool = False,
    ) -> Answer:
        """One call within the budgets, with a valid token, tried once more when the token is refused.

        `target` is what has a limit of its own: a chat, a message, with `card` a card of CardKit; empty for none.
        A `passing` call uses a part of each budget only and raises Busy at once when that is used up.
        """
        budgets = self._budgets(target, card)
        await self._pace(budgets, passing)
        token = await self._tenant_token()
        for last in (False, True):
            headers = {"Authorization": f"Bearer {token}"}
            answer = await self._exchange(method, path, headers, json=json, params=params, data=data, files=files)
            if answer.ok:
                return answer
            if answer.verdict is not Verdict.RENEW or last:
                break
            token = await self._tenant_token(refused=token)
        error = error_of(answer)
        if isinstance(error, Busy):
            self._slow_down(answer, budgets)
        raise error

    async def _exchange(self, method: str, path: str, headers: Mapping[str, str], **what: Any) -> Answer:
        given = {name: value for name, value in what.items() if value is not None}
        try:
            response = await self._http.request(method, f"/open-apis{path}", headers=headers, **given)
        except httpx.HTTPError as error:
            raise Retry(f"Feishu did not answer {method} {path.split('/')[3]}: {type(error).__name__}") from error
        return _read(response)

    def _budgets(self, target: str, card: bool) -> list[tuple[Budget, str]]:
        """What counts a call, the app's budgets first."""
        own = [(self._cards if card else self._targets, target)] if target else []
        return [(self._app, ""), (self._minute, ""), *own]

    async def _pace(self, budgets: list[tuple[Budget, str]], passing: bool) -> None:
        now = self._clock()
        wait = max(budget.wait(key, now) for budget, key in budgets)
        if passing and not all(budget.room(key, now) for budget, key in budgets):
            raise Busy("the part of the calls that progress may use is used up", after=max(wait, 0.1))
        if wait > PATIENCE:
            raise Busy(f"as many calls as Feishu allows are already waiting, {wait:.1f} s of them", after=wait)
        for budget, key in budgets:
            budget.take(key, now + wait)
        if wait > 0:
            await self._sleep(wait)

    def _slow_down(self, answer: Answer, budgets: list[tuple[Budget, str]]) -> None:
        budget, key = budgets[-1] if answer.code == 230020 else budgets[0]
        budget.hold(key, self._clock() + answer.wait)

    async def _tenant_token(self, refused: str = "") -> str:
        """The tenant token, renewed when it is missing, near its end or `refused`; callers share one renewal."""
        if self._usable(refused):
            return self._token
        async with self._renewing:
            if not self._usable(refused):
                await self._renew()
            return self._token

    def _usable(self, refused: str) -> bool:
        return bool(self._token) and self._token != refused and self._clock() < self._token_until

    async def _renew(self) -> None:
        credentials = {"app_id": self._settings.app_id, "app_secret": self._settings.app_secret.get_secret_value()}
        asked = self._clock()
        answer = await self._exchange("POST", "/auth/v3/tenant_access_token/internal", {}, json=credentials)
        if not answer.ok:
            error = error_of(answer)
            if isinstance(error, Retry):
                raise error
            raise Unconfigured(str(error))
        self._token = str(answer.body.get("tenant_access_token") or "")
        expire = answer.body.get("expire")
        seconds = float(expire) if isinstance(expire, int) else 0.0
        self._token_until = asked + seconds - min(_MARGIN, seconds / 10)
        if not self._token:
            raise Retry("Feishu's token answer has no token")
        log.debug("a new tenant token, good for %.0f s", seconds)


def _too_large(limit: int) -> Undelivered:
    error = Undelivered(f"the file has more than {limit:,} bytes")
    error.code = TOO_LARGE
    return error


def _plain(headers: httpx.Headers) -> dict[str, str]:
    """The headers of a body that was unpacked on the way."""
    return {name: value for name, value in headers.items() if name not in ("content-encoding", "content-length")}


def _read(response: httpx.Response) -> Answer:
    try:
        body = response.json()
    except (ValueError, RecursionError):
        body = None
    code = body.get("code") if isinstance(body, dict) else None
    return Answer(
        status=response.status_code,
        code=code if isinstance(code, int) else None,
        body=body if isinstance(body, dict) else {},
        reset=response.headers.get("x-ogw-ratelimit-reset", ""),
    )


def _named(answer: Answer, name: str) -> str:
    """A field of `data` that a success must have."""
    data = answer.body.get("data")
    value = data.get(name) if isinstance(data, dict) else None
    if not isinstance(value, str) or not value:
        raise Retry(f"Feishu said success without a {name}")
    return value
