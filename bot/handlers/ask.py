"""/ask, plain conversation and /new."""

from __future__ import annotations

from functools import partial

from bot.commands import Ask, Conversation, New
from bot.context import Context, Handled
from bot.handlers.draw import refused
from bot.ordering import first_card
from scheduler import queue
from scheduler.policy import Refusal
from scheduler.queue import Submission
from storage import conversations
from storage.records import Kind


def ask(ctx: Context, command: Ask) -> Handled:
    """Put the question into the queue of answers."""
    wanted = Submission(
        key=ctx.key,
        kind=Kind.ASK,
        user=ctx.user,
        origin=ctx.event.origin,
        params={"question": command.question},
        cost=1,
        work=1.0,
        card=None if ctx.event.platform == "terminal" else partial(first_card, ctx.house),
    )
    job = queue.submit(ctx.conn, wanted, ctx.house.policy, ctx.now)
    if isinstance(job, Refusal):
        return refused(ctx, job)
    card = "" if wanted.card is None else queue.message_key(job.id, "card")
    return Handled(outcome=f"job:{job.id}", work=(Kind.ASK,), card=card)


def converse(ctx: Context, command: Conversation) -> Handled:
    """Text that is no command and no order to draw is a question."""
    return ask(ctx, Ask(question=command.text))


def new(ctx: Context, command: New) -> Handled:
    """Forget the conversation so far."""
    conversations.restart(ctx.conn, conversations.key(ctx.event.origin), ctx.now)
    return Handled(outcome="reply", reply=ctx.house.words.new_conversation())
