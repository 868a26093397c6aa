"""What is wrong with a platform, told to the admins: once an hour and cause, through whatever still works."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection

from sqlalchemy import Connection

from bot.delivery import reply_row
from bot.replies.language import Language
from bot.reply import Reply
from storage import audit, links, outbox, users
from storage.records import ChatType, Identity, Origin, utcnow

log = logging.getLogger("moqi.alerts")

CAUSE = 60  # characters of a problem that tell one cause from another; what follows may differ from call to call


def tell_admins(
    conn: Connection, words: Language, platform: str, problem: str, *, working: bool, through: Collection[str]
) -> None:
    """Put the problem of a `platform` into the outbox for every admin on the platforms it may go `through`.

    `working`: messages arrive all the same.
    """
    now = utcnow()
    key, people = f"alert-{_cause(platform, problem)}-{now:%Y%m%d%H}", _reachable(conn, through)
    if not people or outbox.by_key(conn, f"{key}-0") is not None:
        return
    log.error("%s: %s", platform, problem, extra={"action": "platform-problem"})
    audit.append(conn, "delivery", "platform.problem", platform, {"problem": problem}, now)
    named = words.say(f"platform.{platform}") if words.knows(f"platform.{platform}") else platform
    text = words.say("alert.working" if working else "alert.text", platform=named, problem=problem)
    reply = Reply(title=words.say("alert.title", platform=named), state="failed", text=text)
    for number, (user_id, identity) in enumerate(people):
        reply_row(conn, f"{key}-{number}", _directly(user_id, identity), reply, now)


def _cause(platform: str, problem: str) -> str:
    return hashlib.sha256(f"{platform}/{problem[:CAUSE]}".encode()).hexdigest()[:10]


def _reachable(conn: Connection, through: Collection[str]) -> list[tuple[int, Identity]]:
    return [
        (admin.id, identity)
        for admin in users.admins(conn)
        for identity in links.addresses(conn, admin.id)
        if identity.platform in through
    ]


def _directly(user_id: int, identity: Identity) -> Origin:
    """A direct chat: on the web it is the person's own page, elsewhere whoever has this id."""
    return Origin(
        platform=identity.platform,
        chat_id=str(user_id) if identity.platform == "web" else "",
        chat_type=ChatType.DIRECT,
        message_id="",
        sender=identity.external_id,
    )
