"""Where a message of WeCom was written and where an answer goes: how an Origin says it. Pure.

chat_id             | what it is
--------------------|---------------------------------------------------------------
wrkSFfCgAAxx…       | a group with the robot, as WeCom calls it
robot:<its id>      | the robot's direct chat with a person, by the id that the robot knows them by
app:<userid>        | the app's direct chat with a member
webhook:<name>      | the group of a group robot that only posts
(empty)             | to `sender`, by whatever reaches them
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from storage.records import Origin

PLATFORM: Final = "wecom"


class Way(StrEnum):
    """Which of WeCom's products a chat is in."""

    ROBOT = "robot"
    APP = "app"
    WEBHOOK = "webhook"
    ANY = "any"  # a person, by whatever reaches them


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """One chat."""

    way: Way
    target: str  # chatid, a person's id, or a webhook's name
    group: bool = False


def place_of(origin: Origin) -> Place:
    """Where the answer to what came from `origin` goes."""
    if not origin.chat_id:
        return Place(way=Way.ANY, target=origin.sender)
    way, colon, target = origin.chat_id.partition(":")
    if not colon:
        return Place(way=Way.ROBOT, target=origin.chat_id, group=True)
    return Place(way=Way(way), target=target, group=way == Way.WEBHOOK)


def chat_id(place: Place) -> str:
    """The chat_id of an Origin in this place."""
    if place.way is Way.ANY:
        return ""
    return place.target if place.way is Way.ROBOT and place.group else f"{place.way}:{place.target}"


def userid(raw: str) -> str:
    """A member's userid as everything here is keyed by: WeCom does not tell their case apart, and answers in lower."""
    return raw.strip().lower()
