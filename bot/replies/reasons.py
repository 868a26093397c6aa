"""Forms that ask why: a rejection of a held picture, an appeal against it, a 👎. Pure."""

from __future__ import annotations

from bot.commands.reviews import REASON_MAX
from bot.replies.language import Language
from bot.reply import Button, Form, FormField
from storage.feedback import LONGEST, REASONS

REJECT_FORM, APPEAL_FORM, WHY_FORM = "reject_form", "appeal_form", "why_form"
REASON = "reason"  # the one field of all of them; of WHY_FORM also what a choice carries: its number in REASONS


def reject_form(job: int, review: int, words: Language) -> Form:
    """驳回: the owner reads why."""
    return _form(REJECT_FORM, "reject", {"job": job, "review": review}, words)


def appeal_form(job: int, words: Language) -> Form:
    """申诉: why the picture should be delivered all the same."""
    return _form(APPEAL_FORM, "appeal", {"job": job}, words)


def why_form(job: int, words: Language) -> Form:
    """👎: what was wrong with an answer, by one press or in their own words."""
    said = FormField(name=REASON, label=words.say("form.why.reason"), kind="lines", max=LONGEST)
    return Form(
        action=WHY_FORM,
        label=words.say("button.why"),
        send=words.say("form.why.send"),
        close=words.say("form.close"),
        fields=(said,),
        value={"job": job},
        open=True,
        choices=tuple(
            Button(action=WHY_FORM, label=words.say(f"vote.reason.{name}"), value={"job": job, REASON: number})
            for number, name in REASONS.items()
        ),
    )


def _form(action: str, name: str, value: dict[str, int], words: Language) -> Form:
    line = FormField(name=REASON, label=words.say(f"form.{name}.reason"), kind="lines", max=REASON_MAX)
    return Form(
        action=action,
        label=words.say(f"button.{name}"),
        send=words.say(f"form.{name}.send"),
        close=words.say("form.close"),
        fields=(line,),
        value=dict(value),
        hint=words.say(f"hint.{name}", job=value["job"]),
    )
