"""What somebody means by a message: `parse(text, rules)`. Pure, and it never raises."""

from __future__ import annotations

import re
from collections.abc import Callable

from bot.commands import (
    documents,
    gallery,
    intent,
    models,
    names,
    operate,
    options,
    people,
    reviews,
    templates,
)
from bot.commands.clean import clean, half_width
from bot.commands.flags import clip
from bot.commands.rules import Rules
from bot.commands.talk import tone
from bot.commands.timed import moment, timed
from bot.commands.values import (
    Ask,
    Cancel,
    Command,
    Conversation,
    Draw,
    Help,
    Jobs,
    Mistake,
    New,
    OnReservation,
    Redo,
    Reserve,
    Retime,
    Status,
    UsageError,
)
from bot.commands.when import recurrence_length, time_length, window_length

_MENTIONS = re.compile(r"^(?:[@＠]\S+\s+)+(?=[/／、])")
_NAME = re.compile(r"[A-Za-z_]+|[^\sA-Za-z_\d,:;.#@\"，：；。]+")
_JOB = re.compile(r"^(?:任务|job)?\s*[#＃]?\s*([0-9]+)(?![0-9A-Za-z])", re.IGNORECASE)
#: r12 is a reservation; a bare number is a job's.
_RESERVATION = re.compile(r"^(?:预约|reservation|r)\s*[#＃]?\s*([0-9]+)(?![0-9A-Za-z])", re.IGNORECASE)
_BARE_NUMBER = re.compile(r"^[#＃]?([0-9]+)(?=\s)")
#: --kb 人事 · --kb=人事 · --kb "HR handbook"
_KB = re.compile(
    r"(?:^|(?<=\s))(?:--|—+|–)kb(?:(?:\s*[=:：]\s*|\s+)(?:[\"“](?P<quoted>[^\"”]*)[\"”]|(?P<name>[^\s\"“][^\s]*))|(?=\s*$))",
    re.IGNORECASE,
)
#: The largest id both databases can hold.
_JOB_MAX = 2**31 - 1


def parse(text: str, rules: Rules) -> Command | UsageError | Conversation:
    """The command, question or mistake that `text` is. Numbers of a Draw lie within `rules`."""
    text = clean(text)
    text = _MENTIONS.sub("", text)
    slash = _slash(text)
    if slash is None:
        return _plain(text, rules)
    name, rest = slash
    command = names.canonical(name)
    try:
        return _command(command, rest, rules) if command else _unknown(name, rest)
    except Mistake as mistake:
        return mistake.about(command or "")


def _slash(text: str) -> tuple[str, str] | None:
    """The command's name as written and what follows it; None for text without a slash."""
    if not text or half_width(text[0]) not in "/、":
        return None
    body = text[1:].lstrip()
    chinese = names.chinese_prefix(body)
    if chinese:
        return chinese, _after(body[len(chinese) :])
    match = _NAME.match(half_width(body))
    name = match[0] if match else body[:1]
    if text[0] == "、" and names.canonical(name) is None:
        return None  # the key that types a slash on a Chinese keyboard, but here it was a comma
    return name, _after(body[len(name) :])


def _after(rest: str) -> str:
    """What follows a command's name, without the colon or comma some people put there."""
    return re.sub(r"^[:：,，]", "", rest.strip()).strip()


def _plain(text: str, rules: Rules) -> Command | UsageError | Conversation:
    if not text:
        return UsageError(code="nothing_said")
    if len(text) > rules.prompt_max + 1000:  # too long whatever it is; patterns over it would take seconds
        over = len(text) - rules.prompt_max
        return Mistake("too_long", length=len(text), limit=rules.prompt_max, over=over).about("ask")
    booked = timed(text)
    prompt = intent.order(text) if booked is None else booked.order
    try:
        if booked is not None:
            return _reserved(booked.order, rules, {"at": booked.at} if booked.at else {"every": booked.every})
        if prompt is not None:
            return options.draw(prompt, rules)
        return Conversation(text=options.check_length(text, rules.prompt_max), tone=tone(text))
    except Mistake as mistake:
        return mistake.about("reserve" if booked else "ask" if prompt is None else "draw")


def _unknown(name: str, rest: str) -> UsageError:
    if not name:
        return UsageError(code="bare_slash")
    near = names.suggestions(name)
    values = {"given": f"/{clip(name, 20)}", "near": " ".join(f"/{n}" for n in near)}
    if len(near) == 1:
        values["corrected"] = clip(f"/{near[0]} {rest}".strip(), 200)
        return UsageError(code="typo", values=values, topic=near[0])
    return UsageError(code="ambiguous" if near else "unknown_command", values=values)


def _command(name: str, rest: str, rules: Rules) -> Command:
    if name in names.LATER:
        raise Mistake("later_command", command=f"/{name}")
    return _PARSERS[name](rest, rules)


def _draw(rest: str, rules: Rules) -> Command:
    return options.draw(rest, rules)


def _ask(rest: str, rules: Rules) -> Command:
    question, kb = _from_one(rest)
    if not question:
        raise Mistake("empty_question")
    return Ask(question=options.check_length(question, rules.prompt_max), kb=kb)


def _from_one(rest: str) -> tuple[str, str]:
    """The question, and the name after --kb. Questions may be about flags: only this one is looked for."""
    found = _KB.search(rest)
    if found is None:
        return rest, ""
    name = found["name"] or found["quoted"] or ""
    if not name.strip():
        raise Mistake("missing_value", flag="--kb")
    if _KB.search(rest, found.end()):
        raise Mistake("repeated_flag", flag="--kb")
    return f"{rest[: found.start()].rstrip()} {rest[found.end() :].lstrip()}".strip(), name.strip()


def suggested(prompt: str, when: str, rules: Rules) -> Draw | Reserve | None:
    """What a language model took for an order, as one; None where it is none, after all."""
    try:
        if when:
            wanted = moment(when)
            return options.reserve(prompt, rules, **wanted) if wanted else None
        drawn = options.draw(prompt, rules)
        return drawn if isinstance(drawn, Draw) and drawn.source is None else None
    except Mistake:
        return None


def _reserve(rest: str, rules: Rules) -> Command:
    """/reserve TIME prompt · /reserve r12 TIME."""
    if not rest:
        raise Mistake("reserve_form")
    number = _reservation(rest) or _retimed(rest)
    if number is not None:
        return Retime(reservation=number[0], when=number[1])
    at, every = max(window_length(rest), time_length(rest)), recurrence_length(rest)
    said = rest[: max(at, every)].strip()
    if not said:
        raise Mistake("reserve_time", given=clip(rest.split()[0], 20))
    order = rest[max(at, every) :].lstrip(" \u3000\n,，、:：。;；")
    drawn = intent.order(order)
    wanted = {"every": said} if every > at else {"at": said}
    return _reserved(order if drawn is None else drawn, rules, wanted)


def _reserved(order: str, rules: Rules, wanted: dict[str, str]) -> Reserve:
    if not order:
        raise Mistake("reserve_prompt", given=clip(next(iter(wanted.values()))))
    return options.reserve(order, rules, **wanted)


def _retimed(rest: str) -> tuple[int, str] | None:
    """/reserve 12 明天9:00: a number and nothing but a time. 12点, 12:30 and 12 个苹果 are no reservations."""
    match = _BARE_NUMBER.match(half_width(rest))
    after = rest[match.end() :].strip() if match else ""
    whole = max(window_length(after), time_length(after), recurrence_length(after)) == len(after) > 0
    return (_number(match[1]), after) if match and whole else None


def _reservation(rest: str) -> tuple[int, str] | None:
    """The reservation named at the beginning, and what follows; None when none is named."""
    match = _RESERVATION.match(half_width(rest))
    return (_number(match[1]), rest[match.end() :].strip(" \n,，.。")) if match else None


def _on_reservation(rest: str, act: str) -> OnReservation | None:
    found = _reservation(rest)
    if found is None:
        return None
    if found[1]:
        raise Mistake("one_job", given=clip(found[1]))
    return OnReservation(reservation=found[0], act=act)


def _or_reservation(act: str, otherwise: Callable[[str, Rules], Command]) -> Callable[[str, Rules], Command]:
    """A command that may name a reservation: /pause r12."""
    return lambda rest, rules: _on_reservation(rest, act) or otherwise(rest, rules)


def _cancel(rest: str, rules: Rules) -> Command:
    reservation = _on_reservation(rest, "cancel")
    if reservation is not None:
        return reservation
    job, after = _job(rest)
    if after:
        raise Mistake("one_job", given=clip(after))
    return Cancel(job=job)


def _redo(rest: str, rules: Rules) -> Redo:
    job, changes = _job(rest)
    return options.redo(job, changes, rules)


def _job(rest: str) -> tuple[int, str]:
    if not rest:
        raise Mistake("no_job")
    plain = half_width(rest)
    match = _JOB.match(plain)
    if match is None:
        raise Mistake("bad_job", given=clip(rest))
    return _number(match[1]), rest[match.end() :].strip(" \n,，.。")


def _jobs(rest: str, rules: Rules) -> Jobs:
    if not rest.strip("?？!！.。~ "):
        return Jobs()
    job, more = _job(rest)
    if more:
        raise Mistake("takes_nothing", given=clip(more))
    return Jobs(job=job)


def _number(digits: str) -> int:
    number = digits.lstrip("0")
    if not number or len(number) > 10 or int(number) > _JOB_MAX:
        raise Mistake("bad_job", given=clip(digits))
    return int(number)


def _help(rest: str, rules: Rules) -> Command:
    topic = half_width(rest).strip().lstrip("/-—–").lower()
    if not topic:
        return Help()
    name = names.canonical(topic)
    if name in names.LATER:
        raise Mistake("later_command", command=f"/{name}")
    if name is None and topic not in options.TOPICS:
        near = names.suggestions(topic.split()[0]) or names.nearest(topic, options.TOPICS)
        raise Mistake("unknown_topic", given=clip(rest), near=" ".join(f"/help {n}" for n in near))
    return Help(topic=name or options.TOPICS[topic])


def _alone(command: Command) -> Callable[[str, Rules], Command]:
    """A command that takes nothing: words after it are a misunderstanding, not noise to drop."""

    def parser(rest: str, rules: Rules) -> Command:
        if rest.strip("?？!！.。~ "):
            raise Mistake("takes_nothing", given=clip(rest))
        return command

    return parser


_PARSERS: dict[str, Callable[[str, Rules], Command]] = {
    "draw": _draw,
    "reserve": _reserve,
    "ask": _ask,
    "jobs": _jobs,
    "cancel": _cancel,
    "redo": _redo,
    "gallery": gallery.gallery,
    "quota": people.quota,
    "help": _help,
    "new": _alone(New()),
    "status": _alone(Status()),
    "role": people.role,
    "pause": _or_reservation("pause", operate.pause),
    "resume": _or_reservation("resume", operate.resume),
    "ban": operate.ban,
    "unban": operate.unban,
    "kb": documents.kb,
    "template": templates.template,
    "model": models.model,
    "review": reviews.review,
}
