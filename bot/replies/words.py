"""What Moqi answers to a command, as replies in one language. Jobs have their own page: cards.py."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from bot.commands import COMMANDS, UsageError
from bot.commands.rules import Rules
from bot.commands.when import Problem
from bot.replies import booked, manual, models, operate, reviewing, rhythm, templates, unanswered
from bot.replies.booked import Shown
from bot.replies.cards import queued_title, titled
from bot.replies.language import Language, short
from bot.replies.operate import Condition
from bot.replies.preview import preview
from bot.reply import Button, Reply
from bot.settings.parameters import Parameters
from scheduler.standing import Limit, Standing, binding, payer
from storage.records import (
    Allowance,
    Job,
    Kind,
    Occurrence,
    Payer,
    Place,
    Reservation,
    ReservationState,
    Role,
    Template,
    Unit,
    User,
)

if TYPE_CHECKING:  # for their names only
    from bot.kb import Outcome
    from bot.kb_plan import Tally
    from bot.manage import Holder
    from bot.models import Model
    from bot.replies.reviewing import Case
    from bot.unanswered import Open
    from inference.images.model import Adapter
    from scheduler.pausing import Hold
    from scheduler.queue import Preview
    from scheduler.quota import Allowed
    from storage.documents import Holding

PROMPT_TYPED = 80  # characters of an order that somebody may type again

#: What a flag's value looks like, for a flag that has none.
EXAMPLES = {
    "--size": "--size 1024x768",
    "--ar": "--ar 16:9",
    "--n": "--n 2",
    "--seed": "--seed 7",
    "--steps": "--steps 8",
    "--cfg": "--cfg 0",
    "--neg": "--neg blurry",
    "--at": "--at 22:00",
    "--every": "--every 9:00",
    "--late": "--late 30",
    "--to": "--to 设计群",
    "--strength": "--strength 0.6",
    "--lora": "--lora style:0.8",
    "--template": "--template 海报",
    "--kb": "--kb 人事制度",
}


class Words(Language):
    """Every reply that is not a job's card. `parameters` holds the texts /help shows for parameters."""

    def __init__(self, language: str = "zh", parameters: Parameters | None = None) -> None:
        super().__init__(language)
        self._parameters = parameters or Parameters()

    # --- what cannot be done -------------------------------------------------------------------------------------

    def usage(self, error: UsageError) -> Reply:
        """What is wrong with a message, and how to write it."""
        values = dict(error.values)
        values["example"] = values.get("example") or self._example(error)
        if self.knows(f"usage.{error.code}.near"):
            ending = "near" if values.get("near") else "none"
            values["hint"] = self.say(f"usage.{error.code}.{ending}", **values)
        said = self.say(f"usage.{error.code}", **values)
        more = error.code == "out_of_range" and values.get("flag") == "--n" and values["nearest"] == values["high"]
        return Reply(text=said + self.say("usage.more_pictures") if more else said)

    def refusal(self, code: str, detail: Mapping[str, Any] | None = None) -> Reply:
        """Why something is not done, and what would help."""
        values = dict(detail or {})
        if code == "banned":
            return Reply(text=operate.shut_out(self, values.get("reason", ""), values.get("until", "")))
        if code == "too_fast":
            values = self._too_fast(values)
        if code == "closed":
            values = self._closed(values)
        if code == "moderated":
            named = self.say("refusal.moderated.word", word=values["word"]) if values.get("word") else ""
            return Reply(text=self.say("refusal.moderated", word=named))
        if code == "quota":
            values |= self._lacking(values)
        if code == "not_limited":
            values = {"whose": self.whose(values["holder"]), "unit": self.unit(values["unit"])}
        if code == "unknown_chat" and not values:
            code = "no_chat"
        if code == "already_ended":
            values["state"] = self.say(f"state.{values['state']}")
        if code in ("unknown_template", "unknown_kb"):
            there = values.pop("there", ())
            near = self.say(f"refusal.{code}.there", names=self.listed(there)) if there else ""
            values["hint"] = near or self.say(f"refusal.{code}.none")
        if code == "templates_full":
            values["whose"] = self.say(f"template.scope.{values.pop('scope')}")
        if "names" in values:
            values["names"] = self.listed(values["names"])
        return Reply(text=self.say(f"refusal.{code}", **values))

    def _too_fast(self, detail: Mapping[str, Any]) -> dict[str, str]:
        """How often is allowed, and when to try again."""
        count = self.say(f"often.{detail['period']}", count=detail["count"])
        wait = self.duration(math.ceil(detail["wait"]))
        return {"what": self.say(f"often.{detail['scope']}"), "often": count, "wait": wait}

    def _closed(self, detail: Mapping[str, Any]) -> dict[str, str]:
        """When it is open, and what can be sent meanwhile."""
        opens = datetime.fromisoformat(detail["opens"])
        way = "send" if detail.get("command") else "add" if detail.get("at") else "none"
        return {
            "hours": self.listed(detail["hours"]),
            "opens": self.moment(opens),
            "way": self.say(f"refusal.closed.{way}", at=detail.get("at", ""), command=detail.get("command", "")),
        }

    def _lacking(self, detail: Mapping[str, Any]) -> dict[str, str]:
        """Whose quota does not reach, and what helps."""
        rate = self.rate(Allowance(amount=detail["amount"], period=detail["period"]))
        way = "none" if not detail["amount"] else "never" if detail["never"] else "renews"
        renews = self.moment(datetime.fromisoformat(detail["renews"]))
        return {
            "whose": self.say(f"yours.{payer(detail['subject']).value}"),
            "unit": self.unit(Unit(detail["unit"])),
            "rate": rate,
            "way": self.say(f"refusal.quota.{way}", rate=rate, renews=renews),
        }

    def _example(self, error: UsageError) -> str:
        return EXAMPLES.get(error.values.get("flag", ""), f"/{error.topic or 'redo'} 17")

    # --- what was done -------------------------------------------------------------------------------------------

    def new_conversation(self) -> Reply:
        return Reply(text=self.say("new"))

    def about_me(self, *, greeted: bool) -> Reply:
        """What the bot is for, to who greets it where no model can greet back, or asks."""
        return Reply(text=f"{self.say('about.greeting') if greeted else ''}{self.say('about.text')}")

    def suggestion(self, prompt: str, cost: int, entry: int) -> Reply:
        """Whether this is to be drawn: a model took the message `entry` for an order."""
        return Reply(
            title=self.say("suggest.title"),
            text=prompt,
            fields=((self.say("field.price"), self.say("suggest.price", cost=cost)),),
            buttons=(
                self._on_suggestion("draw", entry, "primary", f"/draw {prompt}" if len(prompt) <= PROMPT_TYPED else ""),
                self._on_suggestion("ask", entry),
            ),
            note=self.say("suggest.note"),
        )

    def _on_suggestion(self, act: str, entry: int, style: str = "default", command: str = "") -> Button:
        hint = self.say("hint.suggest_draw", command=command) if command else ""
        label = self.say(f"button.suggest_{act}")
        return Button(action=f"suggest_{act}", label=label, value={"entry": entry}, style=style, hint=hint)

    def cancelled(self, job: int, *, running: bool) -> Reply:
        return Reply(text=self.say("cancel.running" if running else "cancel.done", job=job))

    def paused(self, kinds: Sequence[Kind], *, at_once: bool, running: int) -> Reply:
        return operate.paused(self, kinds, at_once=at_once, running=running)

    def resumed(self, kinds: Sequence[Kind]) -> Reply:
        return operate.resumed(self, kinds)

    def banned(self, person: User, until: datetime | None, jobs: int) -> Reply:
        return operate.banned(self, person, until, jobs)

    def unbanned(self, person: User) -> Reply:
        return operate.unbanned(self, person)

    def role_set(self, who: str, role: Role) -> Reply:
        return Reply(text=self.say("role_set", who=short(who, 40), role=self.say(f"role.{role.value}")))

    def quota_set(self, holder: Holder, unit: Unit, limits: Allowed | None, standing: Standing | None) -> str:
        """What an account may spend of a unit from now on."""
        values = {"whose": self.whose(holder), "unit": self.unit(unit)}
        if limits is None:
            return self.say("quota.free", **values)
        rates = self.rates(limits.limits)
        if standing is None:
            return self.say("quota.set_default", rates=rates, **values)
        said = self.say("quota.set" if limits.own else "quota.cleared", rates=rates, left=standing.total, **values)
        empty = holder.payer is Payer.DEPARTMENT and not holder.people
        return f"{said}\n{self.say('quota.nobody_there')}" if empty else said

    def quota_granted(self, holder: Holder, amount: int, until: date | None, standing: Standing) -> Reply:
        """An account got units; `until` is their last day."""
        ends = self.say("quota.until", date=self.date(until)) if until else self.say("quota.stays")
        values = {"whose": self.whose(holder), "unit": self.unit(standing.unit), "amount": amount, "until": ends}
        return Reply(text=self.say("quota.granted", left=standing.total, **values))

    def whose(self, holder: Holder) -> str:
        """Whose quota: as a sentence about it begins."""
        kind = "this_group" if holder.payer is Payer.GROUP and not holder.name else holder.payer.value
        return self.say(f"whose.{kind}", name=short(holder.name, 40), people=holder.people)

    def came_late(self, late: timedelta) -> Reply:
        """A message was under way for so long that its writer may have given up on it."""
        return Reply(text=self.say("came_late", late=rhythm.lateness(self, late)))

    def already_done(self) -> str:
        return self.say("already_done")

    def toast_queued(self, job: int) -> str:
        return self.say("toast.queued", job=job)

    def cut(self) -> str:
        """Follows a text that a platform had no room for."""
        return self.say("cut")

    def reviewed(self, job: int, *, approved: bool) -> Reply:
        return Reply(text=self.say("review.approved" if approved else "review.rejected", job=job))

    def appealed(self, job: int) -> Reply:
        return Reply(text=self.say("review.appealed", job=job))

    # --- what there is -------------------------------------------------------------------------------------------

    def help(self, topic: str, role: Role, rules: Rules, styles: Sequence[Adapter] = ()) -> Reply:
        """All commands of this person, or one command or parameter in detail; `styles` are the model's adapters."""
        if not topic:
            return manual.overview(self, role, rules)
        if topic == "lora":
            return manual.styles(self, styles)
        return manual.page(self, topic, role, rules, self._parameters, styles)

    def hints(self) -> list[tuple[str, str, str]]:
        """Name, Chinese name and one line of every command, for a page that suggests them."""
        return [(name, aliases[0], self.say(f"help.{name}")) for name, aliases in COMMANDS.items()]

    def quota(self, holder: Holder | None, standings: Mapping[Unit, Sequence[Standing]]) -> Reply:
        """What is left of each unit in every account that counts; `holder` is None for one's own."""
        title = self.say("quota.of", whose=self.whose(holder)) if holder else self.say("quota.own")
        fields = [field for unit, found in standings.items() for field in self._standings(holder, unit, found)]
        return Reply(title=title, fields=tuple(fields), note=self.say("quota.note"))

    def quota_default(self, limits: Mapping[Unit, Sequence[Allowance]]) -> Reply:
        """What everybody may spend who has no quota of their own."""
        title = self.say("quota.of", whose=self.say("whose.default"))
        fields = tuple((self.unit(unit), self.rates(found)) for unit, found in limits.items())
        return Reply(title=title, fields=fields, note=self.say("quota.note"))

    def jobs(
        self,
        mine: Sequence[Job],
        places: Mapping[int, Place],
        reserved: Sequence[Reservation] = (),
        now: datetime | None = None,
        holds: Mapping[int, Hold | None] | None = None,
    ) -> Reply:
        """The person's jobs, newest first, and their open reservations, soonest first."""
        if not mine and not reserved:
            return Reply(text=self.say("jobs.none"))
        lines = [self._job(job, places.get(job.id), (holds or {}).get(job.id)) for job in mine]
        if reserved and now is not None:
            lines += [self.say("reservations.title"), *(booked.row(one, self, now) for one in reserved)]
            lines.append(self.say("reservations.note"))
        return Reply(title=self.say("jobs.title"), text="\n".join(lines), note=self.say("jobs.note"))

    def reviews(self, found: Sequence[Case], count: int, now: datetime, *, private: bool) -> Reply:
        """The pictures that wait for a reviewer; `count` in all, `private`: nobody else reads along."""
        return reviewing.listed(found, count, now, self, private=private)

    def taken_privately(self) -> Reply:
        """In the group: what was ordered there goes on elsewhere."""
        return Reply(text=self.say("private.moved"))

    def preview(self, params: Mapping[str, Any], found: Preview, hold: Hold | None = None) -> Reply:
        """What would become of an order."""
        refusal = found.refusal
        why = self.refusal(refusal.code, refusal.detail).text if refusal else ""
        return preview(params, found, self, why, hold)

    # --- documents -----------------------------------------------------------------------------------------------

    def document(self, outcome: Outcome) -> Reply:
        """What became of a document that was sent."""
        why = self.say(f"kb.why.{outcome.code}") if outcome.status == "failed" else ""
        name = short(outcome.name, 80)
        said = self.say(f"kb.{outcome.status}", name=name, passages=outcome.passages, why=why)
        unread = self.say("kb.unread", pages=short(outcome.unread, 80)) if outcome.unread else ""
        return Reply(text="\n".join(filter(None, (said, unread))))

    def documents(self, held: Sequence[Holding], count: int) -> Reply:
        """The documents of the knowledge base, newest first; `count` in all."""
        if not held:
            return Reply(text=self.say("kb.none"))
        rows = [self._document(one) for one in held] + (["…"] if count > len(held) else [])
        return Reply(title=self.say("kb.title", count=count), text="\n".join(rows), note=self.say("kb.note"))

    def _document(self, held: Holding) -> str:
        row = "kb.row.synced" if held.source else "kb.row"
        return self.say(row, name=short(held.document.name, 60), passages=held.passages)

    def document_removed(self, name: str) -> Reply:
        return Reply(text=self.say("kb.removed", name=short(name, 80)))

    def unanswered(self, found: Sequence[Open], count: int, *, named: bool, page: str) -> Reply:
        """The questions that did not get a good answer; `count` in all, `named`: nobody else reads along."""
        return unanswered.listed(self, found, count, named=named, page=page)

    # --- models --------------------------------------------------------------------------------------------------

    def models(self, found: Sequence[Model], choice: models.Choice) -> Reply:
        """Which models there are, and which one draws."""
        return models.listed(self, found, choice)

    def model_chosen(self, name: str, *, default: bool) -> Reply:
        """Another model is going to draw."""
        return Reply(text=self.say("model.chosen.default" if default else "model.chosen", name=name))

    def model_ready(self, name: str, seconds: float, *, default: bool) -> Reply:
        """It draws."""
        said = "model.ready.default" if default else "model.ready"
        return Reply(text=self.say(said, name=name, time=self.took(seconds)), state="done")

    def model_failed(self, name: str, problem: str, back: str) -> Reply:
        """It cannot be loaded, and the one before draws on."""
        return Reply(text=self.say("model.failed", name=name, back=back, problem=short(problem, 400)), state="failed")

    # --- reservations --------------------------------------------------------------------------------------------

    def reservation(self, found: Reservation, shown: Shown) -> Reply:
        """A reservation's card."""
        return booked.card(found, self, shown)

    def not_fired(self, found: Reservation, fate: Occurrence, why: str) -> Reply:
        """Why a due time was not run; `why` is the refusal's sentence, if it was one."""
        return booked.not_fired(found, self, fate, why)

    def how_to_retime(self, found: Reservation) -> Reply:
        return Reply(text=self.say("reservation.retime", id=found.id))

    def reservation_done(self, found: Reservation, act: str, now: datetime) -> Reply:
        """What has been done with a reservation."""
        if found.state is ReservationState.PROPOSED and act == "choose":
            act = "chosen"
        values = {"id": found.id, "when": booked.said(found, self, now)}
        return Reply(text=self.say(f"reservation.done.{act}", **values))

    def when_problem(self, problem: Problem) -> Reply:
        """Why a written time cannot be booked, and how to write it."""
        return Reply(text=self.say(f"when.{problem.code}", **{"given": "", "near": "", **problem.values}))

    def status(self, now: Condition) -> Reply:
        """Models, queues, reservations, and how long the program has been up."""
        return operate.status(self, now)

    def sources(self, read: Sequence[Tally], documents: int, *, named: bool) -> Reply:
        """Where the knowledge base comes from; `named`: pages that were left out are named."""
        return operate.sources(self, read, documents, named=named)

    def templates(self, found: Sequence[Template]) -> Reply:
        """The prompt templates there are."""
        return templates.listing(self, found)

    def template(self, found: Template, saver: str, others: Sequence[Template]) -> Reply:
        """One of them, with a form to use it; `others`: more of the same name."""
        return templates.card(self, found, saver, others)

    def template_saved(self, kept: Template, before: Template | None, hidden: Template | None = None) -> Reply:
        """What is kept now; `hidden`: one of the same name that an order takes before it."""
        return templates.saved(self, kept, before, hidden)

    def template_deleted(self, found: Template, left: Template | None) -> Reply:
        return templates.deleted(self, found, left)

    def unit(self, unit: Unit) -> str:
        return self.say(f"quota.{unit.value}")

    def _standings(self, holder: Holder | None, unit: Unit, found: Sequence[Standing]) -> list[tuple[str, str]]:
        if not found:
            return [(self.unit(unit), self.say("quota.no_limit"))]
        binds = binding(found) if sum(len(one.limits) for one in found) > 1 else None
        whose = holder.payer if holder else Payer.USER  # whom the title is about
        return [(self._account(one, whose), self._standing(one, one is binds)) for one in found]

    def _account(self, standing: Standing, whose: Payer) -> str:
        """What a row is about: the unit, and whose it is where that is not what the title says."""
        unit = self.unit(standing.unit)
        if standing.payer is whose:
            return unit
        name = short(standing.subject.partition(":")[2], 40)
        return self.say(f"quota.of_{standing.payer.value}", unit=unit, name=name)

    def _standing(self, standing: Standing, binds: bool) -> str:
        rows = [self._limit(limit, binds and limit is standing.tight) for limit in standing.limits]
        return self.say("quota.also").join(rows) + self._extra(standing)

    def _limit(self, limit: Limit, binds: bool) -> str:
        row = self.say(
            "quota.row",
            left=max(0, limit.left),
            amount=limit.allowance.amount,
            rate=self.rate(limit.allowance),
            renews=self.moment(limit.renews),
        )
        return row + (self.say("quota.binds") if binds else "")

    def _extra(self, standing: Standing) -> str:
        if not standing.granted:
            return ""
        said = self.say("quota.extra", extra=standing.extra)
        first = standing.granted[0]
        if first.until is None:
            return said
        return said + self.say("quota.extra_until", left=first.left, date=self.date(first.until))

    def _job(self, job: Job, place: Place | None, hold: Hold | None) -> str:
        state = queued_title(self, place, hold) if place else self.say(f"state.{job.state.value}")
        kind = self.say(f"kind.{job.kind.value}")
        return self.say("jobs.row", job=job.id, kind=kind, state=state, what=titled(job, self, 40))
