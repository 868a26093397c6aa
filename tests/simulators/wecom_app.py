"""The HTTP API of WeCom: who may call, and the app's messages; the rest stands in directory and webhooks."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any

from tests.simulators.feishu_http import Call
from tests.simulators.wecom_cards import INTERACTIVE, judge, readable
from tests.simulators.wecom_directory import Directory
from tests.simulators.wecom_http import File, Handles, body_of
from tests.simulators.wecom_media import Media
from tests.simulators.wecom_robot import RobotSide
from tests.simulators.wecom_webhooks import Webhooks
from tests.simulators.wecom_world import DAY, HOUR, Member, Refused, Shown, World

_MOST = 2048  # bytes of an app's text
_PICTURED = ("image", "voice", "video", "file")


class Api:
    """Answers what the app and the webhooks call."""

    def __init__(self, world: World, media: Media, side: RobotSide) -> None:
        self._world, self._media = world, media
        self.token_seconds = 7200
        self.tokens: dict[str, float] = {}  # good until
        self.gone: dict[str, int] = {}  # tokens that are good no more, and what is said of them
        self.refusals: list[int] = []  # codes with which the next calls with a token are refused; 0 = is not
        self.cards: dict[str, tuple[list[Shown], float]] = {}  # by response_code, until
        self.ids = 7_390_000_000_000_000_001
        self._repeats: dict[str, float] = {}  # request -> when its repetition is shown again
        self.directory, self.webhooks = Directory(world), Webhooks(world, media, side)
        self._open: dict[tuple[str, str], Handles] = {("GET", "gettoken"): self._token, **self.webhooks.calls}
        self._guarded: dict[tuple[str, str], Handles] = {
            ("POST", "message/send"): self._send,
            ("POST", "message/update_template_card"): self._update_card,
            ("POST", "media/upload"): self._media.upload,
            ("GET", "media/get"): self._media.download,
            **self.directory.calls,
        }

    def answer(self, call: Call) -> dict[str, Any] | File:
        """The JSON of a success, or a file; raises Refused."""
        if call.path.startswith("/cos/"):
            return self._media.fetch(call.path.removeprefix("/cos/"))
        where = (call.method, call.path.removeprefix("/cgi-bin/"))
        if where in self._open:
            return self._open[where](call)
        if where not in self._guarded:
            raise Refused(48002, f"api forbidden: {call.method} {call.path}")
        self._authorise(call)
        return self._guarded[where](call)

    @property
    def callback_ips(self) -> list[str]:
        """What getcallbackip says."""
        return self.directory.callback_ips

    # -- tokens ------------------------------------------------------------------------------------------------------

    def revoke(self, code: int = 42001) -> None:
        """Every token given out so far is refused from now on, with this code."""
        with self._world.lock:
            self.gone |= dict.fromkeys(self.tokens, code)
            self.tokens.clear()

    def _token(self, call: Call) -> dict[str, Any]:
        app = self._world.app
        if call.query.get("corpid") != app.corp_id:
            raise Refused(40013, "invalid corpid")
        if call.query.get("corpsecret") != app.secret:
            raise Refused(40001, "invalid credential")
        if not self._world.within("gettoken", (100, 60.0)):
            raise Refused(45009, "api freq out of limit")
        with self._world.lock:
            for token, until in self.tokens.items():
                if until > self._world.now():
                    return {"access_token": token, "expires_in": int(until - self._world.now())}
            token = secrets.token_urlsafe(64)
            self.tokens[token] = self._world.now() + self.token_seconds
        return {"access_token": token, "expires_in": self.token_seconds}

    def _authorise(self, call: Call) -> None:
        token = call.query.get("access_token", "")
        with self._world.lock:
            if not token:
                raise Refused(41001, "access_token missing")
            if self.refusals and (code := self.refusals.pop(0)):
                raise Refused(code, "invalid access_token" if code == 40014 else "access_token expired")
            if token in self.gone:
                raise Refused(self.gone[token], "access_token expired")
            if token not in self.tokens:
                raise Refused(40014, "invalid access_token")
            if self.tokens[token] <= self._world.now():
                raise Refused(42001, "access_token expired")
        if not self._world.app.trusted_ip:
            raise Refused(60020, "not allow to access from your ip")
        if not self._world.app.enabled:
            raise Refused(50003, "app disabled")

    # -- the app's messages ------------------------------------------------------------------------------------------

    def _send(self, call: Call) -> dict[str, Any]:
        body = body_of(call)
        with self._world.lock:
            return self._sent(body)

    def _sent(self, body: Mapping[str, Any]) -> dict[str, Any]:
        if body.get("agentid") not in (self._world.app.agent_id, str(self._world.app.agent_id)):
            raise Refused(40056, "invalid agentid")
        message = self._message(body)
        good, bad = self._receivers(body)
        told: dict[str, Any] = {"msgid": secrets.token_urlsafe(32)}
        if bad:
            told["invaliduser"] = "|".join(bad)
        shown = [self._deliver(message, member, body) for member in good]
        if message.kind == "template_card" and message.card["card_type"] in INTERACTIVE:
            told["response_code"] = self._card_code([one for one in shown if one is not None])
        self._remember(body)
        return told

    def _receivers(self, body: Mapping[str, Any]) -> tuple[list[Member], list[str]]:
        """Who gets it, and who is not there or not in the app's visibility (in lower case, as WeCom says it)."""
        asked = [part for part in str(body.get("touser") or "").split("|") if part]
        visible = [member for member in self._world.members.values() if member.visible]
        if asked == ["@all"]:
            return visible, []
        good = [member for member in visible if member.userid.lower() in {raw.lower() for raw in asked}]
        bad = sorted({raw.lower() for raw in asked} - {member.userid.lower() for member in good})
        if not good or len(asked) > 1000:
            raise Refused(81013, "user & party & tag all invalid")
        return good, bad

    def _message(self, body: Mapping[str, Any]) -> Shown:
        kind = str(body.get("msgtype"))
        inner = body.get(kind)
        if not isinstance(inner, dict):
            raise Refused(40008, "invalid message type")
        message = Shown(way="app", chat="", kind=kind, by=str(self._world.app.agent_id), raw=dict(body))
        if kind in ("text", "markdown"):
            message.content = str(inner.get("content") or "")
            if not message.content:
                raise Refused(44004, "empty content")
            if kind == "text":  # cut without a word, and inside a character if it comes so
                message.content = message.content.encode()[:_MOST].decode(errors="ignore")
            elif len(message.content.encode()) > _MOST:
                raise Refused(45002, "content size out of limit")
        elif kind in _PICTURED:
            medium = self._media.get(inner.get("media_id"), kind)
            message.data, message.name = medium.data, medium.name
        elif kind == "textcard":
            _need(inner, "title", "description", "url")
            message.content = f"{inner['title']}\n{inner['description']}"
        elif kind == "news":
            articles = inner.get("articles")
            if not isinstance(articles, list) or not 1 <= len(articles) <= 8:
                raise Refused(40058, "invalid Request Parameter: news.articles")
            message.content = "\n".join(str(article.get("title")) for article in articles)
        elif kind == "template_card":
            message.clipped = judge(inner, needs_task=inner.get("card_type") in INTERACTIVE)
            message.card, message.content = inner, readable(inner)
            message.task_id = str(inner.get("task_id") or "")
            if any(m.way == "app" and m.task_id == message.task_id for m in self._world.messages if m.task_id):
                raise Refused(40058, "invalid Request Parameter: template_card.task_id stands on another card")
        else:
            raise Refused(40008, "invalid message type")
        return message

    def _deliver(self, message: Shown, member: Member, body: Mapping[str, Any]) -> Shown | None:
        """Show it to one member, unless WeCom swallows it."""
        theirs = Shown(**{name: getattr(message, name) for name in _COPIED})
        theirs.chat = member.userid
        with self._world.lock:
            if body.get("enable_duplicate_check") and self._repeats.get(_same(body), 0) > self._world.now():
                self._world.drop("duplicate", theirs)
                return None
            if not self._world.within(f"app {member.userid}", (30, 60.0), (1000, HOUR)):
                self._world.drop("30 a minute", theirs)
                return None
            return self._world.show(theirs)

    def _remember(self, body: Mapping[str, Any]) -> None:
        interval = min(float(body.get("duplicate_check_interval") or 1800), 4 * HOUR)
        if body.get("enable_duplicate_check") and self._repeats.get(_same(body), 0) <= self._world.now():
            self._repeats[_same(body)] = self._world.now() + interval

    def _card_code(self, cards: list[Shown]) -> str:
        code = secrets.token_urlsafe(40)
        self.cards[code] = (cards, self._world.now() + 3 * DAY)
        return code

    def code_for(self, card: Shown) -> str:
        """The ResponseCode of a press."""
        return self._card_code([card])

    def _update_card(self, call: Call) -> dict[str, Any]:
        body = body_of(call)
        cards, until = self.cards.get(str(body.get("response_code")), ([], 0.0))
        if until < self._world.now():
            raise Refused(42045, "response_code is used, expired or wrong")
        wanted = {str(userid).lower() for userid in body.get("userids", [])}
        mine = [card for card in cards if body.get("atall") or card.chat.lower() in wanted]
        bad = sorted(wanted - {card.chat.lower() for card in cards})
        if "button" in body:
            label = str(body["button"].get("replace_name") or "")
            if not label:
                raise Refused(40058, "invalid Request Parameter: button.replace_name")
            for card in mine:
                card.card = card.card | {"replaced": label}
                self._world.change(card, f"{readable(card.card)}\n[{label}]")
        else:
            new = body.get("template_card")
            clipped = judge(new)
            assert isinstance(new, dict)
            for card in mine:
                card.card, card.clipped, card.task_id = new, clipped, str(new.get("task_id") or card.task_id)
                self._world.change(card, readable(new))
        del self.cards[str(body["response_code"])]
        return {"invaliduser": bad} if bad else {}


_COPIED = ("way", "chat", "kind", "content", "card", "data", "name", "by", "task_id", "clipped", "raw")


def _same(body: Mapping[str, Any]) -> str:
    return json.dumps(body, sort_keys=True, ensure_ascii=False)


def _need(inner: Mapping[str, Any], *names: str) -> None:
    for name in names:
        if not inner.get(name):
            raise Refused(40058, f"invalid Request Parameter: {name}")
