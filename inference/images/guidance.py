"""Guidance: whether a checkpoint takes it, and what a pass with it is called with.

A distilled checkpoint (Turbo) never learned a second pass: any guidance above 0 doubles its cost and spoils it. A base
checkpoint wants one, many steps, and obeys negative prompts. The two are alike in every part but their noise schedule:
the base one's scheduler has a shift of 6, the distilled one's of 3. `moqi.json` in the folder says it outright, and
`image.guidance` in model.yaml comes before both.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from inference.images.model import ModelCard
from inference.requests import ImageRequest

Wanted = Literal["auto"] | bool

SAYS = "moqi.json"  # in a checkpoint folder: {"guidance": true, "steps": 50, "cfg": 4}
BASE_SHIFT = 5.0  # of the scheduler: from here it is a base checkpoint's
USUAL_STEPS = 8  # of a distilled one
BASE_STEPS, BASE_CFG = 50, 4.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Traits:
    """What a checkpoint is drawn with unless an order says otherwise."""

    guidance: bool = False
    steps: int = USUAL_STEPS
    cfg: float = 0.0


def traits(path: Path, wanted: Wanted = "auto") -> Traits:
    """Whether the checkpoint folder takes guidance, and its usual steps and strength. Loads nothing."""
    said = _json(path / SAYS)
    guidance = said.get("guidance") if wanted == "auto" else wanted
    if not isinstance(guidance, bool):
        shift = _json(path / "scheduler" / "scheduler_config.json").get("shift")
        guidance = isinstance(shift, int | float) and shift >= BASE_SHIFT
    steps = said.get("steps", BASE_STEPS if guidance else USUAL_STEPS)
    cfg = said.get("cfg", BASE_CFG) if guidance else 0.0
    return Traits(guidance=guidance, steps=int(_within(steps, 1, 50)), cfg=float(_within(cfg, 0, 20)))


def described(card: ModelCard, wanted: Wanted = "auto") -> ModelCard:
    """The card with what its checkpoint folder says about guidance."""
    if card.builtin:
        return card
    found = traits(Path(card.path), wanted)
    return replace(card, guidance=found.guidance, default_steps=found.steps, default_cfg=found.cfg)


def guided(request: ImageRequest, card: ModelCard) -> bool:
    """Whether the picture takes a second pass per step. Pictures that do are drawn alone: see arguments()."""
    return card.guidance and request.cfg > 0


def arguments(read: Callable[[str], Any], request: ImageRequest, card: ModelCard) -> dict[str, Any]:
    """What the pipeline is called with for guidance: exactly 0, or how much and away from what; `read` embeds a prompt.

    With guidance one picture fills a pass twice. Further ones could not leave it on the way: the pipeline counts its
    members at the beginning.
    """
    if not guided(request, card):
        return {"guidance_scale": 0.0}
    return {"guidance_scale": request.cfg, "negative_prompt_embeds": [read(request.negative)]}


def _json(file: Path) -> dict[str, Any]:
    """What a file says; nothing where there is none. One that is broken is preflight's to name."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _within(value: Any, low: float, high: float) -> float:
    """A number from a file, within what the card allows; the lower bound for anything else."""
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else low
    return min(max(number, low), high)
