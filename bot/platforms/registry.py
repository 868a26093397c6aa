"""Which platforms this server speaks. A new one is a line here."""

from __future__ import annotations

from bot.platforms.base import ChatPlatform
from bot.platforms.feishu.platform import FeishuPlatform
from bot.platforms.feishu.settings import check
from bot.platforms.terminal.platform import TerminalPlatform
from bot.platforms.web.feed import Feed
from bot.platforms.web.platform import WebPlatform
from bot.settings import Platforms, Problem, SettingsError
from storage.database import Database


def problems(settings: Platforms) -> list[Problem]:
    """What keeps an enabled platform from being served."""
    return [Problem(file="platforms.yaml", line=1, key="feishu", message=text) for text in check(settings.feishu)]


def open_platforms(settings: Platforms, db: Database, web: Feed, cut: str) -> dict[str, ChatPlatform]:
    """Every enabled platform by name; `cut` ends a text that is too long for one. Raises SettingsError."""
    if found := problems(settings):
        raise SettingsError(found)
    opened: list[ChatPlatform] = [TerminalPlatform()]
    if settings.web.enabled:
        opened.append(WebPlatform(db, web))
    if settings.feishu.enabled:
        opened.append(FeishuPlatform(settings.feishu, cut=cut))
    return {platform.name: platform for platform in opened}
