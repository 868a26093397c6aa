"""The groups that are told things without anybody asking there: who gets what, as settings name them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from bot.platforms.wecom.places import PLATFORM, Place, Way, chat_id
from bot.platforms.wecom.settings import Booked, WecomWebhook
from storage.records import ChatType, Origin

#: The parameter in which a reservation carries the group that its owner named: --to NAME.
TO: Final = "to"


@dataclass(frozen=True, kw_only=True, slots=True)
class Groups:
    """The names of the groups that a message can be posted to."""

    named: tuple[str, ...] = ()  # that a reservation may name
    every: tuple[str, ...] = ()  # of these, those that are given every finished reservation
    alerts: tuple[str, ...] = ()  # that hear of problems

    def given(self, params: Mapping[str, Any]) -> tuple[str, ...]:
        """Those that are given what is drawn with these parameters, in the order of the settings."""
        if params.get("private"):
            return ()
        named = params.get(TO)
        return tuple(name for name in self.named if name in self.every or name == named)

    def copies(self, params: Mapping[str, Any]) -> dict[str, dict[str, str]]:
        """The same as what a job carries: each with where it is."""
        return {name: origin(name).to_json() for name in self.given(params)}


def groups(webhooks: Mapping[str, WecomWebhook]) -> Groups:
    """What the settings of the group robots say."""
    return Groups(
        named=tuple(name for name, one in webhooks.items() if one.reservations is not Booked.NONE),
        every=tuple(name for name, one in webhooks.items() if one.reservations is Booked.ALL),
        alerts=tuple(name for name, one in webhooks.items() if one.alerts),
    )


def origin(name: str) -> Origin:
    """Where the group of this name is."""
    where = chat_id(Place(way=Way.WEBHOOK, target=name, group=True))
    return Origin(platform=PLATFORM, chat_id=where, chat_type=ChatType.GROUP, message_id="", sender="")
