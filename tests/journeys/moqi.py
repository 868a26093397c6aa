"""A running Moqi for the journeys: a real process on its own data folder, which may be killed and started again."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

import httpx
import yaml

from tests import nursery

ROOT = Path(__file__).parents[2]
PATIENCE = 90.0  # seconds before a journey gives up on something that should take a few

T = TypeVar("T")
News = tuple[str, dict[str, Any]]  # an event of the live stream and its data


def until(look: Callable[[], T | None], what: str, patience: float = PATIENCE) -> T:
    """The first truthy value of `look`; fails loudly when it does not come."""
    deadline, pause = time.monotonic() + patience, 0.02
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(pause)
        pause = min(0.3, pause * 1.3)  # a crowd that asks all the time slows down what it waits for
    raise AssertionError(f"waited {patience:.0f} s for: {what}")


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Moqi:
    """One installation: settings, data folder, port.

    Whoever asks it over HTTP does so with `verify=False`: httpx reads all certificates for every client, 27 ms each.
    """

    program = "bot.cli"  # the module that serves

    def __init__(self, folder: Path, *, settings: Mapping[str, Any] | None = None, database_url: str = "") -> None:
        self.data = folder / "data"
        self.config = folder / "deploy" / "config"
        shutil.copytree(ROOT / "deploy" / "config", self.config)
        shutil.copytree(ROOT / "deploy" / "knowledge", folder / "deploy" / "knowledge")
        for name, values in (settings or {}).items():
            (self.config / f"{name}.yaml").write_text(yaml.safe_dump(values, allow_unicode=True), encoding="utf-8")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "moqi.log"
        self._database_url = database_url
        self._process: nursery.Process | None = None
        self.people: list[Person] = []

    def environment(self, **more: str) -> dict[str, str]:
        """The environment of its processes."""
        wanted = {"MOQI_CONFIG": str(self.config), "MOQI_DATA": str(self.data), **more}
        if self._database_url:
            wanted["MOQI_DATABASE_URL"] = self._database_url
        return {**os.environ, **wanted}

    def command(self, *words: str, check: bool = False, **more: str) -> subprocess.CompletedProcess[str]:
        """Run `moqi <words>` to its end."""
        done = nursery.run(["bot.cli", *words], self.environment(**more), PATIENCE)
        if check:
            done.check_returncode()
        return done

    def start(self, *, faults: str = "", cold: bool = False) -> None:
        """Start serving, until it listens; `cold` as a user starts it, nothing imported beforehand."""
        with self.log.open("ab") as log:
            words = [self.program, "serve", "--port", str(self.port)]
            environment = self.environment(MOQI_FAULTS=faults, **({nursery.COLD: "1"} if cold else {}))
            self._process = nursery.process(words, environment, log.fileno(), log.fileno())
        if faults:  # what the last round left behind may run into the fault before the server listens
            until(lambda: not self.alive or self._answers(), "the server to listen or to die")
        else:
            until(self._listens, "the server to listen")

    def ready(self) -> None:
        """Wait until the picture model is loaded."""
        until(lambda: httpx.get(f"{self.url}/readyz", verify=False).status_code == 200, "the model to load")

    def _listens(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            raise AssertionError(f"the server ended with {self._process.returncode}:\n{self.log.read_text()[-3000:]}")
        return self._answers()

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/healthz", timeout=2, verify=False).status_code == 200
        except httpx.TransportError:
            return False

    @property
    def pid(self) -> int:
        """The server's process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def died(self) -> None:
        """Wait until the process has killed itself at an armed fault point."""
        process = self._process
        assert process is not None
        assert process.wait(PATIENCE) == -signal.SIGKILL, self.log.read_text()[-3000:]

    def kill(self) -> None:
        """kill -9."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send the server a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self) -> int:
        """Ask it to stop; returns the exit status."""
        for person in self.people:
            person.http.close()
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        return self._process.wait(PATIENCE)

    def verify(self) -> None:
        """Every invariant holds."""
        found = self.command("verify", "--json")
        assert found.returncode == 0, found.stdout + found.stderr


class Person:
    """Somebody at the web chat."""

    def __init__(self, moqi: Moqi, name: str) -> None:
        self.name = name
        self.http = httpx.Client(base_url=moqi.url, timeout=60, verify=False)
        moqi.people.append(self)
        answer = self.http.post("/api/session", json={"name": name})
        assert answer.status_code == 201, answer.text
        self.role = answer.json()["role"]

    def again(self, moqi: Moqi) -> Person:
        """The same browser after a stop, which closed its connections."""
        back = Person.__new__(Person)
        back.name, back.role = self.name, self.role
        back.http = httpx.Client(base_url=moqi.url, timeout=60, verify=False, cookies=self.http.cookies)
        moqi.people.append(back)
        return back

    def say(self, text: str, message_id: str = "") -> str:
        """Write a message; returns its id."""
        message_id = message_id or uuid.uuid4().hex
        answer = self.http.post("/api/messages", json={"id": message_id, "text": text})
        assert answer.status_code == 202, answer.text
        return message_id

    def history(self) -> list[dict[str, Any]]:
        """What the page shows, oldest first, read as the page does: back to the beginning."""
        found: list[dict[str, Any]] = []
        more = True
        while more:
            before = {"before": found[0]["id"]} if found else {}
            page = self.http.get("/api/messages", params={"limit": 100, **before}).json()
            found, more = [*page["messages"], *found], page["more"]
        return found

    def replies(self) -> list[dict[str, Any]]:
        """The bot's messages, oldest first."""
        return [message["body"] for message in self.history() if message["author"] == "bot"]

    def told(self, text: str) -> dict[str, Any]:
        """Say something and wait for the one new answer."""
        before = len(self.replies())
        self.say(text)
        until(lambda: len(self.replies()) > before, f"an answer to {text!r}")
        return self.replies()[before]

    def finished(self, job: int) -> dict[str, Any]:
        """The card of a job, once it has ended."""

        def look() -> dict[str, Any] | None:
            cards = [body for body in self.replies() if body["job"] == job]
            return next((card for card in cards if card["state"] in ("done", "failed", "cancelled")), None)

        return until(look, f"job {job} to end")

    def ordered(self, text: str) -> int:
        """Order something; returns its job's number."""
        card = self.told(text)
        assert card["job"] is not None, card["text"]
        return int(card["job"])

    def drawn(self, text: str) -> dict[str, Any]:
        """Order a picture and wait for it; returns its card."""
        card = self.finished(self.ordered(text))
        assert card["state"] == "done", card
        return card

    def picture(self, card: Mapping[str, Any]) -> bytes:
        """The first picture of a card."""
        answer = self.http.get(f"/api/assets/{card['pictures'][0]['asset']}")
        assert answer.status_code == 200, answer.text
        return answer.content

    def left(self, unit: str = "画图") -> int:
        """What /quota says is left, granted units included."""
        said = dict(map(tuple, self.told("/quota")["fields"]))[unit]
        return sum(int(n) for n in re.findall(r"(?:还剩|追加) (\d+)", said))

    @contextmanager
    def watching(self) -> Iterator[list[News]]:
        """An open page: what its live stream says, growing while the block runs. The server may end it before."""
        seen: list[News] = []
        cookies = "; ".join(f"{name}={value}" for name, value in self.http.cookies.items())
        line = http.client.HTTPConnection(self.http.base_url.host, self.http.base_url.port, timeout=PATIENCE)
        line.request("GET", "/api/stream", headers={"Cookie": cookies})
        page = Thread(target=_read_stream, args=(line.getresponse(), seen), daemon=True)
        page.start()
        try:
            until(lambda: ("ready", {}) in seen, "the stream to open")
            yield seen
        finally:
            if line.sock is not None:
                with suppress(OSError):  # the server has closed it
                    line.sock.shutdown(socket.SHUT_RDWR)
            page.join(PATIENCE)
            line.close()

    def press(self, action: str, job: int, *, message: int = 0) -> dict[str, str]:
        """Press a button of a job's card, or claim to have pressed it on `message`; returns the toast."""
        if not message:
            message = next(m["id"] for m in self.history() if m["author"] == "bot" and m["body"]["job"] == job)
        body = {"id": uuid.uuid4().hex, "job": job, "action": action, "message": message}
        answer = self.http.post("/api/actions", json=body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json()["toast"])

    def push(self, label: str) -> dict[str, str]:
        """Press the button of this label on the newest message that has one; returns the toast."""
        message, button = next(
            (message, button)
            for message in reversed(self.history())
            if message["author"] == "bot"
            for button in message["body"]["buttons"]
            if button["label"] == label
        )
        body = {"id": uuid.uuid4().hex, "value": button["value"], "action": button["action"], "message": message["id"]}
        answer = self.http.post("/api/actions", json=body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json()["toast"])


def _read_stream(response: http.client.HTTPResponse, seen: list[News]) -> None:
    """Collect server-sent events until the stream ends; a comment is no event."""
    event = ""
    with suppress(OSError, http.client.HTTPException, ValueError):  # cut: the block has ended, or the server
        while line := response.readline().decode():
            name, _, value = line.rstrip("\n").partition(": ")
            if name == "event":
                event = value
            elif name == "data":
                seen.append((event, json.loads(value)))


@contextmanager
def paused(admin: Person) -> Iterator[None]:
    """No job starts inside the block."""
    assert "已暂停" in admin.told("/pause")["text"]
    try:
        yield
    finally:
        assert "已恢复" in admin.told("/resume")["text"]
