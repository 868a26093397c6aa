"""`moqi kb` and `moqi models`: the contract's formats, and what happens to documents that cannot be read."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from pathlib import Path

import pytest

from bot import kb
from bot.cli import common
from bot.cli.common import Exit
from inference.images.registry import BUILTIN
from storage import lexical
from tests.bot.cli.installation import Installation
from tests.simulators.feishu import FeishuSimulator

HANDBOOK = "请假与年假制度.md"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "docs"
    (made / "hr").mkdir(parents=True)
    (made / "hr" / "年假.md").write_text("# 年假\n\n工龄满十年的，年假十五天。\n", encoding="utf-8")
    (made / "报销.txt").write_text("发票抬头须写公司全称。\n", encoding="utf-8")
    return made


def documents(moqi: Installation) -> list[str]:
    return [one["document"] for one in moqi("kb", "list", "--json").json]


def test_add_list_remove(moqi: Installation, folder: Path) -> None:
    ran = moqi("kb", "add", folder)
    assert ran.code == Exit.DONE
    assert "added     hr/年假.md (1 passages)" in ran.out
    assert ran.out.splitlines()[-1] == "2 added"
    assert (
        moqi("kb", "add", folder / "hr" / "年假.md", folder / "报销.txt").out.splitlines()[-1] == "1 added, 1 unchanged"
    )
    assert moqi("kb", "remove", "年假.md").code == Exit.DONE
    assert documents(moqi) == ["hr/年假.md", "报销.txt"]
    assert set(moqi("kb", "list", "--json").json[0]) == {
        "document", "title", "passages", "readers", "synced", "source", "url", "updated_at",
    }  # fmt: skip
    assert moqi("kb", "remove", "hr/年假.md").out == "removed hr/年假.md\n"
    assert documents(moqi) == ["报销.txt"]


def test_a_document_that_cannot_be_read_is_named_and_the_others_are_kept(moqi: Installation, folder: Path) -> None:
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7 cut off")
    ran = moqi("kb", "add", folder, "--json")
    assert ran.code == Exit.BROKEN
    assert {one["document"]: one["status"] for one in ran.json} == {
        "broken.pdf": "failed",
        "hr/年假.md": "added",
        "报销.txt": "added",
    }
    assert next(one["problem"] for one in ran.json if one["document"] == "broken.pdf")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_permission_denied(moqi: Installation, folder: Path) -> None:
    (folder / "报销.txt").chmod(0)
    ran = moqi("kb", "add", folder / "报销.txt")
    assert ran.code == Exit.UNAVAILABLE
    assert "permission denied" in ran.err


def test_sync_follows_the_folder_or_the_sources(moqi: Installation, folder: Path) -> None:
    assert moqi("kb", "sync").code == Exit.DONE
    assert HANDBOOK in documents(moqi)
    (moqi.config.parent / "knowledge" / HANDBOOK).unlink()
    assert f"removed   {HANDBOOK}" in moqi("kb", "sync").out
    assert HANDBOOK not in documents(moqi)


def test_sync_without_sources(moqi: Installation) -> None:
    (moqi.config / "knowledge.yaml").write_text("sources: []\n", encoding="utf-8")
    ran = moqi("kb", "sync")
    assert (ran.code, "moqi kb sync FOLDER" in ran.err) == (Exit.USAGE, True)


def test_search_prints_the_contracts_json_best_first(moqi: Installation) -> None:
    moqi("kb", "sync")
    found = moqi("kb", "search", "年假有几天？", "-k", "3", "--json").json
    assert len(found) == 3
    assert [set(one) for one in found] == [{"document", "passage", "score", "text"}] * 3
    assert found[0]["document"] == HANDBOOK
    assert [one["score"] for one in found] == sorted((one["score"] for one in found), reverse=True)
    assert HANDBOOK in moqi("kb", "search", "年假有几天？").out.splitlines()[0]
    assert moqi("kb", "search", "zzzzzz", "--json").json == []


def test_eval_prints_the_contracts_json(moqi: Installation, tmp_path: Path) -> None:
    moqi("kb", "sync")
    file = tmp_path / "questions.jsonl"
    lines: list[dict[str, object]] = [
        {"question": "年假有几天？", "documents": [HANDBOOK]},
        {"question": "会议室怎么预订？", "documents": ["办公设备与会议室.md"]},
    ]
    file.write_text("\n".join(json.dumps(line) for line in lines), encoding="utf-8")
    measured = moqi("kb", "eval", file, "--json").json
    assert list(measured) == ["n", "recall@1", "recall@5", "recall@10", "mrr@10", "p50_ms", "p99_ms"]
    assert (measured["n"], measured["recall@10"]) == (2, 1.0)
    lines.append({"question": "How tall is Mount Everest?", "documents": []})
    file.write_text("\n".join(json.dumps(line) for line in lines), encoding="utf-8")
    assert {"refusal_precision", "refusal_recall"} < set(moqi("kb", "eval", file, "--json").json)
    assert "recall@10\t1.0" in moqi("kb", "eval", file).out


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"question": "x", "documents": []}\n{"question": 1}\n', "Line 2"),
        (b"\n", "has no questions"),
        ("问".encode("gb18030"), "not UTF-8"),
    ],
)
def test_eval_of_something_else(moqi: Installation, tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "q.jsonl").write_bytes(content)
    ran = moqi("kb", "eval", tmp_path / "q.jsonl")
    assert (ran.code, said in ran.err) == (Exit.USAGE, True), ran


# --- models -----------------------------------------------------------------------------------------------------


def test_models_list_says_which_is_in_use_and_why(moqi: Installation, tmp_path: Path) -> None:
    image, text, _ = moqi("models", "list", "--json").json
    assert (image["kind"], image["builtin"], image["in_use"], image["path"]) == ("image", True, True, str(BUILTIN))
    assert (text["kind"], text["name"]) == ("text", "extractive")
    configure(moqi, tmp_path / "weights")
    used, builtin, _ = moqi("models", "list", "--json").json
    assert (used["builtin"], used["in_use"], used["path"]) == (False, True, str(tmp_path / "weights"))
    assert (builtin["builtin"], builtin["in_use"]) == (True, False)
    assert "Z-Image-Turbo\tyes\tmodel.yaml names" in moqi("models", "list").out


def test_models_verify_the_one_in_use_or_a_folder(moqi: Installation, tmp_path: Path) -> None:
    assert moqi("models", "verify").code == Exit.DONE
    broken = tmp_path / "weights"
    shutil.copytree(BUILTIN, broken)
    (broken / "vae" / "diffusion_pytorch_model.safetensors").write_bytes(b"")
    ran = moqi("models", "verify", broken, "--json")
    assert (ran.code, ran.json["ok"], ran.json["path"]) == (Exit.BROKEN, False, str(broken))
    assert "diffusion_pytorch_model.safetensors is empty" in ran.json["problems"][0]["problem"]
    assert ran.json["problems"][0]["next_step"]
    configure(moqi, broken)
    assert moqi("models", "verify").code == Exit.BROKEN


def configure(moqi: Installation, path: Path) -> None:
    (moqi.config / "model.yaml").write_text(f"image:\n  path: {path}\n", encoding="utf-8")


WIKI = """sources:
  - path: ../knowledge
    readers: [dept:设计部]
  - feishu_wiki:
      spaces: ["{space}"]
      readers: [dept:人事部]
"""


def test_sync_reads_the_wiki_too_and_says_what_it_found(moqi: Installation) -> None:
    with FeishuSimulator(limits=False) as feishu:
        space = feishu.wiki.space("制度")
        feishu.wiki.add(space, "年假", "工龄满十年的，年假十五天。")
        feishu.wiki.add(space, "台账", kind="sheet")
        (moqi.config / "platforms.yaml").write_text(json.dumps({"feishu": feishu.settings}), encoding="utf-8")
        (moqi.config / "knowledge.yaml").write_text(WIKI.format(space=space), encoding="utf-8")
        name = f"feishu_wiki:feishu:{space}"

        ran = moqi("kb", "sync")
        assert ran.code == Exit.DONE, ran.err
        assert "added     制度/年假 (1 passages)" in ran.out
        assert "制度/台账: spreadsheets are not read" in ran.out
        assert ran.out.splitlines()[-1] == f"{name}: 2 seen, 1 added, 1 skipped"

        listed = {one["document"]: one for one in moqi("kb", "list", "--json").json}
        assert listed["制度/年假"]["readers"] == ["dept:人事部"]
        assert listed["制度/年假"]["source"] == name
        assert listed[HANDBOOK]["readers"] == ["dept:设计部"]
        told = moqi("kb", "list")
        assert f"\t{name}" in told.out
        assert f"{name}, " in told.err
        by_name = {one["source"]: one for one in moqi("kb", "sources", "--json").json}
        assert by_name[name]["last"]["skipped"] == 1
        assert by_name["folder"]["readers"] == ["dept:设计部"]
        assert "制度/台账: spreadsheets are not read" in moqi("kb", "sources").out

        feishu.wiki.strangers.add(space)
        ran = moqi("kb", "sync")
        assert ran.code == Exit.BROKEN
        assert "1 deleted" in ran.out.splitlines()[-1]
        assert "131006" in ran.out.splitlines()[-1]
        check = next(one for one in moqi("doctor", "--json").json["checks"] if one["name"] == name)
        assert (check["ok"], "add the app to the space" in check["next_step"]) == (False, True)
        feishu.wiki.strangers.clear()
        check = next(one for one in moqi("doctor", "--json").json["checks"] if one["name"] == name)
        assert check["detail"] == "制度: for dept:人事部"


def test_a_wiki_needs_its_app(moqi: Installation) -> None:
    (moqi.config / "knowledge.yaml").write_text(WIKI.format(space="70"), encoding="utf-8")
    ran = moqi("kb", "sync")
    assert (ran.code, "platforms.yaml does not enable" in ran.err) == (Exit.USAGE, True)


@pytest.mark.parametrize("migrated_url", ["postgresql"], indirect=True)
def test_what_the_terminal_puts_in_counts_at_once(
    migrated_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On PostgreSQL terms are counted later, by a server; there may be none."""
    (tmp_path / "年假.md").write_text("年假每年五天。", encoding="utf-8")
    monkeypatch.setenv("MOQI_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("MOQI_DATABASE_URL", migrated_url)
    with common.database() as db:
        asyncio.run(kb.add(db, [tmp_path / "年假.md"]))
        assert db.read_sync(lexical.unsettled)
    with common.database() as db:
        assert not db.read_sync(lexical.unsettled)
