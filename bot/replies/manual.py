"""/help: the commands and parameters that exist, with the bounds that hold now. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from bot.commands import ADMIN_COMMANDS, COMMANDS, REVIEWER_COMMANDS, Bounds, Rules
from bot.replies.language import Language
from bot.reply import Reply
from bot.settings.parameters import Parameters
from storage.records import Role

if TYPE_CHECKING:  # for its name only
    from inference.images.model import Adapter

STYLES_SHOWN = 8  # on the page of /draw; /help lora has them all


def overview(words: Language, role: Role, rules: Rules) -> Reply:
    """Every command this person may use, a line each."""
    lines = [words.say("help.intro")]
    lines += [_line(words, name) for name in COMMANDS if name not in (ADMIN_COMMANDS | REVIEWER_COMMANDS)]
    if role is not Role.USER:
        lines += ["", words.say("help.reviewer")]
        lines += [_line(words, name) for name in COMMANDS if name in REVIEWER_COMMANDS]
    if role is Role.ADMIN:
        lines += ["", words.say("help.admin"), words.say("help.quota.admin")]
        lines += [_line(words, name) for name in COMMANDS if name in ADMIN_COMMANDS]
    lines += ["", words.say("help.more")]
    lines += [words.say("help.practice")] if rules.practice else []
    return Reply(title=words.say("help.title"), text="\n".join(lines))


def page(
    words: Language, topic: str, role: Role, rules: Rules, parameters: Parameters, adapters: Sequence[Adapter] = ()
) -> Reply:
    """One command with its options, or one parameter."""
    if topic not in COMMANDS:
        return Reply(title=topic, text=parameter(words, topic, rules, parameters))
    lines = [_line(words, topic), words.say(f"help.{topic}.more")]
    if topic == "draw":
        lines += [parameter(words, name, rules, parameters) for name in type(parameters).model_fields]
        lines += [words.say("help.negative"), words.say("help.draw.from"), *_styles(words, adapters, STYLES_SHOWN)]
        lines += [words.say(f"help.draw.{one}") for one in ("later", "template", "private")]
        limits = {"count": f"{rules.count.high:g}", "concurrency": rules.concurrency}
        lines.append(words.say("help.draw.limits", **limits))
        lines += [words.say("help.practice")] if rules.practice else []
    if topic == "reserve" and rules.groups:
        lines.append(words.say("help.reserve.to", name=rules.groups[0], names=words.listed(rules.groups)))
    if topic == "quota" and role is Role.ADMIN:
        lines += [words.say("help.quota.admin"), words.say("help.quota.admin_more")]
    lines.append(words.say("help.also", names=" ".join(f"`/{alias}`" for alias in COMMANDS[topic])))
    return Reply(title=f"/{topic}", text="\n".join(lines))


def styles(words: Language, adapters: Sequence[Adapter]) -> Reply:
    """Every style that --lora may name."""
    lines = _styles(words, adapters, len(adapters)) or [words.say("help.lora.none")]
    return Reply(title="--lora", text="\n".join(lines))


def style(words: Language, adapter: Adapter) -> str:
    """One line about a style; the one that ships with the practice model is described by us."""
    ours = f"style.{adapter.name}"
    return adapter.description or (words.say(ours) if words.knows(ours) else "")


def _styles(words: Language, adapters: Sequence[Adapter], most: int) -> list[str]:
    """How --lora is written, and the first `most` styles with their usual weights."""
    if not adapters:
        return []
    lines = [words.say("help.lora", name=adapters[0].name)]
    lines += [_style(words, one) for one in adapters[:most]]
    return lines if len(adapters) <= most else [*lines, words.say("help.lora.more", n=len(adapters) - most)]


def _style(words: Language, one: Adapter) -> str:
    return words.say("help.lora.one", name=one.name, weight=f"{one.weight:g}", about=style(words, one)).rstrip()


def parameter(words: Language, name: str, rules: Rules, parameters: Parameters) -> str:
    """One parameter: its text from parameters.yaml and what it may be with the present model."""
    text = getattr(getattr(parameters, name).description, words.code).rstrip("。. ")
    if name == "size":
        return _size(words, text, rules)
    if name == "prompt":
        return words.say("help.prompt", text=text, limit=rules.prompt_max)
    if name == "seed":
        return words.say("help.seed", text=text)
    bounds = _BOUNDS[name](rules)
    return words.say(f"help.{name}", text=text, range=_range(bounds), default=f"{bounds.default:g}")


def _line(words: Language, name: str) -> str:
    return f"`{words.say(f'help.{name}.use')}` {words.say(f'help.{name}')}"


def _size(words: Language, text: str, rules: Rules) -> str:
    size = rules.size
    default = f"{size.default[0]}x{size.default[1]}"
    if size.choices:
        choices = ", ".join(f"{w}x{h}" for w, h in size.choices)
        return words.say("help.size.choices", text=text, choices=choices, default=default)
    said = words.say("help.size", text=text, low=size.min_side, high=size.max_side, default=default)
    if size.max_pixels >= size.max_side**2:
        return said
    return said + words.say("help.size.pixels", pixels=size.max_pixels)


def _range(bounds: Bounds) -> str:
    if bounds.choices:
        return ", ".join(f"{choice:g}" for choice in bounds.choices)
    return f"{bounds.low:g}" if bounds.low == bounds.high else f"{bounds.low:g}–{bounds.high:g}"


_BOUNDS: dict[str, Callable[[Rules], Bounds]] = {
    "count": lambda rules: rules.count,
    "steps": lambda rules: rules.steps,
    "cfg_scale": lambda rules: rules.cfg,
}
