"""The progress bar of training."""

from __future__ import annotations

import sys
import time


class Bar:
    """One line that says how far a stage is: on a terminal it stays in place, in a file it comes now and then."""

    def __init__(self, name: str, steps: int, *, shown: bool = True) -> None:
        self.name, self.steps, self.shown = name, steps, shown
        self.started = self.told = time.monotonic()
        self.first: int | None = None
        self.means: dict[str, float] = {}

    def __call__(self, step: int, loss: float, **more: float) -> None:
        if self.first is None:
            self.first = step
        for name, value in {"loss": loss, **more}.items():
            self.means[name] = 0.97 * self.means.get(name, value) + 0.03 * value
        now = time.monotonic()
        last = step + 1 >= self.steps
        if not self.shown or (now - self.told < (0.5 if sys.stderr.isatty() else 20) and not last):
            return
        self.told = now
        rate = (step + 1 - self.first) / max(now - self.started, 1e-9)
        left = (self.steps - step - 1) / max(rate, 1e-9)
        figures = "  ".join(f"{name} {value:.4f}" for name, value in self.means.items())
        filled = round(24 * (step + 1) / self.steps)
        bar = "#" * filled + "." * (24 - filled)
        line = f"{self.name:12} [{bar}] {step + 1}/{self.steps}  {figures}  {left / 60:.0f} min left"
        sys.stderr.write(f"\r{line}\x1b[K" + ("\n" if last else "") if sys.stderr.isatty() else line + "\n")
        sys.stderr.flush()
