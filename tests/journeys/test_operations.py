"""What an operator meets: two servers, a broken model, a full disk, stops and starts, the command line beside it."""

from __future__ import annotations

import io
import json
import re
import resource
import shutil
import signal
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from PIL import Image

from inference.images.registry import BUILTIN
from tests.inference.embedding.encoders import Counting
from tests.journeys.held import Held
from tests.journeys.moqi import Moqi, News, Person, until
from tests.simulators import embeddings

LONG = "/draw 慢慢画 --size 512x512 --steps 20"  # some seconds on one core


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moqi]:
    """A server that stays up for the journeys that leave it in order, and searches by meaning too."""
    knows = Counting()
    with embeddings.serving() as server:
        server.vector = lambda text: memoryview(knows.vector(text)).cast("f").tolist()
        embedding = {"engine": "openai", "base_url": server.url, "id": "counting", "patience": 30}
        house = Moqi(tmp_path_factory.mktemp("operations"), settings={"model": {"embedding": embedding}})
        house.start()
        house.ready()
        yield house
        assert house.stop() == 0
        house.verify()


# --- searching --------------------------------------------------------------------------------------------------


def test_a_model_is_examined_behind_the_scenes_and_then_takes_part(house: Moqi) -> None:
    until(lambda: 'moqi_embedder_live{model="counting"} 1.0' in metrics(house), "the model takes part")
    (shown,) = json.loads(house.command("kb", "vectors", "--json").stdout)
    assert (shown["state"], shown["vectors"], shown["reason"]) == ("live", shown["passages"], "")
    assert f'moqi_vectors{{model="counting"}} {float(shown["passages"])}' in metrics(house)
    assert "年假" in Person(house, "新人").told("/ask 年假有几天？")["text"]


def metrics(house: Moqi) -> str:
    return httpx.get(f"{house.url}/metrics").text


# --- starting ---------------------------------------------------------------------------------------------------


def test_a_port_in_use_is_one_sentence_with_the_next_step(tmp_path: Path) -> None:
    house = Moqi(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = house.command("serve", "--port", str(port))
    assert ended.returncode == 4
    assert one_sentence(ended.stderr).startswith(f"cannot listen on 127.0.0.1:{port}: ")
    assert f"moqi serve --port {port + 1}" in ended.stderr
    assert not house.data.exists()


def test_a_second_server_on_the_folder_is_told_who_has_it(house: Moqi) -> None:
    ended = house.command("serve", "--port", "0")
    assert ended.returncode == 4
    assert re.search(rf"in use by process {house.pid} on port {house.port}\b", one_sentence(ended.stderr))
    assert "MOQI_DATA" in ended.stderr
    assert Person(house, "还在").told("/new")["text"]  # the first one has noticed nothing


def test_settings_that_are_wrong_are_named_by_file_and_line(tmp_path: Path) -> None:
    house = Moqi(tmp_path)
    (house.config / "interface.yaml").write_text("title: x\nlanguage: klingon\n", encoding="utf-8")
    ended = house.command("serve", "--port", "0")
    assert ended.returncode == 2
    assert "interface.yaml:2: language" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_data_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    house = Moqi(tmp_path)
    assert house.command("migrate").returncode == 0
    sql(house, "UPDATE alembic_version SET version_num = '9999_the_future'")
    before = (house.data / "moqi.db").read_bytes()
    for words in (["serve", "--port", "0"], ["draw", "猫", "-o", str(tmp_path / "x.png")], ["verify"]):
        ended = house.command(*words)
        assert ended.returncode == 4, words
        assert "9999_the_future" in one_sentence(ended.stderr)
        assert "Install that version" in ended.stderr
    assert (house.data / "moqi.db").read_bytes() == before


def test_a_damaged_database_is_said_to_be_damaged(tmp_path: Path) -> None:
    house = Moqi(tmp_path)
    house.data.mkdir()
    (house.data / "moqi.db").write_bytes(b"this is no database at all, but long enough to be read" * 100)
    ended = house.command("serve", "--port", "0")
    assert ended.returncode == 4
    assert "moqi restore" in one_sentence(ended.stderr)


@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_a_broken_model_folder_leaves_everything_else_working(tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "Z-Image-Turbo"
    if damage == "truncated":
        shutil.copytree(BUILTIN, folder)
        weights = max(folder.rglob("*.safetensors"), key=lambda path: path.stat().st_size)
        weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
    house = Moqi(tmp_path, settings={"model": {"image": {"path": str(folder), "id": "Z-Image-Turbo"}}})
    house.start(cold=damage == "missing")
    anna = Person(house, "anna")
    reasons = until(lambda: broken(house), "the model to fail")
    assert len(reasons) == 1
    assert str(folder) in reasons[0]
    refused = anna.told("/draw 猫")
    assert refused["job"] is None
    assert refused["text"].startswith("画图模型现在用不了：")
    assert str(folder) in refused["text"]
    assert anna.left() == 50
    assert "用不了" in str(anna.told("/status")["fields"])
    assert anna.finished(anna.ordered("/ask 年假怎么休?"))["sources"]
    assert httpx.get(f"{house.url}/healthz", verify=False).status_code == 200
    if damage == "missing":
        drawn = house.command("draw", "猫", "-o", str(tmp_path / "x.png"))
        assert drawn.returncode == 4
        assert str(folder) in drawn.stderr
    assert house.stop() == 0
    house.verify()


def broken(house: Moqi) -> list[str] | None:
    """Why it is not ready, once it says more than that it loads."""
    answer = httpx.get(f"{house.url}/readyz", timeout=30, verify=False)
    assert answer.status_code == 503
    reasons = list(answer.json()["reasons"])
    return None if any("loading" in reason for reason in reasons) else reasons


# --- stopping ---------------------------------------------------------------------------------------------------


def test_a_stop_ends_well_and_the_rest_is_done_after_the_next_start(tmp_path: Path) -> None:
    house = Held(tmp_path)
    house.start()
    house.ready()
    house.hold_after(1)  # longer than a stop waits
    anna = Person(house, "anna")
    long = anna.ordered("/draw 很大很慢 --size 512x512 --steps 50 --n 2")
    short = [anna.ordered(f"/draw 第{n}只猫 --size 64x64") for n in range(3)]
    left = anna.left()
    until(lambda: "进行中" in anna.told("/jobs")["text"], "the first to run")
    with anna.watching() as seen, Person(house, "ben").watching():  # open pages do not hold it up
        assert house.stop() == 0
    assert seen
    assert stopped_in_order(house)
    assert "timeout graceful shutdown exceeded" not in house.log.read_text(encoding="utf-8")
    house.verify()
    house.start()
    anna = anna.again(house)
    until(lambda: f"#{long} 画图 · 进行中" in anna.told("/jobs")["text"], "it to run again")
    assert anna.left() == left  # held once
    anna.press("cancel", long)
    assert anna.finished(long)["state"] == "cancelled"
    house.go_on()
    assert [anna.finished(job)["state"] for job in short] == ["done"] * 3
    assert len([body for body in anna.replies() if body["job"]]) == 4
    assert anna.left() == 47
    house.hold_after(1)
    again = anna.ordered(f"/redo {long}")
    until(lambda: f"#{again} 画图 · 进行中" in anna.told("/jobs")["text"], "another long one to run")
    house.signal(signal.SIGTERM)
    until(lambda: stopping(house), "the stop to begin")
    assert house.stop() == 0  # the second signal: it does not wait
    assert not stopped_in_order(house)
    house.verify()


def stopping(house: Moqi) -> bool:
    return "Shutting down" in last_run(house)


def stopped_in_order(house: Moqi) -> bool:
    return "Finished server process" in last_run(house)


def last_run(house: Moqi) -> str:
    """What the present server has logged."""
    return house.log.read_text(encoding="utf-8").rpartition("Started server process")[2]


# --- the disk ---------------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="needs prlimit, to take a running process its disk")
def test_a_full_disk_is_said_and_everything_goes_on_when_there_is_space_again(house: Moqi) -> None:
    anna = Person(house, "满盘")
    with anna.watching() as seen:
        first = anna.ordered(LONG)
        until(lambda: ("running", 1) in steps(seen, first), "the first step")
        waiting = anna.ordered("/draw 猫 --size 64x64")
        shown = anna.history()
        with disk_full(house):
            for _ in range(3):
                body = {"id": "while-it-is-full", "text": "/draw 狗 --size 64x64"}
                answer = anna.http.post("/api/messages", json=body)
                assert answer.status_code == 503
                assert answer.json()["error"]["text"]
            press = {"id": "while-it-is-full", "job": waiting, "action": "cancel", "message": 1}
            assert anna.http.post("/api/actions", json=press).json()["toast"]["kind"] == "warning"
            assert httpx.get(f"{house.url}/healthz", verify=False).status_code == 200
            assert anna.history() == shown  # what was refused is not shown as said
            until(lambda: ("running", 20) in steps(seen, first), "the picture to be ready and find no space")
    anna.say("/draw 狗 --size 64x64", message_id="while-it-is-full")
    assert anna.finished(first)["state"] == "done"
    assert anna.finished(waiting)["state"] == "done"
    until(lambda: [body["state"] for body in anna.replies() if body["job"]] == ["done"] * 3, "the third picture")
    house.verify()


def steps(seen: list[News], job: int) -> set[tuple[str, int]]:
    return {(data["state"], data["done"]) for event, data in seen if event == "progress" and data["job"] == job}


@contextmanager
def disk_full(house: Moqi) -> Iterator[None]:
    """No file of the server grows inside the block."""
    before = resource.prlimit(house.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(house.pid, resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.prlimit(house.pid, resource.RLIMIT_FSIZE, before)


# --- the command line -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("served", [True, False])
def test_draw_and_ask_in_the_terminal(house: Moqi, tmp_path: Path, served: bool) -> None:
    here = house if served else Moqi(tmp_path)
    out = tmp_path / "cat.png"
    ended = here.command("draw", "一只猫", "--size", "64x64", "--seed", "7", "-o", str(out), "--json")
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    assert told.keys() == {"job", "seed", "size", "steps", "model", "seconds", "files"}
    assert (told["seed"], told["size"], told["steps"], told["model"]) == (7, "64x64", 8, "builtin")
    assert told["files"] == [str(out)]
    assert Image.open(io.BytesIO(out.read_bytes())).size == (64, 64)
    asked = here.command("ask", "年假怎么休?", "--json")
    assert asked.returncode == 0, asked.stderr
    answer = json.loads(asked.stdout)
    assert answer["grounded"] is True
    assert answer["citations"][0].keys() == {"mark", "document", "passage", "quote"}
    assert answer["citations"][0]["document"] == "请假与年假制度.md"
    if served:
        unknown = here.command("ask", "zyxwv qponm", "--json")
        assert (unknown.returncode, json.loads(unknown.stdout)["grounded"]) == (0, False)
    here.verify()


def test_what_the_terminal_gets_wrong_has_its_exit_code(house: Moqi, tmp_path: Path) -> None:
    out = str(tmp_path / "x.png")
    for words in (
        ["draw", "猫 --size 1x1", "-o", out],
        ["draw", "猫", "--sise", "64x64", "-o", out],
        ["draw", "猫"],
        ["serve", "--port", "http"],
    ):
        ended = house.command(*words)
        assert ended.returncode == 2, (words, ended)
        assert ended.stderr.strip()
        assert "Traceback" not in ended.stderr
    assert not Path(out).exists()
    ended = house.command("draw", "猫 --size 64x64", "-o", str(tmp_path / "no" / "such" / "folder.png"))
    assert ended.returncode == 2
    assert "folder.png" in one_sentence(ended.stderr)


def test_the_terminal_says_what_the_practice_model_does_not_know(house: Moqi, tmp_path: Path) -> None:
    out = str(tmp_path / "x.png")
    stranger, familiar = (house.command("draw", text, "-o", out) for text in ("一只猫", "红色的圆，蓝色背景"))
    assert "内置练习模型不认识" in one_sentence(stranger.stderr)
    assert familiar.stderr == ""
    assert "(256x256, seed " in stranger.stdout


def test_a_used_up_quota_ends_the_command_with_3(tmp_path: Path) -> None:
    house = Moqi(tmp_path, settings={"policy": {"quotas": {"user": {"draw": "1/day", "ask": "1/day"}}}})
    assert house.command("ask", "年假怎么休?").returncode == 0
    possible = house.command("draw", "一只猫", "--size", "64x64", "--dry-run")
    assert possible.returncode == 0, possible.stderr
    assert "价格: 1（还剩 1）" in possible.stdout
    impossible = house.command("draw", "一只猫 --size 64x64 --n 2 --dry-run")
    assert impossible.returncode == 3
    assert "现在下单会被拒绝：你的画图额度不够" in impossible.stderr
    refused = house.command("ask", "年假怎么休?")
    assert refused.returncode == 3
    assert "额度不够" in one_sentence(refused.stderr)
    house.verify()


def test_verify_tells_what_is_broken(tmp_path: Path) -> None:
    house = Moqi(tmp_path)
    assert house.command("ask", "年假怎么休?").returncode == 0
    told = json.loads(house.command("verify", "--json").stdout)
    assert told["ok"] is True
    assert len(told["checks"]) == 6
    assert all(check.keys() == {"invariant", "ok", "broken"} and check["ok"] for check in told["checks"])
    sql(house, "UPDATE accounts SET balance = balance + 1")
    (house.data / "files" / "ab").mkdir(parents=True)
    ended = house.command("verify", "--json")
    assert ended.returncode == 1
    told = json.loads(ended.stdout)
    assert told["ok"] is False
    (check,) = [check for check in told["checks"] if not check["ok"]]
    assert "balance" in check["invariant"]
    assert "user:1" in check["broken"][0]


# --- many -------------------------------------------------------------------------------------------------------


def test_sixty_people_at_once_each_get_their_picture(house: Moqi) -> None:
    def order(number: int) -> tuple[Person, int]:
        person = Person(house, f"第{number}位")
        return person, person.ordered(f"/draw 猫 --size 64x64 --steps 2 --seed {number}")

    with ThreadPoolExecutor(60) as crowd:
        orders = list(crowd.map(order, range(60)))
    served = [(person, person.finished(job)) for person, job in orders]
    assert [dict(card["fields"])["种子"] for _, card in served] == [str(number) for number in range(60)]
    assert len({card["job"] for _, card in served}) == 60
    for person, card in served:
        assert len(person.replies()) == 1
        assert person.picture(card).startswith(b"\x89PNG")
    house.verify()


def one_sentence(said: str) -> str:
    """What was said, which is one paragraph and no traceback."""
    assert "Traceback" not in said
    assert 0 < len(said.strip().splitlines()) <= 2, said
    return " ".join(said.split())


def sql(house: Moqi, statement: str) -> None:
    """Change the database behind Moqi's back, at rest."""
    from sqlcipher3 import dbapi2

    connection = dbapi2.connect(str(house.data / "moqi.db"))
    with connection:
        connection.execute(statement)
    connection.close()
