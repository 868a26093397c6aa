"""The pictures and files of Feishu's messages: which one is meant, and its bytes.

A message carries keys only. What people send is fetched through their message, never as an image of our own, and what
it is, is told by its bytes: neither its name nor the header says anything that must be true.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from bot.events import ChatEvent
from bot.platforms.base import Enclosed
from bot.platforms.feishu.client import FeishuClient
from bot.platforms.feishu.codes import MessageGone
from bot.platforms.feishu.contents import enclosures

Found = tuple[str, str, str]  # type for the address, key, name


async def enclosed(client: FeishuClient, event: ChatEvent, kind: str, limit: int) -> Enclosed | None:
    """The picture or file that a message carries, else that of the message it answers; None = neither has one.

    Raises PlatformError. See bot.platforms.base.Enclosing.
    """
    own = event.value.get("images", ()), event.value.get("files", ())
    message_id, found = event.origin.message_id, _choose(kind, *own)
    parent = str(event.value.get("parent", ""))
    if found is None and parent:
        message_id, found = parent, _choose(kind, *await _of_message(client, parent))
    if found is None:
        return None
    where, key, name = found
    path = f"/im/v1/messages/{quote(message_id, safe='')}/resources/{quote(key, safe='')}"
    return Enclosed(data=await client.download(path, {"type": where}, limit), name=name)


def _choose(kind: str, images: Sequence[str], files: Sequence[dict[str, str]]) -> Found | None:
    """The first one that fits. A picture may have been sent as a file; its bytes will tell."""
    if kind == "picture" and images:
        return "image", images[0], ""
    return ("file", files[0]["key"], files[0]["name"]) if files else None


async def _of_message(client: FeishuClient, message_id: str) -> tuple[tuple[str, ...], tuple[dict[str, str], ...]]:
    """What another message carries."""
    answer = await client.call("GET", f"/im/v1/messages/{quote(message_id, safe='')}", "")
    data: Any = answer.body.get("data")
    items = data.get("items") if isinstance(data, dict) else None
    item = items[0] if isinstance(items, list) and items and isinstance(items[0], dict) else {}
    if item.get("deleted"):
        gone = MessageGone("the message was recalled")
        gone.code = 230011
        raise gone
    body = item.get("body")
    return enclosures(str(item.get("msg_type", "")), body.get("content") if isinstance(body, dict) else None)
