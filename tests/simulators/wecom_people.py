"""What people do in the simulated WeCom: write to the robot or the app, press buttons, say what they think."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from tests.simulators.wecom_app import Api
from tests.simulators.wecom_callbacks import Posted, Sender
from tests.simulators.wecom_gateway import Gateway
from tests.simulators.wecom_media import Media
from tests.simulators.wecom_robot import Asked, RobotSide
from tests.simulators.wecom_world import Robot, Shown, World


class People:
    """The part of WecomSimulator that acts for people. All of it blocks until the bot has answered."""

    world: World
    media: Media
    side: RobotSide
    gateway: Gateway
    sender: Sender
    api: Api

    # -- the robot -----------------------------------------------------------------------------------------------------

    def say(
        self,
        text: str = "",
        *,
        user: str = "alice",
        chat: str | None = None,
        robot: Robot | None = None,
        mention: bool = True,
        image: bytes | Sequence[bytes] = b"",
        file: tuple[str, bytes] | None = None,
        voice: str = "",
        quote: dict[str, Any] | None = None,
        msgid: str = "",
        tries: int | None = None,
        **wrong: Any,
    ) -> Asked:
        """Somebody writes to the robot: in a group (`chat`) mentioning it, or alone with it.

        With text and images it is a mixed message; voice is what WeCom's transcription made of it. `quote` is the
        body of a quoted message ({"msgtype": "text", "text": {"content": …}}).
        """
        target = robot or self.world.robots[0]
        if chat is not None and mention and text:
            text = f"@{target.name} {text}"
        images = [image] if isinstance(image, bytes) else list(image)
        more = self._content(target, text, [data for data in images if data], file, voice)
        if quote is not None:
            more["quote"] = quote
        asked = self.side.ask(target, "message", user, chat, more | ({"msgid": msgid} if msgid else {}))
        if not asked.turned_away:
            self._bring(asked, tries, wrong)
        return asked

    def quoting(
        self, text: str = "", *, image: bytes = b"", file: tuple[str, bytes] | None = None, robot: Robot | None = None
    ) -> dict[str, Any]:
        """The body of a message that another one quotes."""
        return self._content(robot or self.world.robots[0], text, [image] if image else [], file, "")

    def _content(
        self, robot: Robot, text: str, images: list[bytes], file: tuple[str, bytes] | None, voice: str
    ) -> dict[str, Any]:
        pictures = [{"msgtype": "image", "image": self.media.send(data, "image.png", robot)} for data in images]
        if file is not None:
            return {"msgtype": "file", "file": self.media.send(file[1], file[0], robot) | {"filename": file[0]}}
        if voice:
            return {"msgtype": "voice", "voice": {"content": voice}}
        if pictures and text:
            items = [{"msgtype": "text", "text": {"content": text}}, *pictures]
            return {"msgtype": "mixed", "mixed": {"msg_item": items}}
        if pictures:
            return pictures[0]
        return {"msgtype": "text", "text": {"content": text}}

    def enter(self, user: str = "alice", *, robot: Robot | None = None) -> Asked:
        """Somebody opens their chat with the robot for the first time of the day."""
        return self._event("enter_chat", robot or self.world.robots[0], user, None, {})

    def press(
        self,
        card: Shown,
        button: str | int = 0,
        *,
        user: str = "",
        selected: dict[str, list[str]] | None = None,
        tries: int | None = None,
        **wrong: Any,
    ) -> Asked:
        """Somebody presses a button (its text, its key or its number) of a card of the robot."""
        robot = self.world.robot(card.by)
        assert robot is not None, "the card is no robot's"
        group = None if self.world.find(card.chat) else card.chat
        told: dict[str, Any] = {
            "card_type": card.card["card_type"],
            "event_key": _key(card, button),
            "task_id": card.task_id,
        }
        if selected:
            items = [{"question_key": key, "option_ids": {"option_id": ids}} for key, ids in selected.items()]
            told["selected_items"] = {"selected_item": items}
        return self._event("template_card_event", robot, user or card.chat, group, told, card, tries, wrong)

    def feedback(
        self, message: Shown, kind: int = 1, *, user: str = "", content: str = "", reasons: Sequence[int] = ()
    ) -> Asked:
        """Somebody says what they think of an answer: 1 = good, 2 = bad, 3 = takes it back."""
        robot = self.world.robot(message.by)
        assert robot is not None, "the message is no robot's"
        assert message.feedback, "the message has no feedback id: nothing comes of it"
        told: dict[str, Any] = {"id": message.feedback, "type": kind}
        if kind == 2:
            told |= {"content": content, "inaccurate_reason_list": list(reasons)}
        group = None if self.world.find(message.chat) else message.chat
        return self._event("feedback_event", robot, user or message.chat, group, told)

    def _event(
        self,
        kind: str,
        robot: Robot,
        user: str,
        chat: str | None,
        told: dict[str, Any],
        card: Shown | None = None,
        tries: int | None = None,
        wrong: dict[str, Any] | None = None,
    ) -> Asked:
        event = {"eventtype": kind} | ({kind: told} if told else {})
        asked = self.side.ask(robot, kind, user, chat, {"event": event})
        asked.pressed = card
        self._bring(asked, tries, wrong or {})
        return asked

    def again(self, asked: Asked, **wrong: Any) -> Asked:
        """The same callback once more, as WeCom repeats what it thinks was not taken."""
        self._bring(asked, 1, wrong)
        return asked

    def replay(self, what: Asked | Posted) -> tuple[int, bytes]:
        """The very same bytes of a posted callback once more, as an attacker would: status and body of the answer."""
        return self.sender.replay(what.robot.url if isinstance(what, Asked) else self.world.app.url, what.sent)

    def _bring(self, asked: Asked, tries: int | None, wrong: dict[str, Any]) -> None:
        if asked.robot.url:
            self.sender.to_robot(asked, tries=tries, **wrong)
        else:
            self.gateway.push(asked)

    def verify(self, **more: Any) -> tuple[bool, str]:
        """Save the app's callback address on the admin page: whether that worked, and why not. See Sender.verify."""
        return self.sender.verify(self.sender.app(), **more)

    def verify_robot(self, robot: Robot | None = None, **more: Any) -> tuple[bool, str]:
        """The same for a robot's."""
        return self.sender.verify(self.sender.robot(robot or self.world.robots[0]), **more)

    # -- the app -------------------------------------------------------------------------------------------------------

    def app_says(
        self, text: str = "", *, user: str = "alice", image: bytes = b"", msg_id: str = "", **more: Any
    ) -> Posted:
        """Somebody writes to the app. `more`: tries, and what shall be wrong with the callback."""
        told: dict[str, Any] = {"MsgType": "text", "Content": text}
        if image:
            media_id = self.media.keep("image", image, "image.png")
            told = {"MsgType": "image", "PicUrl": "https://wework.qpic.cn/0", "MediaId": media_id}
        self.api.ids += 1
        return self.app_posts(user, told | {"MsgId": msg_id or str(self.api.ids)}, **more)

    def app_presses(self, card: Shown, button: str | int = 0, *, user: str = "", **more: Any) -> Posted:
        """Somebody presses a button of a card of the app."""
        told = {
            "MsgType": "event",
            "Event": "template_card_event",
            "EventKey": _key(card, button),
            "TaskId": card.task_id,
            "CardType": card.card["card_type"],
            "ResponseCode": self.api.code_for(card),
        }
        return self.app_posts(user or card.chat, told, **more)

    def app_event(
        self, event: str, user: str = "alice", *, fields: dict[str, Any] | None = None, **more: Any
    ) -> Posted:
        """An event of the app: enter_agent, subscribe, click …; `fields` adds XML elements."""
        return self.app_posts(user, {"MsgType": "event", "Event": event} | (fields or {"EventKey": ""}), **more)

    def app_posts(self, user: str, told: dict[str, Any], **more: Any) -> Posted:
        """Post any message or event of a member to the app."""
        fields = {
            "ToUserName": self.world.app.corp_id,
            "FromUserName": self.world.member(user).userid if user != "sys" else user,
            "CreateTime": int(time.time()),
            **told,
            "AgentID": self.world.app.agent_id,
        }
        return self.sender.to_app(fields, **more)

    def app_again(self, posted: Posted, **wrong: Any) -> Posted:
        """The same callback once more."""
        self.sender.again(posted, tries=1, **wrong)
        return posted

    def login(self, user: str) -> str:
        """The code with which WeCom's log-in page sends somebody back; user "": somebody outside the company."""
        return self.api.directory.login(user)


def _key(card: Shown, button: str | int) -> str:
    """The key of a button, by its number, its text or itself."""
    if isinstance(button, int):
        return card.buttons[button][1]
    found = [key for text, key in card.buttons if button in (text, key)]
    assert found, f"the card has no button {button!r}: {card.buttons}"
    return found[0]
