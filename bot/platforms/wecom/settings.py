"""What an operator sets for WeCom, and what is still missing before it can be served."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from importlib.util import find_spec
from typing import Annotated, Any, Final, Self
from urllib.parse import parse_qs, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

_INSTALL = "wecom is enabled but the package {} is not installed: pip install 'moqi[wecom]'"
_PACKAGES = {"cryptography": "cryptography", "wechatpy": "wechatpy", "websockets": "websockets"}  # module: package
_ORIGIN = re.compile(r"https://[^/\s]+|http://(127\.0\.0\.1|localhost|\[::1\])(:\d+)?")
_SOCKET = re.compile(r"wss://[^/\s]+(/\S*)?|ws://(127\.0\.0\.1|localhost|\[::1\])(:\d+)?(/\S*)?")
_AES_KEY = re.compile(r"[A-Za-z0-9+/]{43}")
_APP_PAGE = "the admin console (管理后台) > 应用管理 > the app"
_ROBOT_PAGE = "the robot's API settings (工作台 > 智能机器人 > API 模式)"
_CONSOLE: Final[Mapping[str, str]] = {
    "corp_id": "the admin console (管理后台) > 我的企业 > 企业ID",
    "agent_id": f"{_APP_PAGE} > AgentId",
    "app secret": f"{_APP_PAGE} > Secret",
    "app token": f"{_APP_PAGE} > 接收消息 > Token",
    "app encoding_aes_key": f"{_APP_PAGE} > 接收消息 > EncodingAESKey",
    "bot_id": f"{_ROBOT_PAGE} > Bot ID",
    "robot secret": f"{_ROBOT_PAGE} > Secret",
    "robot token": f"{_ROBOT_PAGE} > Token",
    "robot encoding_aes_key": f"{_ROBOT_PAGE} > EncodingAESKey",
}


class RobotMode(StrEnum):
    """How the robot's events reach us. WeCom serves one of them: choosing the other in its console ends this one."""

    LONG_CONNECTION = "long_connection"  # we dial out; no public address needed
    CALLBACK = "callback"  # WeCom posts to /wecom/aibot


class Booked(StrEnum):
    """Which finished reservations a group robot is given."""

    NAMED = "named"  # those that name it: --to NAME
    ALL = "all"
    NONE = "none"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, coerce_numbers_to_str=True)


def _is_aes_key(value: SecretStr) -> SecretStr:
    """43 letters and digits; WeCom's own tools also hand it out with the = that base64 would end it with."""
    key = value.get_secret_value().strip().removesuffix("=")
    if key and not _AES_KEY.fullmatch(key):
        raise ValueError("an EncodingAESKey has 43 letters and digits: copy it whole")
    return SecretStr(key)


def _is_plain(value: SecretStr) -> SecretStr:
    return SecretStr(value.get_secret_value().strip())


_Secret = Annotated[SecretStr, AfterValidator(_is_plain)]
_AesKey = Annotated[SecretStr, AfterValidator(_is_aes_key)]
NOTHING: Final = SecretStr("")


class WecomApp(_Section):
    """A self-built WeCom app."""

    enabled: bool = Field(default=False, description="Serve the app.")
    base_url: str = Field(default="https://qyapi.weixin.qq.com", description="Address of the WeCom API.")
    login_url: str = Field(default="https://login.work.weixin.qq.com", description="Where people log in by QR code.")
    in_app_url: str = Field(default="https://open.weixin.qq.com", description="Where people log in inside WeCom.")
    corp_id: str = Field(default="", description="ID of the organisation.")
    agent_id: str = Field(default="", description="ID of the app.")
    secret: _Secret = Field(default=NOTHING, description="Secret of the app.")
    token: _Secret = Field(default=NOTHING, description="Token of its callbacks; empty: the app only sends.")
    encoding_aes_key: _AesKey = Field(default=NOTHING, description="EncodingAESKey of its callbacks.")

    @field_validator("base_url", "login_url", "in_app_url")
    @classmethod
    def _is_origin(cls, value: str) -> str:
        return _origin(value)

    @property
    def listens(self) -> bool:
        """Whether members write to the app and WeCom posts that to /wecom/app."""
        return bool(self.token.get_secret_value())

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if self.enabled:
            needed = {"corp_id": self.corp_id, "agent_id": self.agent_id, "app secret": _text(self.secret)}
            if self.listens or _text(self.encoding_aes_key):
                needed |= {"app token": _text(self.token), "app encoding_aes_key": _text(self.encoding_aes_key)}
            _refuse_empty(needed)
            if not self.agent_id.isdigit():
                raise ValueError(f"agent_id is a number, find it in {_CONSOLE['agent_id']}")
        return self


class WecomAibot(_Section):
    """A WeCom smart robot."""

    enabled: bool = Field(default=False, description="Serve the robot.")
    mode: RobotMode = Field(default=RobotMode.LONG_CONNECTION, description="How events arrive.")
    ws_url: str = Field(default="wss://openws.work.weixin.qq.com", description="Address of the long connection.")
    bot_id: str = Field(default="", description="ID of the robot.")
    secret: _Secret = Field(default=NOTHING, description="Secret of the long connection.")
    name: str = Field(default="", description="Name people mention, as it stands in WeCom.")
    token: _Secret = Field(default=NOTHING, description="Token of its callbacks.")
    encoding_aes_key: _AesKey = Field(default=NOTHING, description="EncodingAESKey of its callbacks.")
    media_hosts: tuple[str, ...] = Field(
        default=(), description="Further hosts that files people send may be fetched from, host or host:port."
    )

    @field_validator("ws_url")
    @classmethod
    def _is_socket(cls, value: str) -> str:
        if not _SOCKET.fullmatch(value):
            raise ValueError("must be wss://host (plain ws only on this machine)")
        return value

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if self.enabled and self.mode is RobotMode.LONG_CONNECTION:
            _refuse_empty({"bot_id": self.bot_id, "robot secret": _text(self.secret)})
        elif self.enabled:
            _refuse_empty({"robot token": _text(self.token), "robot encoding_aes_key": _text(self.encoding_aes_key)})
        return self


class WecomWebhook(_Section):
    """A group robot that only posts (群机器人 / 消息推送)."""

    url: _Secret = Field(description="Its webhook address, or only the key that ends it. A secret.")
    alerts: bool = Field(default=True, description="It is told when a platform or an engine has a problem.")
    reservations: Booked = Field(
        default=Booked.NAMED, description="Finished reservations it is given: those that name it, all, none."
    )

    @model_validator(mode="before")
    @classmethod
    def _is_only_its_address(cls, given: Any) -> Any:
        return given if isinstance(given, Mapping) else {"url": given}

    @model_validator(mode="after")
    def _has_key(self) -> Self:
        if not self.key:
            raise ValueError("has no key: copy the whole webhook address from the group's settings")
        return self

    @property
    def key(self) -> str:
        """What the address ends with."""
        text = _text(self.url)
        return parse_qs(urlsplit(text).query).get("key", [""])[0] if "://" in text else text


def _webhook_name(name: str) -> str:
    if not re.fullmatch(r"[\w-]{1,20}", name):
        raise ValueError("a group robot's name has 1 to 20 letters, digits, _ and -")
    return name


class Wecom(_Section):
    """WeCom, in its three forms."""

    app: WecomApp = Field(default=WecomApp(), description="A self-built app.")
    aibot: WecomAibot = Field(default=WecomAibot(), description="A smart robot.")
    webhooks: dict[Annotated[str, AfterValidator(_webhook_name)], WecomWebhook] = Field(
        default_factory=dict, description="Group robots that only post: name and address."
    )

    @property
    def enabled(self) -> bool:
        """Whether any of them is to be served."""
        return self.app.enabled or self.aibot.enabled or bool(self.webhooks)


def check(settings: Wecom, find: Callable[[str], object] = find_spec) -> list[str]:
    """What keeps the server from opening WeCom with these settings; empty when nothing does."""
    return [_INSTALL.format(package) for module, package in _needed(settings) if not find(module)]


def _needed(settings: Wecom) -> Iterator[tuple[str, str]]:
    dials = settings.aibot.enabled and settings.aibot.mode is RobotMode.LONG_CONNECTION
    for module, package in _PACKAGES.items():
        if settings.enabled and (module != "websockets" or dials):
            yield module, package


def _origin(value: str) -> str:
    value = value.rstrip("/")
    if not _ORIGIN.fullmatch(value):
        raise ValueError("must be https://host without a path (plain http only on this machine)")
    return value


def _text(secret: SecretStr) -> str:
    return secret.get_secret_value()


def _refuse_empty(needed: Mapping[str, str]) -> None:
    missing = [name for name, value in needed.items() if not value]
    if missing:
        said = (f"{name.rpartition(' ')[2]} is empty, find it in {_CONSOLE[name]}" for name in missing)
        raise ValueError("; ".join(said))
