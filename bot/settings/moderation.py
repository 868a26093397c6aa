"""The moderation of policy.yaml."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema, model_validator

from bot.moderation import Action, Rule, Screen, words
from bot.settings.base import Section
from inference.moderation import Decision, Limits


def _listed(value: Any) -> Any:
    """A list of words, or the text of a file: a word a line, `#` begins a remark."""
    lines = value.splitlines() if isinstance(value, str) else value
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise ValueError("write a list of words, or the file that has them: ${file:words.txt}")
    kept = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    found = words(kept)
    if not all(found):  # without the word: a list may be secret
        raise ValueError(f"word {found.index('') + 1} is empty once spaces and punctuation are left out")
    return frozenset(found)


WordList = Annotated[
    frozenset[str],
    BeforeValidator(_listed),
    PlainSerializer(sorted),
    WithJsonSchema({"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "string"}]}),
]


class WordRule(Section):
    """Words, and what is done with an order that has one of them."""

    name: str = Field(min_length=1, max_length=80, description="What the audit log calls it.")
    words: WordList = Field(
        description="A list, or ${file:words.txt} beside this file: a word a line. Width, case, traditional or "
        "simplified characters, spaces, punctuation and letters that only look alike do not matter."
    )
    action: Literal["refuse", "review", "flag"] = Field(
        default="refuse",
        description="refuse the order; review: draw it and hold the pictures until a reviewer approves; "
        "flag: let it go ahead and note it in the audit log.",
    )


Score = Annotated[float, Field(ge=0, le=1)]


class PictureRules(Section):
    """The check of finished pictures by an image classifier."""

    path: str = Field(
        default="",
        description="Folder of a transformers image-classification checkpoint (safetensors), relative to this file; "
        "empty = pictures are not checked.",
    )
    review: dict[str, Score] = Field(
        default_factory=dict, description="Labels, and from which score (0-1) on they have a picture held."
    )
    refuse: dict[str, Score] = Field(
        default_factory=dict, description="Labels, and from which score (0-1) on they have a picture refused."
    )
    on_failure: Literal["review", "refuse", "allow"] = Field(
        default="review", description="What becomes of a picture that could not be checked."
    )

    @model_validator(mode="after")
    def _useful(self) -> Self:
        if self.path and not (self.review or self.refuse):
            raise ValueError("name at least one label under review or refuse, with the score from which on it counts")
        if not self.path and (self.review or self.refuse):
            raise ValueError("path is missing: the folder of the checkpoint whose labels these are")
        above = [label for label, least in self.refuse.items() if self.review.get(label, 0.0) > least]
        if above:
            raise ValueError(f"{above[0]} is refused before it would be reviewed: its review score must be the lower")
        return self

    @property
    def limits(self) -> Limits:
        """What the classifier goes by."""
        return Limits(review=self.review, refuse=self.refuse)

    @property
    def holds(self) -> bool:
        """Whether a picture may be held because of this check."""
        return bool(self.path) and (bool(self.review) or self.on_failure == Decision.REVIEW.value)


class OrderRules(Section):
    """The check of orders by the language model of model.yaml, before they are drawn."""

    model: bool = Field(default=False, description="Ask it about each order; needs text.engine openai.")
    unwanted: str = Field(
        default="", max_length=2000, description="What must not be drawn, in the team's words; empty = the usual list."
    )
    on_failure: Literal["review", "refuse", "allow"] = Field(
        default="review", description="What becomes of an order that could not be checked."
    )

    @property
    def holds(self) -> bool:
        """Whether pictures may be held because of this check."""
        return self.model


def _pictures(value: Any) -> Any:
    """`false` says that nothing is checked; `true` would not say by what."""
    if value is True:
        raise ValueError("name the checkpoint: {path: ../../models/NAME, review: {LABEL: 0.5}}")
    return {} if value is False else value


class Moderation(Section):
    """What is checked before it is done or shown."""

    rules: tuple[WordRule, ...] = Field(default=(), description="Words in what people order, ask and reserve.")
    tell: bool = Field(default=False, description="Tell who is refused which word it was.")
    pictures: Annotated[PictureRules, BeforeValidator(_pictures)] = Field(
        default=PictureRules(), description="Check finished pictures; false = not."
    )
    orders: OrderRules = Field(default=OrderRules(), description="Check orders by the language model.")
    review: bool = Field(default=False, description="Hold every picture until a reviewer approves.")

    def screen(self) -> Screen:
        """The rules as they are applied."""
        made = (Rule(name=one.name, words=one.words, action=Action(one.action)) for one in self.rules)
        return Screen(rules=tuple(made), tell=self.tell)

    @property
    def holds(self) -> bool:
        """Whether pictures may be held, so that somebody has to decide about them."""
        return (
            self.review
            or self.pictures.holds
            or self.orders.holds
            or any(one.action == Action.REVIEW.value for one in self.rules)
        )
