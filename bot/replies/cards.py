"""A job as a card, in any state: the one place that decides what people see of it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from bot.commands.forms import prefilled
from bot.replies import operate, rhythm
from bot.replies.language import Language, short
from bot.replies.reasons import appeal_form
from bot.reply import PREVIEW, Button, Form, FormField, Picture, Reply, SourceLink
from inference.images.builtin.world import known
from inference.images.model import ModelCard
from inference.requests import passes
from scheduler.pausing import MEMORY
from scheduler.progress import Progress
from scheduler.queue import REJECTED, REJECTED_AGAIN
from scheduler.standing import payer
from storage.records import Asset, ChatType, Job, JobState, Kind, Place

if TYPE_CHECKING:  # for its name only
    from scheduler.pausing import Hold

PROMPT_SHOWN = 300  # characters of the prompt on a card
ALT_SHOWN = 120
PICTURES_WITH_BUTTONS = 4  # of one card
FORM_PROMPT = 2000  # characters of a description that a form takes


def job_reply(
    job: Job,
    words: Language,
    *,
    place: Place | None = None,
    hold: Hold | None = None,
    progress: Progress | None = None,
    assets: Sequence[Asset] = (),
    card: ModelCard | None = None,
    writes_first: bool = False,
) -> Reply:
    """How `job` stands: its card while it waits and runs, its outcome once it has ended.

    `place` and `hold` matter while it is queued, `progress` while it runs, `assets` when it is done. `card` is the
    present model's; a finished picture names the model that drew it instead. `writes_first`: people of a group can be
    written to alone.
    """
    if job.cleared is not None:
        return Reply(state=job.state.value, job=job.id, text=words.say("cleared.text", days=job.cleared))
    if job.state is JobState.QUEUED:
        return _queued(job, words, queued_title(words, place, hold), card)
    if job.state is JobState.RUNNING:
        return _running(job, words, progress, card)
    if job.state is JobState.REVIEW:
        return _held(job, words)
    if job.state is JobState.DONE:
        return _answered(job, words, writes_first) if job.kind is Kind.ASK else _drawn(job, words, assets, card)
    return _ended(job, words)


def queued_title(words: Language, place: Place | None, hold: Hold | None = None) -> str:
    """排队中 · 第 1 位 · 约 40–70 秒, or why it waits instead."""
    if place is None:
        return words.say("queued")
    return words.say("queued.place", place=place.place, wait=waiting_time(words, place, hold))


def waiting_time(words: Language, place: Place, hold: Hold | None = None) -> str:
    """How long it may take, as sure as it is, or what it waits for: of the GPU's memory both are known."""
    if hold is not None and hold.why not in MEMORY:
        return operate.held(words, hold)
    if hold is not None:
        why = operate.held(words, hold)
        return why if place.seconds is None else words.say("wait.memory", wait=waiting_time(words, place), why=why)
    if place.seconds is None:
        return words.say("wait.unknown")
    if place.low is None or place.high is None:
        return words.say("wait.rough", time=words.duration(place.seconds))
    return words.say("wait.range", time=words.span(place.low, place.high))


def what(job: Job, limit: int) -> str:
    """What the job is about, in its owner's words."""
    return short(str(job.params["prompt" if job.kind is Kind.DRAW else "question"]), limit)


def titled(job: Job, words: Language, limit: int) -> str:
    """The same for a list, where what was asked may be gone."""
    return what(job, limit) if job.cleared is None else words.say("cleared")


def _queued(job: Job, words: Language, title: str, card: ModelCard | None) -> Reply:
    return Reply(
        title=title,
        state=job.state.value,
        job=job.id,
        text=what(job, PROMPT_SHOWN),
        fields=_recipe(job, words),
        buttons=(_button("cancel", job, words, "danger"),),
        note=_note(job, words, card),
        grows=job.kind is Kind.ASK,
    )


def _running(job: Job, words: Language, progress: Progress | None, card: ModelCard | None) -> Reply:
    said = progress.text if progress else ""
    steps = (progress.done, progress.total) if progress and progress.total else None
    return Reply(
        title="" if said else _running_title(job, words, steps),
        state=job.state.value,
        job=job.id,
        text=said or what(job, PROMPT_SHOWN),
        fields=_recipe(job, words),
        pictures=_preview(job, words, progress),
        progress=steps,
        buttons=() if job.cancel_requested else (_button("cancel", job, words, "danger"),),
        note=_note(job, words, card),
        streaming=bool(said),
        grows=job.kind is Kind.ASK,
    )


def _preview(job: Job, words: Language, progress: Progress | None) -> tuple[Picture, ...]:
    """What the picture looks like so far, in its final shape."""
    if progress is None or not progress.preview:
        return ()
    alt = words.say("preview.alt", what=what(job, ALT_SHOWN))
    return (Picture(asset=PREVIEW, width=job.params["width"], height=job.params["height"], alt=alt),)


def _running_title(job: Job, words: Language, steps: tuple[int, int] | None) -> str:
    if job.cancel_requested:
        return words.say("stopping")
    if job.kind is Kind.DRAW and steps:
        return words.say("running.draw.step", done=steps[0], total=steps[1])
    return words.say(f"running.{job.kind.value}")


def _drawn(job: Job, words: Language, assets: Sequence[Asset], card: ModelCard | None) -> Reply:
    made = sorted(assets, key=lambda asset: asset.index)
    pictures = [asset for asset in made if asset.removed is None]
    return Reply(
        title=words.say("done.draw"),
        state=job.state.value,
        job=job.id,
        text=what(job, PROMPT_SHOWN),
        fields=(*_recipe(job, words), *_made(job, words)),
        pictures=pictured(job, pictures, ALT_SHOWN),
        buttons=(
            _button("redo", job, words),
            _button("reseed", job, words),
            *_picture_buttons(job, words, pictures),
            *_votes(job, words),
        ),
        form=_redo_form(job, words),
        note=_joined(_removed(made, words), _note(job, words, card)),
    )


def _removed(made: Sequence[Asset], words: Language) -> str:
    """That the retention rule has taken pictures away, after how many days."""
    days = [asset.removed for asset in made if asset.removed is not None]
    if not days:
        return ""
    return words.say("note.removed" if len(days) == len(made) else "note.removed.some", n=len(days), days=max(days))


def pictured(job: Job, assets: Sequence[Asset], alt: int) -> tuple[Picture, ...]:
    """The pictures of a reply, described by the order in at most `alt` characters."""
    made = sorted(assets, key=lambda asset: asset.index)
    return tuple(Picture(asset=a.id, width=a.width, height=a.height, alt=what(job, alt)) for a in made)


def _held(job: Job, words: Language) -> Reply:
    """Drawn, and nothing of it is shown before a reviewer has seen it."""
    return Reply(
        title=words.say("held"),
        state=job.state.value,
        job=job.id,
        text=words.say("held.text", what=what(job, PROMPT_SHOWN)),
        fields=_recipe(job, words),
        buttons=(_button("cancel", job, words, "danger"),),
        note=_joined(*_notices(job, words)),
    )


def shared_reply(job: Job, words: Language, assets: Sequence[Asset]) -> Reply:
    """A finished picture for whom it was booked, too: nothing to press, nothing of its owner's affairs."""
    shown = _drawn(job, words, assets, None)
    label = (words.say("note.ai"), practice_remark(job, words))
    return replace(shown, fields=_booked(job, words), buttons=(), form=None, note=_joined(*label))


def _redo_form(job: Job, words: Language) -> Form:
    """改词重画: description, size and seed as they were, to be changed and sent."""
    stood = prefilled(job.params)
    prompt = FormField(
        name="prompt",
        label=words.say("form.prompt"),
        kind="lines",
        value=stood["prompt"],
        max=max(FORM_PROMPT, len(stood["prompt"])),
    )
    size = FormField(name="size", label=words.say("field.size"), value=stood["size"], max=20)
    seed = FormField(name="seed", label=words.say("field.seed"), kind="number", value=stood["seed"], max=12)
    return Form(
        action="redo_form",
        label=words.say("button.redo_form"),
        send=words.say("form.send"),
        close=words.say("form.close"),
        fields=(prompt, size, seed),
        value={"job": job.id},
        hint=words.say("hint.redo_form", job=job.id),
    )


def _votes(job: Job, words: Language) -> tuple[Button, ...]:
    """👍 👎: anybody who sees the card may press them."""
    return tuple(replace(_button(f"vote_{way}", job, words), quiet=True) for way in ("up", "down"))


def _answered(job: Job, words: Language, writes_first: bool) -> Reply:
    result = job.result or {}
    if result.get("chat"):
        return _chatted(job, words, str(result.get("text") or ""))
    grounded = bool(result.get("grounded"))
    text = str(result.get("text") or "") or words.say("not_grounded")
    nearest = [] if grounded else [str(name) for name in result.get("nearest", ())]
    if nearest:
        text = f"{text}\n{words.say('nearest', names=words.listed(nearest))}"
    return Reply(
        state=job.state.value,
        job=job.id,
        text=text,
        sources=tuple(_source(citation) for citation in result.get("citations", ())),
        buttons=(*_votes(job, words), *_privately(job, words, writes_first)),
        note=_joined(
            words.say("note.interrupted") if result.get("interrupted") else "",
            words.say("note.quotes" if result.get("engine") == "extractive" else "note.check") if grounded else "",
            *_notices(job, words),
        ),
    )


def _chatted(job: Job, words: Language, text: str) -> Reply:
    """Small talk: nothing to rate, no sources, and said to have none."""
    label = words.say("note.chat") if text else ""
    text = text or f"{words.say('about.greeting')}{words.say('about.text')}"
    return Reply(state=job.state.value, job=job.id, text=text, note=_joined(label, *_notices(job, words)))


def _privately(job: Job, words: Language, writes_first: bool) -> tuple[Button, ...]:
    """On every answer in a group, whatever it says: that it stands there must tell nobody anything."""
    if not writes_first or job.origin.chat_type is not ChatType.GROUP:
        return ()
    return (replace(_button("ask_privately", job, words), quiet=True),)


def _source(citation: dict[str, object]) -> SourceLink:
    return SourceLink(
        mark=int(str(citation["mark"])),
        document=str(citation["document"]),
        heading=str(citation["heading"]),
        passage=int(str(citation["passage"])),
        quote=str(citation["quote"]),
        url=str(citation.get("url") or ""),
    )


def _ended(job: Job, words: Language) -> Reply:
    subject = what(job, PROMPT_SHOWN)
    if job.state is JobState.CANCELLED:
        why = f"cancelled.{job.error}"
        title = words.say("cancelled")
        text = words.say(why if words.knows(why) else "cancelled.text", what=subject)
    else:
        code = f"failure.{job.error}"
        why = words.say(code if words.knows(code) else "failure.internal")
        title = words.say(f"failed.{job.kind.value}")
        text = words.say("failed.text", what=subject, why=_with_reason(job, words, why))
    buttons = (_button("redo", job, words),) if job.kind is Kind.DRAW else ()
    fields = _booked(job, words)
    form = appeal_form(job.id, words) if job.error == REJECTED else None
    return Reply(title=title, state=job.state.value, job=job.id, text=text, fields=fields, buttons=buttons, form=form)


def _with_reason(job: Job, words: Language, why: str) -> str:
    """With what the reviewer said, where one rejected it."""
    said = str((job.result or {}).get(REJECTED, "")) if job.error in (REJECTED, REJECTED_AGAIN) else ""
    return words.say("rejected.reason", why=why, reason=said) if said else why


def _recipe(job: Job, words: Language) -> tuple[tuple[str, str], ...]:
    """Seed, size, steps: what it takes to draw the same again."""
    if job.kind is not Kind.DRAW:
        return ()
    params, seeds = job.params, (job.result or {}).get("seeds")
    fields = [
        (words.say("field.seed"), ", ".join(str(seed) for seed in seeds or [params["seed"]])),
        (words.say("field.size"), f"{params['width']}x{params['height']}"),
        (words.say("field.steps"), str(params["steps"])),
    ]
    if params["count"] > 1:
        fields.append((words.say("field.count"), str(params["count"])))
    if params.get("private"):
        fields.append((words.say("field.private"), words.say("private.said")))
    return (*fields, *particulars(params, words), *_booked(job, words))


def particulars(params: Mapping[str, Any], words: Language) -> tuple[tuple[str, str], ...]:
    """What only some orders have: styles, a picture to begin with, a template."""
    worn = [f"{name} {weight:g}" for name, weight in params.get("adapters", ())]
    styles = ((words.say("field.style"), ", ".join(worn)),) if worn else ()
    return (*styles, *begun_with(params, words), *from_template(params, words))


def begun_with(params: Mapping[str, Any], words: Language) -> tuple[tuple[str, str], ...]:
    """Which picture it was drawn from, and how much was drawn anew."""
    source = params.get("source")
    if not source:
        return ()
    named = words.say("source.job", **source) if "job" in source else words.say("source.sent")
    run = words.say(
        "source.strength", strength=f"{params['strength']:g}", steps=passes(params["steps"], params["strength"])
    )
    return ((words.say("field.source"), named), (words.say("field.strength"), run))


def from_template(params: Mapping[str, Any], words: Language) -> tuple[tuple[str, str], ...]:
    """Which template it was made from, and which version of it."""
    used = params.get("template")
    if not used:
        return ()
    version = words.say("template.version", n=used["version"]) if used["version"] else ""
    return ((words.say("field.template"), f"{used['name']}{version}"),)


def _picture_buttons(job: Job, words: Language, pictures: Sequence[Asset]) -> Iterator[Button]:
    """For each picture: another like it, and the same larger. Numbered where there are several, from 1."""
    several = len(pictures) > 1
    for action in ("variation", "upscale"):
        for picture in pictures[:PICTURES_WITH_BUTTONS]:
            number = picture.index + 1
            label = words.say(f"button.{action}.n", n=number) if several else words.say(f"button.{action}")
            yield Button(action=action, label=label, value={"job": job.id, "index": number})


def _booked(job: Job, words: Language) -> tuple[tuple[str, str], ...]:
    """Which reservation ordered it, how late, and how many earlier times it stands for."""
    booked = job.params.get("booked")
    if not booked:
        return ()
    parts = [f"r{booked['reservation']}"]
    if booked["late"]:
        parts.append(words.say("booked.late", late=rhythm.lateness(words, timedelta(seconds=booked["late"]))))
    parts += [words.say("booked.missed", n=booked["missed"])] if booked["missed"] else []
    return ((words.say("field.booked"), " · ".join(parts)),)


def _made(job: Job, words: Language) -> tuple[tuple[str, str], ...]:
    """How long it took, and which model drew."""
    result = job.result or {}
    took = [(words.say("field.time"), words.took(float(result["seconds"])))] if "seconds" in result else []
    model = [(words.say("field.model"), str(result["model"]))] if "model" in result else []
    return (*took, *model)


def practice_remark(job: Job, words: Language) -> str:
    """What the practice model says of a picture that it was asked for and does not know; else empty."""
    drew = job.kind is Kind.DRAW and job.state is JobState.DONE and bool((job.result or {}).get("builtin"))
    return words.say("note.builtin.unknown") if drew and not known(str(job.params["prompt"])) else ""


def _note(job: Job, words: Language, card: ModelCard | None) -> str:
    """Small print. What is particular to this order comes first: a platform may cut the end."""
    drawn = job.kind is Kind.DRAW
    label = [words.say("note.ai")] if drawn and job.state is JobState.DONE else []
    return _joined(*label, *_notices(job, words), *(_model_notes(job, words, card) if drawn else ()))


def _model_notes(job: Job, words: Language, card: ModelCard | None) -> list[str]:
    ended = job.state is JobState.DONE
    parts = [words.say(f"note.{why}")] if (why := _unheard(job, card)) else []
    if ended and (job.result or {}).get("builtin"):
        parts.append(practice_remark(job, words) or words.say("note.builtin"))
    elif not ended and card is not None and card.builtin:
        parts.append(words.say("note.builtin.queued"))
    return parts


def _unheard(job: Job, card: ModelCard | None) -> str:
    """Why the negative prompt does nothing: the model takes none, or the order switched guidance off; else empty."""
    if not job.params.get("negative") or card is None:
        return ""
    if not card.guidance:
        return "negative"
    return "" if job.params["cfg"] else "negative_cfg"


def _notices(job: Job, words: Language) -> list[str]:
    """What its owner was to be told when it was accepted. Every card says it: the first may be gone in a second."""
    return [words.say(f"notice.{one['code']}", **_used(one, words)) for one in job.notices]


def _used(notice: dict[str, Any], words: Language) -> dict[str, object]:
    return {
        "whose": words.say(f"notice.{payer(notice['subject']).value}"),
        "period": words.say(f"period.{notice['period']}"),
        "unit": words.say(f"quota.{notice['unit']}"),
        "percent": notice["percent"],
        "left": notice["left"],
    }


def _joined(*parts: str) -> str:
    return " · ".join(part for part in parts if part)


def _button(action: str, job: Job, words: Language, style: str = "default") -> Button:
    hint = words.say(f"hint.{action}", job=job.id) if words.knows(f"hint.{action}") else ""
    return Button(action=action, label=words.say(f"button.{action}"), value={"job": job.id}, style=style, hint=hint)
