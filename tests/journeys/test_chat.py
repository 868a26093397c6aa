"""The web chat from the order to the picture and the answer, and everything a person may get wrong on the way."""

from __future__ import annotations

import io
import itertools
import json
import re
import signal
import uuid
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from PIL import Image

from tests.journeys.moqi import Moqi, News, Person, paused, until

LONG = "/draw 慢慢画 --size 512x512 --steps 50"  # seconds on one core: long enough to be stopped on the way


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moqi]:
    """One server for all journeys of this page, each with people of its own; whatever they did, the sums are right."""
    house = Moqi(tmp_path_factory.mktemp("chat"))
    house.start()
    house.ready()
    Person(house, "管理员").drawn("/draw 第一张 --size 64x64")  # from here on there is a measured time to tell
    yield house
    assert house.stop() == 0
    house.verify()


@pytest.fixture(scope="module")
def admin(house: Moqi) -> Person:
    """The first to come, who is one."""
    assert house.people[0].role == "admin"
    return house.people[0]


@pytest.fixture
def person(house: Moqi, admin: Person) -> Callable[[], Person]:
    """Somebody new."""
    return lambda: Person(house, f"客人{next(NUMBERS)}")


NUMBERS = itertools.count(1)
Guest = Callable[[], Person]


def pixels(png: bytes) -> bytes:
    return Image.open(io.BytesIO(png)).convert("RGB").tobytes()


def fields(card: dict[str, Any]) -> dict[str, str]:
    return dict(card["fields"])


def cards(seen: list[News], job: int) -> list[dict[str, Any]]:
    """The states of a job's card, as an open page got them."""
    return [data["body"] for event, data in seen if event == "message" and data["body"].get("job") == job]


def steps(seen: list[News], job: int) -> list[int]:
    return [d["done"] for e, d in seen if e == "progress" and d["job"] == job and d["state"] == "running"]


# --- pictures ---------------------------------------------------------------------------------------------------


def test_a_picture_from_the_order_to_the_wall(admin: Person, person: Guest) -> None:
    anna = person()
    with anna.watching() as seen:
        with paused(admin):
            card = anna.told("/draw 一只戴红围巾的熊猫 --size 256x256 --seed 7")
            assert card["title"] == "排队中 · 第 1 位 · 管理员已暂停，恢复后继续"
            assert [button["label"] for button in card["buttons"]] == ["取消"]
        done = anna.finished(card["job"])
        until(lambda: any(body["state"] == "done" for body in cards(seen, done["job"])), "the page to hear of it")
    assert [body["state"] for body in cards(seen, done["job"])] == ["queued", "done"]
    assert steps(seen, done["job"]) == sorted(steps(seen, done["job"]))
    assert {1, 4, 8} <= set(steps(seen, done["job"]))
    assert done["title"] == "画好了"
    assert fields(done) == fields(done) | {"种子": "7", "尺寸": "256x256", "步数": "8", "模型": "builtin"}
    assert re.fullmatch(r"[\d.]+ 秒", fields(done)["用时"])
    assert [button["label"] for button in done["buttons"]] == ["重画", "换种子", "变体", "放大", "👍", "👎"]
    assert "内容由 AI 生成" in done["note"]
    assert "内置练习模型" in done["note"]
    assert Image.open(io.BytesIO(anna.picture(done))).size == (256, 256)
    assert len(anna.replies()) == 1


def test_the_same_seed_draws_the_same_and_another_seed_another(person: Guest) -> None:
    anna = person()
    first, second = (anna.drawn("/draw 海边的灯塔 --size 64x64 --seed 7") for _ in range(2))
    assert pixels(anna.picture(first)) == pixels(anna.picture(second))
    toast = anna.press("redo", first["job"])
    assert toast["kind"] == "success"
    again = anna.finished(int(re.search(r"#(\d+)", toast["text"])[1]))  # type: ignore[index]
    assert fields(again)["种子"] == "7"
    assert pixels(anna.picture(again)) == pixels(anna.picture(first))

    def pressed() -> dict[str, str] | None:  # two presses in quick succession count as one: a slip of the finger
        toast = anna.press("reseed", first["job"])
        return toast if toast["kind"] == "success" else None

    toast = until(pressed, "a press that counts")
    other = anna.finished(int(re.search(r"#(\d+)", toast["text"])[1]))  # type: ignore[index]
    assert fields(other)["种子"] != "7"
    assert pixels(anna.picture(other)) != pixels(anna.picture(first))
    changed = anna.drawn(f"/redo {first['job']} --size 128x64")
    assert (fields(changed)["种子"], fields(changed)["尺寸"]) == ("7", "128x64")


def test_two_pictures_of_one_order(person: Guest) -> None:
    anna = person()
    before = anna.left()
    card = anna.drawn("/draw 猫 --n 2 --size 64x64 --seed 5")
    assert len(card["pictures"]) == 2
    assert fields(card)["种子"] == "5, 6"
    assert before - anna.left() == 2


def test_a_picture_is_its_owners(admin: Person, person: Guest) -> None:
    anna, ben = person(), person()
    card = anna.drawn("/draw 秘密 --size 64x64")
    path = f"/api/assets/{card['pictures'][0]['asset']}"
    assert ben.http.get(path).status_code == 404
    assert ben.told("/jobs")["text"].startswith("还没有任务")
    assert admin.http.get(path).status_code == 200


def test_a_picture_is_found_by_its_words_drawn_from_and_packed(person: Guest) -> None:
    anna, ben = person(), person()
    job = anna.drawn("/draw 一只戴红围巾的熊貓 --size 64x64 --seed 7")["job"]
    found = anna.told("/gallery 紅围巾 今天")
    assert [picture["alt"] for picture in found["pictures"]] == [f"{job} 一只戴红围巾的熊貓"]
    assert "没有找到" in ben.told("/gallery 红围巾")["text"]
    pressed = {"id": uuid.uuid4().hex, "action": "variation", "value": {"job": job, "index": 1}}
    assert "已排队" in anna.http.post("/api/actions", json=pressed).json()["toast"]["text"]
    packed = anna.http.get("/api/gallery/pictures.zip", params={"q": "熊猫 红围巾", "size": "64x64"})
    with zipfile.ZipFile(io.BytesIO(packed.content)) as archive:
        *_, name, manifest = archive.namelist()
        data, stated = archive.read(name), json.loads(archive.read(manifest))
    assert data.count(b"TC260:AIGC>") == 2, "one field: its beginning and its end"
    assert stated["pictures"][-1]["recipe"] == stated["pictures"][-1]["recipe"] | {
        "prompt": "一只戴红围巾的熊貓",
        "seed": 7,
    }
    sizes = ben.http.get("/api/sizes").json()
    assert sizes[0] == {"name": "256x256", "zh": "1:1", "help": "每张计 1 份额度"}
    assert sizes[-1] == {"name": "2048x2048", "zh": "1:1", "help": "每张计 4 份额度"}
    assert ben.http.get("/api/gallery").json() == {"pictures": [], "more": False}


# --- stopping ---------------------------------------------------------------------------------------------------


def test_what_is_cancelled_in_the_queue_costs_nothing(admin: Person, person: Guest) -> None:
    anna = person()
    before = anna.left()
    with paused(admin):
        job = anna.ordered("/draw 猫 --size 64x64")
        assert anna.left() == before - 1
        assert anna.press("cancel", job) == {"kind": "success", "text": f"已取消任务 #{job}，没有计额度。"}
        card = anna.finished(job)
    assert (card["state"], card["title"]) == ("cancelled", "已取消")
    assert anna.left() == before


def test_what_is_cancelled_while_it_runs_stops_and_costs_nothing(person: Guest) -> None:
    anna = person()
    before = anna.left()
    with anna.watching() as seen:
        job = anna.ordered(LONG)
        until(lambda: steps(seen, job)[-1:] > [0], "the first step")
        assert "这一步算完就停" in anna.press("cancel", job)["text"]
        card = anna.finished(job)
    assert (card["state"], card["pictures"]) == ("cancelled", [])
    assert anna.left() == before


@pytest.mark.parametrize("running", [False, True])
def test_twenty_cancels_at_once_stop_it_once(admin: Person, person: Guest, running: bool) -> None:
    anna = person()
    before = anna.left()
    with paused(admin):
        job = anna.ordered(LONG)
        if not running:
            toasts = twenty(lambda: anna.press("cancel", job))
    if running:
        until(lambda: "进行中" in anna.told("/jobs")["text"], "the picture to begin")
        toasts = twenty(lambda: anna.press("cancel", job))
    assert {toast["kind"] for toast in toasts} <= {"success", "warning", "info"}
    assert any(toast["kind"] == "success" for toast in toasts)
    assert all("取消" in toast["text"] or "就停" in toast["text"] for toast in toasts)
    assert anna.finished(job)["state"] == "cancelled"
    assert anna.left() == before


def twenty(press: Callable[[], dict[str, str]]) -> list[dict[str, str]]:
    with ThreadPoolExecutor(20) as crowd:
        return [done.result() for done in [crowd.submit(press) for _ in range(20)]]


def test_a_press_that_comes_too_late_or_from_elsewhere_changes_nothing(admin: Person, person: Guest) -> None:
    anna, ben = person(), person()
    done = anna.drawn("/draw 猫 --size 64x64 --seed 7")
    left = anna.left()
    toast = anna.press("cancel", done["job"])
    assert toast == {"kind": "warning", "text": f"任务 #{done['job']} 已经结束（已完成），不用取消了。"}
    with paused(admin):
        waiting = anna.ordered("/draw 狗 --size 64x64")
        for job, action, said in [
            (waiting, "cancel", "是别人的"),
            (done["job"], "redo", "是别人的"),
            (999_999, "cancel", "没有任务 #999999"),
            (999_999, "redo", "没有任务 #999999"),
            (waiting, "explode", "这个按钮已经失效"),
        ]:
            toast = ben.press(action, job, message=1)
            assert toast["kind"] == "warning"
            assert said in toast["text"]
        assert ben.replies() == []
    assert anna.finished(waiting)["state"] == "done"
    assert anna.left() == left - 1


# --- answers ----------------------------------------------------------------------------------------------------


def test_an_answer_is_typed_and_its_sources_open(person: Guest) -> None:
    anna = person()
    with anna.watching() as seen:
        card = anna.finished(anna.ordered("/ask 年假怎么休?"))
        until(lambda: any(body["state"] == "done" for body in cards(seen, card["job"])), "the page to hear of it")
    typed = [data for event, data in seen if event == "delta" and data["job"] == card["job"]]
    assert len(typed) > 1
    assert "".join(piece["text"] for piece in typed) == card["text"]
    assert [piece["at"] for piece in typed] == [
        sum(len(earlier["text"]) for earlier in typed[:n]) for n in range(len(typed))
    ]
    assert "满 1 年不满 10 年" in card["text"]
    assert [source["mark"] for source in card["sources"]] == list(range(1, len(card["sources"]) + 1))
    assert card["sources"][0]["document"] == "请假与年假制度.md"
    for source in card["sources"]:
        assert f"[{source['mark']}]" in card["text"]
        page = anna.http.get(f"/passages/{source['passage']}")
        assert page.status_code == 200
        assert source["quote"] in page.text


def test_what_no_document_says_is_not_made_up(person: Guest) -> None:
    anna = person()
    card = anna.finished(anna.ordered("/ask zyxwv qponm"))
    assert card["text"].startswith("知识库中没有找到")
    assert card["sources"] == []


# --- commands ---------------------------------------------------------------------------------------------------


def test_every_command_answers(person: Guest) -> None:
    anna = person()
    assert fields(anna.told("/quota"))["画图"].startswith("还剩 50 / 50（每天 50），")
    assert anna.told("/jobs")["text"] == "还没有任务。试试 `/draw 一只猫`。"
    job = anna.drawn("/draw 一只猫 --size 64x64")["job"]
    assert f"#{job} 画图 · 已完成 · 一只猫" in anna.told("／任务")["text"]
    everything = anna.told("/help")["text"]
    for name in ("draw", "ask", "jobs", "cancel", "redo", "quota", "new", "status"):
        assert f"`/{name}" in everything
    assert "/pause" not in everything  # an admin's
    assert "--size" in anna.told("/help draw")["text"]
    assert anna.told("/new")["text"].startswith("好，我们重新开始")
    status = fields(anna.told("/status"))
    assert status["画图模型"] == "builtin（内置练习模型） · 就绪"
    assert status["回答引擎"].startswith("extractive")
    assert anna.told("/darw 猫")["text"] == "没有 /darw 这个命令，你是不是想用 /draw？\n可以直接发：`/draw 猫`"


def test_plain_text_draws_or_is_answered(person: Guest) -> None:
    anna = person()
    assert anna.drawn("画一只猫 --size 64x64")["text"] == "一只猫"
    answer = anna.finished(anna.ordered("出差每天补贴多少钱"))
    assert answer["sources"][0]["document"] == "差旅与费用报销.md"


def test_the_same_message_five_times_is_one_job(person: Guest) -> None:
    anna = person()
    before = anna.left()
    with ThreadPoolExecutor(5) as crowd:
        list(crowd.map(lambda _: anna.say("/draw 猫 --size 64x64", message_id="the-same-message"), range(5)))
    until(lambda: [body["state"] for body in anna.replies() if body["job"]] == ["done"], "one picture")
    anna.say("/draw 猫 --size 64x64", message_id="the-same-message")
    assert len([body for body in anna.replies() if body["job"]]) == 1
    assert anna.told("/jobs")["text"].count("\n") == 0
    assert before - anna.left() == 1


# --- quotas -----------------------------------------------------------------------------------------------------


def test_an_admin_sets_and_grants_and_nobody_else_does(admin: Person, person: Guest) -> None:
    anna, ben = person(), person()
    for command in (f"/quota set @{anna.name} 5/day", f"/quota grant @{anna.name} 3", f"/role @{anna.name} admin"):
        assert ben.told(command)["text"].startswith("只有管理员能用")
    assert ben.told("/pause")["text"] == "只有管理员能用 /pause。"
    assert anna.left() == 50
    assert admin.told(f"/quota set @{anna.name} 5/day")["text"] == f"{anna.name} 的画图额度改为每天 5，现在还剩 5。"
    assert "现在共剩 8" in admin.told(f"/quota grant @{anna.name} 3")["text"]
    assert "另有追加 3" in fields(anna.told("/quota"))["画图"]
    assert admin.told(f"/quota set @{anna.name} ask 2/week")["text"].startswith(f"{anna.name} 的回答额度改为每周 2")
    assert "找不到“没有这个人”" in admin.told("/quota grant @没有这个人 3")["text"]
    assert fields(admin.told(f"/quota show @{anna.name}"))["画图"].startswith("还剩 5 / 5")


def test_a_used_up_quota_says_what_is_left_and_when_it_renews(admin: Person, person: Guest) -> None:
    anna = person()
    admin.told(f"/quota set @{anna.name} 2/day")
    assert "额度" not in anna.drawn("/draw 猫 --size 64x64")["note"]
    refused = anna.told("/draw 猫 --n 2 --size 64x64")
    assert re.fullmatch(
        r"你的画图额度不够：这次需要 2，还剩 1（每天 2）。\d+月\d+日 00:00 更新；急用可请管理员追加。", refused["text"]
    )
    assert "今天的画图额度已用 100%，还剩 0" in anna.drawn("/draw 猫 --size 64x64")["note"]
    for _ in range(2):
        assert "还剩 0（每天 2）" in anna.told("/draw 狗 --size 64x64")["text"]
    assert anna.left() == 0
    admin.told(f"/quota grant @{anna.name} 1")
    anna.drawn("/draw 狗 --size 64x64")
    assert anna.left() == 0


def test_a_department_and_the_default_are_set_in_chat_and_taken_back(admin: Person, person: Guest) -> None:
    anna = person()
    said = admin.told("/quota set dept 设计部 9/month")["text"]
    assert said.startswith("部门“设计部”（0 人）的画图额度改为每月 9，现在还剩 9。\n这个部门现在还没有人")
    granted = admin.told("/额度 给 部门 设计部 5张，7天内有效")["text"]
    assert re.fullmatch(
        r"部门“设计部”（0 人）的画图额度追加了 5，有效到 \d+年\d+月\d+日（含当天），现在共剩 14。", granted
    )
    shown = admin.told("/quota dept 设计部")
    assert (shown["title"], fields(shown)["回答"]) == ("部门“设计部”（0 人）的额度", "没有设额度，不限")
    assert "部门“设计部”（0 人）的回答现在不限额度" in admin.told("/quota set dept 设计部 ask default")["text"]
    admin.told("/quota set dept 设计部 default")
    assert "本来就不限" in admin.told("/quota grant dept 设计部 5")["text"]
    admin.told(f"/quota set @{anna.name} 5/day")
    assert "现在按每天 50，还剩 50" in admin.told(f"/quota set @{anna.name} default")["text"]
    assert fields(admin.told("/quota default"))["画图"] == "每天 50"
    assert "这里不是群聊" in admin.told("/quota set 本群 5/day")["text"]
    assert "已经过去" in admin.told(f"/quota grant @{anna.name} 5 until 2020-01-01")["text"]
    assert anna.told("/quota group")["text"] == "只有管理员能用 /quota show。"


# --- what people get wrong --------------------------------------------------------------------------------------

REFUSED = [
    ("/draw", "想画什么？"),
    ("/draw    ", "想画什么？"),
    ('/draw ""', "想画什么？"),
    ("/draw --size 256x256", "想画什么？"),
    ("/draw --neg 模糊", "描述都归进了 --neg"),
    ("/draw " + "猫" * 5000, "最多 2000 个，请删掉 3000 个再发"),
    ("猫" * 5000, "最多 2000 个，请删掉 3000 个再发"),
    ("/draw 猫 --size 1000x1000", "边长须是 16 的倍数，1000x1000 不是。最接近的是 `--size 992x992`"),
    ("/draw 猫 --size 0x0", "边长只能是 64 到 2048 像素，0x0 超出了"),
    ("/draw 猫 --size -512x512", "-512x512 超出了"),
    ("/draw 猫 --size 9999x9999", "9999x9999 超出了"),
    ("/draw 猫 --size 99999999999999999999x64", "超出了"),
    ("/draw 猫 --size 大", "尺寸要写成 宽x高"),
    ("/draw 猫 --size", "--size 后面少了值"),
    ("/draw 猫 --size 64x64 --ar 1:1", "只能写一个"),
    ("/draw 猫 --ar 100:1", "太细长"),
    ("/draw 猫 --seed -1", "--seed 只能是 0 到 4294967295，-1 超出了"),
    ("/draw 猫 --seed 4294967296", "4294967296 超出了"),
    ("/draw 猫 --seed 七", "--seed 要写 0 到 4294967295 的数字"),
    ("/draw 猫 --n 0", "--n 只能是 1 到 2"),
    ("/draw 猫 --n 100", "--n 只能是 1 到 2"),
    ("/draw 猫 --steps 51", "--steps 只能是 1 到 50"),
    ("/draw 猫 --steps 8.5", "--steps 要写 1 到 50 的数字"),
    ("/draw 猫 --cfg 7", "--cfg 只能是 0"),
    ("/draw 猫 --sise 64x64", "没有 --sise 这个选项。你是不是想用 --size？"),
    ("/draw 猫 --wibble 3", "没有 --wibble 这个选项。可用"),
    ("/draw 猫 --seed 1 --seed 2", "--seed 写了两次"),
    ("/draw 猫 --lora x", "风格"),
    ('/draw "一只猫', "引号没有配对"),
    ("/draw “一只猫 --size 64x64", "引号没有配对"),
    ("/ask", "想问什么？"),
    ("/ask " + "年" * 5000, "最多 2000 个"),
    ("/cancel", "要写任务号"),
    ("/cancel 猫", "不是任务号"),
    ("/cancel 99999999999999999999", "不是任务号"),
    ("/cancel 2147483647", "没有任务 #2147483647"),
    ("/redo", "要写任务号"),
    ("/quota 很多", "没看懂"),
    ("/wibble", "没有 /wibble 这个命令"),
    ("/", "斜杠后面要写命令"),
    ("\u200b\u0007", "想画点什么"),
]

DRAWN = [
    ("一只猫🐼‍❄️👨‍👩‍👧", "一只猫🐼‍❄️👨‍👩‍👧"),
    ("<script>alert(1)</script>", "<script>alert(1)</script>"),
    ('猫</at><at user_id="all">所有人</at>', '猫</at><at user_id="all">所有人</at>'),
    ("\x00\x07\x1b[31m猫\u202e\x7f", "[31m猫"),
    ("{prompt} %s ${HOME} {{7*7}}", "{prompt} %s ${HOME} {{7*7}}"),
    ("'; DROP TABLE jobs; --", "'; DROP TABLE jobs;"),
    ("**粗** `code` [链接](javascript:alert(1))", "**粗** `code` [链接](javascript:alert(1))"),
    ("猫\n\n\n狗", "猫 狗"),
    ("猫 --size １２８×６４", "猫"),
    ("猫 --size 64*64 --seed ７", "猫"),
]


@pytest.mark.parametrize("half", [slice(0, 20), slice(20, None)])
def test_what_cannot_be_done_gets_one_sentence_and_no_job(person: Guest, half: slice) -> None:
    anna = person()
    for text, said in REFUSED[half]:
        reply = anna.told(text)
        assert said in reply["text"], (text[:60], reply)
        assert reply["job"] is None
        assert reply["text"].count("\n") <= 1
        assert "Traceback" not in reply["text"]
    assert anna.told("/jobs")["text"].startswith("还没有任务")
    assert anna.left() == 50


def test_what_is_odd_but_legal_is_drawn(person: Guest) -> None:
    anna = person()
    for prompt, kept in DRAWN:
        size = "" if "--size" in prompt else "--size 64x64 "
        card = anna.drawn(f"/draw {size}{prompt}")
        assert card["text"] == kept
        assert len(anna.picture(card)) > 100
    assert anna.left() == 50 - len(DRAWN)


def test_a_prompt_longer_than_the_model_reads_is_said_to_be_too_long(person: Guest) -> None:
    anna = person()
    card = anna.finished(anna.ordered("/draw --size 64x64 " + "猫" * 2000))
    assert card["state"] == "failed"
    assert "描述太长，模型读不完" in card["text"]
    assert "没有计额度" in card["text"]
    assert anna.left() == 50


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"id": "1234567890", "text": ""}, 422, "empty"),
        ({"id": "1234567890", "text": " \n\t"}, 422, "empty"),
        ({"id": "1234567890", "text": "猫" * 20_001}, 422, "too_long"),
        ({"id": "1234567890", "text": "a" * 300_000}, 413, "too_large"),
        ({"id": "short", "text": "猫"}, 422, "invalid"),
        ({"id": "../../../etc", "text": "猫"}, 422, "invalid"),
        ({"id": "1234567890"}, 422, "invalid"),
        ({"id": "1234567890", "text": "猫", "role": "admin"}, 422, "invalid"),
        ({"id": "1234567890", "text": 7}, 422, "invalid"),
        (b'{"id": "1234567890", "text": "\\ud800"}', 422, "invalid"),
        (b'{"id": "12345678', 422, "invalid"),
        (b"\xff\xfe", 422, "invalid"),
        (b"[" * 50_000, 400, "invalid"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_request_that_makes_no_sense_is_refused_in_words(
    house: Moqi, admin: Person, body: dict[str, Any] | bytes, status: int, code: str
) -> None:
    sent = {"json": body} if isinstance(body, dict) else {"content": body}
    headers = {"Content-Type": "application/json"}
    answer = admin.http.post("/api/messages", headers=headers, **sent)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.json()["error"]["text"]


def test_a_stranger_a_taken_name_and_another_site_are_refused(house: Moqi, person: Guest) -> None:
    anna = person()
    cookies = dict(anna.http.cookies)
    anna.http.cookies.clear()
    assert anna.http.post("/api/messages", json={"id": "1234567890", "text": "/draw 猫"}).status_code == 401
    assert anna.http.get("/api/messages").status_code == 401
    assert anna.http.get("/api/assets/1").status_code == 401
    assert anna.http.get("/passages/1").status_code == 401
    taken = anna.http.post("/api/session", json={"name": anna.name})
    assert (taken.status_code, taken.json()["error"]["code"]) == (409, "name_taken")
    anna.http.cookies.update(cookies)
    forged = anna.http.post(
        "/api/messages", json={"id": "1234567890", "text": "/draw 猫"}, headers={"Origin": "https://evil.example"}
    )
    assert forged.status_code == 403
    assert anna.history() == []


# --- settings ---------------------------------------------------------------------------------------------------


def reload(house: Moqi, name: str, text: str) -> None:
    """Write a settings file and let the server read it now."""
    (house.config / name).write_text(text, encoding="utf-8")
    house.signal(signal.SIGHUP)


def test_changed_settings_are_taken_whole_or_not_at_all(house: Moqi, person: Guest) -> None:
    anna = person()
    interface = (house.config / "interface.yaml").read_text(encoding="utf-8")
    policy = (house.config / "policy.yaml").read_text(encoding="utf-8")
    try:
        reload(house, "interface.yaml", interface.replace("language: zh", "language: en"))
        until(lambda: anna.told("/new")["text"].startswith("A fresh start"), "English")
        assert "left" in str(anna.told("/quota")["fields"])
        card = anna.drawn("draw a cat --size 64x64")
        assert fields(card)["Seed"]
        assert [button["label"] for button in card["buttons"]] == ["Redo", "New seed", "Vary", "Enlarge", "👍", "👎"]
        answer = anna.finished(anna.ordered("/ask 年假怎么休?"))
        assert "以下" not in answer["text"]

        # One good change and one broken file at once: neither is taken, and the log says what is wrong and where.
        smaller = yaml.safe_load(policy) | {"quotas": {"user": {"draw": "1/day", "ask": "1/day"}}}
        (house.config / "policy.yaml").write_text(yaml.safe_dump(smaller), encoding="utf-8")
        reload(house, "interface.yaml", "language: klingon\ncolour: red\n")
        log = until(lambda: text if "old ones stay" in (text := house.log.read_text()) else None, "a refusal")
        assert "interface.yaml:1: language" in log
        assert "interface.yaml:2: colour" in log
        assert "49 of 50 left" in anna.told("/quota")["fields"][0][1]
    finally:
        (house.config / "policy.yaml").write_text(policy, encoding="utf-8")
        reload(house, "interface.yaml", interface)
    until(lambda: anna.told("/new")["text"].startswith("好"), "Chinese again")


def documents(house: Moqi) -> float:
    """How many documents come from folders now."""
    told = httpx.get(f"{house.url}/metrics", verify=False).text
    return float(re.findall(r'^moqi_documents\{source="folder"\} (\S+)$', told, re.MULTILINE)[0])


def test_the_folder_and_its_readers_are_followed_while_people_ask(house: Moqi, person: Guest) -> None:
    anna = person()
    knowledge = (house.config / "knowledge.yaml").read_text(encoding="utf-8")
    parking = house.config.parent / "knowledge" / "车位.md"
    before = documents(house)

    def answer() -> str:
        return str(anna.finished(anna.ordered("/ask 地下车位每月多少钱?"))["text"])

    try:
        reload(house, "knowledge.yaml", "sources:\n  - path: ../knowledge\n    every: 1s\n")
        assert "三百二十元" not in answer()
        parking.write_text("# 车位\n\n地下车位每月三百二十元。\n", encoding="utf-8")
        until(lambda: documents(house) == before + 1, "the new document")
        assert "三百二十元" in answer()
        rules = "access:\n  rules: {'车位*': ['dept:行政部']}\n"
        reload(house, "knowledge.yaml", f"sources:\n  - path: ../knowledge\n    every: 1s\n{rules}")
        until(lambda: "三百二十元" not in answer(), "the new rule")
        parking.unlink()
        until(lambda: documents(house) == before, "the document to go")
    finally:
        parking.unlink(missing_ok=True)
        reload(house, "knowledge.yaml", knowledge)


def test_a_smaller_quota_in_the_policy_counts_from_now_on(house: Moqi, person: Guest) -> None:
    anna = person()
    policy = (house.config / "policy.yaml").read_text(encoding="utf-8")
    try:
        reload(house, "policy.yaml", policy.replace("draw: 50/day", "draw: 1/week"))
        until(lambda: "每周 1" in str(anna.told("/quota")["fields"]), "the new quota")
        anna.drawn("/draw 猫 --size 64x64")
        assert "额度不够" in anna.told("/draw 猫 --size 64x64")["text"]
    finally:
        reload(house, "policy.yaml", policy)
    until(lambda: "每天 50" in str(anna.told("/quota")["fields"]), "the old quota")


def test_the_page_comes_whole_and_from_here_only(house: Moqi, admin: Person) -> None:
    page = admin.http.get("/")
    assert page.status_code == 200
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert not re.findall(r"(?:src|href)=\"(?:https?:)?//", page.text)
    for path in set(re.findall(r"(?:src|href)=\"(/static/[^\"]+)\"", page.text)):
        assert admin.http.get(path).status_code == 200


def test_the_folder_of_the_installation_is_private(house: Moqi) -> None:
    assert oct(Path(house.data).stat().st_mode)[-3:] == "700"
