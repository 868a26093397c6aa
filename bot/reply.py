"""What is said, as a value every platform can render. The sentences themselves are made in replies.py."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from typing import Any

_LINKABLE = re.compile(r"https?://[^\s<>\"'()\[\]`\\]{1,200}")  # longer ones would crowd a card out


@dataclass(frozen=True, kw_only=True, slots=True)
class Button:
    """A button under a reply. Pressing it comes back as ChatEvent(kind="action", action=…, value=…)."""

    action: str  # redo | reseed | cancel | res_… (bot/router.py)
    label: str
    value: dict[str, Any] = field(default_factory=dict)  # e.g. {"job": 17}
    style: str = "default"  # default | primary | danger


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceLink:
    """A numbered source under an answer."""

    mark: int
    document: str
    heading: str
    passage: int
    quote: str
    url: str = ""  # where people open the original; empty = nowhere but here

    @property
    def link(self) -> str:
        """The address if it may become a link; anything else, such as `javascript:`, becomes none."""
        return self.url if _LINKABLE.fullmatch(self.url) else ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """A picture of a reply, by asset id. `alt` describes it."""

    asset: int
    width: int
    height: int
    alt: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """One message of the bot. Text is plain with `**bold**`, `code` and line breaks; platforms escape the rest."""

    text: str = ""
    title: str = ""  # a card's headline; empty for plain text
    state: str = ""  # queued | running | done | failed | cancelled; empty when not about a job
    job: int | None = None
    fields: tuple[tuple[str, str], ...] = ()  # label, value (size, seed, time …)
    pictures: tuple[Picture, ...] = ()
    sources: tuple[SourceLink, ...] = ()
    buttons: tuple[Button, ...] = ()
    progress: tuple[int, int] | None = None  # done, total
    note: str = ""  # small print (内容由 AI 生成, which model)
    streaming: bool = False  # more text will follow in this message

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Reply:
        return cls(
            **{
                **data,
                "fields": tuple((a, b) for a, b in data["fields"]),
                "pictures": tuple(Picture(**p) for p in data["pictures"]),
                "sources": tuple(SourceLink(**s) for s in data["sources"]),
                "buttons": tuple(Button(**b) for b in data["buttons"]),
                "progress": tuple(data["progress"]) if data["progress"] else None,
            }
        )
