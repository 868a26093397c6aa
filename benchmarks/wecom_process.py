"""The WeCom simulator in a process of its own, which lets people write by every way and measures what comes back."""

from __future__ import annotations

import http.client
import json
import multiprocessing
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode, urlsplit

from tests.simulators.wecom import WecomSimulator
from tests.simulators.wecom_crypto import seal, signature, unseal

PATIENCE = 90.0  # seconds until every message must be answered
SENDERS = 64
REFRESH = 0.2  # seconds between two looks at an answer that is fetched
COMMAND = "/help"
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
        seen: Seen = self.ask(drive)
        return seen

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
                case Drive():
                    pipe.send(_drive(wecom, asked))
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


def _drive(wecom: WecomSimulator, drive: Drive) -> Seen:
    users = [f"{drive.way}{number % drive.people}" for number in range(drive.count)]
    for user in set(users):
        wecom.join(user)
    wecom.robot.url = drive.url if drive.way == "callback" else ""
    before = len(wecom.messages), len(wecom.strange)
    send = _POSTING[drive.way](wecom, drive.url, users) if drive.way in _POSTING else _pushing(wecom, users)
    wrote: dict[str, list[float]] = {user: [] for user in users}
    acknowledged: list[float] = []
    refused: list[int] = []
    shown: list[float] = []
    began = time.perf_counter() + 0.5

    def one(index: int) -> None:
        time.sleep(max(0.0, began + index / drive.rate - time.perf_counter()))
        wrote[users[index]].append(wecom.now())
        said = send(index)
        if not said.taken:
            refused.append(index)
        elif drive.url:
            acknowledged.append(said.seconds)
        if said.shown:
            shown.append(said.shown)

    with _cutting(wecom, drive), ThreadPoolExecutor(SENDERS) as pool:
        list(pool.map(one, range(drive.count)))
    if drive.way == "callback":  # its answers were fetched, and are nowhere else
        lost, twice = drive.count - len(shown), 0
    else:
        answers = _answers(wecom, wrote, before[0])
        lost = sum(max(0, len(wrote[user]) - len(times)) for user, times in answers.items())
        twice = sum(max(0, len(times) - len(wrote[user])) for user, times in answers.items())
        shown = [
            at - written
            for user, times in answers.items()
            for at, written in zip(sorted(times), sorted(wrote[user]), strict=False)
        ]
    dialled = drive.way == "connection"
    return Seen(
        acknowledged=acknowledged,
        shown=shown,
        refused=0 if dialled else len(refused),
        missed=len(refused) if dialled else 0,
        lost=lost,
        twice=twice,
        strange=wecom.strange[before[1] :],
    )


@dataclass(frozen=True, slots=True)
class Said:
    """One message, brought to the bot."""

    taken: bool
    seconds: float = 0.0  # of the post
    shown: float = 0.0  # until its whole answer was fetched, where it is


Send = Callable[[int], Said]


def _pushing(wecom: WecomSimulator, users: Sequence[str]) -> Send:
    """Over the long connection."""
    return lambda index: Said(wecom.say(COMMAND, user=users[index]).delivered)


def _posting_to_app(wecom: WecomSimulator, url: str, users: Sequence[str]) -> Send:
    """Encrypted and signed beforehand, over connections that are kept: what is measured is the bot."""
    app, post = wecom.app, _Poster(url)
    requests = []
    for number, user in enumerate(users):
        fields = (
            f"<FromUserName>{user}</FromUserName><CreateTime>{int(time.time())}</CreateTime><MsgType>text</MsgType>"
        )
        more = f"<Content>{COMMAND}</Content><MsgId>{secrets.randbits(62) + number}</MsgId>"
        xml = f"<xml><ToUserName>{app.corp_id}</ToUserName>{fields}{more}<AgentID>{app.agent_id}</AgentID></xml>"
        sealed = seal(app.aes_key, xml.encode(), app.corp_id)
        body = f"<xml><ToUserName>{app.corp_id}</ToUserName><Encrypt>{sealed}</Encrypt></xml>"
        requests.append((_query(app.token, sealed), body.encode()))

    def send(index: int) -> Said:
        status, _, seconds = post(*requests[index])
        return Said(status == 200, seconds)

    return send


def _posting_to_robot(wecom: WecomSimulator, url: str, users: Sequence[str]) -> Send:
    """The same to the robot; then its answer is fetched until it is whole, as WeCom does."""
    robot, post = wecom.robot, _Poster(url)

    def request(body: dict[str, Any]) -> tuple[str, bytes]:
        sealed = seal(robot.aes_key, json.dumps(body).encode(), "")
        return _query(robot.token, sealed), json.dumps({"encrypt": sealed}).encode()

    def stream(raw: bytes) -> dict[str, Any]:
        said: dict[str, Any] = json.loads(unseal(robot.aes_key, json.loads(raw)["encrypt"])[0])["stream"]
        return said

    messages = [{**wecom.side.ask(robot, "message", user, None, CONTENT).body} for user in users]
    requests = [request(body) for body in messages]

    def send(index: int) -> Said:
        began = time.perf_counter()
        status, raw, seconds = post(*requests[index])
        if status != 200:
            return Said(taken=False)
        answer = stream(raw)
        while not answer["finish"] and time.perf_counter() - began < PATIENCE:
            time.sleep(REFRESH)
            body = {**messages[index], "msgtype": "stream", "stream": {"id": answer["id"]}}
            answer = stream(post(*request(body))[1])
        return Said(taken=True, seconds=seconds, shown=time.perf_counter() - began if answer["finish"] else 0.0)

    return send


_POSTING: dict[str, Callable[[WecomSimulator, str, Sequence[str]], Send]] = {
    "app": _posting_to_app,
    "callback": _posting_to_robot,
}


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
        found = Counter(message.chat for message in wecom.messages[after:] if message.chat in wanted)
        if all(found[user] >= count for user, count in wanted.items()) and found == before:
            break
        before = found
    answers: dict[str, list[float]] = {user: [] for user in wrote}
    for message in wecom.messages[after:]:
        if message.chat in answers:
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
