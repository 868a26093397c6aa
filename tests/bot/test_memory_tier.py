"""What a machine has memory for is what people are told: in /help and in refusals."""

from __future__ import annotations

import pytest

from bot.commands import UsageError, parse
from bot.replies import Words
from bot.settings.parameters import Parameters
from bot.settings.policy import Limits
from bot.settings.rules import rules
from inference.images.memory import OFFERED, Tier
from inference.images.model import ModelCard
from storage.records import Role


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize(("tier", "said"), [(Tier.HIGH, ""), (Tier.MEDIUM, "2359296"), (Tier.LOW, "1048576")])
def test_help_and_refusals_follow_the_tier(language: str, tier: Tier, said: str) -> None:
    card = ModelCard(name="x", path="", builtin=False, device="cuda:0", dtype="bfloat16", max_pixels=OFFERED[tier])
    allowed = rules(Parameters(), Limits(), card)
    words = Words(language)
    assert said in words.help("draw", Role.USER, allowed).text
    assert said or not any(str(pixels) in words.help("draw", Role.USER, allowed).text for pixels in OFFERED.values())
    meant = parse("/draw 猫 --size 2048x2048", allowed)
    assert isinstance(meant, UsageError) is bool(said)
    if isinstance(meant, UsageError):
        assert said in words.usage(meant).text
