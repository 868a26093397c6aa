"""The one further answer to a message: a POST to its response_url, within an hour, and never a second time.

The address is a secret: whoever has it speaks as the robot. It stands in no error and in no log.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from bot.platforms.base import Retry, Undelivered

_BUSY: Final[Mapping[int, float]] = {-1: 3.0, 45009: 60.0, 45033: 10.0}  # code: seconds to wait
_HERE: Final = ("127.0.0.1", "localhost", "::1")


class NotSent(Retry):
    """Nothing has left, or WeCom was too busy to take it: the same again."""


class Unsure(Retry):
    """It has left and no answer came: WeCom may have taken it."""


class Refused(Undelivered):
    """WeCom does not take it (any more): nothing is shown by this call."""


class Responses:
    """Posts to response_urls."""

    def __init__(self, timeout: float = 10.0) -> None:
        """`timeout` (s) holds for each part of a call."""
        self._http = httpx.AsyncClient(timeout=httpx.Timeout(timeout, connect=min(timeout, 5.0)), trust_env=True)

    async def post(self, url: str, body: Mapping[str, Any]) -> None:
        """Say `body`. Raises NotSent, Unsure or Refused."""
        if not _trusted(url):
            raise Refused("the response_url is not an https address")
        raw = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        try:
            answer = await self._http.post(url, content=raw, headers={"Content-Type": "application/json"})
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.InvalidURL) as error:
            raise NotSent(f"WeCom cannot be reached: {type(error).__name__}") from None  # it names the address
        except httpx.HTTPError as error:
            raise Unsure(f"WeCom did not answer: {type(error).__name__}") from None
        code = _code(answer)
        if code is None:
            raise Unsure(f"WeCom's answer is not its JSON (HTTP {answer.status_code}): a proxy, or an outage")
        if code in _BUSY:
            raise NotSent(f"WeCom {code}: too busy", after=_BUSY[code])
        if code:
            refused = Refused(f"WeCom {code}: the response_url is used, expired, or does not take this")
            refused.code, refused.status = code, answer.status_code
            raise refused

    async def close(self) -> None:
        await self._http.aclose()


def _trusted(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _HERE)


def _code(answer: httpx.Response) -> int | None:
    try:
        code = answer.json()["errcode"]
    except (ValueError, KeyError, TypeError):
        return None
    return code if isinstance(code, int) else None
