"""What an operator may set about the web chat."""

from __future__ import annotations

import re
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field, field_validator

_ORIGIN = re.compile(r"https?://[^/\s?#]+")


class SignIn(StrEnum):
    """How people come in at the web page."""

    AUTO = "auto"
    NAME = "name"
    FEISHU = "feishu"
    WECOM = "wecom"
    BOTH = "both"


class WebSettings(BaseModel):
    """The `web` section of platforms.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = Field(default=True, description="Serve the web chat at /.")
    first_is_admin: bool = Field(
        default=True, description="The first person who chooses a name becomes admin. Turn off on a shared network."
    )
    login: SignIn = Field(
        default=SignIn.AUTO,
        description="Who may come in: name (whoever takes a free name), feishu or wecom (accounts of that only), both "
        "(names and the accounts of all), or auto: both, but accounts only once public_url is set and Feishu or the "
        "app of WeCom is enabled. Login codes always work.",
    )
    public_url: str = Field(
        default="",
        description="Where people reach the page, https://host; Feishu must have <public_url>/login/feishu as a "
        "redirect URL, WeCom its host, and port if it has one, as trusted domain. Empty = as the browser says.",
    )
    session_days: int = Field(default=30, ge=1, le=365, description="Days until a browser must sign in again.")

    @field_validator("public_url")
    @classmethod
    def _is_origin(cls, value: str) -> str:
        value = value.rstrip("/")
        if value and not _ORIGIN.fullmatch(value):
            raise ValueError("must be https://host without a path, or empty")
        return value
