"""A pressed card as it stands after the press, for platforms that answer a press with it."""

from __future__ import annotations

from sqlalchemy import Connection

from bot.context import House, Shown
from bot.events import ChatEvent
from bot.render import Renderer
from storage import outbox
from storage.records import DeliveryState, utcnow


def reshow(conn: Connection, house: House, event: ChatEvent) -> Shown | None:
    """The card of a press, which was just done in this transaction; None for a card that nobody knows.

    What the press has written to take the card's place is shown by that and counts as sent.
    """
    delivery = outbox.of_message(conn, event.platform, event.origin.message_id)
    if delivery is None:
        return None
    revised = outbox.newest_revision(conn, delivery.key)
    if revised is None:
        return Shown(reply=Renderer(lambda: house).delivery(conn, delivery), receipt=delivery.receipt)
    if revised.state is DeliveryState.PENDING:
        outbox.sent(conn, revised.id, dict(delivery.receipt), utcnow())
    return Shown(reply=Renderer(lambda: house).delivery(conn, revised), receipt=delivery.receipt)
