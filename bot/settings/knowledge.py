"""knowledge.yaml: what answers are made from."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from bot.settings.base import LATER, Section, later


class Source(Section):
    """A folder or file of documents."""

    path: str = Field(min_length=1, description="Folder or file, relative to the settings folder.")


class Chunking(Section):
    """How documents are cut into passages. A change means that everything is indexed again."""

    size: int = Field(
        default=500, ge=100, le=4000, description="Longest passage, in characters.", json_schema_extra=LATER
    )
    overlap: int = Field(
        default=75, ge=0, le=1000, description="Characters that two neighbours share.", json_schema_extra=LATER
    )

    @model_validator(mode="after")
    def _overlap_fits(self) -> Self:
        if self.overlap * 2 > self.size:
            raise ValueError(f"overlap {self.overlap} is more than half of size {self.size}")
        return self


class Retrieval(Section):
    """What is looked up for a question."""

    passages: int = Field(
        default=10, ge=1, le=50, description="Most passages an answer is made from.", json_schema_extra=LATER
    )


class Access(Section):
    """Who may read what."""

    default: Literal["everyone", "admins"] = Field(
        default="everyone", description="Who reads a document that names nobody.", json_schema_extra=later("admins")
    )
    rules: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="Document pattern to people.", json_schema_extra=LATER
    )


class Knowledge(Section):
    """knowledge.yaml"""

    sources: tuple[Source, ...] = Field(default=(Source(path="../knowledge"),), description="Where documents lie.")
    chunking: Chunking = Field(default=Chunking(), description="How documents are cut.")
    retrieval: Retrieval = Field(default=Retrieval(), description="What is looked up.")
    access: Access = Field(default=Access(), description="Who may read what.")
