"""What signing in to the web page with an account of a platform is, whichever the platform.

LoginFailed: it did not work out; `code` names the sentence for the person, the text is for the log. Neither codes nor
tokens of a person are ever logged, and no token is kept: it says once who somebody is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from storage.records import Identity


class LoginFailed(Exception):
    """Nobody was signed in."""

    def __init__(self, code: str, cause: str) -> None:
        super().__init__(cause)
        self.code = code


@dataclass(frozen=True, kw_only=True, slots=True)
class Visitor:
    """Whom a platform says is at the browser."""

    identity: Identity
    name: str  # empty: the platform does not tell
    union_id: str = ""  # the same person in all apps of the organisation, where the platform has such an id
    tenant_key: str  # the organisation they belong to


class Login(Protocol):
    """A platform's door to the web page."""

    @property
    def platform(self) -> str:
        """feishu, feishu-<name>, wecom: the `platform` of its identities, and the last part of its address here."""

    def address(self, redirect_uri: str, state: str, verifier: str, agent: str) -> str:
        """Where to send the browser, which calls itself `agent`, so that it comes back to `redirect_uri`.

        `state` comes back with it; `verifier` stays with it and proves later that it is the same browser.
        """

    async def visitor(self, code: str, redirect_uri: str, verifier: str) -> Visitor:
        """Who came back with `code`, one of ours. Raises LoginFailed."""

    async def close(self) -> None: ...
