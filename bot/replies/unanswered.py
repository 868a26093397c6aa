"""The questions that the knowledge base did not answer, as a message. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bot.replies.language import Language, short
from bot.reply import Reply

if TYPE_CHECKING:  # for its name only
    from bot.unanswered import Open

QUESTION = 80  # characters of each


def listed(words: Language, found: Sequence[Open], count: int, *, named: bool, page: str) -> Reply:
    """What waits for an answer, the one asked last first; `named`: nobody else reads along, so they are told."""
    if not count:
        return Reply(text=words.say("unanswered.none"))
    if not named:
        return Reply(text=words.say("unanswered.count", count=count))
    rows = [_row(words, one) for one in found] + (["…"] if count > len(found) else [])
    url = f"{page}/knowledge?view=unanswered"
    note = words.say("unanswered.page", url=url) if page else words.say("unanswered.note")
    return Reply(title=words.say("unanswered.title", count=count), text="\n".join(rows), note=note)


def _row(words: Language, one: Open) -> str:
    times = words.say("unanswered.times", n=len(one.jobs)) if len(one.jobs) > 1 else ""
    reasons = [words.say(f"vote.reason.{name}") for name in one.reasons if words.knows(f"vote.reason.{name}")]
    against = words.say("unanswered.disliked", n=one.disliked) if one.disliked else ""
    who = words.listed([short(name, 20) for name in one.askers[:3]])
    parts = [part for part in (times, against, words.listed(reasons), who) if part]
    return words.say("unanswered.row", question=short(one.question, QUESTION)) + "".join(f" · {part}" for part in parts)
