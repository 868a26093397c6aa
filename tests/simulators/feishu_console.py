"""The app's page in the Feishu simulator's developer console: what is granted, subscribed, published; asked by API."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tests.simulators.feishu_contacts import missing
from tests.simulators.feishu_events import App
from tests.simulators.feishu_http import ApiError, Call

SCOPES = (
    "application:application:self_manage",
    "cardkit:card:write",
    "contact:contact.base:readonly",
    "contact:department.base:readonly",
    "contact:department.organize:readonly",
    "contact:user.base:readonly",
    "contact:user.department:readonly",
    "im:chat.access_event.bot_p2p_chat:read",
    "im:chat.members:bot_access",
    "im:chat:readonly",
    "im:message.group_at_msg:readonly",
    "im:message.p2p_msg:readonly",
    "im:message.reactions:write_only",
    "im:message:readonly",
    "im:message:send_as_bot",
    "im:resource",
    "tenant:tenant:readonly",
)
EVENTS = (
    "application.bot.menu_v6",
    "im.chat.access_event.bot_p2p_chat_entered_v1",
    "im.chat.disbanded_v1",
    "im.chat.member.bot.added_v1",
    "im.chat.member.bot.deleted_v1",
    "im.message.recalled_v1",
    "im.message.receive_v1",
)


class ConsolePage:
    """As an operator left it. At first everything is as it should be."""

    def __init__(self, app: App) -> None:
        self.granted = set(SCOPES)
        self.waiting: set[str] = set()  # asked for, not granted: no version was published since
        self.events = list(EVENTS)
        self.callbacks = ["card.action.trigger"]
        self.mode = "webhook"  # webhook | websocket
        self.published = True
        self.activate_status = 2
        self.endpoint_code = 0  # of the long connection's endpoint
        self._app = app

    def has(self, scopes: Iterable[str]) -> bool:
        """Whether one of these is granted."""
        return not self.granted.isdisjoint(scopes)

    def answer(self, call: Call) -> dict[str, Any] | None:
        """The JSON of a success; None when the call is none of ours. Raises ApiError."""
        match call.method, call.path.removeprefix("/open-apis/").split("/"):
            case "GET", ["application", "v6", "scopes"]:
                given = [(name, 1) for name in sorted(self.granted)] + [(name, 2) for name in sorted(self.waiting)]
                return {"data": {"scopes": [_scope(name, status) for name, status in given]}}
            case "GET", ["application", "v6", "applications", app_id]:
                self._may_look(call, app_id)
                return {"data": {"app": self._application()}}
            case "GET", ["application", "v6", "applications", app_id, "app_versions"]:
                self._may_look(call, app_id)
                return {"data": {"items": self._versions(), "has_more": False, "page_token": ""}}
            case "GET", ["bot", "v3", "info"] if self.activate_status != 2:
                info = {"activate_status": self.activate_status, "app_name": "墨契", "open_id": self._app.bot_open_id}
                return {"bot": info}
        return None

    def _may_look(self, call: Call, app_id: str) -> None:
        needed = ("application:application:self_manage", "application:application.app_version:readonly")
        if not self.has(needed):
            raise missing(needed)
        if app_id not in ("me", self._app.app_id) or not call.query.get("lang"):
            raise ApiError(210500, "app not exist")

    def _application(self) -> dict[str, Any]:
        return {
            "app_id": self._app.app_id,
            "status": 1,
            "scene_type": 0,
            "online_version_id": "oav_1" if self.published else "",
            "app_name": "墨契",
            "scopes": [{"scope": name, "description": name, "level": 1} for name in sorted(self.granted)],
            "callback_info": {
                "callback_type": self.mode,
                "request_url": "https://moqi.example/feishu/events" if self.mode == "webhook" else "",
                "subscribed_callbacks": self.callbacks,
            },
        }

    def _versions(self) -> list[dict[str, Any]]:
        """Newest first: one that waits for its audit, and the one that is live."""
        infos = [{"event_type": name, "event_name": name, "event_description": ""} for name in self.events]
        draft = {"app_id": self._app.app_id, "version": "1.0.1", "status": 4, "event_infos": [], "publish_time": ""}
        live = {"app_id": self._app.app_id, "version": "1.0.0", "status": 1, "publish_time": "1700000000"}
        return [draft, *([{**live, "event_infos": infos, "events": [*self.events]}] if self.published else [])]


def _scope(name: str, status: int) -> dict[str, Any]:
    return {"scope_name": name, "grant_status": status, "scope_type": "tenant"}
