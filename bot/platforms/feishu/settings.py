"""What an operator sets for Feishu, and what is still missing before it can be served."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from importlib.util import find_spec
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

_CONSOLE = {
    "app_id": "Credentials & Basic Info (凭证与基础信息) > App ID",
    "app_secret": "Credentials & Basic Info (凭证与基础信息) > App Secret",
    "encrypt_key": "Events & Callbacks (事件与回调) > Encryption Strategy (加密策略) > Encrypt Key",
    "verification_token": "Events & Callbacks (事件与回调) > Encryption Strategy (加密策略) > Verification Token",
}
_INSTALL = "feishu is enabled but the package {} is not installed: pip install 'moqi[feishu]'"
_LONG_CONNECTION = {"websockets": "websockets", "lark_oapi": "lark-oapi"}  # module: package
_FEISHU = ("https://open.feishu.cn", "https://accounts.feishu.cn")
_LARK = ("https://open.larksuite.com", "https://accounts.larksuite.com")
_ORIGIN = re.compile(r"https://[^/\s]+|http://(127\.0\.0\.1|localhost|\[::1\])(:\d+)?")


class Mode(StrEnum):
    """How Feishu's events reach us."""

    LONG_CONNECTION = "long_connection"  # we dial out; no public address needed
    WEBHOOK = "webhook"  # Feishu posts to /feishu/events


class Outsiders(StrEnum):
    """What becomes of people of other organisations who meet the bot in an external group."""

    REFUSE = "refuse"  # they are told that it is not for them
    ALLOW = "allow"  # they may use it, never as admins; documents for everyone are not for them


class FeishuSettings(BaseModel):
    """The `feishu` section of platforms.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    enabled: bool = Field(False, description="Serve Feishu.")
    mode: Mode = Field(Mode.LONG_CONNECTION, description="How events arrive: long_connection or webhook.")
    domain: str = Field(_FEISHU[0], description="The open platform; Lark: https://open.larksuite.com.")
    accounts_domain: str = Field(_FEISHU[1], description="Where people log in; Lark: follows from `domain`.")
    app_id: str = Field("", description="App ID of the self-built app, cli_….")
    app_secret: SecretStr = Field(SecretStr(""), description="App Secret.")
    encrypt_key: SecretStr = Field(SecretStr(""), description="Encrypt Key; signs and encrypts what Feishu posts.")
    verification_token: SecretStr = Field(SecretStr(""), description="Verification Token; stands in every event.")
    allowed_tenants: tuple[str, ...] = Field(
        (), description="Other organisations (tenant_key) whose people are treated as our own."
    )
    external: Outsiders = Field(
        Outsiders.REFUSE, description="People of any other organisation: refuse, or allow without any special right."
    )

    @model_validator(mode="before")
    @classmethod
    def _follow_domain(cls, given: Any) -> Any:
        """Lark's people log in at Lark: who set `domain` need not set the other as well."""
        if not isinstance(given, Mapping) or str(given.get("domain", "")).rstrip("/") != _LARK[0]:
            return given
        chosen = given.get("accounts_domain", _FEISHU[1])
        left = isinstance(chosen, str) and chosen.rstrip("/") == _FEISHU[1]
        return {**given, "accounts_domain": _LARK[1]} if left else given

    @field_validator("domain", "accounts_domain")
    @classmethod
    def _is_origin(cls, value: str) -> str:
        value = value.rstrip("/")
        if not _ORIGIN.fullmatch(value):
            raise ValueError("must be https://host without a path (plain http only on this machine)")
        return value

    @model_validator(mode="after")
    def _is_one_platform(self) -> Self:
        for ours, other in ((_FEISHU, _LARK), (_LARK, _FEISHU)):
            if self.domain == ours[0] and self.accounts_domain == other[1]:
                raise ValueError(
                    f"domain {self.domain} and accounts_domain {self.accounts_domain} are two platforms: an app "
                    f"belongs to one of them; write accounts_domain: {ours[1]}, or leave it out"
                )
        return self

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        missing = [name for name in self._needed() if not self._plain(name)]
        if missing:
            raise ValueError(
                "; ".join(f"{name} is empty, find it in the developer console: {_CONSOLE[name]}" for name in missing)
            )
        return self

    def _needed(self) -> tuple[str, ...]:
        if not self.enabled:
            return ()
        credentials = ("app_id", "app_secret")
        # Without an Encrypt Key the webhook's only proof is a token that travels in every request: not enough.
        return (*credentials, "encrypt_key", "verification_token") if self.mode is Mode.WEBHOOK else credentials

    def _plain(self, name: str) -> str:
        value = getattr(self, name)
        return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


def webhook_path(name: str) -> str:
    """Where Feishu posts the events of the app with this platform name: feishu, feishu-<name>."""
    further = name.partition("-")[2]
    return f"/feishu/{further}/events" if further else "/feishu/events"


def check(settings: FeishuSettings, find: Callable[[str], object] = find_spec) -> list[str]:
    """What keeps the server from opening Feishu with these settings; empty when nothing does."""
    if not settings.enabled:
        return []
    needed = {"cryptography": "cryptography"} if settings.mode is Mode.WEBHOOK else _LONG_CONNECTION
    return [_INSTALL.format(package) for module, package in needed.items() if not find(module)]
