"""What a language model took for an order: its writer says whether it is one, before it costs anything.

The proposal stands in the kept message itself: a button names that, and only its writer may press it, once.
"""

from __future__ import annotations

from dataclasses import replace

from bot import commands, gate, ordering, remix
from bot.commands import Ask, Command, Conversation, Draw, OnSuggestion, Suggest, Tone
from bot.context import Context, Handled
from bot.events import ChatEvent
from bot.handlers import ask, draw
from bot.handlers.draw import refused
from bot.reply import Reply
from inference.text.routing import Purpose
from scheduler.policy import Refusal
from storage import inbox, outbox, users
from storage.records import Origin


def meant(ctx: Context, said: Conversation) -> Command | Conversation:
    """What a message is by the model's opinion, where rules are not sure and there is one."""
    opinion = ctx.event.meant
    if opinion is None or said.tone is not Tone.UNSURE:
        return said
    if opinion.purpose is Purpose.CHAT:
        return replace(said, tone=Tone.CHAT)
    if opinion.purpose is Purpose.QUESTION:
        return said
    found = commands.suggested(opinion.prompt, opinion.when, ctx.house.rules)
    return Suggest(draw=found) if isinstance(found, Draw) else found or said


def suggest(ctx: Context, command: Suggest) -> Handled:
    """Show what would be drawn and what it costs, and ask."""
    entry = inbox.find(ctx.conn, ctx.event.platform, ctx.event.key)
    params = remix.ordered(ctx, command.draw)
    if entry is None or isinstance(params, Refusal):
        return refused(ctx, params if isinstance(params, Refusal) else Refusal(code="internal"))
    cost = ordering.price(ctx.house, params)
    if cost is None or ctx.event.platform == "terminal":  # no picture can be drawn, nobody can press: a question
        return ask.ask(ctx, Ask(question=ctx.event.text))
    inbox.reword(ctx.conn, entry.id, ctx.event.to_json())
    return Handled(outcome="reply", reply=ctx.house.words.suggestion(command.draw.prompt, cost, entry.id))


def act(ctx: Context, command: OnSuggestion) -> Handled:
    """Draw what was suggested, or answer the message as a question."""
    asked = _asked(ctx, command.entry)
    if isinstance(asked, Refusal):
        return refused(ctx, asked)
    wanted = _wanted(ctx, asked, command.act)
    refusal = gate.refusal(ctx, wanted)
    if refusal is not None:
        return refused(ctx, refusal)
    handled = _done(ctx, wanted, asked.origin)
    if handled.outcome.startswith("job:"):
        _tidy(ctx, command, asked.origin)
    return handled


def _asked(ctx: Context, entry_id: int) -> ChatEvent | Refusal:
    """The message, if it is this person's, who is still who wrote it, and waits for a word of theirs."""
    entry = inbox.get(ctx.conn, entry_id)
    asked = ChatEvent.from_json(entry.event) if entry is not None and entry.event else None
    if asked is None or asked.meant is None or asked.meant.purpose is not Purpose.DRAW:
        return Refusal(code="suggestion_gone")
    if inbox.find(ctx.conn, asked.platform, f"recall:{asked.key}") is not None:
        return Refusal(code="suggestion_gone")  # its writer took it back
    writer = users.of_identity(ctx.conn, asked.sender)
    return asked if writer is not None and writer.id == ctx.user.id else Refusal(code="not_yours_suggestion")


def _wanted(ctx: Context, asked: ChatEvent, act: str) -> Draw | Ask:
    found = commands.suggested(asked.meant.prompt, "", ctx.house.rules) if asked.meant and act == "draw" else None
    return found if isinstance(found, Draw) else Ask(question=asked.text)


def _done(ctx: Context, wanted: Draw | Ask, origin: Origin) -> Handled:
    if isinstance(wanted, Ask):
        handled = ask.submit(ctx, {"question": wanted.question}, origin)
        return replace(handled, toast=handled.toast if handled.toast[1] else ("success", ""))
    params = remix.ordered(ctx, wanted)
    if isinstance(params, Refusal):
        return refused(ctx, params)
    return draw.submit(ctx, ordering.seeded(params), origin, parent=None)


def _tidy(ctx: Context, command: OnSuggestion, origin: Origin) -> None:
    """The card says what became of it, and offers nothing any more."""
    body = Reply(title=ctx.house.words.say(f"suggested.{command.act}"), state="done", tidies=True).to_json()
    key = outbox.reply_key(command.entry)
    outbox.add(ctx.conn, f"{key}-taken", origin, slot="revision", body=body, now=ctx.now, replaces=key)
