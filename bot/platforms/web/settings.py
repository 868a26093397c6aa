"""What an operator may set about the web chat."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class WebSettings(BaseModel):
    """The `web` section of platforms.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = Field(default=True, description="Serve the web chat at /.")
    first_is_admin: bool = Field(
        default=True, description="The first person who chooses a name becomes admin. Turn off on a shared network."
    )
    session_days: int = Field(default=30, ge=1, le=365, description="Days until a browser must sign in again.")
