"""The retention rule for conversations: after so many days what was asked and answered is gone; the books stay."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection

from bot.platforms.web import wire
from bot.replies import Words
from bot.reply import Reply
from storage import audit, forgetting, messages
from storage.database import Database
from storage.faults import point

BATCH = 200  # questions of one transaction


async def forget(db: Database, words: Words, days: int, actor: str, now: datetime) -> int:
    """Take out what was asked and answered more than `days` ago (0 = nothing is). Returns how many questions.

    May be stopped at any moment: each batch is whole. Raises StorageError.
    """
    done = 0
    while days:
        count = await db.run(_forget, words, days, actor, now)
        point("questions-cleared")
        done += count
        if count < BATCH:
            break
    return done


def _forget(conn: Connection, words: Words, days: int, actor: str, now: datetime) -> int:
    """One batch, what the web page shows of it, and its number in the audit log."""
    gone = forgetting.clear(conn, now - timedelta(days=days), days, BATCH)
    if gone.jobs:
        own = [key for platform, key in gone.events if platform == wire.PLATFORM]
        messages.reword(conn, own, {"text": words.say("cleared")}, now)
        said = Reply(text=words.say("cleared.text", days=days)).to_json()
        messages.reword(conn, [wire.bot_key(key) for key in gone.messages], said, now)
        audit.append(conn, actor, "questions.removed", "retention", {"days": days, "questions": gone.jobs}, now)
    return gone.jobs
