"""The addresses of WeCom that need no token: group webhooks, and a robot's response_url."""

from __future__ import annotations

import secrets
from typing import Any

from tests.simulators.feishu_http import Call
from tests.simulators.wecom_cards import NOTICES, judge, readable
from tests.simulators.wecom_http import Handles, body_of
from tests.simulators.wecom_media import Media
from tests.simulators.wecom_robot import RobotSide, image_of
from tests.simulators.wecom_world import Refused, Shown, World

_MOST = {"text": 2048, "markdown": 4096, "markdown_v2": 4096}  # bytes


class Webhooks:
    """Answers webhook/ and aibot/response."""

    def __init__(self, world: World, media: Media, side: RobotSide) -> None:
        self._world, self._media, self._side = world, media, side
        self.groups: dict[str, str] = {}  # key -> name
        self.calls: dict[tuple[str, str], Handles] = {
            ("POST", "webhook/send"): self._webhook,
            ("POST", "webhook/upload_media"): self._webhook_media,
            ("POST", "aibot/response"): self._response,
        }

    def open(self, name: str) -> str:
        """A new webhook: its key."""
        key = secrets.token_hex(16)
        self.groups[key] = name
        return key

    def _response(self, call: Call) -> dict[str, Any]:
        with self._world.lock:
            self._side.response(call.query.get("response_code", ""), body_of(call))
        return {}

    def _hook(self, call: Call) -> str:
        key = call.query.get("key", "")
        if key not in self.groups:
            raise Refused(93000, "invalid webhook url")
        return key

    def _webhook_media(self, call: Call) -> dict[str, Any]:
        key = self._hook(call)
        if call.query.get("type") not in ("file", "voice"):
            raise Refused(40004, "invalid media type")
        return self._media.upload(call, key)

    def _webhook(self, call: Call) -> dict[str, Any]:
        key, body = self._hook(call), body_of(call)
        kind = str(body.get("msgtype"))
        inner = body.get(kind)
        if not isinstance(inner, dict):
            raise Refused(40008, "invalid message type")
        message = Shown(way="webhook", chat=key, kind=kind, by=key, raw=body)
        if kind in _MOST:
            message.content = str(inner.get("content") or "")
            if not message.content:
                raise Refused(44004, "empty content")
            if len(message.content.encode()) > _MOST[kind]:
                raise Refused(40058, f"{kind}.content exceed max length {_MOST[kind]}")
        elif kind == "image":
            message.data = image_of(inner, 2)
        elif kind in ("file", "voice"):
            medium = self._media.get(inner.get("media_id"), kind, key)
            message.data, message.name = medium.data, medium.name
        elif kind == "news":
            message.content = "\n".join(str(article.get("title")) for article in inner.get("articles", []))
        elif kind == "template_card":
            message.clipped = judge(inner, NOTICES)
            message.card, message.content = inner, readable(inner)
        else:
            raise Refused(40008, "invalid message type")
        if not self._world.within(f"webhook {key}", (20, 60.0)):
            raise Refused(45009, "api freq out of limit")
        self._world.show(message)
        return {}
