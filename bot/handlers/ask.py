"""/ask, plain conversation and /new."""

from __future__ import annotations

from functools import partial
from typing import Any

from bot import privacy
from bot.commands import Ask, AskPrivately, Conversation, New, Tone
from bot.context import Context, Handled
from bot.handlers.draw import DOUBLE_CLICK, refused
from bot.ordering import first_card
from scheduler import queue
from scheduler.history import CHAT
from scheduler.policy import Refusal
from scheduler.queue import Submission
from scheduler.runners.ask import KB, SOURCES, STANDALONE, readers
from storage import conversations, documents, jobs
from storage.records import ChatType, Job, JobState, Kind, Origin


def ask(ctx: Context, command: Ask) -> Handled:
    """Put the question into the queue of answers."""
    params: dict[str, Any] = {"question": command.question}
    if command.kb:
        sources = _sources(ctx, command.kb)
        if isinstance(sources, Refusal):
            return refused(ctx, sources)
        params |= {KB: command.kb, SOURCES: sources}
    return submit(ctx, params, ctx.event.origin)


def ask_privately(ctx: Context, command: AskPrivately) -> Handled:
    """The same question again, for whoever presses: with what they may read, into their own chat."""
    job = jobs.get(ctx.conn, command.job)
    if job is None or job.kind is not Kind.ASK:
        return refused(ctx, Refusal(code="unknown_job", detail={"job": command.job}))
    if job.cleared is not None:
        return refused(ctx, Refusal(code="question_gone", detail={"days": job.cleared}))
    if job.state is not JobState.DONE or job.origin.chat_type is not ChatType.GROUP:
        return refused(ctx, Refusal(code="not_finished", detail={"job": job.id}))
    if job.origin.platform not in ctx.house.writes_first:
        return refused(ctx, Refusal(code="private_answer_here"))
    if jobs.redone_since(ctx.conn, job.id, ctx.user.id, ctx.now - DOUBLE_CLICK):
        return Handled(outcome="ignored:pressed twice", toast=("info", ctx.house.words.already_done()))
    kept = {name: value for name, value in job.params.items() if name != CHAT}
    if searched := (job.result or {}).get(STANDALONE):  # what it leant on was said in the group
        kept[STANDALONE] = searched
    handled = submit(ctx, kept, privacy.alone(job.origin, ctx.event.origin.sender), parent=job)
    if not handled.outcome.startswith("job:"):
        return handled
    return Handled(
        outcome=handled.outcome,
        work=handled.work,
        card=handled.card,
        toast=("success", ctx.house.words.say("ask.privately")),
    )


def converse(ctx: Context, command: Conversation) -> Handled:
    """Text that is no command and no order: small talk, where it is nothing else; else a question."""
    if command.tone is Tone.ABOUT or (command.tone is Tone.CHAT and not ctx.house.talks):
        return Handled(outcome="reply", reply=ctx.house.words.about_me(greeted=command.tone is Tone.CHAT))
    if command.tone is not Tone.CHAT:
        return ask(ctx, Ask(question=command.text))
    # What only the model takes for small talk is answered from the documents, if they have something to say.
    sure = "rules" if ctx.event.meant is None else "model"
    return submit(ctx, {"question": command.text, CHAT: sure}, ctx.event.origin)


def new(ctx: Context, command: New) -> Handled:
    """Forget the conversation so far."""
    conversations.restart(ctx.conn, conversations.key(ctx.event.origin), ctx.now)
    return Handled(outcome="reply", reply=ctx.house.words.new_conversation())


def submit(ctx: Context, params: dict[str, Any], origin: Origin, parent: Job | None = None) -> Handled:
    """Hand a question to the queue."""
    wanted = Submission(
        key=ctx.key,
        kind=Kind.ASK,
        user=ctx.user,
        origin=origin,
        params=params,
        cost=1,
        work=1.0,
        parent_id=parent.id if parent else None,
        card=None if origin.platform == "terminal" else partial(first_card, ctx.house),
    )
    job = queue.submit(ctx.conn, wanted, ctx.house.policy, ctx.now)
    if isinstance(job, Refusal):
        return refused(ctx, job)
    card = "" if wanted.card is None else queue.message_key(job.id, "card")
    return Handled(outcome=f"job:{job.id}", work=(Kind.ASK,), card=card)


def _sources(ctx: Context, name: str) -> list[str] | Refusal:
    """What --kb NAME means. One from which nothing may be read here is not told from one that does not exist."""
    known = ctx.house.collections
    may = documents.collections(ctx.conn, readers(ctx.conn, ctx.user.id, ctx.event.origin))
    there = [one for one in known if one in may]
    found = [one for one in there if one.casefold() == name.casefold()]
    if not found:
        return Refusal(code="unknown_kb", detail={"given": name, "there": there})
    return found
