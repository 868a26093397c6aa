"""CardKit of the Feishu simulator: cards that are typed in, under the platform's rules and with its codes."""

from __future__ import annotations

import copy
import json
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.simulators.feishu_cards import Refused, judge
from tests.simulators.feishu_http import ApiError, Call

GENERATING = "[生成中...]"  # what the chat list says of a card that is being typed in
OPEN_SECONDS = 600.0  # streaming closes by itself after this
LIFE = 14 * 86400.0
OPERATIONS = 10  # per second and card
_SETTINGS = {"streaming_mode", "streaming_config", "update_multi", "enable_forward", "width_mode"}


@dataclass
class Entity:
    """A card by itself: made here or by a message, changed by whoever knows its id."""

    card_id: str
    card: dict[str, Any]
    created: float
    message_id: str = ""  # the message that shows it; an entity can be sent once
    sequence: int = 0  # of the last operation
    stale: int = 0  # operations refused because their sequence was too low
    opened: float | None = None  # when streaming was switched on
    operations: list[tuple[str, int]] = field(default_factory=list)  # (what, sequence) of every one that counted
    at: list[float] = field(default_factory=list)  # when (monotonic)
    uuids: set[str] = field(default_factory=set)
    recent: deque[float] = field(default_factory=lambda: deque(maxlen=OPERATIONS))


class CardKit:
    """The cards. `shown` is told what a message shows and what the chat list says, whenever that changes."""

    def __init__(
        self,
        now: Callable[[], float],
        images: Callable[[], set[str]],
        audit: Callable[[str], None],
        shown: Callable[[str, dict[str, Any], str], None],
        *,
        limits: bool = True,
    ) -> None:
        self.granted = True  # False: the scope cardkit:card:write is missing
        self.limits = limits
        self.entities: dict[str, Entity] = {}
        self._now, self._images, self._audit, self._shown = now, images, audit, shown

    # -- what messages do ------------------------------------------------------------------------------------------

    def to_send(self, card_id: str) -> Entity:
        """The entity a message wants to show; raises ApiError when it is none, too old or sent already."""
        entity = self._entity(card_id)
        if entity.message_id:
            raise ApiError(230099, "Failed to create card content, ext=ErrCode: 200740; ErrMsg: card was sent before;")
        return entity

    def sent(self, entity: Entity, message_id: str) -> None:
        entity.message_id = message_id
        self._tell(entity)

    def of_message(self, message_id: str) -> Entity | None:
        return next((item for item in self.entities.values() if item.message_id == message_id), None)

    def patched(self, entity: Entity, card: dict[str, Any]) -> None:
        """The message was replaced as a whole: so is its card, with its mode."""
        self._replace(entity, card)

    # -- the API ---------------------------------------------------------------------------------------------------

    def answer(self, call: Call, rest: list[str], message: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
        """The JSON of a success; `message` gives the card a message shows. Raises ApiError."""
        if not self.granted:
            needed = "Access denied. One of the following scopes is required: [cardkit:card:write]"
            raise ApiError(99991672, needed)
        body = call.json()
        match call.method, rest:
            case "POST", []:
                return self._create(body)
            case "POST", ["id_convert"]:
                return {"data": {"card_id": self._convert(str(body.get("message_id")), message)}}
            case "PUT", [card_id]:
                entity = self._operation(card_id, body, "card")
                self._replace(entity, self._judged(body.get("card", {})))
            case "PATCH", [card_id, "settings"]:
                self._settings(self._operation(card_id, body, "settings"), body)
            case "PUT", [card_id, "elements", element_id, "content"]:
                self._content(self._entity(card_id), element_id, body)
            case _:
                raise ApiError(99991201, "no such address", 404)
        return {"data": {}}

    def _create(self, body: dict[str, Any]) -> dict[str, Any]:
        entity = self._new(self._judged(body))
        return {"data": {"card_id": entity.card_id}}

    def _new(self, card: dict[str, Any]) -> Entity:
        entity = Entity(card_id=f"7{secrets.randbelow(10**18):018d}", card=card, created=self._now())
        if card.get("config", {}).get("streaming_mode"):
            entity.opened = self._now()
        self.entities[entity.card_id] = entity
        return entity

    def _convert(self, message_id: str, message: Callable[[str], dict[str, Any]]) -> str:
        known = self.of_message(message_id)
        if known is None:
            known = self._new(copy.deepcopy(message(message_id)))
            known.message_id = message_id
        return known.card_id

    def _judged(self, given: dict[str, Any]) -> dict[str, Any]:
        if given.get("type") != "card_json" or not isinstance(given.get("data"), str):
            raise ApiError(99992402, "field validation failed: card")
        self._audit(given["data"])
        try:
            return judge(given["data"], self._images())
        except Refused as refused:
            raise ApiError(200860 if refused.code == 230025 else refused.code, str(refused)) from refused

    def _entity(self, card_id: str) -> Entity:
        entity = self.entities.get(card_id)
        if entity is None:
            raise ApiError(200740, "card entity does not exist")
        if self._now() - entity.created > LIFE:
            raise ApiError(200750, "card entity is expired")
        return entity

    def _operation(self, card_id: str, body: dict[str, Any], what: str) -> Entity:
        """Count an operation: sequence, uuid and rate."""
        entity = self._entity(card_id)
        sequence, uuid = body.get("sequence"), str(body.get("uuid") or "")
        if not isinstance(sequence, int) or not 1 <= sequence < 2**31 or len(uuid) > 64:
            raise ApiError(99992402, "field validation failed: sequence")
        moment = time.monotonic()
        if self.limits and len(entity.recent) == OPERATIONS and moment - entity.recent[0] < 1.0:
            reset = {"x-ogw-ratelimit-limit": str(OPERATIONS), "x-ogw-ratelimit-reset": "1"}
            raise ApiError(99991400, "request trigger frequency limit", 429, **reset)
        if uuid and uuid in entity.uuids:
            raise ApiError(200770, "uuid conflict")
        if sequence <= entity.sequence:
            entity.stale += 1
            raise ApiError(300317, f"sequence number compare failed: {sequence} <= {entity.sequence}")
        entity.recent.append(moment)
        entity.at.append(moment)
        entity.uuids |= {uuid} - {""}
        entity.sequence = sequence
        entity.operations.append((what, sequence))
        return entity

    def _settings(self, entity: Entity, body: dict[str, Any]) -> None:
        try:
            config = json.loads(body["settings"]).get("config", {})
        except (KeyError, ValueError, AttributeError) as error:
            raise ApiError(99992402, "field validation failed: settings") from error
        if unknown := set(config) - _SETTINGS:
            raise ApiError(2200, f"settings cannot change {sorted(unknown)}")
        entity.card = {**entity.card, "config": {**entity.card.get("config", {}), **config}}
        if "streaming_mode" in config:
            entity.opened = self._now() if config["streaming_mode"] else None
        self._tell(entity, GENERATING)  # only a whole new card takes that away

    def _content(self, entity: Entity, element_id: str, body: dict[str, Any]) -> None:
        if entity.opened is None or self._now() - entity.opened > OPEN_SECONDS:
            entity.opened = None
            raise ApiError(300309, "streaming mode is closed")
        text = body.get("content")
        if not isinstance(text, str) or not text:
            raise ApiError(99992402, "field validation failed: content")
        self._audit(text)
        card = copy.deepcopy(entity.card)
        element = next((item for item in _walk(card) if item.get("element_id") == element_id), None)
        if element is None or element.get("tag") not in ("markdown", "plain_text"):
            raise ApiError(300313, f"no text element {element_id}")
        element["content"] = text
        if len(json.dumps(card, ensure_ascii=False).encode()) > 30 * 1024:
            raise ApiError(200860, "the card is longer than 30 KB")
        self._operation(entity.card_id, body, "content")
        entity.card = card
        self._tell(entity)

    def _replace(self, entity: Entity, card: dict[str, Any]) -> None:
        entity.card = card
        entity.opened = self._now() if card.get("config", {}).get("streaming_mode") else None
        self._tell(entity)

    def _tell(self, entity: Entity, preview: str = "") -> None:
        if entity.message_id:
            streams = entity.card.get("config", {}).get("streaming_mode")
            summary = str(entity.card.get("config", {}).get("summary", {}).get("content", ""))
            self._shown(entity.message_id, entity.card, preview or (GENERATING if streams else summary))


def _walk(value: Any) -> Iterator[dict[str, Any]]:
    """Every object of a card that may have an id."""
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from _walk(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _walk(inner)
