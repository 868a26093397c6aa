"""The sender of WeCom's encrypted callbacks: XML to the app, JSON to a robot, verification, redelivery, refreshes."""

from __future__ import annotations

import http.client
import json
import secrets
import threading
import time
import urllib.parse
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.simulators.wecom_cards import judge, readable
from tests.simulators.wecom_crypto import seal, signature, unseal
from tests.simulators.wecom_robot import Asked, RobotSide
from tests.simulators.wecom_world import Refused, Robot, Shown, World


@dataclass(frozen=True)
class Receiver:
    """Where callbacks go and what protects them."""

    url: str
    token: str
    aes_key: str
    receive_id: str  # the corp's id for an app, nothing for a robot


@dataclass
class Posted:
    """One callback to the app, with all its tries."""

    fields: dict[str, Any]  # what stood in the XML
    statuses: list[int] = field(default_factory=list)  # of each try; 0 = no answer in time
    seconds: list[float] = field(default_factory=list)  # how long each try took
    answer: dict[str, str] = field(default_factory=dict)  # the passive reply, decrypted; empty = none
    body: bytes = b""  # of the last answer
    sent: tuple[dict[str, str], bytes] = field(default_factory=lambda: ({}, b""))  # query and body of the last try

    @property
    def msg_id(self) -> str:
        return str(self.fields.get("MsgId", ""))

    @property
    def acknowledged(self) -> bool:
        return bool(self.statuses) and self.statuses[-1] == 200


class Sender:
    """Posts as WeCom posts. Blocking: from a coroutine on the bot's own loop use `asyncio.to_thread`."""

    def __init__(self, world: World, side: RobotSide) -> None:
        self._world, self._side = world, side
        self.patience = 5.0  # seconds for an answer
        self.echo_patience = 1.0  # seconds for the answer to a verification
        self.retries = 3
        self.retry_seconds = 0.0  # between two tries (WeCom does not say)
        self.refresh_seconds = 1.0  # between two refreshes of a stream (WeCom does not say)
        self.refresh_limit = 360.0  # seconds from the message
        self._stopping = threading.Event()
        self._refreshing: list[threading.Thread] = []

    def stop(self) -> None:
        self._stopping.set()
        self.finished()

    def finished(self) -> None:
        """Wait until no stream is asked for any more."""
        for thread in list(self._refreshing):
            thread.join()

    def app(self) -> Receiver:
        """Where the app's callbacks go."""
        app = self._world.app
        return Receiver(url=app.url, token=app.token, aes_key=app.aes_key, receive_id=app.corp_id)

    @staticmethod
    def robot(robot: Robot) -> Receiver:
        """Where a robot's callbacks go."""
        return Receiver(url=robot.url, token=robot.token, aes_key=robot.aes_key, receive_id="")

    # -- verification ------------------------------------------------------------------------------------------------

    def verify(self, receiver: Receiver, *, echo: str = "", plus: bool = False, **wrong: str) -> tuple[bool, str]:
        """Ask the address to prove itself, as saving it on the admin page does: whether it did, and why not.

        `plus`: the encrypted echo has a + in it, which comes through only when it is decoded once. `wrong` replaces
        parts of the request: receive_id, token, aes_key, msg_signature, timestamp, nonce, echostr.
        """
        receiver = self._wronged(receiver, wrong)
        echo = echo or str(secrets.randbits(63))
        sealed = seal(receiver.aes_key, echo.encode(), receiver.receive_id)
        while plus and "+" not in sealed:
            sealed = seal(receiver.aes_key, echo.encode(), receiver.receive_id)
        query = _signed(receiver, sealed, wrong, "echostr")
        status, _, body, _ = self.request("GET", receiver.url, query, b"", self.echo_patience)
        if status != 200:
            return False, f"status {status}"
        return (True, "") if body == echo.encode() else (False, f"openapi回调地址请求不通过: {body[:100]!r}")

    def request(
        self, method: str, url: str, query: Mapping[str, str], body: bytes, patience: float
    ) -> tuple[int, dict[str, str], bytes, float]:
        """Status (0 = no answer in time), headers, body and seconds."""
        parts = urllib.parse.urlsplit(url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=patience)
        began = time.perf_counter()
        try:
            connection.request(
                method,
                f"{parts.path}?{urllib.parse.urlencode(query)}",
                body or None,
                {"Content-Type": "text/xml" if body.startswith(b"<") else "application/json"} if body else {},
            )
            answer = connection.getresponse()
            raw = answer.read()
        except (OSError, http.client.HTTPException):
            return 0, {}, b"", time.perf_counter() - began
        finally:
            connection.close()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, raw, time.perf_counter() - began

    def replay(self, url: str, sent: tuple[dict[str, str], bytes]) -> tuple[int, bytes]:
        """Post the very same bytes under the very same signature: what was answered."""
        status, _, body, _ = self.request("POST", url, sent[0], sent[1], self.patience)
        return status, body

    # -- the app -----------------------------------------------------------------------------------------------------

    def to_app(self, fields: Mapping[str, Any], *, tries: int | None = None, **wrong: Any) -> Posted:
        """Post one message or event to the app; not answered with 200 in time, the same comes again.

        `wrong` replaces what would be right: receive_id, aes_key, token, msg_signature, body, and timestamp and nonce,
        which are signed all the same.
        """
        posted = Posted(fields=dict(fields))
        self.again(posted, tries=tries, **wrong)
        return posted

    def again(self, posted: Posted, *, tries: int | None = None, **wrong: Any) -> None:
        """Post it (once more), the same MsgId under another signature."""
        app, xml = self._world.app, _xml(posted.fields).encode()
        receiver = self._wronged(self.app(), wrong)
        for number in range(self.retries + 1 if tries is None else tries):
            if number:
                self._stopping.wait(self.retry_seconds)
            sealed = seal(receiver.aes_key, xml, receiver.receive_id)
            agent = f"<AgentID>{posted.fields['AgentID']}</AgentID>" if "AgentID" in posted.fields else ""
            outer = f"<xml><ToUserName><![CDATA[{app.corp_id}]]></ToUserName>{agent}"
            body = wrong.get("body") or f"{outer}<Encrypt><![CDATA[{sealed}]]></Encrypt></xml>".encode()
            query = _signed(receiver, sealed, wrong)
            posted.sent = query, body
            status, _, posted.body, seconds = self.request("POST", receiver.url, query, body, self.patience)
            posted.statuses.append(status)
            posted.seconds.append(seconds)
            if status == 200:
                posted.answer = self._passive(receiver, posted.body)
                return

    def _passive(self, receiver: Receiver, body: bytes) -> dict[str, str]:
        """The fields of a passive reply; empty for none. A wrong one is noted in `strange`."""
        if body in (b"", b"success"):
            return {}
        try:
            outer = {child.tag: child.text or "" for child in ET.fromstring(body)}
            good = signature(receiver.token, outer["TimeStamp"], outer["Nonce"], outer["Encrypt"])
            assert outer["MsgSignature"] == good, "signature"
            message, receive_id = unseal(receiver.aes_key, outer["Encrypt"])
            assert receive_id == receiver.receive_id, "receive id"
            return {child.tag: child.text or "" for child in ET.fromstring(message)}
        except (ET.ParseError, KeyError, ValueError, AssertionError) as error:
            self._world.strange.append(f"a passive reply that WeCom cannot read ({error!r}): {body[:200]!r}")
            return {}

    # -- a robot -----------------------------------------------------------------------------------------------------

    def to_robot(self, asked: Asked, *, tries: int | None = None, **wrong: Any) -> None:
        """Post one callback to a robot and take its answer; a press is posted only once. See to_app for `wrong`."""
        once = asked.kind == "template_card_event"
        receiver = self._wronged(self.robot(asked.robot), wrong)
        for number in range((1 if once else self.retries + 1) if tries is None else tries):
            if number:
                self._stopping.wait(self.retry_seconds)
            status, answer, seconds = self._exchange(receiver, asked.body, wrong, asked)
            asked.statuses.append(status)
            asked.seconds.append(seconds)
            if status == 200:
                asked.delivered, asked.answer = True, answer
                if answer:
                    self._take(asked, answer)
                return

    def _exchange(
        self, receiver: Receiver, body: Mapping[str, Any], wrong: Mapping[str, Any], asked: Asked | None = None
    ) -> tuple[int, dict[str, Any] | None, float]:
        sealed = seal(receiver.aes_key, json.dumps(body, ensure_ascii=False).encode(), receiver.receive_id)
        query = _signed(receiver, sealed, wrong)
        raw = wrong.get("body") or json.dumps({"encrypt": sealed}).encode()
        if asked is not None:
            asked.sent = query, raw
        status, _, said, seconds = self.request("POST", receiver.url, query, raw, self.patience)
        return status, self._opened(receiver, said, query["nonce"]) if status == 200 else None, seconds

    def _opened(self, receiver: Receiver, body: bytes, nonce: str) -> dict[str, Any] | None:
        """What a robot's answer says; None for nothing. A wrong one is noted in `strange`."""
        if body in (b"", b"success"):
            return None
        try:
            outer = json.loads(body)
            stamp = outer["timestamp"]
            assert isinstance(stamp, int), "timestamp"
            assert outer["nonce"] == nonce, "nonce"
            good = signature(receiver.token, str(stamp), nonce, outer["encrypt"])
            assert outer["msgsignature"] == good, "signature"
            message, receive_id = unseal(receiver.aes_key, outer["encrypt"])
            assert receive_id == "", "receive id"
            said = json.loads(message)
            assert isinstance(said, dict), "no object"
        except (KeyError, ValueError, TypeError, AssertionError) as error:
            self._world.strange.append(f"an answer that WeCom cannot read ({error!r}): {body[:200]!r}")
            return None
        return said

    def _take(self, asked: Asked, answer: Mapping[str, Any]) -> None:
        """Show what a robot answered; what WeCom would not show is noted in `strange`."""
        try:
            with self._world.lock:
                shown = self._judged(asked, answer)
        except Refused as refused:
            self._world.strange.append(f"{refused.code} {refused}: {json.dumps(answer, ensure_ascii=False)[:300]}")
            return
        if shown is not None and not shown.finished:
            thread = threading.Thread(target=self._refresh, args=(asked, shown), daemon=True)
            self._refreshing.append(thread)
            thread.start()

    def _judged(self, asked: Asked, answer: Mapping[str, Any]) -> Shown | None:
        side, kind = self._side, str(answer.get("msgtype") or answer.get("response_type"))
        if asked.kind == "enter_chat":
            side.welcome(asked, answer)
        elif asked.kind == "template_card_event":
            side.update(asked, answer)
        elif asked.kind != "message":
            raise Refused(40008, "this event takes only an empty answer")
        elif kind in ("stream", "stream_with_template_card"):
            shown = side.stream(asked, answer.get("stream"), pictures=True)
            if kind == "stream_with_template_card" and "template_card" in answer:
                self._card(asked, answer["template_card"])
            return shown
        elif kind == "template_card":
            self._card(asked, answer.get("template_card"))
        else:
            raise Refused(40008, "invalid message type")
        return None

    def _card(self, asked: Asked, card: Any) -> None:
        self._side.first_card(asked)
        clipped = judge(card)
        asked.carded = True
        self._world.show(
            Shown(
                way="robot",
                chat=asked.chat,
                kind="template_card",
                content=readable(card),
                card=card,
                clipped=clipped,
                task_id=str(card.get("task_id") or secrets.token_hex(16)),
                answers=asked.msgid,
                by=asked.robot.bot_id,
                feedback=str(card.get("feedback", {}).get("id", "")),
            )
        )

    def _refresh(self, asked: Asked, shown: Shown) -> None:
        """Ask for the stream's text until it is finished, or six minutes after the message."""
        base = {key: value for key, value in asked.body.items() if key in ("aibotid", "chatid", "chattype", "from")}
        while not self._stopping.wait(self.refresh_seconds):
            if shown.finished or self._world.now() - asked.at > self.refresh_limit:
                return
            body = base | {"msgid": f"CAIQ{secrets.token_urlsafe(18)}", "msgtype": "stream"}
            body["stream"] = {"id": shown.stream_id}
            self._world.called("refresh")
            status, answer, _ = self._exchange(self.robot(asked.robot), body, {})
            if status != 200 or not answer:
                continue
            try:
                with self._world.lock:
                    self._judged(asked, answer)
            except Refused as refused:
                self._world.strange.append(f"{refused.code} {refused}: {json.dumps(answer, ensure_ascii=False)[:300]}")

    def _wronged(self, receiver: Receiver, wrong: Mapping[str, Any]) -> Receiver:
        names = ("url", "token", "aes_key", "receive_id")
        right = {name: getattr(receiver, name) for name in names}
        return Receiver(**right | {name: str(wrong[name]) for name in names if name in wrong})


def _signed(receiver: Receiver, sealed: str, wrong: Mapping[str, Any], name: str = "") -> dict[str, str]:
    """The query of a callback. A wrong timestamp or nonce is signed all the same: it is stale, and not forged."""
    timestamp = str(wrong.get("timestamp") or int(time.time()))
    nonce = str(wrong.get("nonce") or secrets.randbelow(10**10))
    right = signature(receiver.token, timestamp, nonce, sealed)
    query = {"msg_signature": str(wrong.get("msg_signature") or right), "timestamp": timestamp, "nonce": nonce}
    return query | ({name: str(wrong.get(name) or sealed)} if name else {})


def _xml(fields: Mapping[str, Any]) -> str:
    return f"<xml>{''.join(_element(name, value) for name, value in fields.items())}</xml>"


def _element(name: str, value: Any) -> str:
    if isinstance(value, Mapping):
        return f"<{name}>{''.join(_element(key, inner) for key, inner in value.items())}</{name}>"
    if isinstance(value, list):
        return "".join(_element(name, each) for each in value)
    if isinstance(value, int):
        return f"<{name}>{value}</{name}>"
    return f"<{name}><![CDATA[{str(value).replace(']]>', ']]]]><![CDATA[>')}]]></{name}>"
