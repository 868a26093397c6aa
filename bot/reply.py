"""What is said, as a value every platform can render. The sentences themselves are made in replies.py."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Button:
    """A button under a reply. Pressing it comes back as ChatEvent(kind="action", action=…, value=…)."""

    action: str  # redo | reseed | cancel | res_… (bot/router.py)
    label: str
    value: dict[str, Any] = field(default_factory=dict)  # e.g. {"job": 17}
    style: str = "default"  # default | primary | danger
    quiet: bool = False  # a mark beside the small print, not one of the buttons that do something (👍 👎)
    hint: str = ""  # the same in words, where no button can stand: 发送 `/cancel 17` 取消


@dataclass(frozen=True, kw_only=True, slots=True)
class FormField:
    """One line to fill in. It comes back as text, whatever its kind."""

    name: str  # lower-case letters: prompt | size | seed
    label: str
    kind: str = "text"  # text | lines (of text) | number
    value: str = ""  # what stands in it at first
    max: int = 100  # characters


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """What somebody can fill in and send: back comes ChatEvent(action=…, value={**value, "form": {name: text}}).

    A page opens and closes it by itself. A platform that cannot shows a button for the closed one (FORM_OPEN), and
    shows the card anew with the open one.
    """

    action: str  # of its sending: redo_form
    label: str  # of the button that opens it
    send: str  # of the button that sends it
    close: str  # of the button that closes it
    fields: tuple[FormField, ...]
    value: dict[str, Any] = field(default_factory=dict)  # e.g. {"job": 17}
    open: bool = False
    hint: str = ""  # the command that does the same, in words, where no form can stand
    choices: tuple[Button, ...] = ()  # what answers it with one press; a page sends what was filled in along with it


FORM_OPEN, FORM_CLOSE = "form_open", "form_close"


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceLink:
    """A numbered source under an answer."""

    mark: int
    document: str
    heading: str
    passage: int
    quote: str
    url: str = ""  # where the document can be read; empty = not known


PREVIEW = 0  # in place of an asset's id: a picture that is not finished, whose bytes come with the update


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """A picture of a reply, by asset id (or PREVIEW). `alt` describes it."""

    asset: int
    width: int
    height: int
    alt: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """One message of the bot. Text is plain with `**bold**`, `code` and line breaks; platforms escape the rest."""

    text: str = ""
    title: str = ""  # a card's headline; empty for plain text
    state: str = (
        ""  # queued | running | review | done | failed | cancelled, hello; empty when it is about nothing of these
    )
    job: int | None = None
    fields: tuple[tuple[str, str], ...] = ()  # label, value (size, seed, time …)
    pictures: tuple[Picture, ...] = ()
    sources: tuple[SourceLink, ...] = ()
    buttons: tuple[Button, ...] = ()
    form: Form | None = None
    progress: tuple[int, int] | None = None  # done, total
    note: str = ""  # small print (内容由 AI 生成, which model)
    streaming: bool = False  # more text will follow in this message
    tidies: bool = False  # takes away what a card offers no longer; where the card is gone, nobody need be told
    grows: bool = False  # an answer will be written into it, piece by piece: a platform may prepare for that

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
                "form": _form(data.get("form")),
                "progress": tuple(data["progress"]) if data["progress"] else None,
            }
        )


def _form(data: dict[str, Any] | None) -> Form | None:
    if not data:
        return None
    fields = tuple(FormField(**one) for one in data["fields"])
    return Form(**{**data, "fields": fields, "choices": tuple(Button(**one) for one in data.get("choices", ()))})
