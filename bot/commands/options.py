"""The flags of /draw and /redo as checked numbers. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bot.commands import filling, slots
from bot.commands.clean import half_width
from bot.commands.filling import Filled
from bot.commands.flags import Measures, clip, take_flags
from bot.commands.names import nearest
from bot.commands.rules import SEED_MAX, Bounds, Rules
from bot.commands.values import Draw, From, Mistake, Preview, Redo, Reserve, Used
from bot.commands.when import recurrence_length, time_length, window_length

_INTEGER = re.compile(r"[+-]?[0-9]+")
_DECIMAL = re.compile(r"[+-]?[0-9]{1,9}(\.[0-9]{0,9})?")
_SIZE = re.compile(r"([+-]?[0-9]+)(?:\s*[xX*×✕✖]\s*([+-]?[0-9]+))?(?:px)?")
_RATIO = re.compile(r"([0-9]{1,5}(?:\.[0-9]{1,5})?)\s*[:xX*×/]\s*([0-9]{1,5}(?:\.[0-9]{1,5})?)")
#: Parameters /help explains -> their key in parameters.yaml.
TOPICS = {"size": "size", "ar": "size", "n": "count", "count": "count", "seed": "seed", "steps": "steps"}
TOPICS |= {"cfg": "cfg_scale", "cfg_scale": "cfg_scale", "neg": "prompt", "prompt": "prompt"}
TOPICS |= {"at": "reserve", "every": "reserve", "late": "reserve", "to": "reserve", "dry-run": "draw"}
TOPICS |= {"from": "draw", "strength": "draw", "lora": "lora", "private": "draw"}
_FROM = re.compile(r"(?:任务|job)?\s*[#＃]?([0-9]{1,40})(?:[.．]([1-9]))?(?=$|[\s,，;；。])", re.IGNORECASE)
_RATIO_ONLY = re.compile(r"[:/]")
_SEEDS = Bounds(low=0, high=SEED_MAX, default=0)
_ANY_SEED = frozenset({"random", "rand", "随机"})
_NO_ADAPTER = frozenset({"none", "off", "无", "不用"})
_WEIGHTS = Bounds(low=-4, high=4, default=1)


_LATE = re.compile(r"([0-9]{1,5})\s*(?:m|min|分钟|分)?")
_LATE_MAX = 7 * 24 * 60  # minutes
_NEVER_LATE = frozenset({"run", "any", "ok", "照画"})


def moment_length(text: str) -> int:
    """How many characters at the beginning of `text` are a window, a time, or a recurrence (which is told apart)."""
    return window_length(text) or time_length(text) or recurrence_length(text)


def cycle_length(text: str) -> int:
    """How many characters at the beginning of `text` are a recurrence, or a time (which is told apart)."""
    return recurrence_length(text) or time_length(text)


def picture_length(text: str) -> int:
    """How many characters at the beginning of `text` name a picture: 17, #17, 17.2 (the second one of job 17)."""
    match = _FROM.match(half_width(text))
    return match.end() if match else 0


MEASURES: Measures = {
    "at": moment_length,
    "every": cycle_length,
    "from": picture_length,
    "template": filling.name_length,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """What was written; None = nothing."""

    prompt: str
    size: tuple[int, int] | None
    count: int | None
    seed: int | None
    any_seed: bool
    steps: int | None
    cfg: float | None
    negative: str | None
    at: str
    every: str
    late: int | None
    to: str
    dry_run: bool
    source: From | None
    strength: float | None
    adapters: tuple[tuple[str, float], ...] | None
    private: bool
    template: Used | None


def draw(text: str, rules: Rules, filled: Filled | None = None) -> Draw | Reserve | Preview:
    """A prompt with flags as a Draw, as a Reserve when it says when, or only as a question. Raises Mistake.

    `filled`: a template that was chosen and filled in beside the text.
    """
    options = _options(text, rules, filled)
    if options.at and options.every:
        raise Mistake("at_and_every")
    _not_dry(options, "dry_later" if options.at or options.every else "")
    if options.at or options.every:
        return _later(options, rules, options.at, options.every)
    if options.late is not None:
        raise Mistake("late_alone")
    if options.to:
        raise Mistake("to_alone", given=options.to)
    drawn = _draw(options, rules)
    return Preview(draw=drawn) if options.dry_run else drawn


def reserve(text: str, rules: Rules, *, at: str = "", every: str = "") -> Reserve:
    """A prompt with flags, to be drawn at a time that was read before it. Raises Mistake."""
    options = _options(text, rules)
    if options.at or options.every:
        raise Mistake("time_twice")
    _not_dry(options, "dry_later")
    return _later(options, rules, at, every)


def _later(options: Options, rules: Rules, at: str, every: str) -> Reserve:
    if options.private and options.to:
        raise Mistake("private_to", given=options.to)
    return Reserve(draw=_draw(options, rules), at=at, every=every, late=options.late, to=options.to)


def _draw(options: Options, rules: Rules) -> Draw:
    if not options.prompt:
        raise Mistake("prompt_in_neg" if options.negative else "empty_prompt")
    if options.strength is not None and options.source is None:
        raise Mistake("strength_alone")
    width, height = options.size or rules.size.default
    seed = None if options.any_seed else rules.seed if options.seed is None else options.seed
    return Draw(
        prompt=options.prompt,
        width=width,
        height=height,
        count=int(rules.count.default) if options.count is None else options.count,
        seed=seed,
        steps=int(rules.steps.default) if options.steps is None else options.steps,
        cfg=rules.cfg.default if options.cfg is None else options.cfg,
        negative=options.negative or "",
        source=options.source,
        strength=options.strength,
        sized=options.size is not None or options.source is None,
        adapters=options.adapters or (),
        private=options.private,
        template=options.template,
    )


def redo(job: int, text: str, rules: Rules) -> Redo:
    """The changes written after a job's number. Raises Mistake."""
    options = _options(text, rules)
    if options.at or options.every:
        raise Mistake("redo_later")
    if options.to:
        raise Mistake("to_alone", given=options.to)
    _not_dry(options, "dry_redo")
    if options.source is not None:
        raise Mistake("redo_from")
    width, height = options.size or (None, None)
    return Redo(
        job=job,
        prompt=options.prompt or None,
        width=width,
        height=height,
        count=options.count,
        seed=options.seed,
        reseed=options.any_seed,
        steps=options.steps,
        cfg=options.cfg,
        negative=options.negative,
        strength=options.strength,
        adapters=options.adapters,
        private=options.private,
        template=options.template,
    )


def measured(written: str, rules: Rules) -> tuple[int, int]:
    """A size in pixels (1024x768) or as a ratio (16:9), width and height. Raises Mistake."""
    return _ratio(written, rules) if _RATIO_ONLY.search(half_width(written)) else _size(written, rules)


def seed_or_any(written: str) -> int | None:
    """A seed, None when any will do. Raises Mistake."""
    return None if written.lower() in _ANY_SEED else _integer("--seed", written, _SEEDS)


def _not_dry(options: Options, mistake: str) -> None:
    if options.dry_run and mistake:
        raise Mistake(mistake)


def check_length(text: str, limit: int) -> str:
    """`text`, unless it is longer than `limit` characters."""
    if len(text) > limit:
        raise Mistake("too_long", length=len(text), limit=limit, over=len(text) - limit)
    return text


def template(body: str, rules: Rules) -> tuple[slots.Slot, ...]:
    """The slots of a template that can be drawn. Raises Mistake for what would not work, whatever is filled in."""
    read = filling.read(body, MEASURES)
    if not any(isinstance(part, slots.Slot) or part.strip() for part in read.parts):
        raise Mistake("empty_prompt")
    _options(body, rules)
    return read.slots


def _options(text: str, rules: Rules, filled: Filled | None = None) -> Options:
    # Refused before it is scanned: the flags themselves never take a thousand characters.
    if len(text) > rules.prompt_max + 1000:
        check_length(text, rules.prompt_max)
    taken = take_flags(text, MEASURES)
    taken, used = filling.templated(taken, rules.shelf, filled, MEASURES)
    flags = taken.flags
    any_seed = flags.get("seed", "").lower() in _ANY_SEED
    negative = flags.get("neg")
    return Options(
        prompt=check_length(taken.text, rules.prompt_max),
        size=_picture_size(flags, rules),
        count=_integer("--n", flags.get("n"), rules.count),
        seed=None if any_seed else _integer("--seed", flags.get("seed"), _SEEDS),
        any_seed=any_seed,
        steps=_integer("--steps", flags.get("steps"), rules.steps),
        cfg=_cfg(flags.get("cfg"), rules),
        negative=None if negative is None else check_length(negative, rules.prompt_max),
        at=flags.get("at", ""),
        every=flags.get("every", ""),
        late=_late(flags.get("late")),
        to=_group(flags.get("to"), rules.groups),
        dry_run="dry-run" in flags,
        source=_source(flags.get("from")),
        strength=_strength(flags.get("strength"), rules.strength),
        adapters=_adapters(flags.get("lora"), rules.adapters),
        private="private" in flags,
        template=used,
    )


def _source(written: str | None) -> From | None:
    """The picture that --from names; without a value, the one that comes with the message."""
    if not written:
        return None if written is None else From()
    match = _FROM.fullmatch(half_width(written))
    job = int(match[1]) if match else 0
    if match is None or not 0 < job < 2**31:
        raise Mistake("bad_job", given=clip(written))
    return From(job=job, picture=int(match[2] or 1))


def _strength(written: str | None, bounds: Bounds) -> float | None:
    if written is None:
        return None
    plain = re.sub(r"^\.(?=[0-9])", "0.", half_width(written))
    if not _DECIMAL.fullmatch(plain):
        raise Mistake("not_a_number", flag="--strength", given=clip(written), **_limits(bounds))
    if not bounds.allows(float(plain)):
        raise _out_of_bounds("--strength", written, float(plain), bounds)
    return float(plain)


def _adapters(written: str | None, known: tuple[tuple[str, float], ...]) -> tuple[tuple[str, float], ...] | None:
    """The style adapters and their weights: NAME, NAME:0.8, or several joined by commas; none takes all away."""
    if written is None or written.lower() in _NO_ADAPTER:
        return None if written is None else ()
    found = [_adapter(part, known) for part in re.split(r"[,，+]", written)]
    if len({name for name, _ in found}) < len(found):
        raise Mistake("adapter_twice", given=clip(written))
    return tuple(found)


def _adapter(written: str, known: tuple[tuple[str, float], ...]) -> tuple[str, float]:
    said, _, weight = half_width(written).partition(":")
    meant = said.strip().casefold()
    match = next(((name, usual) for name, usual in known if half_width(name).casefold() == meant), None)
    if match is None:
        names = [name for name, _ in known]
        folded = nearest(meant, [name.casefold() for name in names])
        near = " / ".join(f"--lora {name}" for name in names if name.casefold() in folded)
        code = "unknown_adapter" if names else "no_adapters"
        raise Mistake(code, given=clip(said), near=near, names=" / ".join(names))
    name, usual = match
    if not weight:
        return name, usual
    if not _DECIMAL.fullmatch(plain := re.sub(r"^([+-]?)\.(?=[0-9])", r"\g<1>0.", weight)):
        raise Mistake("not_a_number", flag=f"--lora {name}:", given=clip(weight), **_limits(_WEIGHTS))
    if not _WEIGHTS.allows(float(plain)):
        raise _out_of_bounds(f"--lora {name}:", weight, float(plain), _WEIGHTS)
    return name, float(plain) + 0.0


def _late(written: str | None) -> int | None:
    """Minutes; None when nothing was written, or that it does not matter."""
    if written is None or written.lower() in _NEVER_LATE:
        return None
    match = _LATE.fullmatch(half_width(written).lower())
    if match is None or not 1 <= int(match[1]) <= _LATE_MAX:
        raise Mistake("late_form", given=clip(written), high=_LATE_MAX)
    return int(match[1])


def _group(written: str | None, groups: tuple[str, ...]) -> str:
    """The group that is meant, as settings call it; empty when nothing was written."""
    if written is None:
        return ""
    if not groups:
        raise Mistake("no_groups", given=clip(written))
    meant = half_width(written).casefold()
    found = [name for name in groups if half_width(name).casefold() == meant]
    if not found:
        near = " / ".join(f"--to {name}" for name in nearest(written, groups))
        raise Mistake("unknown_group", given=clip(written), near=near, names=" / ".join(groups))
    return written if written in found else found[0]


def _picture_size(flags: dict[str, str], rules: Rules) -> tuple[int, int] | None:
    if "size" in flags and "ar" in flags:
        raise Mistake("size_and_ar")
    if "size" in flags:
        return _size(flags["size"], rules)
    return _ratio(flags["ar"], rules) if "ar" in flags else None


def _size(written: str, rules: Rules) -> tuple[int, int]:
    match = _SIZE.fullmatch(half_width(written))
    rule = rules.size
    if match is None:
        raise Mistake("size_form", given=clip(written), example=_show(rule.default))
    width, height = _number(match[1]), _number(match[2] or match[1])
    problem = rule.problem(width, height)
    if problem:
        raise Mistake(
            f"size_{problem}",
            given=clip(written),
            nearest=_show(rule.nearest(width, height)),
            low=rule.min_side,
            high=rule.max_side,
            multiple=rule.multiple,
            pixels=rule.max_pixels,
            choices=", ".join(_show(c) for c in rule.choices),
        )
    return width, height


def _ratio(written: str, rules: Rules) -> tuple[int, int]:
    match = _RATIO.fullmatch(half_width(written))
    sides = (float(match[1]), float(match[2])) if match else (0.0, 0.0)
    if not all(sides):
        raise Mistake("ratio_form", given=clip(written))
    size = rules.size.for_ratio(sides[0] / sides[1])
    if size is None:
        raise Mistake("ratio_range", given=clip(written), low=rules.size.min_side, high=rules.size.max_side)
    return size


def _show(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _number(digits: str) -> int:
    """An integer of any length; one that no computer needs becomes a number out of every bound."""
    return int(digits) if len(digits) <= 15 else (-(10**15) if digits.startswith("-") else 10**15)


def _integer(flag: str, written: str | None, bounds: Bounds) -> int | None:
    if written is None:
        return None
    plain = half_width(written)
    if not _INTEGER.fullmatch(plain):
        raise Mistake("not_a_number", flag=flag, given=clip(written), **_limits(bounds))
    value = _number(plain)
    if not bounds.allows(value):
        raise _out_of_bounds(flag, written, value, bounds)
    return value


def _cfg(written: str | None, rules: Rules) -> float | None:
    if written is None:
        return None
    plain = half_width(written)
    if not _DECIMAL.fullmatch(plain):
        raise Mistake("not_a_number", flag="--cfg", given=clip(written), **_limits(rules.cfg))
    value = float(plain) + 0.0  # -0.0 is 0
    if value and not rules.guidance:
        raise Mistake("no_guidance", given=clip(written))
    if rules.guidance and not rules.cfg.allows(value):
        raise _out_of_bounds("--cfg", written, value, rules.cfg)
    return value


def _limits(bounds: Bounds) -> dict[str, str]:
    return {"low": f"{bounds.low:.10g}", "high": f"{bounds.high:.10g}"}


def _out_of_bounds(flag: str, written: str, value: float, bounds: Bounds) -> Mistake:
    nearest = f"{bounds.nearest(value):.10g}"
    if bounds.choices:
        choices = ", ".join(f"{c:g}" for c in bounds.choices)
        return Mistake("not_a_choice", flag=flag, given=clip(written), choices=choices, nearest=nearest)
    return Mistake("out_of_range", flag=flag, given=clip(written), nearest=nearest, **_limits(bounds))
