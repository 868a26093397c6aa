"""What was ordered with --private: only its owner is shown it, and never where others read along. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bot.context import House
from bot.ordering import PRIVATE
from scheduler.policy import Refusal
from storage.records import ChatType, Origin


def hidden(params: Mapping[str, Any], here: Origin) -> bool:
    """Whether an order with these parameters must not be shown in this chat."""
    return bool(params.get(PRIVATE)) and here.chat_type is ChatType.GROUP


def place(house: House, params: Mapping[str, Any], origin: Origin) -> Origin | Refusal:
    """Where an order is answered: a private one from a group in its owner's own chat, as if it were ordered there."""
    if not hidden(params, origin):
        return origin
    if origin.platform not in house.writes_first:
        return Refusal(code="private_here")
    return alone(origin, origin.sender)


def alone(origin: Origin, sender: str) -> Origin:
    """The own chat of somebody, on the platform of `origin`."""
    return replace(origin, chat_id="", chat_type=ChatType.DIRECT, message_id="", thread_id="", sender=sender)
