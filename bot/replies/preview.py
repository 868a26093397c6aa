"""What an order would cost, where it would stand and what would refuse it, as a reply. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.replies.cards import PROMPT_SHOWN, particulars, waiting_time
from bot.replies.language import Language, short
from bot.reply import Reply
from scheduler.pausing import Hold
from scheduler.queue import Preview


def preview(params: Mapping[str, Any], found: Preview, words: Language, why: str, hold: Hold | None) -> Reply:
    """The answer to --dry-run; `why`: the sentence of the refusal, empty when nothing speaks against the order."""
    prompt = short(str(params["prompt"]), PROMPT_SHOWN)
    return Reply(
        title=words.say("preview"),
        text=f"{prompt}\n{words.say('preview.refused', why=why)}" if why else prompt,
        fields=(
            (words.say("preview.price"), _price(found, words)),
            (words.say("preview.place"), words.say("preview.number", place=found.place.place)),
            (words.say("preview.wait"), waiting_time(words, found.place, hold)),
            (words.say("field.size"), f"{params['width']}x{params['height']}"),
            (words.say("field.steps"), str(params["steps"])),
            (words.say("field.count"), str(params["count"])),
            *particulars(params, words),
        ),
        note=words.say("preview.note"),
    )


def _price(found: Preview, words: Language) -> str:
    if not found.have:
        return words.say("preview.free", cost=found.cost)
    return words.say("preview.units", cost=found.cost, left=min(one.total for one in found.have))
