"""Which platforms this server speaks. A new one is a line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bot.platforms.base import ChatPlatform
from bot.platforms.directory import Directory
from bot.platforms.feishu import settings as feishu_settings
from bot.platforms.feishu.directory import Directory as FeishuDirectory
from bot.platforms.feishu.listener import Listener
from bot.platforms.feishu.login import FeishuLogin
from bot.platforms.feishu.platform import FeishuPlatform
from bot.platforms.inbound import Door, Inlet, Listening
from bot.platforms.login import Login
from bot.platforms.terminal.platform import TerminalPlatform
from bot.platforms.web.feed import Feed
from bot.platforms.web.platform import WebPlatform
from bot.platforms.wecom import settings as wecom_settings
from bot.platforms.wecom.opening import open_wecom
from bot.replies import Words
from bot.settings import Platforms, Problem, SettingsError
from storage.database import Database
from storage.records import Origin


def problems(settings: Platforms) -> list[Problem]:
    """What keeps an enabled platform from being served."""
    feishu_apps = settings.feishu_by_name().items()
    found = [(name.replace("-", "_apps.", 1), text) for name, app in feishu_apps for text in feishu_settings.check(app)]
    found += [("wecom", text) for text in wecom_settings.check(settings.wecom)]
    return [Problem(file="platforms.yaml", line=1, key=key, message=text) for key, text in found]


@dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    """Every enabled platform by name, and how events come in to them. No connection is opened yet."""

    platforms: Mapping[str, ChatPlatform]
    listeners: Sequence[Listening]
    doors: Sequence[Door]
    directories: Mapping[str, Directory]  # who looks up people, by platform
    logins: Mapping[str, Login]  # whose accounts may open the web page, by platform


def open_platforms(
    settings: Platforms,
    db: Database,
    web: Feed,
    words: Words,
    inlet: Inlet,
    read: Callable[[int, Origin], bytes],
) -> Opened:
    """Every enabled platform; `read` gets a picture as it is shown in a chat. Raises SettingsError."""
    if found := problems(settings):
        raise SettingsError(found)
    platforms: list[ChatPlatform] = [TerminalPlatform()]
    listeners: list[Listening] = []
    doors: list[Door] = []
    directories: dict[str, Directory] = {}
    logins: dict[str, Login] = {}
    if settings.web.enabled:
        platforms.append(WebPlatform(db, web))
    for name, app in settings.feishu_by_name().items():
        if app.enabled:
            feishu = FeishuPlatform(app, cut=words.cut(), name=name)
            platforms.append(feishu)
            listeners += [Listener(feishu, db, inlet.keep, inlet.act)] if feishu.dials else []
            directories[name] = company = FeishuDirectory(name, app, feishu.client, db)
            logins[name] = FeishuLogin(name, app, company.organisation)
    if settings.wecom.enabled:
        wecom = open_wecom(settings.wecom, db, words, inlet, read)
        platforms.append(wecom.platform)
        listeners += wecom.listeners
        doors += wecom.doors
        if wecom.directory is not None and wecom.login is not None:
            directories[wecom.platform.name], logins[wecom.platform.name] = wecom.directory, wecom.login
    return Opened(
        platforms={one.name: one for one in platforms},
        listeners=listeners,
        doors=doors,
        directories=directories,
        logins=logins,
    )
