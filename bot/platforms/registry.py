"""Which platforms this server speaks. A new one is a line here."""

from __future__ import annotations

from collections.abc import Mapping

from bot.platforms.base import ChatPlatform
from bot.platforms.feishu import settings as feishu
from bot.platforms.feishu.listener import Listener
from bot.platforms.feishu.platform import Accept, Act, FeishuPlatform
from bot.platforms.terminal.platform import TerminalPlatform
from bot.platforms.web.feed import Feed
from bot.platforms.web.platform import WebPlatform
from bot.platforms.wecom import settings as wecom
from bot.settings import Platforms, Problem, SettingsError
from storage.database import Database


def problems(settings: Platforms) -> list[Problem]:
    """What keeps an enabled platform from being served."""
    feishu_apps = settings.feishu_by_name().items()
    found = [(name.replace("-", "_apps.", 1), text) for name, app in feishu_apps for text in feishu.check(app)]
    found += [("wecom", text) for text in wecom.check(settings.wecom)]
    return [Problem(file="platforms.yaml", line=1, key=key, message=text) for key, text in found]


def open_platforms(settings: Platforms, db: Database, web: Feed, cut: str) -> dict[str, ChatPlatform]:
    """Every enabled platform by name; `cut` ends a text that is too long for one. Raises SettingsError."""
    if found := problems(settings):
        raise SettingsError(found)
    opened: list[ChatPlatform] = [TerminalPlatform()]
    if settings.web.enabled:
        opened.append(WebPlatform(db, web))
    for name, app in settings.feishu_by_name().items():
        if app.enabled:
            opened.append(FeishuPlatform(app, cut=cut, name=name))
    return {platform.name: platform for platform in opened}


def open_listeners(platforms: Mapping[str, ChatPlatform], db: Database, accept: Accept, act: Act) -> list[Listener]:
    """What lets events in over long connections that we open; none is opened yet."""
    return [
        Listener(platform, db, accept, act)
        for platform in platforms.values()
        if isinstance(platform, FeishuPlatform) and platform.dials
    ]
