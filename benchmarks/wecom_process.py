"""The WeCom simulator in a process of its own, which lets people write by every way and measures what comes back."""

from __future__ import annotations

import http.client
import json
import multiprocessing
import secrets
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode, urlsplit

from tests.simulators.wecom import WecomSimulator
from tests.simulators.wecom_crypto import seal, signature, unseal

PATIENCE = 90.0  # seconds until every message must be answered
SENDERS = 200
REFRESH = 1.0  # seconds between two looks at an answer that is fetched
COMMAND = "/help"
DOUBT = "可能没有送到"  # of what nobody confirmed before the connection ended, and is not sent again
CONTENT = {"msgtype": "text", "text": {"content": COMMAND}}


@dataclass(frozen=True, kw_only=True, slots=True)
class Drive:
    """Messages to send, `/help` from so many people."""

    way: str  # app | callback | connection
    count: int
    rate: float  # a second
    people: int = 200
    url: str = ""  # where they are posted
    cuts: int = 0  # of the connection, spread over them


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """What came of them, in seconds."""

    acknowledged: list[float]  # of posted ones, from the post to its answer
    shown: list[float]  # from the message to the first thing that its writer saw
    refused: int  # that were not acknowledged at the first try
    missed: int  # pushed to us again after a cut, because nobody was connected
    lost: int  # without an answer
    twice: int  # with more than one
    doubts: int  # whose writers were told that something may be missing
    strange: list[str]  # what no client should send


class Platform:
    """A running simulator without rate limits of its own: ours are what is measured."""

    def __enter__(self) -> Self:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()
        self.dialled: dict[str, Any]  # the robot over the long connection, and the app
        self.posted: dict[str, Any]  # the robot in callback mode, and the app
        self.dialled, self.posted = self._pipe.recv()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._pipe.send(None)
        self._process.join()

    def connected(self) -> None:
        """Wait until the robot's long connection stands."""
        self.ask("connected")

    def drive(self, drive: Drive) -> Seen:
        """Let people write, and wait until each is answered."""
        if drive.way == "connection":
            dialled: Seen = self.ask(drive)
            return dialled
        prepared: Prepared = self.ask(drive)
        posted = _post_all(prepared, drive)
        counted, strange = self.ask((prepared.before, posted.wrote))
        if drive.way == "callback":  # its answers were fetched, and stand nowhere else
            counted = {"shown": posted.shown, "lost": drive.count - len(posted.shown), "twice": 0}
        return Seen(
            acknowledged=posted.acknowledged,
            refused=len(posted.refused),
            missed=0,
            doubts=0,
            strange=strange,
            **counted,
        )

    def reconnect(self) -> float:
        """Cut the connection; seconds until the next one is subscribed."""
        return float(self.ask("reconnect"))

    def verify(self, url: str) -> list[float]:
        """Seconds that the verification of an address takes, again and again."""
        return list(self.ask(("verify", url)))

    def ask(self, what: object) -> Any:
        """Have something done over there."""
        self._pipe.send(what)
        return self._pipe.recv()


def _serve(pipe: Any) -> None:
    with WecomSimulator() as wecom:
        wecom.limits = False
        wecom.gateway.replays = True
        pipe.send((wecom.settings, {"app": wecom.app_settings, "aibot": wecom.callback_settings}))
        while (asked := pipe.recv()) is not None:
            match asked:
                case Drive(way="connection"):
                    pipe.send(_dialled(wecom, asked))
                case Drive():
                    pipe.send(_prepared(wecom, asked))
                case ((int(shown), int(strange)), dict(wrote)):
                    found = {} if wecom.robot.url else _answers(wecom, wrote, shown)
                    counted = {} if wecom.robot.url else _counted(wrote, found)
                    pipe.send((counted, wecom.strange[strange:]))
                case "reconnect":
                    pipe.send(_reconnect(wecom))
                case ("verify", str(url)):
                    pipe.send(_verify(wecom, url))
                case _:
                    wecom.connected(PATIENCE)
                    pipe.send(True)


def _verify(wecom: WecomSimulator, url: str) -> list[float]:
    wecom.app.url = url
    found = []
    for _ in range(50):
        began = time.perf_counter()
        said, why = wecom.verify()
        if not said:
            raise RuntimeError(f"the address did not prove itself: {why}")
        found.append(time.perf_counter() - began)
    return found


def _reconnect(wecom: WecomSimulator) -> float:
    wecom.connected()
    began = time.perf_counter()
    wecom.gateway.cut()
    wecom.wait(lambda: wecom.gateway.of(wecom.robot) is None, PATIENCE)
    wecom.connected(PATIENCE)
    return time.perf_counter() - began


def _dialled(wecom: WecomSimulator, drive: Drive) -> Seen:
    """People write over the long connection."""
    users = _join(wecom, drive)
    before = len(wecom.messages), len(wecom.strange)
    wrote: dict[str, list[float]] = {user: [] for user in users}
    missed: list[int] = []
    began = time.perf_counter() + 0.5

    def one(index: int) -> None:
        time.sleep(max(0.0, began + index / drive.rate - time.perf_counter()))
        wrote[users[index]].append(wecom.now())
        if not wecom.say(COMMAND, user=users[index]).delivered:
            missed.append(index)

    with _cutting(wecom, drive), ThreadPoolExecutor(SENDERS) as pool:
        list(pool.map(one, range(drive.count)))
    counted = _counted(wrote, _answers(wecom, wrote, before[0]))
    doubts = sum(DOUBT in one.content for one in wecom.messages[before[0] :])
    more: dict[str, Any] = {"missed": len(missed), "doubts": doubts, "strange": wecom.strange[before[1] :]}
    return Seen(acknowledged=[], refused=0, **more, **counted)


def _join(wecom: WecomSimulator, drive: Drive) -> list[str]:
    """Who writes, in their order."""
    users = [f"{drive.way}{number % drive.people}" for number in range(drive.count)]
    for user in set(users):
        wecom.join(user)
    wecom.robot.url = drive.url if drive.way == "callback" else ""
    return users


def _counted(wrote: dict[str, list[float]], answers: dict[str, list[float]]) -> dict[str, Any]:
    """What became of messages whose answers stand in their chats."""
    pairs = (zip(sorted(answers[user]), sorted(times), strict=False) for user, times in wrote.items())
    return {
        "shown": [at - written for some in pairs for at, written in some],
        "lost": sum(max(0, len(times) - len(answers[user])) for user, times in wrote.items()),
        "twice": sum(max(0, len(answers[user]) - len(times)) for user, times in wrote.items()),
    }


# --- messages that are posted: by the benchmark's own process, so that the platform's does not slow them down ----


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """Messages, encrypted and signed beforehand."""

    users: list[str]
    requests: list[tuple[str, bytes]]  # query, body
    bodies: list[dict[str, Any]]  # of the robot's, to ask for their answers
    token: str
    aes_key: str
    before: tuple[int, int]  # messages shown and faults noted until now


def _prepared(wecom: WecomSimulator, drive: Drive) -> Prepared:
    users, before = _join(wecom, drive), (len(wecom.messages), len(wecom.strange))
    if drive.way == "callback":
        robot = wecom.robot
        bodies = [wecom.side.ask(robot, "message", user, None, CONTENT).body for user in users]
        requests = [_to_robot(robot.token, robot.aes_key, body) for body in bodies]
        return Prepared(
            users=users, requests=requests, bodies=bodies, token=robot.token, aes_key=robot.aes_key, before=before
        )
    app = wecom.app
    requests = []
    for user in users:
        said = f"<MsgType>text</MsgType><Content>{COMMAND}</Content><MsgId>{secrets.randbits(62)}</MsgId>"
        told = f"<FromUserName>{user}</FromUserName><CreateTime>{int(time.time())}</CreateTime>{said}"
        xml = f"<xml><ToUserName>{app.corp_id}</ToUserName>{told}<AgentID>{app.agent_id}</AgentID></xml>"
        sealed = seal(app.aes_key, xml.encode(), app.corp_id)
        body = f"<xml><ToUserName>{app.corp_id}</ToUserName><Encrypt>{sealed}</Encrypt></xml>"
        requests.append((_query(app.token, sealed), body.encode()))
    return Prepared(users=users, requests=requests, bodies=[], token=app.token, aes_key=app.aes_key, before=before)


@dataclass(slots=True)
class _Posted:
    """What became of posts."""

    acknowledged: list[float]
    refused: list[int]
    shown: list[float]  # until a whole answer was fetched, where they are fetched
    wrote: dict[str, list[float]]


def _post_all(prepared: Prepared, drive: Drive) -> _Posted:
    post = _Poster(drive.url)
    found = _Posted([], [], [], {user: [] for user in prepared.users})
    began = time.perf_counter() + 0.5

    def one(index: int) -> None:
        time.sleep(max(0.0, began + index / drive.rate - time.perf_counter()))
        found.wrote[prepared.users[index]].append(time.time())
        since = time.perf_counter()
        status, raw, seconds = post(*prepared.requests[index])
        if status != 200:
            found.refused.append(index)
            return
        found.acknowledged.append(seconds)
        if prepared.bodies and _fetched(prepared, prepared.bodies[index], raw, post):
            found.shown.append(time.perf_counter() - since)

    with ThreadPoolExecutor(SENDERS) as pool:
        list(pool.map(one, range(drive.count)))
    return found


def _fetched(prepared: Prepared, message: dict[str, Any], raw: bytes, post: _Poster) -> bool:
    """Ask for a robot's answer until it is whole, as WeCom does."""
    end = time.perf_counter() + PATIENCE
    while time.perf_counter() < end:
        answer = json.loads(unseal(prepared.aes_key, json.loads(raw)["encrypt"])[0])["stream"]
        if answer["finish"]:
            return True
        time.sleep(REFRESH)
        body = {**message, "msgtype": "stream", "stream": {"id": answer["id"]}}
        raw = post(*_to_robot(prepared.token, prepared.aes_key, body))[1]
    return False


def _to_robot(token: str, aes_key: str, body: dict[str, Any]) -> tuple[str, bytes]:
    sealed = seal(aes_key, json.dumps(body).encode(), "")
    return _query(token, sealed), json.dumps({"encrypt": sealed}).encode()


class _Poster:
    """Posts to one address, each thread over a connection of its own."""

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)
        self._kept = threading.local()

    def __call__(self, query: str, body: bytes) -> tuple[int, bytes, float]:
        """Status, body and seconds."""
        line: http.client.HTTPConnection | None = getattr(self._kept, "line", None)
        if line is None:
            line = self._kept.line = http.client.HTTPConnection(self._parts.hostname or "", self._parts.port, timeout=5)
        began = time.perf_counter()
        line.request("POST", f"{self._parts.path}?{query}", body)
        answer = line.getresponse()
        raw = answer.read()
        return answer.status, raw, time.perf_counter() - began


def _query(token: str, sealed: str) -> str:
    """What proves a post."""
    stamp, nonce = str(int(time.time())), secrets.token_hex(8)
    signed = signature(token, stamp, nonce, sealed)
    return urlencode({"msg_signature": signed, "timestamp": stamp, "nonce": nonce})


def _answers(wecom: WecomSimulator, wrote: dict[str, list[float]], after: int) -> dict[str, list[float]]:
    """When each person's answers came, once there are as many as messages and no more come."""
    end, before = time.monotonic() + PATIENCE, Counter[str]()
    wanted = {user: len(times) for user, times in wrote.items()}
    while time.monotonic() < end:
        time.sleep(0.5)
        found = Counter(one.chat for one in wecom.messages[after:] if one.chat in wanted and DOUBT not in one.content)
        if all(found[user] >= count for user, count in wanted.items()) and found == before:
            break
        before = found
    answers: dict[str, list[float]] = {user: [] for user in wrote}
    for message in wecom.messages[after:]:
        if message.chat in answers and DOUBT not in message.content:
            answers[message.chat].append(message.at)
    return answers


@contextmanager
def _cutting(wecom: WecomSimulator, drive: Drive) -> Iterator[None]:
    """Cut the connection again and again while the block runs."""
    over = threading.Event()

    def cut() -> None:
        for _ in range(drive.cuts):
            if over.wait(drive.count / drive.rate / (drive.cuts + 1)):
                return
            wecom.connected(PATIENCE)
            wecom.gateway.cut()

    cutter = threading.Thread(target=cut)
    cutter.start()
    try:
        yield
    finally:
        cutter.join(PATIENCE)
        over.set()
        cutter.join()
