"""Conversation: small talk, suggestions, answers for one alone, in English."""

from __future__ import annotations

TABLE: dict[str, str] = {
    "about.greeting": "Hello, I am Moqi. ",
    "about.text": "I do two things:\n1. **Answer from the documents**, with sources: just ask, like "
    "`how does annual leave work?`\n2. **Draw**: say it, like `draw a panda with a red scarf`; at a time, too: "
    "`every day at 9:00 draw a calendar cover`\nAll commands: /help",
    "note.chat": "AI-generated content · small talk, no document was looked at",
    "suggest.title": "Shall I draw this?",
    "suggest.price": "{cost}, once you confirm",
    "suggest.note": "The language model took it for an order; “draw …” draws at once, without asking",
    "suggested.draw": "All right, drawing it",
    "suggested.ask": "All right, it is a question",
    "button.suggest_draw": "Draw",
    "button.suggest_ask": "No, it is a question",
    "hint.suggest_draw": "To draw it, send: `{command}`",
    "refusal.suggestion_gone": "This card no longer works. To draw something, send `/draw description`.",
    "refusal.not_yours_suggestion": "Somebody else wrote this and decides. To draw it yourself, send "
    "`/draw description`.",
    "ask.privately": "It is answered again with what you may read, in our own chat.",
    "button.ask_privately": "Answer me privately",
    "hint.ask_privately": "For an answer with what you may read, ask again in our own chat",
    "refusal.private_answer_here": "I cannot write to you first here. Open our own chat and ask again there.",
    "refusal.question_gone": "The team's retention rule removed this question after {days} days. Please ask it again.",
    "refusal.unknown_kb": "There is no source called “{given}”. {hint}",
    "refusal.unknown_kb.there": "There are: {names}. Or leave --kb out to look through everything.",
    "refusal.unknown_kb.none": "Leave --kb out to look through everything.",
    "cleared": "(removed by the retention rule)",
    "cleared.text": "The team's retention rule removed this question and its answer after {days} days.",
}
