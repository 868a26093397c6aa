"""What every section of the settings has in common."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

#: Marks a key that the contract names and this version does not use yet: only its default may be written.
LATER: dict[str, Any] = {"later": True}


def later(*values: str) -> dict[str, Any]:
    """Marks the values of a key that this version does not know how to serve yet."""
    return {"later_values": list(values)}


class Section(BaseModel):
    """A part of a settings file: unknown keys are errors, values never change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)
