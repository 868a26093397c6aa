"""From an event to what became of it: who is it, what do they want, may they, do it. Inside one transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import TypeGuard

from sqlalchemy import Connection, select

from bot import access, chats, commands, gate, outsiders
from bot.commands import (
    Appeal,
    Ask,
    AskPrivately,
    Cancel,
    Command,
    Conversation,
    Decide,
    Enlarge,
    OnReservation,
    OnSuggestion,
    Redo,
    ShowForm,
    Tone,
    UsageError,
    Variation,
    Vote,
)
from bot.context import Context, Handled, House
from bot.delivery import reply_row
from bot.events import ChatEvent
from bot.handlers import TABLE, forms, reviews, suggest, templates
from bot.handlers.draw import refused
from bot.replies.reasons import APPEAL_FORM, REASON, REJECT_FORM, WHY_FORM
from bot.replies.reviewing import APPROVE
from bot.reply import FORM_CLOSE, FORM_OPEN
from bot.tenancy import Standing
from scheduler import queue
from scheduler.policy import Refusal
from scheduler.reservations import cancel
from storage import attendance, feedback, inbox, jobs, outbox, reservations, users
from storage.records import ChatType, Delivery, JobState, Origin
from storage.tables import inbox as inbox_table

PICTURES_MAX = 100  # of one job; more are never drawn
LATE = timedelta(minutes=15)  # a message that was under way for longer is done all the same, and that is said
JOB_MAX = 2**31 - 1  # the largest id both databases can hold; what comes back with a button is not to be trusted

#: What is said to a message without words, by what it carries instead.
WORDLESS = {"images": "only_picture", "files": "only_file", "unusable": "unusable"}

QUOTED = "\n「{quote}」"  # follows a question: what it is about, as chats show it

#: What a button orders: its action and the job it stands under.
BUTTONS: dict[str, Callable[[int], Command]] = {
    "redo": lambda job: Redo(job=job),
    "reseed": lambda job: Redo(job=job, reseed=True),
    "cancel": lambda job: Cancel(job=job),
    "ask_privately": lambda job: AskPrivately(job=job),
}
#: What a vote says: WeCom's own also say that they are taken back, and why.
VOTES = {"vote_up": feedback.UP, "vote_down": feedback.DOWN, "vote_none": 0}
#: What a button orders that stands for one of the job's pictures.
PICTURE_BUTTONS: dict[str, Callable[..., Command]] = {
    "variation": lambda job, picture: Variation(job=job, picture=picture),
    "upscale": lambda job, picture: Enlarge(job=job, picture=picture),
}
REDO_FORM, TEMPLATE_FORM = "redo_form", "template_form"  # the actions of a form that was sent
FORMS = (REDO_FORM, TEMPLATE_FORM, REJECT_FORM, APPEAL_FORM)
#: What is pressed or sent under a case, with the job and the review it is about.
REVIEW_BUTTONS: dict[str, Callable[[Context, int, int], Command | UsageError]] = {
    APPROVE: lambda ctx, job, review: Decide(job=job, approve=True, review=review),
    REJECT_FORM: lambda ctx, job, review: reviews.read(ctx, job, review),
    APPEAL_FORM: lambda ctx, job, review: reviews.read(ctx, job, review),
    FORM_OPEN: lambda ctx, job, review: ShowForm(job=job, open=True, review=review),
    FORM_CLOSE: lambda ctx, job, review: ShowForm(job=job, open=False, review=review),
}
#: What is said to a suggestion.
SUGGESTION_BUTTONS = {f"suggest_{act}": act for act in ("draw", "ask")}
#: What a button of a reservation's card does with it.
RESERVATION_BUTTONS = {f"res_{act}": act for act in ("confirm", "choose", "time", "cancel", "pause", "resume")}


def handle(conn: Connection, house: House, entry_id: int, event: ChatEvent, now: datetime) -> Handled:
    """Deal with a kept event, put the answer into the outbox and mark the event, all or nothing."""
    handled = _deal(conn, house, event, now)
    if not inbox.handled(conn, entry_id, handled.outcome, now):
        raise AlreadyHandled(entry_id)
    if event.kind == "message" and now - event.at > LATE and not handled.outcome.startswith("ignored:"):
        reply_row(conn, f"late-{entry_id}", event.origin, house.words.came_late(now - event.at), now)
    if handled.reply is not None:
        reply_row(conn, outbox.reply_key(entry_id), event.origin, handled.reply, now)
    return handled


def press(conn: Connection, house: House, event: ChatEvent, now: datetime) -> Handled:
    """A pressed button: kept and dealt with at once; what is said goes into the toast. A repeat changes nothing."""
    once = _once(event)
    seen = once is not event and inbox.find(conn, event.platform, event.key) is not None
    entry_id = None if seen else inbox.accept(conn, once.platform, once.key, once.to_json(), now)
    if entry_id is None:
        return Handled(outcome="ignored:repeated", toast=("info", house.words.already_done()))
    handled = _deal(conn, house, once, now)
    if once is not event and handled.outcome.startswith("refused:"):
        inbox.rename(conn, entry_id, event.key)  # it can be corrected and sent again
    inbox.handled(conn, entry_id, handled.outcome, now)
    return handled


def _once(event: ChatEvent) -> ChatEvent:
    """A form that was opened once orders once, however often it is sent: message, action and nonce are its key.

    A suggestion is answered once, whichever way.
    """
    if event.action in SUGGESTION_BUTTONS and _number(event.value.get("entry")):
        return replace(event, key=f"suggestion:{event.value['entry']}")
    nonce = event.value.get(forms.NONCE)
    if event.action not in FORMS or not isinstance(nonce, str) or not nonce:
        return event
    return replace(event, key=f"form:{event.origin.message_id}:{event.action}:{nonce[:32]}")


def broken(conn: Connection, house: House, entry_id: int, event: ChatEvent, now: datetime) -> Handled:
    """A defect met this event: its sender hears of it, and it is not tried again."""
    if inbox.handled(conn, entry_id, "refused:internal", now):
        reply_row(conn, outbox.reply_key(entry_id), event.origin, house.words.refusal("internal"), now)
    return Handled(outcome="refused:internal")


class AlreadyHandled(Exception):
    """Another process dealt with this event between our look and our turn; this transaction is undone."""


def _deal(conn: Connection, house: House, event: ChatEvent, now: datetime) -> Handled:
    if event.kind == "ignored":
        return Handled(outcome=f"ignored:{event.text}")
    if event.kind == "recall":
        return _recall(conn, event, now)
    if event.kind == "chat":
        outsiders.enter(conn, event)
        return chats.deal(conn, house, event, now)
    if event.kind == "message" and inbox.find(conn, event.platform, f"recall:{event.key}"):
        return Handled(outcome="ignored:taken back before it came")
    standing = outsiders.meet(conn, house, event)
    if talk_of_others(event):
        return Handled(outcome="ignored:not addressed to us")
    if standing is Standing.OUTSIDER:
        return outsiders.refuse(conn, house, event, now)
    user = users.resolve(conn, event.sender, event.sender_name, now, first_is_admin=_may_found(house, event))
    if standing is Standing.GUEST:
        user = outsiders.without_rights(user)
    attendance.note(conn, user.id, event.origin.group)
    ctx = Context(conn=conn, house=house, event=event, user=user, now=now)
    wanted = _wanted(ctx)
    if isinstance(wanted, UsageError):
        reply = house.words.usage(wanted)
        return Handled(outcome=f"refused:{wanted.code}", reply=reply, toast=("warning", reply.text))
    refusal = access.allowed(user, wanted, house.policy.timezone) or _elsewhere(ctx, wanted)
    refusal = refusal or gate.refusal(ctx, wanted)
    if refusal is not None:
        return refused(ctx, refusal)
    handled = TABLE[type(wanted)](ctx, wanted)
    ordered = handled.outcome.startswith(("job:", "reservation:"))
    taken = ordered or handled.outcome == "reply"
    if event.action in (REDO_FORM, APPEAL_FORM) and isinstance(wanted, Redo | Appeal) and taken:
        handled = replace(handled, shown=forms.pressed(ctx, wanted.job, opened=False))
    if event.action == TEMPLATE_FORM and ordered:
        handled = replace(handled, shown=templates.again(ctx))
    return handled


def talk_of_others(event: ChatEvent) -> bool:
    """With the right to read all messages of a group, most of them are none of our business."""
    addressed = event.mentioned or event.text.lstrip().startswith(("/", "／"))
    return event.kind == "message" and event.origin.chat_type is ChatType.GROUP and not addressed


def _may_found(house: House, event: ChatEvent) -> bool:
    """In the embedded set-up the first person on the web page is the admin."""
    return house.first_is_admin and event.platform == "web"


def _wanted(ctx: Context) -> Command | Conversation | UsageError:
    if ctx.event.kind == "action" and ctx.event.action in RESERVATION_BUTTONS:
        return _on_reservation(RESERVATION_BUTTONS[ctx.event.action], ctx.event.value)
    if ctx.event.kind == "action" and ctx.event.action in SUGGESTION_BUTTONS:
        entry = ctx.event.value.get("entry")
        act = SUGGESTION_BUTTONS[ctx.event.action]
        return OnSuggestion(entry=entry, act=act) if _number(entry) and entry else UsageError(code="unknown_button")
    if ctx.event.kind == "action" and templates.about(ctx.event):
        return templates.wanted(ctx, sent=ctx.event.action == TEMPLATE_FORM, opened=ctx.event.action == FORM_OPEN)
    if ctx.event.kind == "action":
        job, index = ctx.event.value.get("job"), ctx.event.value.get("index")
        make = BUTTONS.get(ctx.event.action)
        review = ctx.event.value.get("review", 0)
        if _number(review) and _number(job) and job and ctx.event.action in REVIEW_BUTTONS:
            return REVIEW_BUTTONS[ctx.event.action](ctx, job, review)
        if ctx.event.action in VOTES:
            make = partial(_vote, VOTES[ctx.event.action], ctx.event.value)
        if ctx.event.action == WHY_FORM:
            make = partial(_why, ctx.event.value)
        if ctx.event.action in PICTURE_BUTTONS and _number(index) and 1 <= index <= PICTURES_MAX:
            make = partial(PICTURE_BUTTONS[ctx.event.action], picture=index)
        if not _number(job) or not job or (make is None and ctx.event.action != REDO_FORM):
            return UsageError(code="unknown_button")
        return forms.read(ctx, job) if make is None else make(job)
    if not ctx.event.text and (sent := next((kind for kind in WORDLESS if ctx.event.value.get(kind)), "")):
        return UsageError(code=WORDLESS[sent])
    wanted = commands.parse(ctx.event.text, ctx.rules)
    if isinstance(wanted, Conversation):
        wanted = suggest.meant(ctx, wanted)
    return _with_quote(wanted, ctx)


def _with_quote(wanted: Command | Conversation | UsageError, ctx: Context) -> Command | Conversation | UsageError:
    """A question with the message it is about, where the platform tells what that says, as far as there is room."""
    said = wanted.question if isinstance(wanted, Ask) else wanted.text if isinstance(wanted, Conversation) else ""
    if isinstance(wanted, Conversation) and wanted.tone in (Tone.CHAT, Tone.ABOUT):
        return wanted  # thanks for a message are no question about it
    room = ctx.house.rules.prompt_max - len(said) - len(QUOTED.format(quote=""))
    quote = str(ctx.event.value.get("quote", ""))[: max(0, room)].strip()
    if not said or not quote:
        return wanted
    said += QUOTED.format(quote=quote)
    return replace(wanted, question=said) if isinstance(wanted, Ask) else Conversation(text=said)


def _vote(value: int, carried: Mapping[str, object], job: int) -> Command:
    """A press on 👍 or 👎, which a second one takes back; with `reasons` it is the platform's own: what stands now."""
    reasons, said = carried.get("reasons"), carried.get("said")
    if not isinstance(reasons, list):
        return Vote(job=job, value=value) if value else Vote(job=job, value=0, stated=True)
    known = tuple(feedback.REASONS[one] for one in reasons if _number(one) and one in feedback.REASONS)
    words = users.shown(said, feedback.LONGEST) if isinstance(said, str) else ""
    against = value == feedback.DOWN
    return Vote(job=job, value=value, stated=True, reasons=known if against else (), said=words if against else "")


def _why(carried: Mapping[str, object], job: int) -> Command:
    """What was chosen or written in the form that asks why after a 👎."""
    chosen, filled = carried.get(REASON), carried.get("form")
    said = filled.get(REASON) if isinstance(filled, dict) else None
    return Vote(
        job=job,
        value=feedback.DOWN,
        stated=True,
        reasons=(feedback.REASONS[chosen],) if _number(chosen) and chosen in feedback.REASONS else (),
        said=users.shown(said, feedback.LONGEST) if isinstance(said, str) else "",
    )


def _on_reservation(act: str, value: dict[str, object]) -> Command | UsageError:
    reservation, version, choice = (value.get(name, 0) for name in ("reservation", "version", "choice"))
    if not (_number(reservation) and _number(version) and _number(choice)) or not reservation:
        return UsageError(code="unknown_button")
    return OnReservation(reservation=int(str(reservation)), act=act, version=int(str(version)), choice=int(str(choice)))


def _elsewhere(ctx: Context, wanted: Command | Conversation) -> Refusal | None:
    """A card may be forwarded; the copy does nothing, in whatever chat it is pressed, whoever presses it.

    Ours is the one in the chat of its order, or the message that is known to show it: a group that was gone.
    """
    event = ctx.event
    if event.kind != "action" or event.platform == "web":  # a page shows nobody a card from elsewhere
        return None
    if (
        isinstance(wanted, Vote) and wanted.stated and event.action != WHY_FORM
    ):  # given to a message of ours itself, which nobody forwards
        return None
    home, known = _shown_by(ctx, wanted)
    if home is None or (home.platform, home.chat_id) == (event.platform, event.origin.chat_id):
        return None
    ids = {delivery.receipt.get("message_id") for delivery in known}
    return None if event.origin.message_id in ids else Refusal(code="elsewhere")


def _shown_by(ctx: Context, wanted: Command | Conversation) -> tuple[Origin | None, list[Delivery]]:
    """Where the order behind a button was given, and the messages that show it."""
    match wanted:
        case (
            Redo(job=number)
            | Variation(job=number)
            | Enlarge(job=number)
            | Cancel(job=number)
            | ShowForm(job=number, review=0)
            | Vote(job=number)
            | Appeal(job=number)
            | AskPrivately(job=number)
        ):
            job = jobs.get(ctx.conn, number)
            return (job.origin, list(outbox.of_job(ctx.conn, number).values())) if job else (None, [])
        case OnSuggestion(entry=number):
            answer = outbox.by_key(ctx.conn, outbox.reply_key(number))
            return (answer.origin, [answer]) if answer else (None, [])
        case OnReservation(reservation=number):
            found = reservations.get(ctx.conn, number)
            card = outbox.by_key(ctx.conn, found.card) if found else None
            return (found.origin, [card] if card else []) if found else (None, [])
    return None, []


def _number(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 <= value <= JOB_MAX  # a bool is an int, and no number


def _recall(conn: Connection, event: ChatEvent, now: datetime) -> Handled:
    """The message was taken back: so is what it ordered."""
    row = conn.execute(
        select(inbox_table.c.outcome).where(
            inbox_table.c.platform == event.platform, inbox_table.c.key == event.value.get("message_id", "")
        )
    ).one_or_none()
    if row is not None and row.outcome.startswith("reservation:"):
        return _recall_reservation(conn, event, int(row.outcome.removeprefix("reservation:")), now)
    if row is None or not row.outcome.startswith("job:"):
        return Handled(outcome="ignored:recall of nothing")
    job = jobs.get(conn, int(row.outcome.removeprefix("job:")))
    if job is None or job.state.terminal:
        return Handled(outcome="ignored:recall of what is over")
    state = queue.cancel(conn, job, f"{event.platform}:recall", now)
    return Handled(outcome="ignored:recalled", stop=(job.id,) if state is JobState.RUNNING else ())


def _recall_reservation(conn: Connection, event: ChatEvent, reservation_id: int, now: datetime) -> Handled:
    found = reservations.lock(conn, reservation_id)
    if found is None or found.state.terminal:
        return Handled(outcome="ignored:recall of what is over")
    cancel(conn, found, f"{event.platform}:recall", now)
    return Handled(outcome="ignored:recalled")
