"""WeCom's directory as its app may see it: people, departments, log-in codes, ids of robots, and the app itself."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from tests.simulators.feishu_http import Call
from tests.simulators.wecom_http import Handles, body_of
from tests.simulators.wecom_world import Member, Refused, World


@dataclass
class Code:
    """A log-in code, for five minutes and once."""

    userid: str  # of a member; empty: somebody outside
    until: float


class Directory:
    """Answers user/, department/, auth/, agent/ and the like."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.codes: dict[str, Code] = {}
        self.callback_ips = ["101.226.103.*", "101.89.19.0/24"]
        self.calls: dict[tuple[str, str], Handles] = {
            ("GET", "user/get"): self._user,
            ("GET", "department/list"): self._departments,
            ("GET", "department/simplelist"): self._departments,
            ("GET", "department/get"): self._department,
            ("GET", "auth/getuserinfo"): self._logged_in,
            ("POST", "batch/openuserid_to_userid"): self._converted,
            ("GET", "getcallbackip"): lambda call: {"ip_list": self.callback_ips},
            ("GET", "get_api_domain_ip"): lambda call: {"ip_list": ["182.254.11.176"]},
            ("GET", "agent/get"): self._agent,
        }

    def _seen(self, userid: str) -> Member:
        member = self._world.find(userid)
        if member is None:
            raise Refused(60111, "userid not found")
        if not member.visible:
            raise Refused(60011, "no privilege to access/modify contact/party/agent")
        return member

    def _user(self, call: Call) -> dict[str, Any]:
        member = self._seen(call.query.get("userid", ""))
        return {
            "userid": member.userid,
            "name": member.name,
            "department": member.departments,
            "order": [0] * len(member.departments),
            "position": member.position,
            "is_leader_in_dept": [0] * len(member.departments),
            "direct_leader": [],
            "main_department": member.departments[0] if member.departments else 1,
            "status": 1,
            "isleader": 0,
            "enable": 1,
            "alias": "",
        }

    def _departments(self, call: Call) -> dict[str, Any]:
        simple = call.path.endswith("simplelist")
        root = int(call.query.get("id") or 1)
        if root not in self._world.departments:
            raise Refused(60123, "invalid party id")
        below, before = {root}, 0
        while len(below) != before:
            before = len(below)
            below |= {d.id for d in self._world.departments.values() if d.parent in below}
        found = [self._department_of(d, simple=simple) for d in sorted(below)]
        return {"department_id" if simple else "department": found}

    def _department(self, call: Call) -> dict[str, Any]:
        number = int(call.query.get("id") or 0)
        if number not in self._world.departments:
            raise Refused(60123, "invalid party id")
        return {"department": self._department_of(number)}

    def _department_of(self, number: int, *, simple: bool = False) -> dict[str, Any]:
        found = self._world.departments[number]
        plain = {"id": found.id, "parentid": found.parent, "order": 100000000}
        return plain if simple else plain | {"name": found.name, "name_en": "", "department_leader": []}

    def login(self, user: str) -> str:
        """The code with which the log-in page sends somebody back; empty user: somebody outside the company."""
        code = secrets.token_urlsafe(32)
        userid = self._world.member(user).userid if user else ""
        self.codes[code] = Code(userid=userid, until=self._world.now() + 300)
        return code

    def _logged_in(self, call: Call) -> dict[str, Any]:
        with self._world.lock:
            code = self.codes.pop(call.query.get("code", ""), None)
        if code is None or code.until < self._world.now():
            raise Refused(40029, "invalid code")
        if not code.userid:
            return {"openid": f"o{secrets.token_hex(14)}", "external_userid": f"wm{secrets.token_hex(14)}"}
        if not self._world.member(code.userid).visible:
            raise Refused(50002, "user is not in the scope of the app")
        return {"userid": code.userid, "user_ticket": secrets.token_hex(16)}

    def _converted(self, call: Call) -> dict[str, Any]:
        asked = body_of(call).get("open_userid_list")
        if not isinstance(asked, list) or not 1 <= len(asked) <= 1000:
            raise Refused(40058, "invalid Request Parameter: open_userid_list")
        known = {
            r.id_of(m.userid): m.userid for r in self._world.robots for m in self._world.members.values() if r.encrypts
        }
        good = [{"open_userid": raw, "userid": known[raw]} for raw in asked if raw in known]
        return {"userid_list": good, "invalid_open_userid_list": [raw for raw in asked if raw not in known]}

    def _agent(self, call: Call) -> dict[str, Any]:
        app = self._world.app
        if call.query.get("agentid") != str(app.agent_id):
            raise Refused(301002, "not allow operate another agent with this accesstoken")
        visible = [{"userid": member.userid} for member in self._world.members.values() if member.visible]
        return {
            "agentid": app.agent_id,
            "name": app.name,
            "square_logo_url": "https://wework.qpic.cn/logo/0",
            "description": "",
            "allow_userinfos": {"user": visible},
            "allow_partys": {"partyid": []},
            "allow_tags": {"tagid": []},
            "close": 0,
            "redirect_domain": app.domain,
            "report_location_flag": 0,
            "isreportenter": 1,
            "home_url": "",
            "customized_publish_status": 0,
        }
