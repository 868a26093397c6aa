"""An installation whose pictures stop at the step it is told, so that a journey can look, and wait without drawing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.journeys.moqi import Moqi


class Held(Moqi):
    """Its passes go on when they are told to; what is cancelled meanwhile, or cut by a stop, ends at its step."""

    program = "tests.journeys.slow_pictures"

    def __init__(self, folder: Path, *, settings: Mapping[str, Any] | None = None) -> None:
        super().__init__(folder, settings=settings)
        self.steps = folder / "steps"

    def environment(self, **more: str) -> dict[str, str]:
        return super().environment(MOQI_STEPS=str(self.steps), **more)

    def hold_after(self, steps: int) -> None:
        """No pass goes beyond this step from here on."""
        self.steps.write_text(str(steps), encoding="utf-8")

    def go_on(self) -> None:
        """Let every pass go to its end."""
        self.steps.unlink(missing_ok=True)
