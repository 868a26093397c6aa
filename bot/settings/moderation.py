"""The moderation of policy.yaml."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

from bot.moderation import Rule, Screen, words
from bot.settings.base import LATER, Section


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
        "simplified characters, spaces and punctuation do not matter."
    )
    action: Literal["refuse", "flag"] = Field(
        default="refuse", description="refuse the order, or let it go ahead and note it in the audit log."
    )


class Moderation(Section):
    """What is checked before it is done or shown."""

    rules: tuple[WordRule, ...] = Field(default=(), description="Words in what people order, ask and reserve.")
    tell: bool = Field(default=False, description="Tell who is refused which word it was.")
    pictures: bool = Field(default=False, description="Check pictures.", json_schema_extra=LATER)
    review: bool = Field(default=False, description="Hold pictures until a reviewer approves.", json_schema_extra=LATER)

    def screen(self) -> Screen:
        """The rules as they are applied."""
        made = (Rule(name=one.name, words=one.words, refuses=one.action == "refuse") for one in self.rules)
        return Screen(rules=tuple(made), tell=self.tell)
