"""Calls to WeCom's API for the app: wechatpy does them, in threads, and everything it gets wrong is mended here.

wechatpy asks for a new token without end when one stays refused, once per thread when none is there, and without a
time limit; what it raises carries the secret and the token. So it gets no say in tokens: one is kept here, renewed by
one call that all share, once per refusal. Nothing else is tried twice: when to try again is the delivery loop's to
decide. A lost connection, a timeout, a page of HTML leave open whether WeCom acted; such a call raises Retry.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final

from bot.platforms.base import TOO_LARGE, Enclosed, Retry, Undelivered
from bot.platforms.budget import Budget
from bot.platforms.wecom.app.codes import Answer, Busy, Verdict, error_of
from bot.platforms.wecom.app.wechat import Client, exchange, open_client
from bot.platforms.wecom.settings import WecomApp

log = logging.getLogger(__name__)

THREADS: Final = 8  # calls at once
_CONNECT: Final = 3.0  # seconds until a connection stands
_MARGIN: Final = 300.0  # seconds before its end at which a token is renewed
_PAUSE: Final = 5.0  # seconds until asking for a token again after a refusal: asking is what WeCom limits most
_TOKEN: Final = "gettoken"  # noqa: S105 - a path
_MEDIA: Final = "media"  # the field of an upload


class WecomClient:
    """The app's one door to the API. Every method raises Retry, Undelivered (MediaGone) or Unconfigured."""

    def __init__(
        self, settings: WecomApp, *, timeout: float = 10.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`timeout`: seconds without a byte from WeCom after which a call ends; twice that is its end in any case."""
        self._settings = settings
        self._timeout = timeout
        self._clock = clock
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="wecom-app")
        self._opening = threading.Lock()
        self._wechat: Client | None = None  # wechatpy's, made in a thread by the first call
        self._token = ""
        self._token_until = 0.0
        self._renewal: asyncio.Task[Answer] | None = None
        self._resting: tuple[float, Answer] | None = None  # until when no token is asked for, and what was said
        self._holds = Budget(1, 0.0)  # which paths are to be left alone

    async def call(
        self,
        verb: str,
        path: str,
        params: Mapping[str, Any] | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """GET or POST cgi-bin/<path>, the body as UTF-8 JSON; returns WeCom's answer, whose errcode is 0."""
        answer = await self._call(verb, path, params or {}, {} if data is None else {"data": dict(data)})
        return dict(answer.body)

    async def upload(self, kind: str, name: str, data: bytes, media_type: str) -> str:
        """Give WeCom a file of kind image, voice, video or file; returns its media_id, good for three days."""
        # Bytes, not a file: a file is at its end when the call is repeated with another token.
        answer = await self._call("POST", "media/upload", {"type": kind}, {"files": {_MEDIA: (name, data, media_type)}})
        media = answer.body.get("media_id")
        if not isinstance(media, str) or not media:
            raise Retry("WeCom said success without a media_id")
        return media

    async def download(self, media_id: str, limit: int) -> Enclosed:
        """A file that a member sent. Undelivered with TOO_LARGE beyond `limit` bytes, MediaGone after three days."""
        answer = await self._call("GET", "media/get", {"media_id": media_id}, {"limit": limit})
        file = answer.body.get("file")
        if isinstance(file, Enclosed):
            return file
        if answer.body.get("too_large"):
            error = Undelivered(f"the file has more than {limit:,} bytes")
            error.code = TOO_LARGE
            raise error
        raise Retry("WeCom did not send the file")

    async def close(self) -> None:
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.gather(self._renewal, return_exceptions=True)
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._wechat is not None:
            self._wechat.shut()

    async def _call(self, verb: str, path: str, params: Mapping[str, Any], more: dict[str, Any]) -> Answer:
        path = path.strip("/").removeprefix("cgi-bin/")
        wait = self._holds.wait(path, self._clock())
        if wait > 0:
            raise Busy(f"WeCom's limit of calls of {path} is reached", after=wait)
        token = await self._valid_token()
        answer = await self._exchange(verb, path, {**params, "access_token": token}, more)
        if answer.verdict is Verdict.RENEW:
            token = await self._valid_token(refused=token)
            answer = await self._exchange(verb, path, {**params, "access_token": token}, more)
        if answer.ok:
            return answer
        error = error_of(answer, path)
        if isinstance(error, Busy):
            self._holds.hold(path, self._clock() + (error.after or 0.0))
        raise error

    async def _exchange(self, verb: str, path: str, params: dict[str, Any], more: dict[str, Any]) -> Answer:
        """One call in a thread. It never raises what wechatpy raises: that carries the secret and the token."""
        work = partial(self._talk, verb, path, params, more)
        future = asyncio.get_running_loop().run_in_executor(self._threads, work)
        done, _ = await asyncio.wait({future}, timeout=2 * self._timeout)
        if not done:  # bytes drip in: the thread ends with the connection, its answer is nobody's
            future.cancel()
            return Answer(code=None, body={}, status=0, trouble="it took too long")
        return future.result()

    def _talk(self, verb: str, path: str, params: dict[str, Any], more: dict[str, Any]) -> Answer:
        with self._opening:
            if self._wechat is None:
                self._wechat = open_client(self._settings, (min(_CONNECT, self._timeout), self._timeout))
        return exchange(self._wechat, verb.upper(), path, params, more)

    async def _valid_token(self, refused: str = "") -> str:
        """The token, renewed when it is missing, near its end or `refused`; callers share one renewal."""
        if self._token and self._token != refused and self._clock() < self._token_until:
            return self._token
        if self._resting is not None and self._clock() < self._resting[0]:
            raise error_of(self._resting[1], _TOKEN)
        if self._renewal is None:
            self._renewal = asyncio.create_task(self._renew())
        answer = await asyncio.shield(self._renewal)
        if not answer.ok:
            raise error_of(answer, _TOKEN)
        return self._token

    async def _renew(self) -> Answer:
        asked = self._clock()
        try:
            answer = await self._exchange("GET", _TOKEN, {}, {})
        finally:
            self._renewal = None
        token, seconds = answer.body.get("access_token"), answer.body.get("expires_in")
        if answer.ok and not (token and isinstance(token, str)):
            answer = Answer(code=None, body={}, trouble="no token in its answer")
        if not answer.ok:
            self._resting = (self._clock() + _PAUSE, answer)
            return answer
        lifetime = float(seconds) if isinstance(seconds, int) else 0.0
        self._token, self._resting = str(token), None
        self._token_until = asked + lifetime - min(_MARGIN, lifetime / 10)
        log.debug("a new access token, good for %.0f s", lifetime)
        return answer
