"""What the parts of the WeCom simulator share: who is there, what is seen, what time it is, what shall go wrong."""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.simulators.feishu_http import Fault
from tests.simulators.wecom_crypto import opaque

HOUR, DAY = 3600.0, 86400.0


class Refused(Exception):
    """An answer with a code other than 0."""

    def __init__(self, code: int, message: str = "as ordered") -> None:
        super().__init__(message)
        self.code = code


@dataclass
class Member:
    """Somebody in the company. The robot may know them by another id: see Robot.encrypts."""

    userid: str
    name: str
    departments: list[int] = field(default_factory=lambda: [1])
    visible: bool = True  # in the visibility of the app
    position: str = ""


@dataclass
class Department:
    """A department; 1 is the company itself."""

    id: int
    name: str
    parent: int = 0


@dataclass
class App:
    """The self-built app as its admin page shows it."""

    corp_id: str = "ww1234567890abcdef"
    agent_id: int = 1000002
    secret: str = "app-secret-of-43-characters-0123456789abcdef"
    token: str = "AppToken123"
    aes_key: str = "kWxPEV2UEDyxWpmPdKC3F4dgPDmOvfKX1HGnEUDS1aR"
    name: str = "墨契"
    url: str = ""  # where its callbacks are posted
    enabled: bool = True
    domain: str = "moqi.example.com"  # 可信域名
    trusted_ip: bool = True  # False: 60020 for everything but gettoken


@dataclass
class Robot:
    """A smart robot as its API page shows it."""

    bot_id: str = "aibMoqiRobot0001"
    secret: str = "robot-secret-of-43-characters-0123456789abc"
    name: str = "墨契 Moqi"
    token: str = "RobotToken123"
    aes_key: str = "q1Os1ZMe0nG28KUEx9lg3HjK7V5QyXvi212fzsgDqgz"
    url: str = ""  # where its callbacks are posted; empty = it uses the long connection
    encrypts: bool = False  # not created by a super-admin: people have other ids for it

    def id_of(self, userid: str) -> str:
        """The id under which this robot knows a member."""
        return opaque(self.bot_id, userid) if self.encrypts else userid


@dataclass
class Shown:
    """One message as people see it, whoever of ours sent it."""

    way: str  # robot | app | webhook | appchat
    chat: str  # a person's real userid, a group's id, or a webhook's key
    kind: str  # stream | markdown | markdown_v2 | text | image | file | voice | video | template_card | news …
    content: str = ""  # what can be read of it, without a card's buttons
    finished: bool = True  # False: the bubble still says that more is coming
    card: dict[str, Any] = field(default_factory=dict)
    data: bytes = b""  # of an image or a file
    name: str = ""  # of a file
    images: list[bytes] = field(default_factory=list)  # inside a finished stream (URL callbacks only)
    answers: str = ""  # msgid of the message it answers; empty: it was pushed
    by: str = ""  # the robot's id, the app's id, or the webhook's key
    task_id: str = ""  # of a card
    feedback: str = ""  # the id with which 👍 and 👎 come back
    clipped: list[str] = field(default_factory=list)  # what was longer than the client shows
    times: list[float] = field(default_factory=list)  # when it was shown, and when it was changed
    versions: list[str] = field(default_factory=list)  # every content it had, the present one last
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    stream_id: str = ""
    raw: dict[str, Any] = field(default_factory=dict)  # what was sent, as it was sent

    @property
    def at(self) -> float:
        return self.times[0]

    @property
    def buttons(self) -> list[tuple[str, str]]:
        """What can be pressed: (text, key)."""
        pressable = self.card.get("button_list", []) if not self.card.get("replaced") else []
        return [(str(button["text"]), str(button.get("key", ""))) for button in pressable]


class World:
    """Everything that has one copy."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.lock = threading.RLock()
        self.moved = threading.Condition(self.lock)
        self.app = App()
        self.robots: list[Robot] = [Robot()]
        self.members: dict[str, Member] = {}
        self.departments: dict[int, Department] = {1: Department(1, "测试公司"), 2: Department(2, "研发部", 1)}
        self.messages: list[Shown] = []
        self.dropped: list[tuple[str, Shown]] = []  # what WeCom swallowed with errcode 0, and why
        self.calls: list[str] = []
        self.strange: list[str] = []  # what no client should send
        self.limits = True  # rate limits
        self.origin = ""  # of the HTTP side
        self.faults: list[Fault] = []
        self._clock, self._offset = clock, 0.0
        self._recent: dict[str, deque[float]] = {}

    def now(self) -> float:
        return self._clock() + self._offset

    def advance(self, seconds: float) -> None:
        """Let time pass for everything that expires or is counted."""
        with self.moved:
            self._offset += seconds
            self.moved.notify_all()

    def member(self, userid: str) -> Member:
        """Somebody by their id, in any case; made when there is none, as a test's first mention of a person."""
        with self.lock:
            found = self.find(userid)
            if found is None:
                found = self.members[userid.lower()] = Member(userid=userid, name=userid)
            return found

    def find(self, userid: str) -> Member | None:
        return self.members.get(userid.lower())

    def robot(self, bot_id: str) -> Robot | None:
        return next((robot for robot in self.robots if robot.bot_id == bot_id), None)

    def who(self, robot: Robot, raw: str) -> Member | None:
        """Whom a robot means by an id."""
        return next((m for m in self.members.values() if robot.id_of(m.userid).lower() == raw.lower()), None)

    def show(self, message: Shown) -> Shown:
        with self.moved:
            message.times.append(self.now())
            message.versions.append(message.content)
            self.messages.append(message)
            self.moved.notify_all()
            return message

    def change(self, message: Shown, content: str) -> None:
        """Another text stands in the same bubble."""
        with self.moved:
            message.content = content
            message.times.append(self.now())
            message.versions.append(content)
            self.moved.notify_all()

    def drop(self, reason: str, message: Shown) -> None:
        """WeCom says ok, and nobody sees it."""
        with self.moved:
            self.dropped.append((reason, message))
            self.moved.notify_all()

    def called(self, what: str) -> None:
        with self.moved:
            self.calls.append(what)
            self.moved.notify_all()

    def take_fault(self, where: str, kinds: Sequence[str] = ()) -> Fault | None:
        """The fault that this call or frame meets, counted down."""
        with self.lock:
            for fault in self.faults:
                if fault.times > 0 and fault.on in where and (not kinds or fault.kind in kinds):
                    fault.times -= 1
                    return fault
            return None

    def within(self, key: str, *rules: tuple[int, float]) -> bool:
        """Count one of `key`, unless it is more than one of the (number, seconds) rules allows."""
        with self.lock:
            moment = self.now()
            recent = self._recent.setdefault(key, deque())
            while recent and moment - recent[0] >= max(seconds for _, seconds in rules):
                recent.popleft()
            for number, seconds in rules:
                if self.limits and sum(moment - at < seconds for at in recent) >= number:
                    return False
            recent.append(moment)
            return True
