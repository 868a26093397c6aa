"""From what an operator set to what a command may say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from bot.commands.rules import Rules, SizeRule
from bot.settings.parameters import Parameters
from bot.settings.policy import Limits

if TYPE_CHECKING:  # for its name only
    from inference.images.model import ModelCard


def rules(parameters: Parameters, limits: Limits, card: ModelCard | None = None, groups: Iterable[str] = ()) -> Rules:
    """The rules while `card` is loaded; before a model is known, what parameters.yaml says alone.

    `groups`: those that a reservation may name.
    """
    found = Rules(
        size=parameters.size.rule(card.default_size if card else SizeRule().default),
        steps=parameters.steps.bounds(card.default_steps if card else 8).within(1, parameters.steps.max),
        cfg=parameters.cfg_scale.bounds(card.default_cfg if card else 0),
        count=parameters.count.bounds(1).within(1, limits.count),
        seed=parameters.seed.default,
        prompt_max=parameters.prompt.max,
    )
    found = found if card is None else found.narrowed(card)
    return replace(found, size=found.size.at_most(limits.pixels), concurrency=limits.concurrency, groups=tuple(groups))
