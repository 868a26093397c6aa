"""Opens what of WeCom is enabled: its channels, joined into one platform, and the ways its events come in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import httpx

from bot.events import ChatEvent
from bot.platforms.base import Enclosed
from bot.platforms.inbound import Accept, Act, Door, Listening
from bot.platforms.wecom import media
from bot.platforms.wecom.app.channel import AppChannel
from bot.platforms.wecom.channel import Channel
from bot.platforms.wecom.places import Way
from bot.platforms.wecom.platform import WecomPlatform
from bot.platforms.wecom.robot.callback import CallbackRobot
from bot.platforms.wecom.robot.listener import open_robot
from bot.platforms.wecom.settings import RobotMode, Wecom
from bot.platforms.wecom.webhooks import Webhooks
from storage.database import Database

APP_PATH, ROBOT_PATH = "/wecom/app", "/wecom/aibot"


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenedWecom:
    """The platform, and how events come in to it."""

    platform: WecomPlatform
    app: AppChannel | None
    listeners: Sequence[Listening]
    doors: Sequence[Door]


def open_wecom(settings: Wecom, db: Database, cut: str, accept: Accept, act: Act) -> OpenedWecom:
    """What is enabled; `cut` ends a text that is too long. No connection is opened yet."""
    channels: dict[Way, Channel] = {}
    listeners: list[Listening] = []
    doors: list[Door] = []
    app = AppChannel(settings.app, cut) if settings.app.enabled else None
    if app is not None:
        channels[Way.APP] = app
        if settings.app.listens:
            doors.append(Door(path=APP_PATH, answer=partial(app.handle, accept=accept, act=act)))
    if settings.aibot.enabled and settings.aibot.mode is RobotMode.LONG_CONNECTION:
        channels[Way.ROBOT], listener = open_robot(settings.aibot, db, accept, act, cut)
        listeners.append(listener)
    elif settings.aibot.enabled:
        robot = CallbackRobot(settings.aibot, db, cut)
        channels[Way.ROBOT] = robot
        doors.append(Door(path=ROBOT_PATH, answer=partial(robot.handle, accept=accept, act=act)))
    if settings.webhooks:
        channels[Way.WEBHOOK] = Webhooks(settings.webhooks, settings.app.base_url, cut)
    platform = WecomPlatform(channels, _fetching(settings, app))
    return OpenedWecom(platform=platform, app=app, listeners=listeners, doors=doors)
