"""What comes in from a chat, whatever the platform. Pure values."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from inference.text.routing import Meant, Purpose
from storage.records import Identity, Origin


@dataclass(frozen=True, kw_only=True, slots=True)
class Mention:
    """Somebody named in a message. In the text stands `@<name>`, the bot's own mention already removed."""

    identity: Identity
    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatEvent:
    """A message or a button press, verified and decoded, safe to keep and to work on later."""

    platform: str
    key: str  # unique per platform: the message id, or for a press an id of the press
    kind: str  # "message" | "action" | "recall" | "chat" | "ignored"
    sender: Identity
    sender_name: str  # empty when the platform does not tell
    origin: Origin
    at: datetime
    text: str = ""  # message: what was written; ignored: why
    action: str = ""  # action: which button (redo, reseed, cancel, res_confirm …); chat: joined|entered|left|disbanded
    value: dict[str, Any] = field(default_factory=dict)  # action: the button's value, e.g. {"job": 17}
    mentions: tuple[Mention, ...] = ()
    tenant: str = ""  # the sender's organisation, where a platform has several; empty when it is not told
    home: str = ""  # the organisation our app belongs to, as the event says
    mentioned: bool = False  # the bot itself was mentioned (always true in a direct chat)
    meant: Meant | None = None  # what a language model takes the text for, where rules are not sure

    def to_json(self) -> dict[str, Any]:
        return {
            **{name: getattr(self, name) for name in _PLAIN},
            "at": self.at.isoformat(),
            "sender": asdict(self.sender),
            "origin": self.origin.to_json(),
            "mentions": [asdict(mention) for mention in self.mentions],
            **({} if self.meant is None else {"meant": asdict(self.meant)}),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ChatEvent:
        return cls(
            **{
                **data,
                "at": datetime.fromisoformat(data["at"]),
                "sender": Identity(**data["sender"]),
                "origin": Origin.from_json(data["origin"]),
                "mentions": tuple(
                    Mention(identity=Identity(**m["identity"]), name=m["name"]) for m in data["mentions"]
                ),
                "meant": _meant(data.get("meant")),
            }
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Ignored:
    """A genuine event that is acknowledged and then forgotten."""

    event_type: str
    key: str  # the event's own id, empty without one
    reason: str


def _meant(data: dict[str, Any] | None) -> Meant | None:
    return Meant(**{**data, "purpose": Purpose(data["purpose"])}) if data else None


_SHAPED = ("at", "sender", "origin", "mentions", "meant")
_PLAIN = tuple(name for name in ChatEvent.__dataclass_fields__ if name not in _SHAPED)
