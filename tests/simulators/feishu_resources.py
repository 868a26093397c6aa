"""What people sent: their messages with pictures and files, handed out by the platform's rules."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote

from tests.simulators.feishu_http import ApiError, Call, Download

MAX_FILE = 100 * 1024 * 1024


@dataclass
class Resources:
    """The files that lie in messages of people."""

    files: dict[str, bytes] = field(default_factory=dict)  # by key
    messages: dict[str, dict[str, Any]] = field(default_factory=dict)  # as pushed, by id
    restricted: set[str] = field(default_factory=set)  # chats whose files nobody may download

    def image(self, data: bytes) -> dict[str, Any]:
        """The content of a message with this picture."""
        return {"image_key": self._put("img_v3_", data)}

    def file(self, data: bytes, name: str) -> dict[str, Any]:
        """The content of a message with this file."""
        return {"file_key": self._put("file_v3_", data), "file_name": name}

    def picture_run(self, data: bytes) -> dict[str, Any]:
        """A picture as a piece of a formatted message."""
        return {"tag": "img", **self.image(data)}

    def keep(self, message: Mapping[str, Any]) -> None:
        """Somebody wrote this."""
        self.messages[message["message_id"]] = dict(message)

    def answer(self, call: Call, recalled: set[str], unknown: set[str]) -> dict[str, Any] | Download | None:
        """The answer to a call about what people sent; None for any other."""
        match call.method, call.path.removeprefix("/open-apis/").split("/"):
            case "GET", ["im", "v1", "messages", quoted, "resources", key]:
                gone, kind = unquote(quoted) in recalled, call.query.get("type", "")
                return self.download(unquote(quoted), unquote(key), kind, gone=gone, unknown=unknown)
            case "GET", ["im", "v1", "messages", quoted] if unquote(quoted) in self.messages:
                return {"data": {"items": [self.message(unquote(quoted), unquote(quoted) in recalled)]}}
        return None

    def message(self, message_id: str, recalled: bool) -> dict[str, Any]:
        """The answer to GET /im/v1/messages/:id for a message of somebody."""
        written = self.messages[message_id]
        content = "This message was recalled" if recalled else written["content"]
        return {
            "message_id": message_id,
            "msg_type": written["message_type"],
            "create_time": written.get("create_time", str(int(time.time() * 1000))),
            "deleted": recalled,
            "updated": False,
            "chat_id": written["chat_id"],
            "sender": {"id": "ou_somebody", "id_type": "open_id", "sender_type": "user", "tenant_key": "tenant"},
            "body": {"content": content},
        }

    def download(self, message_id: str, key: str, kind: str, *, gone: bool, unknown: set[str]) -> Download:
        """The answer to GET /im/v1/messages/:id/resources/:key."""
        if kind not in ("image", "file"):
            raise ApiError(234001, "Invalid request param: type")
        written = self.messages.get(message_id)
        if written is None:
            raise ApiError(234043, "Unsupported message type")  # a card: its pictures cannot be had
        if written["chat_id"] in unknown:
            raise ApiError(234004, "The app is not in the chat")
        if written["chat_id"] in self.restricted:
            raise ApiError(234038, "The chat is in restricted mode")
        if gone or key not in self._keys(written, kind):
            raise ApiError(234003, "File not in message")
        data = self.files[key]
        if len(data) > MAX_FILE:
            raise ApiError(234037, "The file size exceeds the limit")
        name = quote(json.loads(written["content"]).get("file_name", "image"))
        return Download(data, {"Content-Disposition": f"attachment; filename*=UTF-8''{name}"})

    def _keys(self, written: Mapping[str, Any], kind: str) -> set[str]:
        content = json.loads(written["content"])
        if written["message_type"] == "post":
            runs = [run for paragraph in content.get("content", []) for run in paragraph]
            return {run["image_key"] for run in runs if "image_key" in run} if kind == "image" else set()
        return {content.get("image_key" if kind == "image" else "file_key", "")}

    def _put(self, prefix: str, data: bytes) -> str:
        key = f"{prefix}{secrets.token_hex(12)}"
        self.files[key] = data
        return key
