"""Judges the built-in model on prompts that training never used: prints the table, saves a sheet of the pictures.

    python -m inference.images.builtin.evaluate [CHECKPOINT] [--scenes N] [--out FOLDER]

Every held-out scene is asked for once in Chinese and once in English, in held-out words and word orders, and drawn
with the project's defaults: 8 steps, guidance 0. Pixels alone decide (judge.py).
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from inference.images.model import ImageModel, Taker
from inference.images.registry import BUILTIN, Choice, LoadOptions, load
from inference.requests import ImageRequest

from .captions import caption
from .judge import Verdict, judge
from .scene import Scene, sample
from .vocabulary import Language

SEED = 500
SCENES = 300
SIDE = 128
BATCH = 16
COLUMNS = 20
LANGUAGES: tuple[Language, ...] = ("zh", "en")


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """One prompt and what it should show."""

    scene: Scene
    language: Language
    prompt: str
    seed: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """One picture and what the judge says of it."""

    trial: Trial
    picture: Image.Image
    verdict: Verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class Aim:
    """A row of the table. `of` gives None for a trial that the row does not count."""

    name: str
    goal: float | None  # share that must be right
    of: Callable[[Outcome], bool | None]


AIMS = (
    Aim(name="object colour", goal=0.97, of=lambda one: one.verdict.colour),
    Aim(name="background", goal=0.97, of=lambda one: one.verdict.background),
    Aim(name="shape", goal=0.90, of=lambda one: one.verdict.shape),
    Aim(name="position", goal=0.95, of=lambda one: _position(one)),
    Aim(name="two objects, both right", goal=0.85, of=lambda one: one.verdict.both if _two(one) else None),
    Aim(name="size", goal=None, of=lambda one: one.verdict.size),
    Aim(name="style", goal=None, of=lambda one: one.verdict.style),
    Aim(name="count of 2-4", goal=None, of=lambda one: one.verdict.count if _several(one) else None),
    Aim(name="everything asked for", goal=None, of=lambda one: one.verdict.right),
)


def trials(scenes: int, seed: int = SEED) -> list[Trial]:
    """Held-out prompts, two for each of `scenes` scenes; the same on every machine."""
    rng = random.Random(seed)
    made = []
    for number in range(scenes):
        scene = sample(rng, held_out=True)
        for language in LANGUAGES:
            prompt = caption(scene, rng, language=language, held_out=True)
            made.append(Trial(scene=scene, language=language, prompt=prompt, seed=number))
    return made


def draw(model: ImageModel, asked: Sequence[Trial], side: int = SIDE) -> list[Outcome]:
    """Draw every trial through the engine, in batches."""
    outcomes = []
    for start in range(0, len(asked), BATCH):
        part = asked[start : start + BATCH]
        requests = [
            ImageRequest(prompt=one.prompt, width=side, height=side, steps=model.card.default_steps, seed=one.seed)
            for one in part
        ]
        for one, result in zip(part, model.generate(requests, _Patient()), strict=True):
            assert result is not None
            outcomes.append(Outcome(trial=one, picture=result.image, verdict=judge(one.scene, np.array(result.image))))
    return outcomes


def table(outcomes: Sequence[Outcome]) -> list[str]:
    """The shares that are right, in all and by language, against the goals."""
    lines = [f"{'':26}{'all':>8}{'zh':>8}{'en':>8}{'of':>6}   goal"]
    for aim in AIMS:
        right, count = share(aim, outcomes)
        by = [share(aim, [one for one in outcomes if one.trial.language == language])[0] for language in LANGUAGES]
        goal = "" if aim.goal is None else f"{aim.goal:.0%} {'reached' if right >= aim.goal else 'MISSED'}"
        lines.append(f"{aim.name:26}{right:8.1%}{by[0]:8.1%}{by[1]:8.1%}{count:6}   {goal}")
    return lines


def share(aim: Aim, outcomes: Iterable[Outcome]) -> tuple[float, int]:
    """Which share of the counted outcomes is right, and how many were counted."""
    counted = [said for said in map(aim.of, outcomes) if said is not None]
    return sum(counted) / max(1, len(counted)), len(counted)


def sheet(outcomes: Sequence[Outcome]) -> Image.Image:
    """Every picture with its number, framed green where all is right and red where something is wrong."""
    side = outcomes[0].picture.width
    cell = side + 8
    rows = -(-len(outcomes) // COLUMNS)
    whole = Image.new("RGB", (COLUMNS * cell, rows * cell), "white")
    pen = ImageDraw.Draw(whole)
    for number, one in enumerate(outcomes):
        x, y = number % COLUMNS * cell, number // COLUMNS * cell
        pen.rectangle((x, y, x + cell - 1, y + cell - 1), fill="#2a9d4a" if one.verdict.right else "#d92b2b")
        whole.paste(one.picture, (x + 4, y + 4))
        pen.text((x + 6, y + 5), str(number), fill="black", stroke_width=2, stroke_fill="white")
    return whole


def _position(one: Outcome) -> bool | None:
    """Place and relation as one question: where things stand."""
    asked = [said for said in (one.verdict.place, one.verdict.relation) if said is not None]
    return all(asked) if asked else None


def _two(one: Outcome) -> bool:
    return len(one.trial.scene.figures) == 2


def _several(one: Outcome) -> bool:
    return one.trial.scene.figures[0].count > 1


class _Patient:
    """A watch that lets everything run to its end."""

    def cancelled(self, index: int) -> bool:
        return False

    def step(self, index: int, done: int, total: int) -> None:
        pass

    def preview(self, index: int) -> Taker | None:
        return None


def main(arguments: list[str]) -> int:
    """Print the table; exit 1 where a goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m inference.images.builtin.evaluate", description=__doc__)
    parser.add_argument("checkpoint", type=Path, nargs="?", default=BUILTIN)
    parser.add_argument("--scenes", type=int, default=SCENES, help=f"held-out scenes, two prompts each ({SCENES})")
    parser.add_argument("--out", type=Path, default=Path("eval-builtin"), help="folder for sheet.png and prompts.txt")
    given = parser.parse_args(arguments)
    choice = Choice(name="builtin", path=given.checkpoint, builtin=True, reason="evaluation")
    model = load(choice, LoadOptions(device="cpu"))
    started = time.perf_counter()
    outcomes = draw(model, trials(given.scenes))
    seconds = time.perf_counter() - started
    given.out.mkdir(parents=True, exist_ok=True)
    sheet(outcomes).save(given.out / "sheet.png")
    prompts = [f"{number}\t{one.verdict.right}\t{one.trial.prompt}\n" for number, one in enumerate(outcomes)]
    (given.out / "prompts.txt").write_text("".join(prompts), encoding="utf-8")
    sys.stdout.write("\n".join(table(outcomes)) + "\n")
    sys.stdout.write(f"{len(outcomes)} pictures of {SIDE} x {SIDE}, {seconds / len(outcomes) * 1000:.0f} ms each; ")
    sys.stdout.write(f"the sheet: {given.out / 'sheet.png'}\n")
    missed = [aim.name for aim in AIMS if aim.goal is not None and share(aim, outcomes)[0] < aim.goal]
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
