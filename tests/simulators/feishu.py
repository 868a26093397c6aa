"""Feishu's open platform on 127.0.0.1: its HTTP API with its rules and faults, and the two ways events reach a bot.

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

from tests.simulators.feishu_accounts import Accounts
from tests.simulators.feishu_cardkit import GENERATING, CardKit, Entity
from tests.simulators.feishu_cards import Refused, judge
from tests.simulators.feishu_console import ConsolePage
from tests.simulators.feishu_contacts import Directory
from tests.simulators.feishu_events import App, Envelope, headers, sealed
from tests.simulators.feishu_gateway import Gateway
from tests.simulators.feishu_http import ApiError, Call, Download, Fault, Server
from tests.simulators.feishu_resources import Resources
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
    thread_id: str = ""  # the topic it stands in
    preview: str = ""  # what the chat list says of it, once a card was typed in
    edits: int = 0

    @property
    def generating(self) -> bool:
        """Whether the chat list says that it is still being written."""
        return self.preview == GENERATING

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
        self.bot_url = ""  # where events are posted; empty = they go over the long connection
        self.gateway = Gateway()  # of the long connection
        self.written: list[dict[str, Any]] = []  # what people wrote, as the message list gives it
        self.unread: set[str] = set()  # chats whose messages the app may not list
        self.limits = limits  # 5 calls per second and chat
        self.restamp = True  # stamp repeated pushes anew (nothing says whether Feishu does)
        self.token_seconds = 7200
        self.messages: dict[str, Sent] = {}
        self.images: dict[str, bytes] = {}
        self.resources = Resources()
        self.calls: list[str] = []  # "METHOD path" of every call
        self.pushed: list[Pushed] = []
        self.unknown_chats: set[str] = set()  # the bot is not in these
        self.refusing: dict[str, int] = {}  # chats and people that take nothing, and the code that says why
        self.banned: set[str] = set()  # words the content audit refuses (230022)
        self.audited: list[int] = []  # the codes with which the audit refused something
        self.leaks: set[str] = set()  # words the company's data-loss rules refuse (230028)
        self.recalled: set[str] = set()
        self.wiki = WikiSide(self)
        self._clock, self._offset = clock, 0.0
        self.console = ConsolePage(self.app)
        self.directory = Directory(self.console.has)
        self.accounts = Accounts(self.app, self.directory, self.now, lambda: self.secret)
        self._tokens: dict[str, float] = {}
        self._seen: dict[str, str] = {}  # message id -> chat id, of messages people wrote
        self._faults: list[Fault] = []
        self._recent: dict[str, deque[float]] = {}
        self._pressed: list[str] = []  # cards whose press has not been answered yet
        self._threads: dict[str, str] = {}  # message id -> topic
        self.cardkit = CardKit(self.now, lambda: set(self.images), self._audit, self._typed, limits=limits)
        self._lock = threading.RLock()
        self._server = Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    # -- running ---------------------------------------------------------------------------------------------------

    def __enter__(self) -> FeishuSimulator:
        self._thread.start()
        self.gateway.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.gateway.close()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def settings(self) -> dict[str, Any]:
        """The `feishu` section that connects a bot to this platform by webhook."""
        return {
            "enabled": True,
            "mode": "webhook",
            "domain": self.url,
            "accounts_domain": self.url,
            "app_id": self.app.app_id,
            "app_secret": self.app.app_secret,
            "encrypt_key": self.app.encrypt_key,
            "verification_token": self.app.verification_token,
        }

    @property
    def dialled(self) -> dict[str, Any]:
        """The `feishu` section of a bot that opens a long connection to this platform."""
        names = ("enabled", "domain", "app_id", "app_secret")
        return {"mode": "long_connection", **{name: self.settings[name] for name in names}}

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

    def remember(self, message_id: str, chat_id: str, thread_id: str = "") -> None:
        """A person's message the bot may answer, without pushing it."""
        self._seen[message_id] = chat_id
        if thread_id:
            self._threads[message_id] = thread_id

    def visible(self, uuid: str = "") -> list[Sent]:
        """The bot's messages, all or those sent under `uuid`, oldest first."""
        with self._lock:
            return [sent for sent in self.messages.values() if not uuid or sent.uuid == uuid]

    # -- pushing events --------------------------------------------------------------------------------------------

    def push(self, envelope: Envelope, *, new_event_id: bool = False) -> Pushed:
        """Bring an event to the bot; unless acknowledged it is due again along the ladder (see `advance`).

        Blocking: from a coroutine on the bot's own loop use `asyncio.to_thread`. Callbacks are posted once only.
        `new_event_id` gives each repetition another event id, which Feishu is known to do.
        """
        event = envelope.get("event", {})
        if "message" in event:
            self.write(envelope)
            self.resources.keep(event["message"])
        item = Pushed(envelope=envelope, stamp=time.time())
        self.pushed.append(item)
        self._try(item, new_event_id=new_event_id)
        return item

    def write(self, envelope: Envelope) -> None:
        """A person's message stands in its chat, but no event of it is pushed: see `push`, and the message list."""
        event, said = envelope["event"], envelope["event"]["message"]
        self.remember(said["message_id"], said["chat_id"], said.get("thread_id", ""))
        self.written.append(listed(event))

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
        kind = item.envelope.get("header", {}).get("event_type")
        card = item.envelope["event"]["context"]["open_message_id"] if kind == "card.action.trigger" else ""
        self._pressed.append(card)
        status, item.answer = self._posted(item) if self.bot_url else self._sent(item)
        self._pressed.remove(card)
        item.statuses.append(status)
        tries = len(item.statuses)
        again = status != 200 and tries <= len(LADDER) and kind != "card.action.trigger"
        item.due = self.now() + LADDER[tries - 1] if again else None
        if status == 200 and kind == "card.action.trigger":
            self._check_callback(item.answer, card)

    def _posted(self, item: Pushed) -> tuple[int, Any]:
        body = sealed(self.app, item.envelope)
        return self.post_raw(headers(self.app, body, None if self.restamp else item.stamp), body)

    def _sent(self, item: Pushed) -> tuple[int, Any]:
        sending = self.gateway.send(item.envelope)
        return (sending.wait(), sending.data) if sending is not None else (0, None)

    def _check_callback(self, answer: Any, message_id: str) -> None:
        assert isinstance(answer, dict), f"200671: {answer!r}"
        assert set(answer) <= {"toast", "card"}, f"200671: {answer!r}"
        if "toast" in answer:
            assert answer["toast"]["type"] in ("info", "success", "warning", "error"), f"200672: {answer!r}"
            assert isinstance(answer["toast"]["content"], str)
        if "card" in answer:
            assert answer["card"]["type"] in ("raw", "template")
            shown = judge(json.dumps(answer["card"]["data"]), set(self.images))
            if message_id in self.messages:
                self.messages[message_id].updates.append(shown)

    # -- answering the API -----------------------------------------------------------------------------------------

    def take_fault(self, path: str) -> Fault | None:
        """The fault this call meets, counted down."""
        with self._lock:
            fault = next((item for item in self._faults if item.on in path and item.times > 0), None)
            if fault is not None:
                fault.times -= 1
            return fault

    def answer(self, call: Call) -> dict[str, Any] | Download:
        """The JSON of a success, or a file; raises ApiError."""
        with self._lock:
            self.calls.append(f"{call.method} {call.path}")
            if (first := self._before_authorisation(call)) is not None:
                return first
            self._authorise(call)
            self._count_app()
            sides = (self.directory, self.console, self.wiki)
            told = next((found for side in sides if (found := side.answer(call)) is not None), None)
            if (given := told or self.resources.answer(call, self.recalled, self.unknown_chats)) is not None:
                return given
            match call.method, call.path.removeprefix("/open-apis/").split("/"):
                case "POST", ["im", "v1", "messages"]:
                    return self._send(call)
                case "GET", ["im", "v1", "messages"]:
                    return self._list(call)
                case "POST", ["im", "v1", "messages", parent, "reply"]:
                    return self._reply(call, unquote(parent))
                case "PATCH", ["im", "v1", "messages", message_id]:
                    return self._patch(call, unquote(message_id))
                case "PUT", ["im", "v1", "messages", message_id]:
                    return self._edit(call, unquote(message_id))
                case _, ["cardkit", "v1", "cards", *rest]:
                    return self.cardkit.answer(call, [unquote(part) for part in rest], self._card_of)
                case "GET", ["im", "v1", "messages", message_id]:
                    return {"data": {"items": [self._shape(self._existing(unquote(message_id)))]}}
                case "POST", ["im", "v1", "images"]:
                    return self._upload(call)
                case "GET", ["bot", "v3", "info"]:
                    return {"bot": {"activate_status": 2, "app_name": "墨契", "open_id": self.app.bot_open_id}}
            raise ApiError(99991201, "no such address", 404)

    def _before_authorisation(self, call: Call) -> dict[str, Any] | None:
        """What needs no tenant token."""
        match call.path:
            case "/open-apis/auth/v3/tenant_access_token/internal":
                return self._give_token(call)
            case "/callback/ws/endpoint":
                return self._give_address(call)
        return self.accounts.answer(call)

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

    def _give_address(self, call: Call) -> dict[str, Any]:
        if self.console.endpoint_code:
            raise ApiError(self.console.endpoint_code, "as ordered", 200)
        asked = call.json()
        if not asked.get("AppID") or not asked.get("AppSecret"):
            raise ApiError(1000040344, "app_id or app_secret is empty", 200)
        if asked["AppID"] != self.app.app_id or asked["AppSecret"] != self.secret:
            raise ApiError(1000040345, "app_id or app_secret is invalid", 200)
        return {"data": self.gateway.address()}

    def _list(self, call: Call) -> dict[str, Any]:
        """The messages of a chat, the bot's own included, by pages."""
        chat, order = call.query.get("container_id", ""), call.query.get("sort_type", "ByCreateTimeAsc")
        if call.query.get("container_id_type") != "chat" or not chat:
            raise ApiError(99992402, "field validation failed: container_id")
        if not 1 <= int(call.query.get("page_size", 20)) <= 50:
            raise ApiError(99992402, "field validation failed: page_size")
        if chat in self.unknown_chats:
            raise ApiError(230002, "Bot is not in the chat")
        if chat in self.unread:
            raise ApiError(230027, "Lack of necessary permissions, ext=need scope: im:message.group_msg")
        since, until = (int(call.query.get(name, usual)) for name, usual in (("start_time", 0), ("end_time", 2**40)))
        items = [*self.written, *(self._shape(sent) for sent in self.messages.values())]
        items = [i for i in items if i["chat_id"] == chat and since <= int(i["create_time"]) // 1000 <= until]
        items = [i | {"deleted": i["message_id"] in self.recalled} for i in items]
        items.sort(key=lambda item: int(item["create_time"]), reverse=order == "ByCreateTimeDesc")
        first = int(call.query.get("page_token") or 0)
        size = int(call.query.get("page_size", 20))
        page, more = items[first : first + size], len(items) > first + size
        return {"data": {"has_more": more, "page_token": str(first + size) if more else "", "items": page}}

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
        return self._create(body, str(body.get("receive_id", "")), "", "")

    def _reply(self, call: Call, parent: str) -> dict[str, Any]:
        if parent in self.recalled:
            raise ApiError(230011, "The message was recalled")
        chat = self._seen.get(parent) or (self.messages[parent].chat_id if parent in self.messages else "")
        if not chat:
            raise ApiError(230001, f"invalid message_id {parent}")
        body = call.json()
        thread = self._threads.get(parent, "")
        if body.get("reply_in_thread") and not thread:
            thread = self._threads[parent] = f"omt_{secrets.token_hex(8)}"
        return self._create(body, chat, parent, thread)

    def _create(self, body: Mapping[str, Any], chat: str, parent: str, thread: str) -> dict[str, Any]:
        uuid = str(body.get("uuid") or "")
        if len(uuid) > 50:
            raise ApiError(99992402, "field validation failed: uuid")
        if not chat or chat in self.unknown_chats:
            raise ApiError(230002 if chat else 230001, "Bot is not in the chat" if chat else "receive_id")
        if chat in self.refusing:
            raise ApiError(self.refusing[chat], "as ordered")
        self._count(chat, 5)
        earlier = [m for m in self.messages.values() if uuid and m.uuid == uuid and self.now() - m.at < _UUID_WINDOW]
        if earlier:
            return {"data": self._shape(earlier[-1])}
        entity = self._entity(body)
        content = entity.card if entity else self._content(str(body.get("msg_type")), body.get("content"))
        sent = Sent(
            message_id=f"om_{secrets.token_hex(16)}",
            chat_id=chat,
            parent_id=parent,
            msg_type=str(body["msg_type"]),
            content=content,
            uuid=uuid,
            at=self.now(),
            thread_id=thread,
        )
        self.messages[sent.message_id] = sent
        if thread:
            self._threads[sent.message_id] = thread
        if entity is not None:
            self.cardkit.sent(entity, sent.message_id)
        return {"data": self._shape(sent)}

    def _entity(self, body: Mapping[str, Any]) -> Entity | None:
        """The card entity that a message wants to show; None when it brings its content itself."""
        try:
            content = json.loads(str(body.get("content")))
        except ValueError:
            return None
        if body.get("msg_type") != "interactive" or not isinstance(content, dict) or content.get("type") != "card":
            return None
        return self.cardkit.to_send(str(content.get("data", {}).get("card_id")))

    def _card_of(self, message_id: str) -> dict[str, Any]:
        """The card that a message shows, for CardKit."""
        sent = self._existing(message_id)
        if message_id in self.recalled:
            raise ApiError(230011, "The message was recalled")
        if sent.msg_type != "interactive":
            raise ApiError(230054, "This operation is not supported for this message type")
        return sent.shown

    def _typed(self, message_id: str, card: dict[str, Any], preview: str) -> None:
        """CardKit changed what a message shows."""
        sent = self.messages[message_id]
        sent.preview = preview
        if sent.shown != card:
            sent.updates.append(card)

    def _audit(self, text: str) -> None:
        for words, code, why in (
            (self.banned, 230022, "The content of the message contains sensitive information"),
            (self.leaks, 230028, "The messages do NOT pass the audit"),
        ):
            if any(word in text for word in words):
                self.audited.append(code)
                raise ApiError(code, why)

    def _edit(self, call: Call, message_id: str) -> dict[str, Any]:
        sent, body = self._existing(message_id), call.json()
        if sent.msg_type not in ("text", "post") or body.get("msg_type") != sent.msg_type:
            raise ApiError(230054, "This operation is not supported for this message type")
        if sent.edits >= 20:
            raise ApiError(230072, "The message has reached the number of times it can be edited")
        self._count(message_id, 5)
        sent.updates.append(self._content(sent.msg_type, body.get("content")))
        sent.edits += 1
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
        card = self._content("interactive", call.json().get("content"))
        entity = self.cardkit.of_message(message_id)
        if message_id in self._pressed:  # what changes a card before its press is answered is undone by the answer
            return {"data": {}}
        if entity is not None:
            self.cardkit.patched(entity, card)
        else:
            sent.updates.append(card)
        return {"data": {}}

    def _existing(self, message_id: str) -> Sent:
        if message_id not in self.messages:
            raise ApiError(230001, f"invalid message_id {message_id}")
        return self.messages[message_id]

    def _content(self, msg_type: str, raw: object) -> dict[str, Any]:
        if not isinstance(raw, str):
            raise ApiError(230001, "content is not a string")
        self._audit(raw)
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

    def _count_app(self) -> None:
        """50 calls a second, 1000 a minute."""
        for limit, seconds in ((50, 1.0), (1000, 60.0)):
            recent = self._recent.setdefault(f"app {limit}", deque(maxlen=limit))
            if self.limits and len(recent) == limit and time.monotonic() - recent[0] < seconds:
                reset = {"x-ogw-ratelimit-limit": str(limit), "x-ogw-ratelimit-reset": f"{seconds:g}"}
                raise ApiError(99991400, "request trigger frequency limit", 400, **reset)
            recent.append(time.monotonic())

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
            "thread_id": sent.thread_id,
            "msg_type": sent.msg_type,
            "create_time": stamp,
            "update_time": stamp,
            "deleted": sent.message_id in self.recalled,
            "updated": bool(sent.updates),
            "chat_id": sent.chat_id,
            "sender": {"id": self.app.app_id, "id_type": "app_id", "sender_type": "app", "tenant_key": "tenant"},
            "body": {"content": json.dumps(sent.shown, ensure_ascii=False)},
        }


def listed(event: Mapping[str, Any]) -> dict[str, Any]:
    """A person's message as the message list shows it: other names than in its event, and mentions by one id."""
    sender, message = event["sender"], event["message"]
    mentions = [
        {"key": m["key"], "id": m["id"]["open_id"], "id_type": "open_id", "name": m["name"], "tenant_key": "tenant"}
        for m in message.get("mentions", [])
    ]
    return {
        **{name: message[name] for name in ("message_id", "root_id", "parent_id", "thread_id") if name in message},
        "msg_type": message["message_type"],
        "create_time": message["create_time"],
        "update_time": message["create_time"],
        "deleted": False,
        "updated": False,
        "chat_id": message["chat_id"],
        "sender": {
            "id": sender["sender_id"]["open_id"],
            "id_type": "open_id",
            "sender_type": sender["sender_type"],
            "tenant_key": "tenant",
        },
        "body": {"content": message["content"]},
        **({"mentions": mentions} if mentions else {}),
    }
