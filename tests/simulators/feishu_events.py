"""What Feishu posts to a bot: envelopes of every kind, sealed and signed as the platform does it.

Made with pycryptodome and by the platform's description, not with the code under test.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Envelope = dict[str, Any]

BOT_OPEN_ID = "ou_bot0000000000000000000000000000"


@dataclass(frozen=True, kw_only=True)
class App:
    """The app's console page."""

    app_id: str = "cli_a1b2c3d4e5f60718"
    app_secret: str = "secret-of-the-app"
    encrypt_key: str = "key-of-the-app"
    verification_token: str = "token-of-the-app"
    bot_open_id: str = BOT_OPEN_ID


def mention(number: int, open_id: str, name: str, kind: str = "user") -> dict[str, Any]:
    """An entry of `mentions`; the text says `@_user_<number>` where it stands."""
    ids = {"open_id": open_id, "union_id": f"on_{open_id[3:]}", "user_id": ""}
    return {"key": f"@_user_{number}", "id": ids, "name": name, "mentioned_type": kind, "tenant_key": "tenant"}


def envelope(app: App, event_type: str, event: Mapping[str, Any], **header: Any) -> Envelope:
    """A v2 envelope."""
    return {
        "schema": "2.0",
        "header": {
            "event_id": secrets.token_hex(16),
            "event_type": event_type,
            "create_time": str(int(time.time() * 1000)),
            "token": app.verification_token,
            "app_id": app.app_id,
            "tenant_key": "tenant",
            **header,
        },
        "event": dict(event),
    }


def message(
    app: App,
    content: Mapping[str, Any] | str,
    *,
    kind: str = "text",
    message_id: str = "",
    sender: str = "ou_alice",
    sender_type: str = "user",
    chat_id: str = "oc_direct_alice",
    group: bool = False,
    mentions: Sequence[Mapping[str, Any]] = (),
    thread_id: str = "",
    tenant_key: str = "tenant",
    **header: Any,
) -> Envelope:
    """im.message.receive_v1; a str as content of a text message is its text."""
    if kind == "text" and isinstance(content, str):
        content = {"text": content}
    body: dict[str, Any] = {
        "message_id": message_id or f"om_{secrets.token_hex(16)}",
        "create_time": str(int(time.time() * 1000)),
        "chat_id": chat_id,
        "chat_type": "group" if group else "p2p",
        "message_type": kind,
        "content": content if isinstance(content, str) else json.dumps(content, ensure_ascii=False),
    }
    if mentions:
        body["mentions"] = [dict(item) for item in mentions]
    if thread_id:
        body |= {"thread_id": thread_id, "root_id": "om_root", "parent_id": "om_root"}
    ids = {"open_id": sender, "union_id": f"on_{sender[3:]}", "user_id": ""}
    event = {"sender": {"sender_id": ids, "sender_type": sender_type, "tenant_key": tenant_key}, "message": body}
    return envelope(app, "im.message.receive_v1", event, **header)


def post(app: App, paragraphs: Sequence[Sequence[Mapping[str, Any]]], *, title: str = "", **more: Any) -> Envelope:
    """A formatted message."""
    return message(app, {"title": title, "content": [list(map(dict, row)) for row in paragraphs]}, kind="post", **more)


def click(
    app: App,
    value: Any,
    *,
    presser: str = "ou_alice",
    chat_id: str = "oc_direct_alice",
    message_id: str = "om_card",
    tenant_key: str = "tenant",
) -> Envelope:
    """card.action.trigger: `presser` pressed the button that carries `value`."""
    event = {
        "operator": {"open_id": presser, "union_id": f"on_{presser[3:]}", "user_id": "", "tenant_key": tenant_key},
        "token": f"c-{secrets.token_hex(20)}",
        "action": {"value": value, "tag": "button"},
        "host": "im_message",
        "context": {"open_message_id": message_id, "open_chat_id": chat_id},
    }
    return envelope(app, "card.action.trigger", event)


def submit(
    app: App,
    value: Any,
    filled: Mapping[str, str],
    *,
    presser: str = "ou_alice",
    chat_id: str = "oc_direct_alice",
    message_id: str = "om_card",
) -> Envelope:
    """card.action.trigger: `presser` sent a form with its button that carries `value`."""
    sent = click(app, value, presser=presser, chat_id=chat_id, message_id=message_id)
    sent["event"]["action"] |= {"name": "send", "form_value": dict(filled)}
    return sent


def chat_event(
    app: App, kind: str, chat_id: str, *, operator: str = "ou_alice", name: str = "设计组", at: float = 0.0
) -> Envelope:
    """im.chat.<kind>_v1: member.bot.added, member.bot.deleted or disbanded; `at` is when, 0 for now."""
    event = {
        "chat_id": chat_id,
        "operator_id": _ids(operator),
        "external": False,
        "operator_tenant_key": "tenant",
        "name": name,
        "i18n_names": {"zh_cn": name},
    }
    return envelope(app, f"im.chat.{kind}_v1", event, create_time=str(int((at or time.time()) * 1000)))


def entered(app: App, *, operator: str = "ou_alice", chat_id: str = "oc_direct_alice") -> Envelope:
    """im.chat.access_event.bot_p2p_chat_entered_v1: somebody opened the chat with the bot."""
    event = {"chat_id": chat_id, "operator_id": _ids(operator), "last_message_id": "", "last_message_create_time": ""}
    return envelope(app, "im.chat.access_event.bot_p2p_chat_entered_v1", event)


def menu(app: App, event_key: str, *, operator: str = "ou_alice") -> Envelope:
    """application.bot.menu_v6: an item of the bot's menu was chosen."""
    who = {"operator_name": "爱丽丝", "operator_id": _ids(operator)}
    return envelope(
        app, "application.bot.menu_v6", {"operator": who, "event_key": event_key, "timestamp": int(time.time())}
    )


def reaction(app: App, message_id: str, *, operator: str = "ou_alice", kind: str = "created") -> Envelope:
    """im.message.reaction.created_v1, or deleted."""
    event = {
        "message_id": message_id,
        "reaction_type": {"emoji_type": "THUMBSUP"},
        "operator_type": "user",
        "user_id": _ids(operator),
        "action_time": str(int(time.time() * 1000)),
    }
    return envelope(app, f"im.message.reaction.{kind}_v1", event)


def message_read(app: App, message_id: str, *, reader: str = "ou_alice") -> Envelope:
    """im.message.message_read_v1."""
    who = {"reader_id": _ids(reader), "read_time": str(int(time.time() * 1000)), "tenant_key": "tenant"}
    return envelope(app, "im.message.message_read_v1", {"reader": who, "message_id_list": [message_id]})


def _ids(open_id: str) -> dict[str, str]:
    return {"open_id": open_id, "union_id": f"on_{open_id[3:]}", "user_id": ""}


def recalled(app: App, message_id: str, *, chat_id: str = "oc_direct_alice") -> Envelope:
    """im.message.recalled_v1."""
    event = {
        "message_id": message_id,
        "chat_id": chat_id,
        "recall_time": str(int(time.time() * 1000)),
        "recall_type": "message_owner",
    }
    return envelope(app, "im.message.recalled_v1", event)


def challenge(app: App, text: str) -> Envelope:
    """What the console sends when the request address is saved."""
    return {"challenge": text, "token": app.verification_token, "type": "url_verification"}


def sealed(app: App, content: Mapping[str, Any] | bytes) -> bytes:
    """The request body: AES-256-CBC of the JSON when an Encrypt Key is set."""
    plain = content if isinstance(content, bytes) else json.dumps(content, ensure_ascii=False).encode()
    if not app.encrypt_key:
        return plain
    from Crypto.Cipher import AES
    from Crypto.Util.Padding import pad

    start = os.urandom(16)
    cipher = AES.new(hashlib.sha256(app.encrypt_key.encode()).digest(), AES.MODE_CBC, start)
    return json.dumps({"encrypt": base64.b64encode(start + cipher.encrypt(pad(plain, 16))).decode()}).encode()


def headers(app: App, body: bytes, at: float | str | None = None) -> dict[str, str]:
    """The headers that go with `body`; `at` is the instant it is stamped with, as the raw header when a str."""
    stamp = at if isinstance(at, str) else str(int(time.time() if at is None else at))
    nonce = str(secrets.randbelow(10**9))
    mark = hashlib.sha256(stamp.encode() + nonce.encode() + app.encrypt_key.encode() + body).hexdigest()
    return {
        "Content-Type": "application/json",
        "X-Lark-Request-Timestamp": stamp,
        "X-Lark-Request-Nonce": nonce,
        "X-Lark-Signature": mark,
        "X-Request-Id": secrets.token_hex(16),
    }


def signed(app: App, content: Mapping[str, Any], at: float | str | None = None) -> tuple[dict[str, str], bytes]:
    """(headers, body) of one push."""
    body = sealed(app, content)
    return headers(app, body, at), body
