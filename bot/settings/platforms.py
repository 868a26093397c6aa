"""platforms.yaml: where people talk to Moqi."""

from __future__ import annotations

import re
from collections import Counter
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from bot.platforms.feishu.settings import FeishuSettings
from bot.platforms.web.settings import SignIn, WebSettings
from bot.settings.base import LATER, Section


class WecomApp(Section):
    """A self-built WeCom app."""

    enabled: bool = Field(default=False, description="Serve the app.", json_schema_extra=LATER)
    base_url: str = Field(default="https://qyapi.weixin.qq.com", description="Address of the WeCom API.")
    corp_id: str = Field(default="", description="ID of the organisation.")
    agent_id: str = Field(default="", description="ID of the app.")
    secret: SecretStr = Field(default=SecretStr(""), description="Secret of the app.")
    token: SecretStr = Field(default=SecretStr(""), description="Token of its callbacks.")
    encoding_aes_key: SecretStr = Field(default=SecretStr(""), description="EncodingAESKey of its callbacks.")


class WecomAibot(Section):
    """A WeCom smart robot."""

    enabled: bool = Field(default=False, description="Serve the robot.", json_schema_extra=LATER)
    mode: Literal["long_connection", "callback"] = Field(default="long_connection", description="How events arrive.")
    ws_url: str = Field(default="wss://openws.work.weixin.qq.com", description="Address of the long connection.")
    bot_id: str = Field(default="", description="ID of the robot.")
    secret: SecretStr = Field(default=SecretStr(""), description="Secret of the long connection.")
    name: str = Field(default="", description="Name people mention.")
    token: SecretStr = Field(default=SecretStr(""), description="Token of its callbacks.")
    encoding_aes_key: SecretStr = Field(default=SecretStr(""), description="EncodingAESKey of its callbacks.")


class Wecom(Section):
    """WeCom, in its three forms."""

    app: WecomApp = Field(default=WecomApp(), description="A self-built app.")
    aibot: WecomAibot = Field(default=WecomAibot(), description="A smart robot.")
    webhooks: dict[str, SecretStr] = Field(
        default_factory=dict, description="Group robots that only post: name and address.", json_schema_extra=LATER
    )


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
        if self.web.enabled and self.web.login is SignIn.FEISHU and not self._has_feishu:
            raise ValueError("web.login is feishu, but feishu is not enabled: nobody could come in; write login: name")
        return self

    @property
    def takes_accounts(self) -> bool:
        """Whether Feishu accounts open the web page."""
        return self._has_feishu and self.web.login is not SignIn.NAME

    @property
    def takes_names(self) -> bool:
        """Whether whoever comes to the web page may take a free name."""
        if self.web.login is SignIn.AUTO:
            return not (self._has_feishu and self.web.public_url)
        return self.web.login is not SignIn.FEISHU

    @property
    def _has_feishu(self) -> bool:
        return any(app.enabled for app in self.feishu_by_name().values())

    @model_validator(mode="after")
    def _are_different_apps(self) -> Self:
        counted = Counter(app.app_id for app in self.feishu_by_name().values() if app.enabled)
        if twice := [app_id for app_id, count in counted.items() if count > 1]:
            raise ValueError(f"feishu and feishu_apps name the app {twice[0]} twice: each app may stand once")
        return self

    def feishu_by_name(self) -> dict[str, FeishuSettings]:
        """Every Feishu app by the name of its platform: feishu, feishu-<name>."""
        return {"feishu": self.feishu, **{f"feishu-{name}": app for name, app in self.feishu_apps.items()}}
