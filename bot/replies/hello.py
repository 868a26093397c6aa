"""What is said when the bot comes into a chat, comes back, or has been taken out. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from bot.replies.language import Language, short
from bot.reply import Reply

HELLO = "hello"  # the state of such a card: its colour


def greeting(words: Language, group: bool, practice: bool, rests: Sequence[int] = ()) -> Reply:
    """Hello, and three things to try; in a group also the reservations that rest there since it was gone."""
    kind = "group" if group else "direct"
    draw = words.say("hello.draw.practice" if practice else "hello.draw")
    parts = [words.say(f"hello.text.{kind}", draw=draw)]
    parts += [words.say("back.text", reservations=_reservations(words, rests))] if rests else []
    text = "\n\n".join(parts)
    return Reply(title=words.say(f"hello.{kind}"), state=HELLO, text=text, note=words.say("hello.note"))


def back(words: Language, rests: Sequence[int]) -> Reply:
    """The bot is in a group again in which reservations rest."""
    said = words.say("back.text", reservations=_reservations(words, rests))
    return Reply(title=words.say("back.title"), state=HELLO, text=said)


def gone(
    words: Language,
    name: str,
    *,
    disbanded: bool,
    paused: Sequence[int],
    dropped: Sequence[int],
    cancelled: Sequence[int],
) -> Reply:
    """To one person: what of theirs has stopped because a group is gone."""
    chat = words.say("gone.name", name=short(name, 40)) if name else words.say("gone.unnamed")
    lines = [words.say("gone.disbanded" if disbanded else "gone.removed", chat=chat)]
    lines += [words.say("gone.paused", reservations=_reservations(words, paused))] if paused else []
    lines += [words.say("gone.dropped", reservations=_reservations(words, dropped))] if dropped else []
    lines += [words.say("gone.cancelled", jobs=words.listed([f"#{one}" for one in cancelled]))] if cancelled else []
    return Reply(title=words.say("gone.title"), state="cancelled", text="\n".join(lines))


def _reservations(words: Language, ids: Sequence[int]) -> str:
    return words.listed([f"r{one}" for one in ids])
