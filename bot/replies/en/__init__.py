"""Everything Moqi says, in English, a file per noun. Same keys and placeholders as zh; a test compares them."""

from __future__ import annotations

from bot.replies.en import cards, commands, help, knowledge, refusals, reservations, studio, talk, times, usage

PARTS = (cards, commands, help, knowledge, refusals, reservations, studio, talk, times, usage)

TABLE: dict[str, str] = {key: sentence for part in PARTS for key, sentence in part.TABLE.items()}
