"""/kb: admins put documents into the knowledge base, list them and take them out; what it did not answer."""

from __future__ import annotations

from bot import kb, unanswered
from bot.commands import KbAdd, KbList, KbRemove, KbUnanswered
from bot.context import Context, Handled
from bot.handlers.draw import refused
from bot.unanswered import Viewer
from scheduler.policy import Refusal
from scheduler.runners.ask import readers
from storage import audit, documents
from storage.records import ChatType

SHOWN = 30  # documents in one answer


def kb_add(ctx: Context, command: KbAdd) -> Handled:
    """Keep the file that the message answers: it was fetched and read before (bot/enclosures.py)."""
    value = ctx.event.value
    if "trouble" in value:
        return refused(ctx, Refusal(code=str(value["trouble"]), detail=dict(value.get("detail", {}))))
    given = value.get("document")
    if not isinstance(given, kb.Given):
        return refused(ctx, Refusal(code="no_file"))
    outcome = kb.keep_given(ctx.conn, given, access=ctx.house.access)
    if outcome.status != "failed":
        detail = {"status": outcome.status, "passages": outcome.passages}
        audit.append(ctx.conn, _actor(ctx), "kb.add", f"document:{outcome.name}", detail, ctx.now)
    return Handled(outcome="reply", reply=ctx.house.words.document(outcome))


def kb_list(ctx: Context, command: KbList) -> Handled:
    """The newest documents, and how many there are."""
    held = documents.newest(ctx.conn, SHOWN)
    return Handled(outcome="reply", reply=ctx.house.words.documents(held, documents.stats(ctx.conn).documents))


def kb_remove(ctx: Context, command: KbRemove) -> Handled:
    """Take a document out, unless its source would bring it back."""
    source = documents.source_named(ctx.conn, command.name)
    if source is None:
        return refused(ctx, Refusal(code="unknown_document", detail={"name": command.name}))
    if source:
        return refused(ctx, Refusal(code="synced_document", detail={"name": command.name}))
    documents.delete_document(ctx.conn, command.name)
    audit.append(ctx.conn, _actor(ctx), "kb.remove", f"document:{command.name}", {}, ctx.now)
    return Handled(outcome="reply", reply=ctx.house.words.document_removed(command.name))


def kb_unanswered(ctx: Context, command: KbUnanswered) -> Handled:
    """The questions that did not get a good answer. A group hears how many: what people asked is not for everybody."""
    direct = ctx.event.origin.chat_type is ChatType.DIRECT
    viewer = Viewer.of(ctx.user, readers(ctx.conn, ctx.user.id, ctx.event.origin))
    found = unanswered.listed(ctx.conn, viewer, ctx.now)
    reply = ctx.house.words.unanswered(found[:SHOWN], len(found), named=direct, page=ctx.house.page)
    return Handled(outcome="reply", reply=reply)


def _actor(ctx: Context) -> str:
    return f"user:{ctx.user.id}"
