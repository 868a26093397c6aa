"""Feishu's open platform on 127.0.0.1: its HTTP API with its rules and faults, and the side that posts to a bot.

Real sockets, one thread per connection; `with FeishuSimulator() as feishu:` starts and stops it. The unmodified
lark-oapi client works against it. What was sent stands in `messages`; what shall go wrong is said with `fail`.
"""

from __future__ import annotations

import http.client
import json
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.simulators.feishu_cards import Refused, judge
from tests.simulators.feishu_events import App, Envelope, headers, sealed
from tests.simulators.feishu_http import ApiError, Call, Fault, Server
from tests.simulators.feishu_wiki import WikiSide

LADDER = (15.0, 300.0, 3600.0, 21600.0)  # seconds between the pushes of one event
_UUID_WINDOW = 3600.0
_CARD_DAYS = 14 * 86400.0
_MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"BM", b"II*\x00", b"MM\x00*", b"\x00\x00\x01\x00")


@dataclass
class Sent:
    """A message the bot sent, as everybody in the chat sees it: once."""

    message_id: str
    chat_id: str  # the chat, or the person's open_id
    parent_id: str  # the message it answers; empty for none
    msg_type: str
    content: dict[str, Any]
    uuid: str
    at: float
    updates: list[dict[str, Any]] = field(default_factory=list)  # what it was changed to, oldest first

    @property
    def shown(self) -> dict[str, Any]:
        """What stands there now."""
        return self.updates[-1] if self.updates else self.content

    @property
    def text(self) -> str:
        """Everything readable in what stands there now, for assertions."""
        return json.dumps(self.shown, ensure_ascii=False)


@dataclass
class Pushed:
    """One event on its way to the bot."""

    envelope: Envelope
    statuses: list[int] = field(default_factory=list)  # what each try was answered with; 0 = not at all
    answer: Any = None  # JSON of the last answer
    due: float | None = None  # when it is pushed again
    stamp: float = 0.0  # of the first push

    @property
    def acknowledged(self) -> bool:
        return bool(self.statuses) and self.statuses[-1] == 200


class FeishuSimulator:
    """The platform. `clock` (seconds since 1970) moves with `advance`; limits per second use the real one."""

    def __init__(self, app: App | None = None, *, limits: bool = True, clock: Callable[[], float] = time.time) -> None:
        self.app = app or App()
        self.secret = self.app.app_secret  # may be rotated
        self.bot_url = ""  # where events go
        self.limits = limits  # 5 calls per second and chat
        self.restamp = True  # stamp repeated pushes anew (nothing says whether Feishu does)
        self.token_seconds = 7200
        self.messages: dict[str, Sent] = {}
        self.images: dict[str, bytes] = {}
        self.calls: list[str] = []  # "METHOD path" of every call
        self.pushed: list[Pushed] = []
        self.unknown_chats: set[str] = set()  # the bot is not in these
        self.recalled: set[str] = set()
        self.wiki = WikiSide(self)
        self._clock, self._offset = clock, 0.0
        self._tokens: dict[str, float] = {}
        self._seen: dict[str, str] = {}  # message id -> chat id, of messages people wrote
        self._faults: list[Fault] = []
        self._recent: dict[str, deque[float]] = {}
        self._lock = threading.RLock()
        self._server = Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    # -- running ---------------------------------------------------------------------------------------------------

    def __enter__(self) -> FeishuSimulator:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def settings(self) -> dict[str, Any]:
        """The `feishu` section that connects a bot to this platform."""
        return {
            "enabled": True,
            "mode": "webhook",
            "domain": self.url,
            "app_id": self.app.app_id,
            "app_secret": self.app.app_secret,
            "encrypt_key": self.app.encrypt_key,
            "verification_token": self.app.verification_token,
        }

    def now(self) -> float:
        return self._clock() + self._offset

    # -- what shall go wrong ---------------------------------------------------------------------------------------

    def fail(self, kind: str, times: int = 1, on: str = "/im/v1/", **more: Any) -> None:
        """Let the next `times` calls whose path contains `on` fail as Fault says."""
        with self._lock:
            self._faults.append(Fault(kind=kind, times=times, on=on, **more))

    def expire_tokens(self) -> None:
        """Every tenant token given out so far is refused from now on (99991663)."""
        with self._lock:
            self._tokens.clear()

    def remember(self, message_id: str, chat_id: str) -> None:
        """A person's message the bot may answer, without pushing it."""
        self._seen[message_id] = chat_id

    def visible(self, uuid: str = "") -> list[Sent]:
        """The bot's messages, all or those sent under `uuid`, oldest first."""
        with self._lock:
            return [sent for sent in self.messages.values() if not uuid or sent.uuid == uuid]

    # -- pushing events --------------------------------------------------------------------------------------------

    def push(self, envelope: Envelope, *, new_event_id: bool = False) -> Pushed:
        """Post an event to the bot; unless acknowledged it is due again along the ladder (see `advance`).

        Blocking: from a coroutine on the bot's own loop use `asyncio.to_thread`. Callbacks are posted once only.
        `new_event_id` gives each repetition another event id, which Feishu is known to do.
        """
        event = envelope.get("event", {})
        if "message" in event:
            self.remember(event["message"]["message_id"], event["message"]["chat_id"])
        item = Pushed(envelope=envelope, stamp=time.time())
        self.pushed.append(item)
        self._try(item, new_event_id=new_event_id)
        return item

    def advance(self, seconds: float, *, new_event_id: bool = False) -> None:
        """Let time pass, pushing again what is due, in order."""
        until = self.now() + seconds
        while due := [item for item in self.pushed if item.due is not None and item.due <= until]:
            item = min(due, key=lambda each: each.due or 0.0)
            self._offset += max(0.0, (item.due or 0.0) - self.now())
            self._try(item, new_event_id=new_event_id)
        self._offset += max(0.0, until - self.now())

    def post_raw(self, given: Mapping[str, str], body: bytes) -> tuple[int, Any]:
        """Post anything to the bot: (status, JSON or None); status 0 when it does not answer within 3 s."""
        parts = urlsplit(self.bot_url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=3)
        try:
            connection.request("POST", parts.path, body, dict(given))
            response = connection.getresponse()
            raw = response.read()
        except OSError:
            return 0, None
        finally:
            connection.close()
        try:
            return response.status, json.loads(raw)
        except ValueError:
            return response.status, None

    def _try(self, item: Pushed, *, new_event_id: bool) -> None:
        if item.statuses and new_event_id:
            item.envelope = {**item.envelope, "header": {**item.envelope["header"], "event_id": secrets.token_hex(16)}}
        body = sealed(self.app, item.envelope)
        status, item.answer = self.post_raw(headers(self.app, body, None if self.restamp else item.stamp), body)
        item.statuses.append(status)
        kind = item.envelope.get("header", {}).get("event_type")
        tries = len(item.statuses)
        again = status != 200 and tries <= len(LADDER) and kind != "card.action.trigger"
        item.due = self.now() + LADDER[tries - 1] if again else None
        if status == 200 and kind == "card.action.trigger":
            self._check_callback(item.answer)

    def _check_callback(self, answer: Any) -> None:
        assert isinstance(answer, dict), f"200671: {answer!r}"
        assert set(answer) <= {"toast", "card"}, f"200671: {answer!r}"
        if "toast" in answer:
            assert answer["toast"]["type"] in ("info", "success", "warning", "error"), f"200672: {answer!r}"
            assert isinstance(answer["toast"]["content"], str)
        if "card" in answer:
            assert answer["card"]["type"] in ("raw", "template")
            judge(json.dumps(answer["card"]["data"]), set(self.images))

    # -- answering the API -----------------------------------------------------------------------------------------

    def take_fault(self, path: str) -> Fault | None:
        """The fault this call meets, counted down."""
        with self._lock:
            fault = next((item for item in self._faults if item.on in path and item.times > 0), None)
            if fault is not None:
                fault.times -= 1
            return fault

    def answer(self, call: Call) -> dict[str, Any]:
        """The JSON of a success; raises ApiError."""
        with self._lock:
            self.calls.append(f"{call.method} {call.path}")
            if call.path == "/open-apis/auth/v3/tenant_access_token/internal":
                return self._give_token(call)
            self._authorise(call)
            match call.method, call.path.removeprefix("/open-apis/").split("/"):
                case "POST", ["im", "v1", "messages"]:
                    return self._send(call)
                case "POST", ["im", "v1", "messages", parent, "reply"]:
                    return self._reply(call, unquote(parent))
                case "PATCH", ["im", "v1", "messages", message_id]:
                    return self._patch(call, unquote(message_id))
                case "GET", ["im", "v1", "messages", message_id]:
                    return {"data": {"items": [self._shape(self._existing(unquote(message_id)))]}}
                case "POST", ["im", "v1", "images"]:
                    return self._upload(call)
                case _, ["wiki" | "docs" | "docx" | "doc" | "drive", *_]:
                    return self.wiki.answer(call)
                case "GET", ["bot", "v3", "info"]:
                    return {"bot": {"activate_status": 2, "app_name": "墨契", "open_id": self.app.bot_open_id}}
            raise ApiError(99991201, "no such address", 404)

    def _give_token(self, call: Call) -> dict[str, Any]:
        asked = call.json()
        if asked.get("app_id") != self.app.app_id:
            raise ApiError(10003, "invalid param")
        if asked.get("app_secret") != self.secret:
            raise ApiError(10014, "app secret invalid")
        # With more than half an hour left the same token comes again, else a new one, and both are good.
        for token, until in self._tokens.items():
            if until - self.now() > 1800:
                return {"tenant_access_token": token, "expire": int(until - self.now())}
        token = f"t-{secrets.token_hex(20)}"
        self._tokens[token] = self.now() + self.token_seconds
        return {"tenant_access_token": token, "expire": self.token_seconds}

    def _authorise(self, call: Call) -> None:
        scheme, _, token = call.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or not token:
            raise ApiError(99991661, "Missing access token for authorization")
        if token not in self._tokens:
            raise ApiError(99991663, "Invalid access token for authorization")
        if self._tokens[token] < self.now():
            raise ApiError(99991677, "Authentication token expired")

    def _send(self, call: Call) -> dict[str, Any]:
        body = call.json()
        if call.query.get("receive_id_type") not in ("chat_id", "open_id", "user_id", "union_id", "email"):
            raise ApiError(99992402, "field validation failed: receive_id_type")
        return self._create(body, str(body.get("receive_id", "")), "")

    def _reply(self, call: Call, parent: str) -> dict[str, Any]:
        if parent in self.recalled:
            raise ApiError(230011, "The message was recalled")
        chat = self._seen.get(parent) or (self.messages[parent].chat_id if parent in self.messages else "")
        if not chat:
            raise ApiError(230001, f"invalid message_id {parent}")
        return self._create(call.json(), chat, parent)

    def _create(self, body: Mapping[str, Any], chat: str, parent: str) -> dict[str, Any]:
        uuid = str(body.get("uuid") or "")
        if len(uuid) > 50:
            raise ApiError(99992402, "field validation failed: uuid")
        if not chat or chat in self.unknown_chats:
            raise ApiError(230002 if chat else 230001, "Bot is not in the chat" if chat else "receive_id")
        self._count(chat, 5)
        content = self._content(str(body.get("msg_type")), body.get("content"))
        earlier = [m for m in self.messages.values() if uuid and m.uuid == uuid and self.now() - m.at < _UUID_WINDOW]
        if earlier:
            return {"data": self._shape(earlier[-1])}
        sent = Sent(
            message_id=f"om_{secrets.token_hex(16)}",
            chat_id=chat,
            parent_id=parent,
            msg_type=str(body["msg_type"]),
            content=content,
            uuid=uuid,
            at=self.now(),
        )
        self.messages[sent.message_id] = sent
        return {"data": self._shape(sent)}

    def _patch(self, call: Call, message_id: str) -> dict[str, Any]:
        sent = self._existing(message_id)
        if message_id in self.recalled:
            raise ApiError(230011, "The message was recalled")
        if sent.msg_type != "interactive":
            raise ApiError(230054, "This operation is not supported for this message type")
        if self.now() - sent.at > _CARD_DAYS:
            raise ApiError(230031, "The card is older than 14 days")
        self._count(message_id, 5)
        sent.updates.append(self._content("interactive", call.json().get("content")))
        return {"data": {}}

    def _existing(self, message_id: str) -> Sent:
        if message_id not in self.messages:
            raise ApiError(230001, f"invalid message_id {message_id}")
        return self.messages[message_id]

    def _content(self, msg_type: str, raw: object) -> dict[str, Any]:
        if not isinstance(raw, str):
            raise ApiError(230001, "content is not a string")
        if msg_type == "interactive":
            try:
                return judge(raw, set(self.images))
            except Refused as refused:
                if refused.code == 230025:
                    raise ApiError(230025, str(refused)) from refused
                message = f"Failed to create card content, ext=ErrCode: {refused.code}; ErrMsg: {refused};"
                raise ApiError(230099, message) from refused
        try:
            content = json.loads(raw)
        except ValueError as error:
            raise ApiError(230001, "content is not a string in json format") from error
        if msg_type == "image" and content.get("image_key") not in self.images:
            raise ApiError(230001, "image_key")
        if msg_type == "text" and (not isinstance(content, dict) or not content.get("text")):
            raise ApiError(230001, "text is empty")
        if len(raw.encode()) > 150 * 1024:
            raise ApiError(230025, "The length of the message content reaches its limit")
        return dict(content)

    def _upload(self, call: Call) -> dict[str, Any]:
        parts = call.multipart()
        picture = parts.get("image", b"")
        if parts.get("image_type") != b"message":
            raise ApiError(234001, "Invalid request param: image_type")
        if not picture:
            raise ApiError(234010, "File's size can't be 0")
        if len(picture) > 10 * 1024 * 1024:
            raise ApiError(234006, "The file size exceed the max value")
        if not picture.startswith(_MAGIC):
            raise ApiError(234011, "Can't recognize the image format")
        key = f"img_v3_{secrets.token_hex(12)}"
        self.images[key] = picture
        return {"data": {"image_key": key}}

    def _count(self, key: str, limit: int) -> None:
        if not self.limits:
            return
        recent = self._recent.setdefault(key, deque(maxlen=limit))
        moment = time.monotonic()
        if len(recent) == limit and moment - recent[0] < 1.0:
            raise ApiError(230020, "This operation triggers the frequency limit")
        recent.append(moment)

    def _shape(self, sent: Sent) -> dict[str, Any]:
        stamp = str(int(sent.at * 1000))
        return {
            "message_id": sent.message_id,
            "root_id": sent.parent_id,
            "parent_id": sent.parent_id,
            "msg_type": sent.msg_type,
            "create_time": stamp,
            "update_time": stamp,
            "deleted": sent.message_id in self.recalled,
            "updated": bool(sent.updates),
            "chat_id": sent.chat_id,
            "sender": {"id": self.app.app_id, "id_type": "app_id", "sender_type": "app", "tenant_key": "tenant"},
            "body": {"content": json.dumps(sent.shown, ensure_ascii=False)},
        }
