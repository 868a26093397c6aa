"""The one further answer to a message: a POST to its response_url, within an hour, and never a second time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.platforms.base import Retry, Undelivered
from bot.platforms.wecom import posting


class Refused(Undelivered):
    """WeCom does not take it (any more): nothing is shown by this call."""


class Responses:
    """Posts to response_urls."""

    def __init__(self, timeout: float = 10.0) -> None:
        """`timeout` (s) holds for each part of a call."""
        self._http = posting.client(timeout)

    async def post(self, url: str, body: Mapping[str, Any]) -> None:
        """Say `body`. Raises Unsure when it may be shown; Retry when it is not, and Refused when it never will."""
        code = await posting.post(self._http, url, body)
        if code in posting.BUSY:
            raise Retry(f"WeCom {code}: too busy", after=posting.BUSY[code])
        if code:
            refused = Refused(f"WeCom {code}: the response_url is used, expired, or does not take this")
            refused.code = code
            raise refused

    async def close(self) -> None:
        await self._http.aclose()
