"""`moqi doctor`: each thing that can be broken, broken once, and named with its next step."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from bot import doctor
from bot.cli.common import Exit
from inference.images.registry import BUILTIN
from inference.text import vllm_engine
from storage.database import data_lock
from tests import plugins
from tests.bot.cli.installation import Installation
from tests.inference.text import handbook
from tests.simulators.feishu import FeishuSimulator


def examined(moqi: Installation, *words: str) -> dict[str, dict[str, Any]]:
    """The checks by name, after seeing that code, `ok` and sentences agree."""
    ran = moqi("doctor", "--port", "0", "--json", *words)
    checks: list[dict[str, Any]] = ran.json["checks"]
    assert ran.json["ok"] == all(one["ok"] for one in checks)
    assert ran.code == (Exit.DONE if ran.json["ok"] else Exit.BROKEN)
    for one in checks:
        assert {"name", "ok", "problem", "next_step"} <= set(one)
        assert bool(one["problem"]) != one["ok"], one
        assert one["ok"] or one["next_step"], one
    return {one["name"]: one for one in checks}


def broken(checks: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Name and text of what is broken."""
    return {name: f"{one['problem']} {one['next_step']}" for name, one in checks.items() if not one["ok"]}


def test_a_fresh_installation_is_well_and_stays_untouched(moqi: Installation) -> None:
    checks = examined(moqi)
    assert broken(checks) == {}
    assert "built-in" in checks["image model"]["detail"]
    assert "extractive" in checks["text engine"]["detail"]
    assert not moqi.data.exists()
    moqi("kb", "sync")
    assert "7 documents" in examined(moqi)["database"]["detail"]


def test_plain_lines_where_there_is_no_terminal(moqi: Installation) -> None:
    ran = moqi("doctor", "--port", "0")
    assert ran.out.splitlines()[-1] == "Everything needed is there."
    assert any(line.startswith("ok     python: 3.") for line in ran.out.splitlines())


# --- settings and models ----------------------------------------------------------------------------------------


def test_broken_settings_do_not_hide_the_rest(moqi: Installation) -> None:
    (moqi.config / "policy.yaml").write_text("limits:\n  count: many\n", encoding="utf-8")
    checks = examined(moqi)
    assert "policy.yaml:2: limits.count" in broken(checks)["settings"]
    assert list(broken(checks)) == ["settings"]
    assert {"data folder", "database", "port"} < set(checks)
    assert "BROKEN settings" in moqi("doctor", "--port", "0").out


def test_no_settings_at_all(moqi: Installation) -> None:
    shutil.rmtree(moqi.config)
    assert "moqi init" in broken(examined(moqi))["settings"]


def test_a_model_file_that_is_missing(moqi: Installation, tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    shutil.copytree(BUILTIN, weights)
    write(moqi, "model", {"image": {"path": str(weights)}})
    assert "configured" in examined(moqi)["image model"]["detail"]
    (weights / "tokenizer" / "tokenizer_config.json").unlink()
    assert "tokenizer_config.json is missing" in broken(examined(moqi))["image model"]
    shutil.rmtree(weights)
    assert f"{weights} does not exist" in broken(examined(moqi))["image model"]


def test_knowledge_that_is_not_there(moqi: Installation) -> None:
    shutil.rmtree(moqi.config.parent / "knowledge")
    assert "sources in knowledge.yaml" in broken(examined(moqi))["knowledge base"]


def test_packages_that_are_not_installed() -> None:
    found = doctor.packages("image", lambda name: None if name in ("torch", "diffusers") else object())
    assert (found.ok, found.problem) == (False, "Not installed: torch, diffusers.")
    assert found.next_step == "pip install 'moqi[image]'"


def test_a_python_that_is_too_old() -> None:
    assert doctor.python((3, 11)).ok
    assert not doctor.python((3, 10)).ok


# --- the machine ------------------------------------------------------------------------------------------------


def test_a_port_that_is_taken_unless_by_our_own_server(moqi: Installation) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert f"127.0.0.1:{port}" in broken(examined(moqi, "--port", str(port)))["port"]
        with data_lock(moqi.data, port):
            assert f"Moqi serves port {port}" in examined(moqi, "--port", str(port))["port"]["detail"]
    assert broken(examined(moqi, "--port", str(port))) == {}


@pytest.mark.parametrize("words", [("--port", "99999"), ("--host", "256.1.1.1")])
def test_an_address_nobody_can_listen_on(moqi: Installation, words: tuple[str, str]) -> None:
    assert "port" in broken(examined(moqi, *words))


def test_a_full_disk(moqi: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "LEAST_SPACE", 1 << 62)
    assert "are free on the disk" in broken(examined(moqi))["data folder"]


def test_data_and_files_that_are_no_folders(moqi: Installation) -> None:
    moqi.data.mkdir()
    (moqi.data / "files").write_text("x", encoding="utf-8")
    assert list(broken(examined(moqi))) == ["files"]
    shutil.rmtree(moqi.data)
    moqi.data.write_text("x", encoding="utf-8")
    assert "MOQI_DATA" in broken(examined(moqi))["data folder"]


@pytest.mark.parametrize(
    ("code", "out", "detail"),
    [
        (0, "NVIDIA H200, 143771 MiB, 580.1\n", "NVIDIA H200, 143771 MiB, 580.1"),
        (9, "no driver\n", "no NVIDIA GPU seen"),
    ],
)
def test_gpu(monkeypatch: pytest.MonkeyPatch, code: int, out: str, detail: str) -> None:
    monkeypatch.setattr("shutil.which", lambda name: name)
    monkeypatch.setattr("platform.system", lambda: "Linux")
    found = doctor.gpu(lambda command, **how: subprocess.CompletedProcess(command, code, out))
    assert found.ok
    assert found.detail.startswith(detail)


# --- the database -----------------------------------------------------------------------------------------------


def newer(moqi: Installation) -> None:
    with moqi.database() as db:
        db.run_sync(lambda conn: conn.exec_driver_sql("update alembic_version set version_num = '9999'"))


def garbage(moqi: Installation) -> None:
    moqi.data.mkdir()
    (moqi.data / "moqi.db").write_bytes(b"no database" * 1000)


def bitten(moqi: Installation) -> None:
    moqi("kb", "sync")
    path = moqi.data / "moqi.db"
    data = bytearray(path.read_bytes())
    data[8 * 4096 : 24 * 4096] = b"\xff" * (16 * 4096)
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("harm", "said"), [(newer, "'9999'"), (garbage, "moqi restore FILE"), (bitten, "moqi restore FILE")]
)
def test_a_database_that_cannot_be_used(moqi: Installation, harm: Callable[[Installation], None], said: str) -> None:
    harm(moqi)
    assert said in broken(examined(moqi))["database"]


@pytest.mark.parametrize("url", ["postgresql://moqi:hidden-word@127.0.0.1:1/moqi", "mysql://x", "nonsense"])
def test_a_database_that_cannot_be_reached(moqi: Installation, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("MOQI_DATABASE_URL", url)
    found = broken(examined(moqi))
    assert list(found) == ["database"]
    assert "hidden-word" not in found["database"]


# --- Feishu -----------------------------------------------------------------------------------------------------


def test_feishu_with_a_wrong_secret(moqi: Installation) -> None:
    with FeishuSimulator() as feishu:
        write(moqi, "platforms", {"feishu": {**feishu.settings, "app_secret": "not-that-one"}})
        found = broken(examined(moqi))
    assert "app_secret is wrong" in found["feishu"]
    assert "not-that-one" not in found["feishu"]


@pytest.mark.parametrize(
    ("installed", "plugin", "said"),
    [
        (True, True, ""),
        (False, True, "not installed. pip install 'moqi[text]'"),
        (True, False, "outlive it and keep the GPU after a crash. Install it with pip"),
    ],
)
def test_vllm_and_what_keeps_it_from_running(
    moqi: Installation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, installed: bool, plugin: bool, said: str
) -> None:
    write(moqi, "model", {"text": {"engine": "vllm", "path": str(handbook.KEPT)}})
    monkeypatch.setattr(vllm_engine, "installed", lambda: installed)
    monkeypatch.setattr(vllm_engine, "has_gpu", lambda: False)
    monkeypatch.setattr(vllm_engine, "entry_points", lambda group: plugins.listed() if plugin else ())
    check = examined(moqi)["text engine"]
    assert said in f"{check['problem']} {check['next_step']}"
    assert check["ok"] is not bool(said)
    assert check["ok"] is (str(handbook.KEPT) in check["detail"] and "slowly" in check["detail"])


def test_a_language_model_whose_files_are_not_whole(moqi: Installation, tmp_path: Path) -> None:
    write(moqi, "model", {"text": {"engine": "vllm", "path": str(tmp_path)}})
    assert "config.json" in broken(examined(moqi))["text engine"]


@pytest.mark.parametrize("fault", ["html", "500", "empty", "close", "garbage"])
def test_feishu_that_gives_no_usable_answer(moqi: Installation, fault: str) -> None:
    with FeishuSimulator() as feishu:
        feishu.fail(fault, times=9, on="/open-apis/")
        write(moqi, "platforms", {"feishu": feishu.settings})
        assert "gives no usable answer" in broken(examined(moqi))["feishu"]


def test_feishu_that_nobody_answers_for(moqi: Installation) -> None:
    with FeishuSimulator() as feishu:
        write(moqi, "platforms", {"feishu": {**feishu.settings, "domain": "http://127.0.0.1:1"}})
    assert "feishu.domain" in broken(examined(moqi))["feishu"]


def test_feishu_with_settings_that_are_not_complete(moqi: Installation) -> None:
    write(moqi, "platforms", {"feishu": {"enabled": True, "mode": "webhook", "app_id": "cli_1"}})
    assert "app_secret is empty" in broken(examined(moqi))["settings"]


def write(moqi: Installation, name: str, values: dict[str, Any]) -> None:
    (moqi.config / f"{name}.yaml").write_text(yaml.safe_dump(values, allow_unicode=True), encoding="utf-8")
