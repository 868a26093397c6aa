"""POSTs to addresses that are secrets themselves: a group robot's, or the response_url of a message.

Whoever has such an address speaks for us, so it stands in no error, and no error of the HTTP library leaves this file.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from bot.platforms.base import Retry, Undelivered
from bot.platforms.trust import trusted
from bot.platforms.wecom.robot.codes import Unsure

WHOLE: Final = 20.0  # seconds that a call may take
_HERE: Final = ("127.0.0.1", "localhost", "::1")
#: Codes with which WeCom says that it was too busy, and took nothing: seconds to wait.
BUSY: Final[Mapping[int, float]] = {-1: 3.0, 45009: 60.0, 45033: 10.0}


def client(timeout: float = 10.0) -> httpx.AsyncClient:
    """The HTTP client to use: nothing is followed elsewhere; `timeout` (s) holds for each part of a call."""
    patience = httpx.Timeout(timeout, connect=min(timeout, 5.0))
    return httpx.AsyncClient(timeout=patience, follow_redirects=False, verify=trusted())


async def post(http: httpx.AsyncClient, url: str, body: Mapping[str, Any]) -> int:
    """What WeCom says to `body`: its code, 0 = done.

    Raises Retry when nothing has left, Unsure when it has and no answer of WeCom's came, Undelivered for an address
    that is none.
    """
    if not _trusted(url):
        raise Undelivered("the address is not https")
    raw = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    try:
        async with asyncio.timeout(WHOLE):
            answer = await http.post(url, content=raw, headers={"Content-Type": "application/json"})
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.InvalidURL) as error:
        raise Retry(f"WeCom cannot be reached: {type(error).__name__}") from None
    except (httpx.HTTPError, TimeoutError) as error:
        raise Unsure(f"WeCom did not answer: {type(error).__name__}") from None
    code = _code(answer)
    if code is None:
        raise Unsure(f"WeCom's answer is not its JSON (HTTP {answer.status_code}): a proxy, or an outage")
    return code


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
