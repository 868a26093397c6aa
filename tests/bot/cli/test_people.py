"""Quotas, roles, tokens, the audit log and jobs, from the command line."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Connection

from bot.cli.common import Exit
from bot.cli.report import span
from scheduler import quota
from storage import feedback, jobs, profiles, tokens, users
from storage.records import Department, Identity, JobState, Profile, Role, utcnow
from tests.bot.cli.installation import Installation

ALICE = Identity(platform="web", external_id="alice")


@pytest.mark.parametrize(
    ("amount", "unit", "wanted"),
    [
        (["5/day"], "draw", (5, "day", 5)),
        (["ask", "50/day"], "ask", (50, "day", 50)),
        (["ask 20/week"], "ask", (20, "week", 20)),
        (["0/month"], "draw", (0, "month", 0)),
    ],
)
def test_quota_set_makes_the_person_known(
    moqi: Installation, amount: list[str], unit: str, wanted: tuple[int, str, int]
) -> None:
    ran = moqi("quota", "set", "feishu:ou_123", *amount, "--json")
    assert ran.code == Exit.DONE, ran.err
    shown = {one["unit"]: one for one in moqi("quota", "show", "feishu:ou_123", "--json").json["units"]}
    assert (shown[unit]["amount"], shown[unit]["period"], shown[unit]["left"]) == wanted
    assert (shown[unit]["own"], ran.json["units"]) == (True, [shown[unit]])


def test_quota_grant_adds_up_and_does_not_touch_the_quota(moqi: Installation) -> None:
    moqi("quota", "grant", "web:alice", "3")
    moqi("quota", "grant", "alice", "4")
    assert moqi("quota", "grant", "web:alice", "ask", "20", "--json").json["units"][0]["extra"] == 20
    draw, ask = moqi("quota", "show", "web:alice", "--json").json["units"]
    assert (draw["extra"], draw["own"], ask["extra"]) == (7, False, 20)
    assert moqi("verify").code == Exit.DONE


def test_quota_day_week_and_month_count_side_by_side_and_can_be_taken_back(moqi: Installation) -> None:
    def rates(*words: str) -> list[tuple[int, str, bool]]:
        units = moqi("quota", *words, "--json").json["units"]
        return [(one["amount"], one["period"], one["own"]) for one in units if one["unit"] == "draw"]

    moqi("quota", "set", "web:alice", "90/month")
    assert rates("set", "web:alice", "5/day") == [(5, "day", True), (90, "month", True)]
    assert rates("set", "web:alice", "7/day") == [(7, "day", True), (90, "month", True)]
    assert rates("set", "web:alice", "none/day") == [(90, "month", True)]
    assert rates("set", "web:alice", "default") == rates("show", "web:alice") == [(50, "day", False)]
    assert moqi("audit", "list", "--json").json[0]["action"] == "quota.clear"


@pytest.mark.parametrize("who", ["dept:设计部", "group:feishu:oc_1"])
def test_quota_of_a_department_or_a_group(moqi: Installation, who: str) -> None:
    assert "is not limited" in moqi("quota", "show", who).out
    moqi("quota", "set", who, "1000/month")
    ran = moqi("quota", "grant", who, "20", "until", "2199-12-31", "--json")
    (draw,) = ran.json["units"]
    assert (draw["subject"], draw["left"], draw["granted"]) == (who, 1000, [{"left": 20, "until": "2199-12-31"}])
    assert "20 until 2199-12-31" in moqi("quota", "show", who).out
    moqi("quota", "set", who, "default")
    assert moqi("quota", "show", who, "--json").json["units"] == []
    assert {one["subject"] for one in moqi("audit", "list", "--json").json} == {who}
    assert moqi("verify").code == Exit.DONE


def test_quota_of_everybody(moqi: Installation) -> None:
    moqi("quota", "set", "web:bob", "9/day")
    assert moqi("quota", "set", "default", "70/week").out.splitlines()[-1] == "draw\t70/week\tdefault\t\t\t"
    found = [moqi("quota", "show", *who, "--json").json["units"][0]["amount"] for who in (["web:bob"], [])]
    assert found == [9, 70]
    moqi("quota", "set", "default", "default")
    assert moqi("quota", "show", "default", "--json").json["units"][0]["amount"] == 50


def test_a_person_of_a_department_sees_its_quota_too(moqi: Installation) -> None:
    assert moqi("dept", "set", "web:alice", " 设计部 ").out == "alice belongs to 设计部\n"
    moqi("dept", "set", "web:bob", "设计部")
    assert moqi("dept", "list", "--json").json == [{"department": "设计部", "people": 2}]
    moqi("quota", "set", "dept:设计部", "1/day")
    assert "draw\t1/day\tdept:设计部\t1\t0" in moqi("quota", "show", "web:alice").out
    moqi("dept", "set", "web:alice", "")
    assert "dept:" not in moqi("quota", "show", "web:alice").out
    assert moqi("audit", "list", "--action", "dept.set", "--json").json[0]["detail"] == {"department": ""}


def test_a_department_is_given_back_to_the_platform(moqi: Installation) -> None:
    who = Identity(platform="feishu", external_id="ou_1")
    told = Profile(
        identity=who, name="王小墨", departments=(Department(id="od-1", name="设计部"),), fetched_at=utcnow()
    )
    moqi("dept", "set", "feishu:ou_1", "外包")
    with moqi.database() as db:
        db.run_sync(profiles.keep, [told])
    assert moqi("dept", "list", "--json").json == [{"department": "外包", "people": 1}]
    assert moqi("dept", "set", "feishu:ou_1", "--auto").out == "王小墨 belongs to 设计部\n"
    assert moqi("dept", "set", "feishu:ou_1").code == Exit.USAGE
    assert moqi("dept", "set", "feishu:ou_1", "外包", "--auto").code == Exit.USAGE


def test_quota_show_without_a_name_is_the_one_of_the_terminal(moqi: Installation) -> None:
    ran = moqi("quota", "show")
    assert ran.out.splitlines()[0] == "olga"
    assert "draw\t50/day\tdefault\t50\t0" in ran.out


def test_role_set(moqi: Installation) -> None:
    assert moqi("role", "set", "web:alice", "admin").out == "alice is admin now\n"
    assert moqi("role", "set", "Alice", "reviewer").out == "alice is reviewer now\n"
    with moqi.database() as db:
        person = db.read_sync(users.of_identity, ALICE)
    assert person is not None
    assert person.role is Role.REVIEWER


def test_a_web_name_is_the_one_that_signs_in(moqi: Installation) -> None:
    moqi("role", "set", "web:Ａｌｉｃｅ ", "admin")
    with moqi.database() as db:
        assert db.read_sync(users.of_identity, Identity(platform="web", external_id="Alice")) is not None


def test_a_wecom_userid_is_read_in_whatever_case(moqi: Installation) -> None:
    assert moqi("role", "set", "wecom:ZhangSan", "admin").out == "zhangsan is admin now\n"
    assert moqi("role", "set", "WeCom:ZHANGSAN", "reviewer").code == Exit.DONE
    moqi("quota", "set", "wecom:zhangSan", "5/day")
    with moqi.database() as db:
        person = db.read_sync(users.of_identity, Identity(platform="wecom", external_id="zhangsan"))
        assert person is not None
        assert person.role is Role.REVIEWER
        assert db.read_sync(users.find, "@wecom:ZhangSan") == [person]
        assert db.read_sync(users.find, "feishu:OU_1") == []
    assert moqi("quota", "show", "wecom:ZHANGsan", "--json").json["units"][0]["own"] is True


def test_a_name_of_two_people_is_asked_back(moqi: Installation) -> None:
    with moqi.database() as db:
        for platform in ("web", "feishu"):
            db.run_sync(users.resolve, Identity(platform=platform, external_id=f"{platform}1"), "王芳", utcnow())
    ran = moqi("role", "set", "王芳", "admin")
    assert ran.code == Exit.USAGE
    assert "web:web1, feishu:feishu1" in ran.err


def test_token_is_shown_once_works_and_can_be_revoked(moqi: Installation) -> None:
    made = moqi("token", "create", "web:alice", "--note", "nightly report")
    secret = made.out.strip()
    assert secret.startswith("moqi_")
    assert secret not in made.err
    with moqi.database() as db:
        person = db.read_sync(tokens.lookup, secret, utcnow(), "api")
    assert person is not None
    assert person.name == "alice"
    listed = moqi("token", "list", "--json").json
    assert [(one["token"], one["who"], one["note"], one["revoked_at"]) for one in listed] == [
        (1, "alice", "nightly report", None)
    ]
    assert secret not in moqi("token", "list").out + moqi("audit", "list").out
    assert moqi("token", "revoke", "1").code == Exit.DONE
    assert moqi("token", "revoke", "1").code == Exit.USAGE
    with moqi.database() as db:
        assert db.read_sync(tokens.lookup, secret, utcnow(), "api") is None


@pytest.mark.parametrize(
    ("options", "lasts"),
    [(["--purpose", "login"], True), ([], False), (["--days", "3"], True), (["--days", "0"], False)],
)
def test_a_login_token_ends_by_itself_an_api_token_does_not(
    moqi: Installation, options: list[str], lasts: bool
) -> None:
    made = moqi("token", "create", "web:alice", *options, "--json").json
    assert (made["expires_at"] is not None) == lasts
    assert made["secret"].startswith("moqi_")


def test_login_in_the_help(moqi: Installation) -> None:
    shown = " ".join(moqi("token", "create", "--help").out.split())
    assert "lets somebody back into the web chat under their name" in shown


def test_every_act_is_in_the_audit_log_sealed_with_its_actor(moqi: Installation) -> None:
    moqi("role", "set", "web:alice", "admin")
    moqi("quota", "set", "web:alice", "5/day")
    moqi("quota", "grant", "web:alice", "3")
    moqi("token", "create", "web:alice")
    moqi("token", "revoke", "1")
    found = moqi("audit", "list", "--json").json
    actions = ["token.revoke", "token.create", "quota.grant", "quota.set", "role.set"]
    assert [one["action"] for one in found] == actions
    assert {(one["actor"], one["seq"] is None) for one in found} == {("cli:olga", False)}
    only = moqi("audit", "list", "--action", "role.set", "--actor", "cli:olga", "-n", "9", "--json").json
    assert [one["detail"] for one in only] == [{"role": "admin"}]


def test_audit_verify_finds_what_was_changed(moqi: Installation) -> None:
    moqi("role", "set", "web:alice", "admin")
    head = moqi("audit", "verify", "--json").json["head"]
    moqi("role", "set", "web:alice", "user")
    known = moqi("audit", "verify", "--head", f"{head['seq']}:{head['hash']}", "--json")
    assert (known.code, known.json["ok"], known.json["broken"]) == (Exit.DONE, True, [])
    strange = moqi("audit", "verify", "--head", f"1:{'0' * 64}")
    assert strange.code == Exit.BROKEN
    assert "written anew" in strange.out
    with moqi.database() as db:
        db.run_sync(_tamper)
    ran = moqi("audit", "verify", "--json")
    assert (ran.code, ran.json["ok"]) == (Exit.BROKEN, False)
    assert "was changed" in ran.json["broken"][0]


def _tamper(conn: Connection) -> None:
    """Change a sealed entry, around the triggers that forbid it."""
    found = conn.exec_driver_sql("select name from sqlite_master where type = 'trigger' and name like 'audit_%'")
    for name in found.scalars().all():
        conn.exec_driver_sql(f"drop trigger {name}")
    conn.exec_driver_sql("update audit set actor = 'nobody' where id = 1")


# --- a month ----------------------------------------------------------------------------------------------------


def test_quota_report_by_department_and_person(moqi: Installation, tmp_path: Path) -> None:
    for name, ends in (("alice", ("done", "done", "failed")), ("bob", ("done", ""))):
        for end in ends:
            moqi.order(name=name, end=end)
    lost = moqi.order(name="=cmd()", end="done")
    with moqi.database() as db:
        db.run_sync(quota.give_back, lost, utcnow(), "the chat is gone")
    moqi("dept", "set", "web:alice", "设计部")
    ran = moqi("quota", "report", "--json")
    counted = ("pictures", "picture_units", "answers", "answer_units", "failed", "returned")
    found = {one["name"]: tuple(one[n] for n in counted) for d in ran.json["departments"] for one in d["people"]}
    assert found == {"alice": (2, 2, 0, 0, 1, 0), "bob": (1, 1, 0, 0, 0, 0), "=cmd()": (0, 0, 0, 0, 0, 1)}
    assert [(d["department"], d["pictures"]) for d in ran.json["departments"]] == [("", 1), ("设计部", 2)]
    month = ran.json["month"]
    lines = moqi("quota", "report", "--month", month, "--csv", "-").out.splitlines()
    assert lines[0] == "month,department,person,user,pictures,picture_units,answers,answer_units,failed,returned"
    assert f"{month},设计部,alice,1,2,2,0,0,1,0" in lines
    assert f"{month},,'=cmd(),3,0,0,0,0,0,1" in lines, "a name is text, not a formula"
    moqi("quota", "report", "--csv", tmp_path / "report.csv")
    assert (tmp_path / "report.csv").read_text(encoding="utf-8-sig").splitlines() == lines
    assert "设计部\t(all)\t2\t2" in moqi("quota", "report").out


@pytest.mark.parametrize(
    ("month", "zone", "since", "until"),
    [
        ("2026-11", "Asia/Shanghai", "2026-10-31T16:00:00+00:00", "2026-11-30T16:00:00+00:00"),
        ("2026-12", "UTC", "2026-12-01T00:00:00+00:00", "2027-01-01T00:00:00+00:00"),
        ("2026-03", "America/New_York", "2026-03-01T05:00:00+00:00", "2026-04-01T04:00:00+00:00"),
    ],
)
def test_a_month_is_the_teams(month: str, zone: str, since: str, until: str) -> None:
    assert span(month, ZoneInfo(zone)) == (datetime.fromisoformat(since), datetime.fromisoformat(until))


def test_a_month_without_work(moqi: Installation) -> None:
    moqi.order(end="done")
    assert moqi("quota", "report", "--month", "2020-01").out == "2020-01\nnothing was drawn or answered in this month\n"
    assert moqi("quota", "report", "--month", "2020-01", "--json").json == {"month": "2020-01", "departments": []}


# --- jobs -------------------------------------------------------------------------------------------------------


def test_jobs_list_by_state_and_person(moqi: Installation) -> None:
    failed = moqi.order(end="failed")
    mine, other = moqi.order(), moqi.order(name="bob")
    assert [one["job"] for one in moqi("jobs", "list", "--json").json] == [other, mine, failed]
    assert [one["job"] for one in moqi("jobs", "list", "--state", "failed", "--json").json] == [failed]
    assert [one["job"] for one in moqi("jobs", "list", "--who", "web:bob", "--json").json] == [other]
    assert len(moqi("jobs", "list", "-n", "1", "--json").json) == 1
    assert f"{mine}\tdraw\tqueued\talice" in moqi("jobs", "list").out


def test_jobs_show_says_what_people_think_and_why(moqi: Installation) -> None:
    job = moqi.order(end="done")
    assert moqi("jobs", "show", str(job), "--json").json["votes"] is None
    with moqi.database() as db:
        for name, value, reasons, said in [("a", 1, [], ""), ("b", -1, ["wrong"], "差"), ("c", -1, ["wrong"], "")]:
            user = db.run_sync(users.resolve, Identity(platform="wecom", external_id=name), name, utcnow())
            db.run_sync(feedback.say, job, user.id, value, utcnow(), reasons, said)
    votes = moqi("jobs", "show", str(job), "--json").json["votes"]
    assert votes == {"up": 1, "down": 2, "reasons": {"内容有错误": 2}, "said": ["差"]}


def test_jobs_show_says_what_went_wrong_and_where_one_stands(moqi: Installation) -> None:
    failed, waiting = moqi.order(end="failed"), moqi.order()
    shown = moqi("jobs", "show", str(failed), "--json").json
    assert (shown["error"], shown["cause"], shown["who"]) == ("not_finite", "NaN in step 3", "alice")
    assert [(one["kind"], one["amount"]) for one in shown["ledger"]] == [("hold", -1), ("refund", 1)]
    assert moqi("jobs", "show", str(waiting), "--json").json["place"] == 1
    assert "NaN in step 3" in moqi("jobs", "show", str(failed)).out


def test_jobs_cancel_gives_the_units_back(moqi: Installation) -> None:
    job = moqi.order()
    assert moqi("jobs", "cancel", str(job)).out == f"job {job}: cancelled\n"
    assert moqi("quota", "show", "web:alice", "--json").json["units"][0]["left"] == 50
    again = moqi("jobs", "cancel", str(job))
    assert again.code == Exit.REFUSED
    assert "over already (cancelled)" in again.err
    assert moqi("verify").code == Exit.DONE
    assert moqi("audit", "list", "--subject", f"job:{job}", "--json").json[0]["actor"] == "cli:olga"


@pytest.mark.parametrize("end", [lambda moqi, job: moqi("jobs", "cancel", str(job)), None], ids=["cancelled", "failed"])
def test_jobs_retry_orders_again_for_the_owner(
    moqi: Installation, end: Callable[[Installation, int], object] | None
) -> None:
    job = moqi.order(end="" if end else "failed")
    if end:
        end(moqi, job)
    fresh = moqi("jobs", "retry", str(job), "--json").json["job"]
    with moqi.database() as db:
        old, new = db.read_sync(jobs.get, job), db.read_sync(jobs.get, fresh)
    assert old is not None
    assert new is not None
    assert (new.state, new.parent_id, new.user_id, new.params) == (JobState.QUEUED, job, old.user_id, old.params)
    assert moqi("quota", "show", "web:alice", "--json").json["units"][0]["left"] == 49
    assert moqi("verify").code == Exit.DONE


def test_jobs_retry_refuses_what_is_not_over_or_not_affordable(moqi: Installation) -> None:
    failed, waiting = moqi.order(end="failed"), moqi.order()
    ran = moqi("jobs", "retry", str(waiting))
    assert (ran.code, "is queued" in ran.err) == (Exit.REFUSED, True)
    moqi("quota", "set", "web:alice", "0/day")
    ran = moqi("jobs", "retry", str(failed))
    assert ran.code == Exit.REFUSED
    assert ran.err.strip()
    assert len(moqi("jobs", "list", "--json").json) == 2
