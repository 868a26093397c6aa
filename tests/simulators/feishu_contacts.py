"""The Feishu simulator's directory of people and departments, and the organisation the app belongs to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from tests.simulators.feishu_http import ApiError, Call

TENANT = "tenant"  # the organisation of the app


@dataclass
class Member:
    """Somebody with a Feishu account."""

    open_id: str
    name: str
    departments: list[str] = field(default_factory=list)  # their ids
    primary: str = ""
    tenant_key: str = TENANT
    hidden: bool = False  # outside the app's contact range


@dataclass
class Branch:
    """A department."""

    id: str
    name: str
    parent: str = "0"


class Directory:
    """The contact API and the tenant's. `require` refuses a call when none of the named scopes is granted."""

    def __init__(self, require: Callable[[Iterable[str]], bool]) -> None:
        self.people: dict[str, Member] = {}
        self.departments: dict[str, Branch] = {}
        self.tenant_key = TENANT
        self.external_chats: set[str] = set()  # groups with people of other organisations
        self._require = require

    def join(self, open_id: str, name: str, *departments: str, **more: Any) -> Member:
        """Somebody new; their departments are made as named: od-1 is called what `departments` says."""
        self.people[open_id] = Member(open_id=open_id, name=name, departments=list(departments), **more)
        return self.people[open_id]

    def open(self, department_id: str, name: str, parent: str = "0") -> None:
        """A new department."""
        self.departments[department_id] = Branch(id=department_id, name=name, parent=parent)

    def answer(self, call: Call) -> dict[str, Any] | None:
        """The JSON of a success; None when the call is none of ours. Raises ApiError."""
        match call.method, call.path.removeprefix("/open-apis/").split("/"):
            case "GET", ["tenant", "v2", "tenant", "query"]:
                self._need("tenant:tenant:readonly")
                tenant = {"name": "测试公司", "display_id": "F1", "tenant_tag": 0, "tenant_key": self.tenant_key}
                return {"data": {"tenant": tenant}}
            case "GET", ["contact", "v3", "users", "batch"]:
                self._need("contact:contact.base:readonly")
                self._need_open_ids(call)
                asked = call.queries.get("user_ids", [])
                self._limit(asked)
                found = [self.people[one] for one in asked if one in self.people]
                return {"data": {"items": [self._user(one) for one in found if self._told(one)]}}
            case "GET", ["contact", "v3", "users", open_id]:
                self._need("contact:contact.base:readonly", "contact:contact:readonly_as_app")
                self._need_open_ids(call)
                person = self.people.get(unquote(open_id))
                if person is None or not self._told(person):
                    raise ApiError(41050, "no user authority error")
                return {"data": {"user": self._user(person)}}
            case "GET", ["contact", "v3", "departments", "batch"]:
                self._need("contact:contact.base:readonly")
                asked = call.queries.get("department_ids", [])
                self._limit(asked)
                known = [self.departments[one] for one in asked if one in self.departments]
                return {"data": {"items": [self._department(one) for one in known]}}
            case "GET", ["contact", "v3", "departments", department_id]:
                self._need("contact:contact.base:readonly", "contact:contact:readonly_as_app")
                if unquote(department_id) not in self.departments:
                    raise ApiError(43004, "no dept authority error")
                return {"data": {"department": self._department(self.departments[unquote(department_id)])}}
            case "GET", ["im", "v1", "chats", chat_id]:
                self._need("im:chat", "im:chat:readonly", "im:chat:read")
                external = unquote(chat_id) in self.external_chats
                told = {"name": "群", "chat_mode": "group", "external": external, "tenant_key": self.tenant_key}
                return {"data": told}
            case "GET", ["contact", "v3", "scopes"]:
                self._need("contact:contact.base:readonly", "contact:contact:readonly_as_app")
                hidden = [one for one in self.people.values() if one.hidden]
                everybody = {"department_ids": ["0"], "user_ids": [], "has_more": False}
                return {"data": everybody if not hidden else {**everybody, "department_ids": []}}
        return None

    def _told(self, person: Member) -> bool:
        """The directory says nothing about people of other organisations."""
        return person.tenant_key == self.tenant_key and not person.hidden

    def _user(self, person: Member) -> dict[str, Any]:
        """Fields whose scope is missing are left out."""
        told: dict[str, Any] = {"open_id": person.open_id, "union_id": f"on_{person.open_id[3:]}"}
        if self._require(["contact:user.base:readonly"]):
            told |= {"name": person.name, "en_name": "", "avatar": {"avatar_72": "https://example.invalid/a.png"}}
        if self._require(["contact:user.department:readonly"]):
            told["department_ids"] = person.departments or ["0"]
            told["orders"] = [
                {"department_id": one, "user_order": 0, "department_order": n, "is_primary_dept": one == person.primary}
                for n, one in enumerate(person.departments)
            ]
        return told

    def _department(self, branch: Branch) -> dict[str, Any]:
        told: dict[str, Any] = {"open_department_id": branch.id, "department_id": f"d{branch.id[3:]}"}
        if self._require(["contact:department.base:readonly"]):
            told["name"] = branch.name
        if self._require(["contact:department.organize:readonly"]):
            told["parent_department_id"] = branch.parent
        return told

    def _need(self, *scopes: str) -> None:
        if not self._require(scopes):
            raise missing(scopes)

    def _need_open_ids(self, call: Call) -> None:
        if call.query.get("user_id_type", "open_id") != "open_id":
            raise ApiError(40001, "param error")

    def _limit(self, asked: list[str]) -> None:
        if not 1 <= len(asked) <= 50:
            raise ApiError(99992402, "field validation failed")
        if any(not one.startswith(("ou_", "od-")) for one in asked):
            raise ApiError(99992351, f"not a valid id: {asked}")


def missing(scopes: Iterable[str]) -> ApiError:
    """99991672 as it is worded: the scopes of which one would do, twice, and where to add them."""
    named = list(scopes)
    listed = f"[{', '.join(named)}]"
    link = f"https://open.feishu.cn/app/cli_x/auth?q={','.join(named)}&op_from=openapi&token_type=tenant"
    text = f"Access denied. One of the following scopes is required: {listed}.应用尚未开通所需的应用身份权限：{listed}"
    return ApiError(99991672, f"{text}，点击链接申请并开通任一权限即可：{link}")
