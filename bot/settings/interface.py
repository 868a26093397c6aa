"""interface.yaml: how Moqi looks and speaks."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bot.settings.base import LATER, Section


class Features(Section):
    """What may be switched on and off."""

    streaming: bool = Field(default=True, description="Answers appear while they are written.", json_schema_extra=LATER)
    previews: bool = Field(default=False, description="Show pictures that take seconds while they are drawn.")
    enhancement: bool = Field(default=False, description="Enlarge pictures.", json_schema_extra=LATER)
    black_fix: bool = Field(default=False, description="Draw black pictures again.", json_schema_extra=LATER)
    prompt_optimize: bool = Field(default=False, description="Improve prompts first.", json_schema_extra=LATER)


class Interface(Section):
    """interface.yaml"""

    title: str = Field(default="墨契", min_length=1, max_length=40, description="Name in pages and messages.")
    theme: Literal["auto", "light", "dark"] = Field(default="auto", description="Colours of the web pages.")
    language: Literal["zh", "en"] = Field(default="zh", description="Language of everything Moqi says.")
    features: Features = Field(default=Features(), description="What may be switched on and off.")
