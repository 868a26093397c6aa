"""What stands before an order, whoever takes it: the opening hours, how often somebody may order,
and the words that the team does not want."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from bot import commands, moderation
from bot.commands import (
    Ask,
    AskPrivately,
    Command,
    Conversation,
    Draw,
    Enlarge,
    Redo,
    Reserve,
    Retime,
    Suggest,
    TemplateSave,
    Variation,
)
from bot.context import Context, House
from bot.moderation import Action
from scheduler import hours, rates
from scheduler.policy import Refusal
from storage import audit, jobs
from storage.records import Kind, User

#: Which rates an order counts in. Everything else, /cancel, /help and /quota above all, is never limited.
SCOPES: dict[type, tuple[str, ...]] = {
    Draw: ("user", "draw"),
    Redo: ("user", "draw"),
    Variation: ("user", "draw"),
    Enlarge: ("user", "draw"),
    Reserve: ("user", "reserve"),
    Retime: ("user", "reserve"),
    Ask: ("user", "ask"),
    AskPrivately: ("user", "ask"),
    Conversation: ("user", "ask"),
    Suggest: ("user",),
    TemplateSave: ("user",),
}
#: What is wanted now, and may be ordered in the opening hours only.
FOR_NOW = (Draw, Redo, Variation, Enlarge, Ask, AskPrivately, Conversation)

#: A longer command is not written out: who sent it can add the time to it.
LONGEST = 300


def refusal(ctx: Context, wanted: Command | Conversation) -> Refusal | None:
    """Why this order is not taken now; None = it is."""
    return (
        _closed(ctx, wanted)
        or rates.take(ctx.conn, ctx.user.id, SCOPES.get(type(wanted), ()), ctx.house.policy, ctx.now)
        or _unwanted(ctx, wanted)
    )


def foreseen(ctx: Context, wanted: Draw) -> Refusal | None:
    """Why this order would not be taken now; nothing is counted or noted."""
    return (
        _closed(ctx, wanted)
        or rates.look(ctx.conn, ctx.user.id, SCOPES[Draw], ctx.house.policy, ctx.now)
        or _refused(ctx.house, moderation.hits(ctx.house.screen, wanted.prompt))
    )


def _unwanted(ctx: Context, wanted: Command | Conversation) -> Refusal | None:
    match wanted:
        case Draw(prompt=text) | Reserve(draw=Draw(prompt=text)) | Suggest(draw=Draw(prompt=text)):
            pass
        case Ask(question=text) | Conversation(text=text) | TemplateSave(body=text):
            return screened(ctx.conn, ctx.house, ctx.user, text, ctx.key, ctx.now, draws=False)
        case AskPrivately(job=number):
            asked = jobs.get(ctx.conn, number)
            said = str(asked.params.get("question", "")) if asked is not None else ""
            return screened(ctx.conn, ctx.house, ctx.user, said, ctx.key, ctx.now, draws=False)
        case Redo(prompt=str(text)):
            pass
        case Redo(job=number) | Variation(job=number) | Enlarge(job=number):
            parent = jobs.get(ctx.conn, number)
            if parent is None or parent.kind is not Kind.DRAW:
                return None
            text = str(parent.params["prompt"])
        case _:
            return None
    return screened(ctx.conn, ctx.house, ctx.user, text, ctx.key, ctx.now)


def screened(
    conn: Connection, house: House, user: User, text: str, key: str, now: datetime, *, draws: bool = True
) -> Refusal | None:
    """Why the team's rules refuse `text`; None = they do not. The audit log names the rule and the order, no word.

    `draws`: pictures will come of it, which can be held; of a question or a template that is to be reviewed there is
    only a note.
    """
    found = moderation.hits(house.screen, text)
    for hit in found:
        action = hit.rule.action if draws or hit.rule.action is not Action.REVIEW else Action.FLAG
        audit.append(conn, f"user:{user.id}", f"moderation.{action}", f"order:{key}", {"rule": hit.rule.name}, now)
    return _refused(house, found)


def _refused(house: House, found: Sequence[moderation.Hit]) -> Refusal | None:
    refusing = next((hit for hit in found if hit.rule.action is Action.REFUSE), None)
    if refusing is None:
        return None
    return Refusal(code="moderated", detail={"word": refusing.word} if house.screen.tell else {})


def _closed(ctx: Context, wanted: Command | Conversation) -> Refusal | None:
    """Outside the opening hours a picture can be reserved: what to send for that comes with the refusal."""
    found = hours.closed(ctx.house.policy, ctx.user.role, ctx.now) if isinstance(wanted, FOR_NOW) else None
    if found is None or not isinstance(wanted, Draw | Redo) or ctx.event.platform == "terminal":
        return found
    opens = hours.bookable(ctx.house.policy, datetime.fromisoformat(found.detail["opens"]), ctx.now)
    at = opens.astimezone(ctx.house.policy.timezone).strftime("%Y-%m-%dT%H:%M")
    command = reservation(wanted, at, ctx.house.rules) if isinstance(wanted, Draw) else ""
    return replace(found, detail={**found.detail, "at": at, "command": command})


def reservation(wanted: Draw, at: str, rules: commands.Rules) -> str:
    """The command that reserves `wanted` for `at`; empty when none can be written so that it is read as meant."""
    if wanted.source is not None and not wanted.source.job:
        return ""  # the picture stands in another message: what is written here would not have it
    named = wanted.sized and (wanted.width, wanted.height) != rules.size.default
    flags = [f"--size {wanted.width}x{wanted.height}"] if named else []
    flags += [f"--from {wanted.source.job}.{wanted.source.picture}"] if wanted.source is not None else []
    flags += [f"--strength {wanted.strength:g}"] if wanted.strength is not None else []
    flags += [f"--n {wanted.count}"] if wanted.count != rules.count.default else []
    flags += [f"--seed {wanted.seed}"] if wanted.seed is not None else []
    flags += [f"--lora {_adapters(wanted)}"] if wanted.adapters else []
    flags += ["--private"] if wanted.private else []
    flags += [f"--steps {wanted.steps}"] if wanted.steps != rules.steps.default else []
    flags += [f"--cfg {wanted.cfg:g}"] if wanted.cfg != rules.cfg.default else []
    flags += [f"--at {at}"]
    flags += [f'--neg "{wanted.negative}"'] if wanted.negative else []
    prompt = " ".join(wanted.prompt.split())
    meant = replace(wanted, prompt=prompt, template=None)  # it is written out: the template may change until then
    for written in (f"/draw {prompt} {' '.join(flags)}", f"/draw {' '.join(flags)} -- {prompt}"):
        read = commands.parse(written, rules)
        if len(written) <= LONGEST and isinstance(read, Reserve) and read == Reserve(draw=meant, at=at):
            return written
    return ""


def _adapters(wanted: Draw) -> str:
    return ",".join(f"{name}:{weight:g}" for name, weight in wanted.adapters)
