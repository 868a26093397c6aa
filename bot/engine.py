"""How an engine stands, as people are told."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Engine:
    """One engine."""

    name: str
    state: str  # loading | switching | ready | failed | closed
    builtin: bool = False
    problem: str = ""  # what is wrong and what to do next
