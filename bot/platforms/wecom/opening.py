"""Opens what of WeCom is enabled: its channels, joined into one platform, and the ways its events come in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import httpx

from bot.events import ChatEvent
from bot.platforms.base import Enclosed
from bot.platforms.inbound import Door, Inlet, Listening
from bot.platforms.trust import trusted
from bot.platforms.wecom import media
from bot.platforms.wecom.app.channel import AppChannel
from bot.platforms.wecom.channel import Channel
from bot.platforms.wecom.directory import Directory, open_people
from bot.platforms.wecom.login import WecomLogin
from bot.platforms.wecom.places import Way, place_of
from bot.platforms.wecom.platform import WecomPlatform
from bot.platforms.wecom.robot.callback import CallbackRobot
from bot.platforms.wecom.robot.listener import open_robot
from bot.platforms.wecom.settings import RobotMode, Wecom, WecomAibot
from bot.platforms.wecom.webhooks import Webhooks
from bot.replies import Words
from storage.database import Database
from storage.records import Origin

PATIENCE = 20.0  # seconds for each step of fetching a file
APP_PATH, ROBOT_PATH = "/wecom/app", "/wecom/aibot"


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenedWecom:
    """The platform, and how events come in to it."""

    platform: WecomPlatform
    directory: Directory | None  # names and departments, where the app can tell them
    login: WecomLogin | None
    listeners: Sequence[Listening]
    doors: Sequence[Door]


def open_wecom(
    settings: Wecom, db: Database, words: Words, inlet: Inlet, read: Callable[[int, Origin], bytes]
) -> OpenedWecom:
    """What is enabled. No connection is opened yet. `read` gets a picture as it is shown in a chat."""
    cut = words.cut()
    channels: dict[Way, Channel] = {}
    listeners: list[Listening] = []
    doors: list[Door] = []
    app = AppChannel(settings.app, cut) if settings.app.enabled else None
    people, directory = open_people(app.client if app is not None else None, db)
    if app is not None:
        channels[Way.APP] = app
        if settings.app.listens:
            doors.append(Door(path=APP_PATH, answer=partial(app.handle, accept=inlet.keep, act=inlet.act)))
    if settings.aibot.enabled and settings.aibot.mode is RobotMode.LONG_CONNECTION:
        channels[Way.ROBOT], listener = open_robot(settings.aibot, db, inlet.take, inlet.act, words)
        listeners.append(listener)
    elif settings.aibot.enabled:
        robot = CallbackRobot(settings.aibot, db, words, read=read)
        channels[Way.ROBOT] = robot
        doors.append(Door(path=ROBOT_PATH, answer=partial(robot.handle, accept=inlet.keep, act=inlet.act)))
    if settings.webhooks:
        channels[Way.WEBHOOK] = Webhooks(settings.webhooks, settings.app.base_url, words)
    return OpenedWecom(
        platform=WecomPlatform(channels, people, _Files(settings.aibot, app)),
        directory=directory,
        login=None if app is None else WecomLogin(settings.app, app.client),
        listeners=listeners,
        doors=doors,
    )


class _Files:
    """Fetches what people send."""

    def __init__(self, settings: WecomAibot, app: AppChannel | None) -> None:
        self._settings = settings
        self._app = app

    async def __call__(self, event: ChatEvent, kind: str, limit: int) -> Enclosed | None:
        """See bot.platforms.base.Enclosing."""
        if place_of(event.origin).way is Way.APP:
            if self._app is None:
                raise media.gone("it was sent to the app, which is not enabled any more")
            return await self._app.enclosed(event, kind, limit)
        async with httpx.AsyncClient(timeout=PATIENCE, verify=trusted()) as http:
            return await media.enclosed(http, event, kind, limit, self._settings)
