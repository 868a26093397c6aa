"""People of other organisations: who they are, what they may do, and that they are told politely.

A platform such as Feishu lets people of several companies meet in one group. Ours are those of the organisation that
the app belongs to, and of those an admin named; everybody else is an outsider.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from bot.context import Handled, House
from bot.events import ChatEvent
from bot.tenancy import Standing, standing
from storage import profiles
from storage.records import ChatType, Profile, Role, User


def meet(conn: Connection, house: House, event: ChatEvent) -> Standing:
    """What the sender of an event is, and note it."""
    if event.platform not in house.tenancies:
        return Standing.MEMBER
    known = profiles.get(conn, event.sender)
    found = _standing(conn, house, event, known)
    guest = found is not Standing.MEMBER
    if guest and event.origin.chat_type is ChatType.GROUP and event.origin.chat_id:
        profiles.note_external(conn, event.platform, event.origin.chat_id)
    if event.tenant and (known is None or (known.tenant_key, known.guest) != (event.tenant, guest)):
        profiles.note(conn, event.sender, event.tenant, guest)
    return found


def look(conn: Connection, house: House, event: ChatEvent) -> Standing:
    """What the sender of an event is. Events that do not tell an organisation go by what is known of the sender."""
    if event.platform not in house.tenancies:
        return Standing.MEMBER
    return _standing(conn, house, event, profiles.get(conn, event.sender))


def _standing(conn: Connection, house: House, event: ChatEvent, known: Profile | None) -> Standing:
    rules = house.tenancies[event.platform]
    home = event.home or rules.own or profiles.tenant(conn, event.platform)  # what was missed does not tell it
    return standing(event.tenant or (known.tenant_key if known else ""), home, rules)


def enter(conn: Connection, event: ChatEvent) -> None:
    """The bot came into a chat: remember when it is told that outsiders read along there."""
    if event.value.get("external") is True:
        profiles.note_external(conn, event.platform, event.origin.chat_id)


def refuse(conn: Connection, house: House, event: ChatEvent, now: datetime) -> Handled:
    """Tell an outsider that this is not for them, once in an hour; nothing of theirs is made or counted."""
    reply = house.words.refusal("outsider")
    if event.kind == "action":
        return Handled(outcome="refused:outsider", toast=("warning", reply.text))
    if not profiles.tell(conn, event.sender, event.tenant, now):
        return Handled(outcome="ignored:an outsider who was told")
    return Handled(outcome="refused:outsider", reply=reply)


def without_rights(user: User) -> User:
    """A guest for the length of one event: whatever role they were given, outsiders are never admins."""
    return replace(user, role=Role.USER)
