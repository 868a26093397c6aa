"""platforms.yaml: where people talk to Moqi."""

from __future__ import annotations

import re
from collections import Counter
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from bot.platforms.feishu.settings import FeishuSettings
from bot.platforms.web.settings import SignIn, WebSettings
from bot.platforms.wecom.settings import RobotMode, Wecom
from bot.settings.base import Section

_ONLY = (SignIn.FEISHU, SignIn.WECOM)  # accounts of that platform, and no free names


def _app_name(name: str) -> str:
    if not re.fullmatch(r"[a-z0-9-]{1,20}", name):
        raise ValueError("an app's name has 1 to 20 small letters, digits and hyphens")
    return name


class Platforms(Section):
    """platforms.yaml"""

    web: WebSettings = Field(default=WebSettings(), description="The web chat.")
    feishu: FeishuSettings = Field(default=FeishuSettings(), description="Feishu (Lark).")
    feishu_apps: dict[Annotated[str, AfterValidator(_app_name)], FeishuSettings] = Field(
        default_factory=dict, description="Further Feishu apps by name; people in them are feishu-<name>:ou_…."
    )
    wecom: Wecom = Field(default=Wecom(), description="WeCom.")

    @model_validator(mode="after")
    def _somebody_can_come_in(self) -> Self:
        only = self.web.login
        if self.web.enabled and only in _ONLY and not self.account_platforms:
            what = "wecom.app" if only is SignIn.WECOM else "feishu"
            raise ValueError(f"web.login is {only}, but {what} is not enabled: nobody could come in; write login: name")
        return self

    @property
    def account_platforms(self) -> tuple[str, ...]:
        """Whose accounts open the web page, by the names of the platforms. WeCom's people log in by its app."""
        login = self.web.login
        if login is SignIn.NAME:
            return ()
        apps = [name for name, app in self.feishu_by_name().items() if app.enabled and login is not SignIn.WECOM]
        return (*apps, *(["wecom"] if self.wecom.app.enabled and login is not SignIn.FEISHU else []))

    @property
    def takes_accounts(self) -> bool:
        """Whether accounts of some platform open the web page."""
        return bool(self.account_platforms)

    @property
    def writes_first(self) -> frozenset[str]:
        """Where a person can be written to who has written in a group: WeCom's callback robot only ever answers."""
        robot = self.wecom.aibot.enabled and self.wecom.aibot.mode is RobotMode.LONG_CONNECTION
        wecom = {"wecom"} if self.wecom.app.enabled or robot else set()
        return frozenset(wecom | {name for name, app in self.feishu_by_name().items() if app.enabled})

    @property
    def takes_names(self) -> bool:
        """Whether whoever comes to the web page may take a free name."""
        if self.web.login is SignIn.AUTO:
            return not (self.takes_accounts and self.web.public_url)
        return self.web.login not in _ONLY

    @model_validator(mode="after")
    def _are_different_apps(self) -> Self:
        counted = Counter(app.app_id for app in self.feishu_by_name().values() if app.enabled)
        if twice := [app_id for app_id, count in counted.items() if count > 1]:
            raise ValueError(f"feishu and feishu_apps name the app {twice[0]} twice: each app may stand once")
        return self

    def feishu_by_name(self) -> dict[str, FeishuSettings]:
        """Every Feishu app by the name of its platform: feishu, feishu-<name>."""
        return {"feishu": self.feishu, **{f"feishu-{name}": app for name, app in self.feishu_apps.items()}}
