"""Where the long connection is opened: asking Feishu for its address, and what its refusals mean for an operator."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import httpx

from bot.platforms.feishu.settings import FeishuSettings

PATH: Final = "/callback/ws/endpoint"
WRONG_DOMAIN: Final = 1000040351
TOO_MANY: Final = 1000040350

_CREDENTIALS = "copy {section}.app_id and {section}.app_secret again from the developer console"
_HINTS: Mapping[int, str] = {
    1: "Feishu is busy",
    403: "Feishu forbids it: is {section}.app_id a published self-built app with a bot?",
    10003: _CREDENTIALS,
    10014: _CREDENTIALS,
    1000040343: "Feishu has an internal error",
    1000040344: _CREDENTIALS,
    1000040345: _CREDENTIALS,
    TOO_MANY: "the app already has as many connections as Feishu allows (50): stop the other programs that use it",
}


class NotConnected(Exception):
    """The long connection did not come about; the text says why and what to do, and never shows its address."""

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code  # Feishu's, or of HTTP


@dataclass(frozen=True, kw_only=True, slots=True)
class Wishes:
    """What Feishu asks of its clients, in seconds; it may change with every pong."""

    ping: float = 120.0  # between two pings
    again: float = 120.0  # at most between two tries to connect
    spread: float = 30.0  # at most before the first try: not everybody at once

    def updated(self, raw: object) -> Wishes:
        """These, changed by a ClientConfig; what is missing or no sensible number stays."""
        given = raw if isinstance(raw, dict) else {}
        return Wishes(
            ping=_seconds(given.get("PingInterval"), 1.0, self.ping),
            again=_seconds(given.get("ReconnectInterval"), 1.0, self.again),
            spread=_seconds(given.get("ReconnectNonce"), 0.0, self.spread),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Door:
    """The address to dial, good for one connection."""

    url: str = field(repr=False)  # carries a ticket: never for a log
    service: int
    device: str
    wishes: Wishes


async def ask(http: httpx.AsyncClient, settings: FeishuSettings, wishes: Wishes, section: str = "feishu") -> Door:
    """Ask for an address; `section` is where the settings stand in platforms.yaml. Raises NotConnected."""
    credentials = {"AppID": settings.app_id, "AppSecret": settings.app_secret.get_secret_value()}
    try:
        answer = await http.post(f"{settings.domain}{PATH}", json=credentials, headers={"locale": "zh"})
    except httpx.HTTPError as error:
        said = f"{settings.domain} does not answer ({type(error).__name__}): check the network, and {section}.domain"
        raise NotConnected(said) from error
    body = parsed(answer.content)
    code = body.get("code")
    if not isinstance(code, int):
        raise NotConnected(
            f"HTTP {answer.status_code} without Feishu's JSON: an outage, or a proxy", answer.status_code
        )
    if code != 0:
        raise NotConnected(explain(code, body.get("msg"), settings.domain, section), code)
    data = body.get("data")
    return _door(data if isinstance(data, dict) else {}, settings, wishes)


def explain(code: int, said: object, domain: str, section: str = "feishu") -> str:
    """A refusal in words for an operator."""
    words = " ".join(str(said or "").split())[:200]
    if code == WRONG_DOMAIN:
        other = "https://open.feishu.cn" if "larksuite" in domain else "https://open.larksuite.com"
        return f"Feishu {code}: the app does not live at {domain}: set {section}.domain to {other}"
    hint = _HINTS.get(code, "see the app's page in the developer console").format(section=section)
    return f"Feishu {code}: {hint}" + (f"; it said: {words}" if words else "")


def refused(headers: Mapping[str, str], status: int, domain: str, section: str = "feishu") -> NotConnected:
    """What a refused handshake means."""
    code = _integer(headers.get("Handshake-Autherrcode")) or _integer(headers.get("Handshake-Status"))
    if not code:
        return NotConnected(f"the gateway refuses the connection with HTTP {status}", status)
    return NotConnected(explain(code, headers.get("Handshake-Msg"), domain, section), code)


def parsed(raw: bytes) -> dict[str, Any]:
    """A JSON object, or nothing."""
    try:
        loaded = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return loaded if isinstance(loaded, dict) else {}


def _door(data: Mapping[str, Any], settings: FeishuSettings, wishes: Wishes) -> Door:
    url = str(data.get("URL") or "")
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    service = _integer(next(iter(query.get("service_id", [])), ""))
    if parts.scheme != "wss" and not (parts.scheme == "ws" and settings.domain.startswith("http://")):
        raise NotConnected("Feishu gave no encrypted address for the long connection")
    if not service:
        raise NotConnected("Feishu's address for the long connection has no service_id")
    device = next(iter(query.get("device_id", [])), "")
    return Door(url=url, service=service, device=device, wishes=wishes.updated(data.get("ClientConfig")))


def _seconds(raw: object, least: float, usual: float) -> float:
    number = isinstance(raw, int | float) and not isinstance(raw, bool)
    return min(max(float(raw), least), 3600.0) if number and raw >= 0 else usual  # type: ignore[arg-type,operator]


def _integer(raw: object) -> int:
    try:
        return int(str(raw))
    except ValueError:
        return 0
