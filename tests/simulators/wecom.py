"""WeCom on 127.0.0.1: its HTTP API, its robots' long connection, its encrypted callbacks, with rules and faults.

    with WecomSimulator() as wecom:            # real sockets, one thread per connection
        settings = Wecom(**wecom.settings)     # or app_settings, aibot_settings, callback_settings for one of them
        …
        said = await asyncio.to_thread(wecom.say, "/draw 山水", user="alice", chat="wrGROUP")
        wecom.wait(lambda: wecom.texts("wrGROUP"))
        assert wecom.messages[-1].finished

Everything a person does blocks until the bot has answered or 5 s have passed, so from a coroutine use
`asyncio.to_thread`. Over the long connection it only writes a frame, and is quick.

Where:    base_url (HTTP), ws_url, media_host (host:port of files that people send)
Who:      app (App: corp_id, agent_id, secret, token, aes_key, url, trusted_ip, enabled, domain), robots and robot (the
          first; Robot: bot_id, secret, name, token, aes_key, url, encrypts), members, departments, join(), webhook()
          A robot with a `url` is in callback mode, one without uses the long connection. `encrypts=True`: it gets
          other ids than the members' own (id_of(user)).
People:   say(text, user=, chat=None, …) -> Asked; enter(user); press(card, button, user=); feedback(message, type, …);
          app_says(text, user=) -> Posted; app_presses(card, button, user=); app_event(event, user=, …);
          app_posts(user, fields); again(asked), app_again(posted): the same msgid once more; replay(either): the very
          same bytes; login(user) -> code; verify(), verify_robot()
          Anything that shall be wrong with a callback is a keyword of these: receive_id, aes_key, token,
          msg_signature, body, timestamp and nonce (signed all the same: stale); tries=1 repeats nothing.
          quoting(text=…|image=…|file=…) makes what say(quote=) takes.
Seen:     messages: list[Shown], in order; each has way (robot|app|webhook), chat (a person's real userid, a group's id,
          a webhook's key), kind (stream|markdown|template_card|image|file|text|…), content, finished, card, buttons,
          data (bytes of a picture or file), images, answers (msgid), feedback, clipped, times, versions, at.
          texts(chat), in_chat(chat), wait(what, seconds), dropped: what WeCom swallowed with errcode 0.
Called:   calls: "POST /cgi-bin/message/send" and the commands of frames ("aibot_send_msg", "ping"), and "refresh";
          frames: whole frames received; strange: what no client should send. A good test ends with `not wecom.strange`.
Time:     now(), advance(seconds) moves everything that expires or is counted (windows, tokens, media, limits).
Knobs:    limits (rate limits at all); revoke_tokens(code), refuse_tokens(40014, 0, 42001, …);
          side (RobotSide: open_limit, stream_seconds, event_seconds, second_streams, refreshes_count,
          markdown_replies);
          gateway (Gateway: links, opened, cut(), close(code), forget(robot) = the connection stays and is not
          subscribed any more (846609), displaced_seconds, replays);
          sender (Sender: patience, echo_patience, retries, retry_seconds, refresh_seconds, refresh_limit);
          api (Api: token_seconds, tokens, refusals, callback_ips); media (Media: kept, sessions)

fail(kind, on, times=1, seconds=1.0, code=0): what happens to the next calls whose path, or frames whose command,
contains `on`:
  HTTP     slow, close (FIN), reset (RST), cut (acts, then hangs up), torn (acts, half an answer), html (502), 500,
           garbage, empty, redirect (302 to another host), code (answers `code`)
  frames   drop (acts, no ack), lost (neither), late (acts, ack after `seconds`), close (RST before it acts), cut (acts,
           RST), bye (acts, closes in order with `code`), code (refuses with `code`), lose (forgets uploads begun)
  to the robot (on="aibot_msg_callback" or "aibot_event_callback"): twice (same msgid under two req_ids), control
           (control characters in the frame), lost, close
Ping is a command: fail("drop", "ping", times=99) never answers it.

What is not known of WeCom and decided here, on the strict side: a stream ends 360 s after its first frame; each frame
counts against 30 a minute; a fourth message while three streams are open is never delivered (Asked.turned_away), and a
fourth stream is refused (45033); missed messages are not replayed; refusals without a published code are 40058.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from tests.simulators.feishu_http import Call, Fault
from tests.simulators.wecom_app import Api
from tests.simulators.wecom_callbacks import Posted, Sender
from tests.simulators.wecom_gateway import Gateway
from tests.simulators.wecom_http import File, Server
from tests.simulators.wecom_media import Media
from tests.simulators.wecom_people import People
from tests.simulators.wecom_robot import Asked, RobotSide
from tests.simulators.wecom_world import App, Department, Member, Robot, Shown, World

__all__ = ["App", "Asked", "Department", "Member", "Posted", "Robot", "Shown", "WecomSimulator"]


class WecomSimulator(People):
    """The platform: see the module's docstring."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self.world = World(clock)
        self.media = Media(self.world)
        self.side = RobotSide(self.world, self.media)
        self.gateway = Gateway(self.world, self.side, self.media)
        self.sender = Sender(self.world, self.side)
        self.api = Api(self.world, self.media, self.side)
        self._server = Server(self)
        self.world.origin = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self.join("alice", "爱丽丝", 2)
        self.join("bob", "鲍勃", 2)

    def __enter__(self) -> WecomSimulator:
        self._thread.start()
        self.gateway.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.sender.stop()
        self.gateway.stop()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    # -- where -------------------------------------------------------------------------------------------------------

    @property
    def base_url(self) -> str:
        return self.world.origin

    @property
    def ws_url(self) -> str:
        return self.gateway.url

    @property
    def media_host(self) -> str:
        return self.base_url.removeprefix("http://")

    @property
    def settings(self) -> dict[str, Any]:
        """The `wecom` section of a bot with all of it: the robot over the long connection."""
        hooks = {name: self.webhook_url(key) for key, name in self.api.webhooks.groups.items()}
        return {"app": self.app_settings, "aibot": self.aibot_settings, "webhooks": hooks}

    @property
    def app_settings(self) -> dict[str, Any]:
        """The section of the self-built app."""
        app = self.app
        return {
            "enabled": True,
            "base_url": self.base_url,
            "corp_id": app.corp_id,
            "agent_id": str(app.agent_id),
            "secret": app.secret,
            "token": app.token,
            "encoding_aes_key": app.aes_key,
        }

    @property
    def aibot_settings(self) -> dict[str, Any]:
        """The section of the robot over the long connection."""
        robot = self.robot
        plain = {"enabled": True, "mode": "long_connection", "ws_url": self.ws_url, "media_hosts": [self.media_host]}
        return plain | {"bot_id": robot.bot_id, "secret": robot.secret, "name": robot.name}

    @property
    def callback_settings(self) -> dict[str, Any]:
        """The section of the robot in callback mode; set robot.url too."""
        robot = self.robot
        plain = {"enabled": True, "mode": "callback", "media_hosts": [self.media_host], "name": robot.name}
        return plain | {"token": robot.token, "encoding_aes_key": robot.aes_key}

    # -- who ---------------------------------------------------------------------------------------------------------

    @property
    def app(self) -> App:
        return self.world.app

    @property
    def robots(self) -> list[Robot]:
        return self.world.robots

    @property
    def robot(self) -> Robot:
        return self.world.robots[0]

    @property
    def members(self) -> dict[str, Member]:
        """By their id in lower case."""
        return self.world.members

    @property
    def departments(self) -> dict[int, Department]:
        return self.world.departments

    def join(self, userid: str, name: str = "", *departments: int, visible: bool = True) -> Member:
        """Somebody new in the company."""
        member = Member(userid=userid, name=name or userid, departments=list(departments) or [1], visible=visible)
        self.world.members[userid.lower()] = member
        return member

    def id_of(self, user: str, robot: Robot | None = None) -> str:
        """The id under which a robot knows somebody."""
        return (robot or self.robot).id_of(self.world.member(user).userid)

    def webhook(self, name: str) -> str:
        """A new group robot that only posts: its key. The group's messages have that key as their chat."""
        return self.api.webhooks.open(name)

    def webhook_url(self, key: str) -> str:
        return f"{self.base_url}/cgi-bin/webhook/send?key={key}"

    # -- what is seen ------------------------------------------------------------------------------------------------

    @property
    def messages(self) -> list[Shown]:
        return self.world.messages

    @property
    def dropped(self) -> list[tuple[str, Shown]]:
        return self.world.dropped

    @property
    def calls(self) -> list[str]:
        return self.world.calls

    @property
    def frames(self) -> list[dict[str, Any]]:
        return self.gateway.frames

    @property
    def strange(self) -> list[str]:
        return self.world.strange

    def in_chat(self, chat: str) -> list[Shown]:
        """What stands in one chat, oldest first."""
        with self.world.lock:
            return [message for message in self.messages if message.chat == chat]

    def texts(self, chat: str) -> list[str]:
        """What can be read in one chat, oldest first."""
        return [message.content for message in self.in_chat(chat) if message.content]

    def wait(self, what: Callable[[], Any], seconds: float = 20.0) -> None:
        """Wait until `what` holds; it is looked at whenever something is shown, called, connected or disconnected."""
        with self.world.moved:
            assert self.world.moved.wait_for(what, seconds), "WeCom waited in vain"

    def connected(self, seconds: float = 20.0, robot: Robot | None = None) -> None:
        """Wait until the robot's long connection is there."""
        self.wait(lambda: self.gateway.of(robot or self.robot) is not None, seconds)

    # -- time and faults ---------------------------------------------------------------------------------------------

    def now(self) -> float:
        return self.world.now()

    def advance(self, seconds: float) -> None:
        """Let time pass for everything that expires or is counted."""
        self.world.advance(seconds)

    @property
    def limits(self) -> bool:
        return self.world.limits

    @limits.setter
    def limits(self, value: bool) -> None:
        self.world.limits = value

    def fail(self, kind: str, on: str, times: int = 1, **more: Any) -> None:
        """Let the next `times` calls or frames that contain `on` fail; see the module's docstring."""
        with self.world.lock:
            self.world.faults.append(Fault(kind=kind, times=times, on=on, **more))

    def revoke_tokens(self, code: int = 40014) -> None:
        """Every access_token given out so far is refused from now on, with this code."""
        self.api.revoke(code)

    def refuse_tokens(self, *codes: int) -> None:
        """What the next calls with a token are refused with, one after the other; 0 = this one is not."""
        self.api.refusals += codes

    def take_fault(self, path: str) -> Fault | None:
        """For the HTTP server: the fault this call meets."""
        return self.world.take_fault(path)

    def answer(self, call: Call) -> dict[str, Any] | File:
        """For the HTTP server: the JSON of a success, or a file; raises Refused."""
        self.world.called(f"{call.method} {call.path}")
        return self.api.answer(call)
