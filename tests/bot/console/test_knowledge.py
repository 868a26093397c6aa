"""The knowledge page's API: what each person finds, what only admins and reviewers may do, and what is noted of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
from sqlalchemy import Connection

from bot import kb, kb_plan
from bot.kb import Outcome
from bot.kb_access import Access
from inference.grounding import parse
from storage import audit, documents, feedback, syncs, users
from storage.feedback import DOWN
from storage.records import Identity, Role, utcnow
from tests.asked import asked, shelved
from tests.bot.console.conftest import Join
from tests.bot.console.harness import CUTTING, Stage
from tests.inference.grounding.made import drawn, pdf, picture

DOCUMENTS = "/api/knowledge/documents"
ADMINS = frozenset({"role:admin"})
UNANSWERED = "/api/knowledge/unanswered"


async def cast(made: Stage, join: Join) -> dict[str, httpx.AsyncClient]:
    """An admin, a reviewer and somebody, signed in."""
    people = {role: await join(role) for role in ("admin", "reviewer", "user")}
    made.console.db.run_sync(lambda conn: users.set_role(conn, me(conn, "reviewer"), Role.REVIEWER))
    return people


def me(conn: Connection, name: str) -> int:
    found = users.of_identity(conn, Identity(platform="web", external_id=name))
    assert found is not None
    return found.id


def noted(made: Stage) -> list[tuple[str, str, str, dict[str, Any]]]:
    """What the audit log says, the oldest first."""
    found = made.console.db.read_sync(audit.entries)
    return [(one.actor, one.action, one.subject, one.detail) for one in reversed(found) if one.action.startswith("kb.")]


async def upload(client: httpx.AsyncClient, name: str, text: str | bytes, *readers: str) -> httpx.Response:
    data = text.encode() if isinstance(text, str) else text
    return await client.post(DOCUMENTS, params={"name": name, "readers": list(readers)}, content=data)


def readers(made: Stage, name: str) -> set[str]:
    held = made.console.db.read_sync(documents.holding, name)
    assert held is not None
    return set(held.principals)


async def test_everybody_finds_what_they_may_read_and_nothing_tells_of_the_rest(made: Stage, join: Join) -> None:
    await join("admin")
    client = await join("小墨")

    def work(conn: Connection) -> None:
        mine = me(conn, "小墨")
        shelved(conn, "手册.md", "年假每年五天，提前三天申请。")
        shelved(conn, "给我的.md", "年假另有五天。", readers=f"user:{mine}")
        shelved(conn, "薪酬.md", "年假工资按双倍。年假年假年假。", readers="dept:人事部")

    before = await client.post("/api/search", json={"question": "年假"})
    assert before.json() == {"passages": [], "answerable": False}
    made.console.db.run_sync(work)

    async def names(**body: Any) -> list[str]:
        answer = await client.post("/api/search", json={"question": "年假有几天", **body})
        assert answer.headers["cache-control"] == "no-store"
        return sorted(one["document"] for one in answer.json()["passages"])

    assert await names() == ["手册.md", "给我的.md"]
    assert await names(everyone=True) == ["手册.md"]
    assert len(await names(k=1)) == 1
    assert await names(question="  ") == []
    [best] = (await client.post("/api/search", json={"question": "提前三天申请", "k": 1})).json()["passages"]
    assert (best["document"], best["text"]) == ("手册.md", "年假每年五天，提前三天申请。")
    assert (await client.get(f"/passages/{best['passage']}")).status_code == 200
    for wrong in ({"k": 0}, {"k": 51}, {"question": "长" * 501}, {"as": "admin"}):
        content = {"question": "年假", **wrong}
        assert (await client.post("/api/search", json=content)).status_code == 422, wrong


#: What is asked for, and who may have it at least.
DOORS: list[tuple[str, str, Any, str]] = [
    ("POST", "/api/search", {"question": "年假"}, "user"),
    ("GET", UNANSWERED, None, "reviewer"),
    ("POST", UNANSWERED, {"jobs": [1]}, "reviewer"),
    ("GET", DOCUMENTS, None, "admin"),
    ("POST", f"{DOCUMENTS}?name=a.md", None, "admin"),
    ("PUT", f"{DOCUMENTS}/9/readers", {"readers": ["everyone"]}, "admin"),
    ("DELETE", f"{DOCUMENTS}/9", None, "admin"),
    ("GET", "/api/knowledge/sources", None, "admin"),
    ("GET", "/api/knowledge/readers", None, "admin"),
]


async def test_who_may_do_what(made: Stage, join: Join, visit: Any) -> None:
    people, order = await cast(made, join), ["user", "reviewer", "admin"]
    for method, path, body, least in DOORS:
        for role in order:
            status = (await people[role].request(method, path, json=body)).status_code
            assert (status == 403) is (order.index(role) < order.index(least)), (method, path, role, status)
            forged = await people[role].request(method, path, json=body, headers={"Origin": "http://evil.example"})
            assert (forged.status_code == 403) is (method != "GET" or status == 403), (method, path, role)
        assert (await visit().request(method, path, json=body)).status_code == 401, (method, path)
    assert (await visit().get("/knowledge")).status_code == 200, "the page itself holds nothing"


async def test_a_document_comes_in_is_listed_and_goes(made: Stage, join: Join) -> None:
    client = (await cast(made, join))["admin"]
    answer = await upload(client, "公司/手册.md", "# 年假\n\n每年五天。")
    assert answer.status_code == 201
    assert answer.json() == {
        "name": "手册.md", "status": "added", "passages": 1, "text": "已加入知识库：手册.md，共 1 段，现在就能问。",
    }  # fmt: skip
    assert (await upload(client, "手册.md", "# 年假\n\n每年五天。")).json()["status"] == "unchanged"
    assert (await upload(client, "手册.md", "# 年假\n\n每年六天。")).json()["status"] == "updated"
    listed = (await client.get(DOCUMENTS, params={"q": "手册"})).json()
    assert listed["count"] == 1
    [one] = listed["documents"]
    assert one["readers"] == [{"value": "everyone", "label": ""}]
    assert (one["title"], one["source"], one["passages"]) == ("年假", "", 1)
    assert (await client.get(DOCUMENTS, params={"q": "没有"})).json() == {"documents": [], "count": 0}
    for wrong in ({"q": "\0"}, {"source": "\0"}, {"q": "x" * 201}, {"offset": -1}):
        assert (await client.get(DOCUMENTS, params=wrong)).status_code == 422, wrong
    assert (await client.delete(f"{DOCUMENTS}/{one['id']}")).status_code == 204
    gone = await client.delete(f"{DOCUMENTS}/{one['id']}")
    assert (gone.status_code, gone.json()["error"]["code"]) == (404, "no_document")
    mine = f"user:{made.console.db.read_sync(me, 'admin')}"
    said = [(actor, action, subject, detail.get("status", "")) for actor, action, subject, detail in noted(made)]
    assert said == [
        (mine, "kb.add", "document:手册.md", "added"),
        (mine, "kb.add", "document:手册.md", "unchanged"),
        (mine, "kb.add", "document:手册.md", "updated"),
        (mine, "kb.remove", "document:手册.md", ""),
    ]


async def test_a_document_that_cannot_be_kept_is_named_with_the_reason(made: Stage, join: Join) -> None:
    client = await join("admin")
    made.console.db.run_sync(lambda conn: shelved(conn, "制度.md", "旧的", source="folder") and None)
    for name, data, code in (
        ("tool.exe", b"MZ\x00\x01", "document_unsupported"),
        ("bad.pdf", b"%PDF-1.7 cut off", "document_unreadable"),
        ("空.txt", b"  \n ", "document_no_text"),
        ("制度.md", "新的".encode(), "document_synced"),
    ):
        answer = await upload(client, name, data)
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, code)
        assert name in answer.json()["error"]["text"]
    assert made.console.db.read_sync(documents.stats).documents == 1
    assert noted(made) == []


async def test_pages_that_could_not_be_read_are_named(made: Stage, join: Join) -> None:
    client = await join("admin")
    scanned = pdf(drawn(["每位员工每年可享受十天带薪年休假，当年有效。"] * 6), picture(), picture())
    answer = await upload(client, "手册.pdf", scanned)
    assert answer.status_code == 201
    assert answer.json()["text"].endswith("做文字识别（OCR）再发一次即可补上。")
    assert "第 2–3 页" in answer.json()["text"]
    held = made.console.db.read_sync(documents.holding, "手册.pdf")
    assert held is not None
    assert held.recipe == kb.recipe(CUTTING)


async def test_what_is_too_large_is_refused_before_it_is_read(made: Stage, join: Join) -> None:
    client = await join("admin")
    for method, path, limit in (("POST", DOCUMENTS, parse.MAX_BYTES), ("PUT", f"{DOCUMENTS}/1/readers", 256 * 1024)):
        request = client.build_request(method, path, params={"name": "a.md"}, content=b"")
        request.headers["Content-Length"] = str(limit + 1)
        assert (await client.send(request)).status_code == 413, path


async def test_a_new_version_keeps_its_readers_unless_others_are_chosen(made: Stage, join: Join) -> None:
    """Nobody opens the pay scale to everybody by bringing it up to date."""
    client = await join("admin")
    assert (await upload(client, "薪酬.md", "P5 一万", "dept:人事部", "dept:财务部")).status_code == 201
    assert (await upload(client, "薪酬.md", "P5 两万")).json()["status"] == "updated"
    assert readers(made, "薪酬.md") == {"dept:人事部", "dept:财务部"}
    assert (await upload(client, "薪酬.md", "P5 两万", "dept:人事部")).json()["status"] == "unchanged"
    assert readers(made, "薪酬.md") == {"dept:人事部"}
    assert (await upload(client, "薪酬.md", "P5 三万", "everyone")).json()["status"] == "updated"
    assert readers(made, "薪酬.md") == {"everyone"}
    assert [detail["readers"] for *_, detail in noted(made)][-1] == ["everyone"]
    for wrong in (["dept:"], ["everyone", "dept:人事部"], ["人事部"], ["user:x"], ["dept:a"] * 51, ["dept:a\0b"]):
        assert (await upload(client, "薪酬.md", "P5", *wrong)).status_code == 422, wrong


async def test_what_the_settings_say_of_readers_counts_here_too(made: Stage, join: Join) -> None:
    client, admins, hr = await join("admin"), frozenset({"role:admin"}), frozenset({"dept:人事部"})
    await upload(client, "旧的.md", "以前所有人都能看")
    made.script.access = Access(default=admins, rules=(("薪酬*", hr),))
    assert (await client.get("/api/knowledge/readers")).json()["default"] == ["role:admin"]
    await upload(client, "新的.md", "没有说给谁看")
    await upload(client, "薪酬.md", "P5", "everyone")
    await upload(client, "旧的.md", "改过的")
    await upload(client, "给财务.md", "账", "dept:财务部")
    assert {name: readers(made, name) for name in ("新的.md", "薪酬.md", "旧的.md", "给财务.md")} == {
        "新的.md": admins, "薪酬.md": hr, "旧的.md": admins, "给财务.md": {"dept:财务部"},
    }  # fmt: skip
    assert noted(made)[-1][3]["readers"] == ["dept:财务部"]
    ids = {one["name"]: one["id"] for one in (await client.get(DOCUMENTS)).json()["documents"]}
    for name, wanted, status in (
        ("薪酬.md", "dept:财务部", 409),  # a rule says otherwise, and would say so again
        ("新的.md", "everyone", 409),  # so does the default
        ("新的.md", "dept:财务部", 200),
    ):
        answer = await client.put(f"{DOCUMENTS}/{ids[name]}/readers", json={"readers": [wanted]})
        assert answer.status_code == status, name
    assert readers(made, "薪酬.md") == hr


async def test_readers_are_changed_where_no_source_keeps_the_document(made: Stage, join: Join) -> None:
    client = await join("admin")

    def work(conn: Connection) -> tuple[int, int]:
        lin = users.resolve(conn, Identity(platform="feishu", external_id="ou_1"), "林晓", utcnow())
        users.set_department(conn, lin.id, "人事部")
        return shelved(conn, "薪酬.md", "P5"), shelved(conn, "制度.md", "旧的", source="folder")

    mine, kept = made.console.db.run_sync(work)
    answer = await client.put(f"{DOCUMENTS}/{mine}/readers", json={"readers": ["user:feishu:ou_1", "dept:人事部"]})
    assert answer.json()["readers"] == [
        {"value": "dept:人事部", "label": "人事部"},
        {"value": "user:feishu:ou_1", "label": "林晓"},
    ]
    assert readers(made, "薪酬.md") == {"dept:人事部", "user:feishu:ou_1"}
    assert noted(made)[-1][3] == {"before": ["everyone"], "readers": ["dept:人事部", "user:feishu:ou_1"]}
    again = await client.put(f"{DOCUMENTS}/{mine}/readers", json={"readers": ["user:feishu:ou_1", "dept:人事部"]})
    assert again.status_code == 200
    assert len(noted(made)) == 1, "nothing changed"
    for number, body, status, code in (
        (kept, ["everyone"], 409, "synced_document"),
        (99, ["everyone"], 404, "no_document"),
        (mine, ["无名"], 422, "readers"),
        (mine, [], 422, "invalid"),
    ):
        answer = await client.put(f"{DOCUMENTS}/{number}/readers", json={"readers": body})
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    answer = await client.delete(f"{DOCUMENTS}/{kept}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "synced_document")
    known = (await client.get("/api/knowledge/readers")).json()["readers"]
    assert {"value": "user:feishu:ou_1", "label": "林晓"} in known
    assert {"value": "dept:人事部", "label": "人事部"} in known


async def test_sources_say_what_they_hold_and_how_they_were_read(made: Stage, join: Join) -> None:
    client = await join("admin")

    def work(conn: Connection) -> None:
        shelved(conn, "手册.md", "一", "二")
        shelved(conn, "制度.md", "三", source="folder")
        tally = kb_plan.tally("folder", 2, [Outcome(name="坏.pdf", status="failed", problem="no text")], utcnow())
        syncs.note(conn, "folder", tally.to_json(), tally.at)
        syncs.claim(conn, "feishu_wiki:feishu:703", "me/1", utcnow(), utcnow() + timedelta(hours=1))

    made.console.db.run_sync(work)
    told = (await client.get("/api/knowledge/sources")).json()
    assert (told["documents"], told["passages"], told["given"]) == (2, 3, 1)
    wiki, folder = told["sources"]
    assert (wiki["source"], wiki["reading"], wiki["at"], wiki["documents"]) == ("feishu_wiki:feishu:703", True, None, 0)
    assert (folder["documents"], folder["reading"], folder["why"]) == (1, False, [["坏.pdf", "no text"]])
    assert (folder["counts"]["seen"], folder["counts"]["failed"]) == (2, 1)


async def test_unanswered_questions_are_listed_by_what_each_may_know_and_marked_as_done(
    made: Stage, join: Join
) -> None:
    people = await cast(made, join)

    def work(conn: Connection) -> tuple[int, int]:
        mine, secret = me(conn, "user"), shelved(conn, "薪酬.md", "P5 两万", readers="dept:人事部")
        first = asked(conn, mine, "可以带狗吗", offered={}, at=utcnow())
        pay = asked(conn, mine, "P5 多少", "P5 两万", grounded=True, offered={"薪酬.md": secret}, at=utcnow())
        feedback.say(conn, pay, mine, DOWN, utcnow(), ["wrong"], "旧了")
        return first, pay

    dog, pay = made.console.db.run_sync(work)

    async def listed(role: str) -> list[dict[str, Any]]:
        return list((await people[role].get(UNANSWERED)).json()["questions"])

    for role, askers in (("admin", ["user"]), ("reviewer", [])):
        found = await listed(role)
        assert [one["question"] for one in found] == ["P5 多少", "可以带狗吗"]
        assert [one["askers"] for one in found] == [askers, askers]
        assert (found[0]["hidden"], found[0]["answer"], found[0]["documents"]) == (True, "", [])
        assert "两万" not in str(found)
        assert (found[0]["said"], found[0]["reasons"]) == (["旧了"], {"wrong": 1})
    settled = await people["reviewer"].post(UNANSWERED, json={"jobs": [dog]})
    assert settled.json() == {"changed": 1}
    assert [one["jobs"] for one in await listed("admin")] == [[pay]]
    assert (await people["admin"].post(UNANSWERED, json={"jobs": [dog], "done": False})).json() == {"changed": 1}
    assert len(await listed("reviewer")) == 2
    assert [(action, subject) for _, action, subject, _ in noted(made)] == [
        ("kb.settle", f"job:{dog}"),
        ("kb.reopen", f"job:{dog}"),
    ]
    refused: tuple[dict[str, Any], ...] = ({"jobs": []}, {"jobs": [0]}, {"jobs": ["1"]}, {"jobs": [dog], "note": "x"})
    for wrong in refused:
        assert (await people["admin"].post(UNANSWERED, json=wrong)).status_code == 422, wrong


async def test_a_press_that_asks_back_brings_its_form(made: Stage, join: Join) -> None:
    client = await join("小墨")
    body = {"id": "0123456789abcdef", "value": {"job": 1}, "action": "vote_down"}
    assert "form" not in (await client.post("/api/actions", json=body)).json()
    made.script.asks = True
    form = (await client.post("/api/actions", json={**body, "id": "0123456789abcdeg"})).json()["form"]
    assert form["action"] == "why_form"
    assert [one["value"] for one in form["choices"]] == [{"job": 1, "reason": number} for number in (1, 2, 3, 4)]
