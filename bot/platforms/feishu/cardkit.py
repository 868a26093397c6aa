"""CardKit's calls: cards that are typed in. Each change carries a sequence that must be higher than all before it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from bot.platforms.base import Retry
from bot.platforms.feishu.client import FeishuClient
from bot.platforms.feishu.render import Card, dumps

#: How fast the client types what it has got: 5 characters every 50 ms, more than any engine writes.
PRINTING: Final[Mapping[str, Any]] = {
    "print_frequency_ms": {"default": 50},
    "print_step": {"default": 5},
    "print_strategy": "fast",
}


class CardKit:
    """The calls. They raise Retry, Undelivered (CardRefused, StreamClosed, Stale), Blocked or Unconfigured."""

    def __init__(self, client: FeishuClient) -> None:
        self._client = client

    async def create(self, card: Card) -> str:
        """Make a card that one message may show; returns its id, which is good for 14 days."""
        answer = await self._client.call("POST", "/cardkit/v1/cards", "", json=_described(card))
        data = answer.body.get("data")
        card_id = data.get("card_id") if isinstance(data, dict) else None
        if not isinstance(card_id, str) or not card_id:
            raise Retry("Feishu said success without a card_id")
        return card_id

    async def put(self, card_id: str, card: Card, sequence: int, *, passing: bool) -> None:
        """Replace the whole card, with its mode and its summary."""
        body = {"card": _described(card), "sequence": sequence}
        await self._change("PUT", card_id, "", body, passing)

    async def content(self, card_id: str, element_id: str, text: str, sequence: int, *, passing: bool) -> None:
        """Say all that a text element holds by now; what is new is typed."""
        body = {"content": text, "sequence": sequence}
        await self._change("PUT", card_id, f"/elements/{quote(element_id, safe='')}/content", body, passing)

    async def reopen(self, card_id: str, sequence: int, *, passing: bool) -> None:
        """Switch the typing on for another ten minutes."""
        settings = dumps({"config": {"streaming_mode": True, "streaming_config": PRINTING}})
        await self._change("PATCH", card_id, "/settings", {"settings": settings, "sequence": sequence}, passing)

    async def _change(self, method: str, card_id: str, rest: str, body: Mapping[str, Any], passing: bool) -> None:
        path = f"/cardkit/v1/cards/{quote(card_id, safe='')}{rest}"
        await self._client.call(method, path, card_id, json=body, passing=passing, card=True)


def content_of(card_id: str) -> str:
    """The content of a message that shows this card."""
    return dumps({"type": "card", "data": {"card_id": card_id}})


def _described(card: Card) -> dict[str, str]:
    return {"type": "card_json", "data": dumps(card)}
