"""What is the same for every command: help, version, exit codes, one sentence and never a traceback."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from bot.cli import common
from bot.cli.common import Exit
from tests.bot.cli.installation import ROOT, Installation

WORDS = {
    "serve", "init", "doctor", "config", "models", "kb", "draw", "ask", "jobs", "quota", "dept", "role", "token",
    "audit", "backup", "restore", "migrate", "verify", "reservations",
    "assets", "ban", "bench", "feishu", "key", "templates",
}  # fmt: skip
GROUPS = {
    "kb": {"add", "list", "remove", "sync", "sources", "vectors", "search", "ask", "eval", "unanswered", "feedback"},
    "jobs": {"list", "show", "cancel", "retry"},
    "reservations": {"list", "show", "cancel"},
    "quota": {"show", "set", "grant", "report"},
    "dept": {"set", "list"},
    "role": {"set"},
    "ban": {"add", "remove", "list"},
    "templates": {"list", "show", "save", "delete", "export", "import"},
    "token": {"create", "list", "revoke"},
    "audit": {"list", "verify"},
    "models": {"list", "memory", "pull", "verify", "use"},
    "config": {"check", "schema"},
    "key": {"new", "encrypt", "rekey", "decrypt"},
    "feishu": {"scopes"},
}


def listed(text: str) -> set[str]:
    """The commands that a help text lists."""
    lines = text.split("Commands:")[1].splitlines()
    return {line.split()[0] for line in lines if line.startswith("  ") and line.split()}


def test_help_lists_every_word_of_the_contract(moqi: Installation) -> None:
    assert listed(moqi("--help").out) == WORDS


@pytest.mark.parametrize("group", GROUPS)
def test_groups_list_their_words_and_each_explains_itself(moqi: Installation, group: str) -> None:
    assert listed(moqi(group, "--help").out) == GROUPS[group]
    for word in GROUPS[group]:
        shown = moqi(group, word, "--help")
        assert shown.code == Exit.DONE
        assert f"Usage: moqi {group} {word}" in shown.out
        assert shown.out.splitlines()[2].strip(), "a sentence that says what it does"


def test_version(moqi: Installation) -> None:
    assert moqi("--version").out.startswith("moqi 0.")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["dotcor"], Exit.USAGE, "doctor"),
        (["jobs", "show", "x"], Exit.USAGE, "integer"),
        (["jobs", "show", "99"], Exit.USAGE, "no job 99"),
        (["jobs", "cancel", "99"], Exit.USAGE, "no job 99"),
        (["jobs", "retry", "99"], Exit.USAGE, "no job 99"),
        (["jobs", "list", "--state", "sleeping"], Exit.USAGE, "'sleeping' is no state: write queued"),
        (["jobs", "list", "--who", "nobody"], Exit.USAGE, "Nobody is called 'nobody'"),
        (["quota", "show", "feishu:ou_unknown"], Exit.USAGE, "Nobody is called"),
        (["quota", "set", "web:bob", "lots"], Exit.USAGE, "'lots' is no amount"),
        (["quota", "set", "web:bob", "carol", "5/day"], Exit.USAGE, "'carol 5/day' is no amount"),
        (["quota", "set", "web:bob", "9999999/day"], Exit.USAGE, "at most 1000000"),
        (["quota", "grant", "web:bob", "5/day"], Exit.USAGE, "'5/day' is no amount"),
        (["quota", "grant", "web:bob", "5", "until", "2020-01-01"], Exit.USAGE, "it is over"),
        (["quota", "grant", "dept:设计部", "5"], Exit.USAGE, "dept:设计部 has no quota"),
        (["quota", "grant", "default", "5"], Exit.USAGE, "everybody has the default"),
        (["quota", "set", "group", "5/day"], Exit.USAGE, "names no group chat. Write group:<platform>:<chat id>"),
        (["quota", "report", "--month", "November"], Exit.USAGE, "'November' is no month: write 2026-11"),
        (["quota", "report", "--csv", "/no/such/folder/x.csv"], Exit.USAGE, "cannot write /no/such/folder/x.csv"),
        (["quota", "set", "bob", "5/day"], Exit.USAGE, "Nobody is called 'bob'"),
        (["role", "set", "web:bob", "king"], Exit.USAGE, "write admin, reviewer or user"),
        (["role", "set", "web:", "admin"], Exit.USAGE, "Nobody is called 'web:'"),
        (["role", "set", "telegram:7", "admin"], Exit.USAGE, "Nobody is called 'telegram:7'"),
        (["token", "create", "web:bob", "--purpose", "session"], Exit.USAGE, "write api or login"),
        (["token", "revoke", "5"], Exit.USAGE, "no token 5"),
        (["audit", "verify", "--head", "x"], Exit.USAGE, "NUMBER:HASH"),
        (["kb", "add", "/no/such/file"], Exit.USAGE, "There is no file or folder /no/such/file"),
        (["kb", "sync", "/no/such/folder"], Exit.USAGE, "/no/such/folder. Create it, or correct the path"),
        (["kb", "remove", "x.md"], Exit.USAGE, "There is no document 'x.md'"),
        (["kb", "eval", "/no/such.jsonl"], Exit.USAGE, "cannot read /no/such.jsonl"),
        (["models", "verify", "/no/such/model"], Exit.BROKEN, ""),
        (["backup", "/no/such/folder/file"], Exit.UNAVAILABLE, "nothing to back up"),
        (["restore", "/no/such/file"], Exit.UNAVAILABLE, "No such file"),
        (["init", "--yes"], Exit.REFUSED, "--force"),
    ],
)
def test_each_foreseeable_mistake_is_a_sentence_with_its_exit_code(
    moqi: Installation, words: list[str], code: Exit, said: str
) -> None:
    ran = moqi(*words)
    assert (ran.code, said in ran.err) == (code, True), ran


def test_settings_that_cannot_be_used_are_named_with_their_line(moqi: Installation) -> None:
    (moqi.config / "policy.yaml").write_text("limits:\n  count: many\n", encoding="utf-8")
    ran = moqi("quota", "show")
    assert ran.code == Exit.USAGE
    assert "policy.yaml:2: limits.count: must be a whole number" in ran.err


def test_a_data_folder_that_is_none(moqi: Installation) -> None:
    moqi.data.write_text("a file", encoding="utf-8")
    ran = moqi("jobs", "list")
    assert ran.code == Exit.UNAVAILABLE
    assert "MOQI_DATA" in ran.err


def test_a_database_that_is_none(moqi: Installation) -> None:
    moqi.data.mkdir()
    (moqi.data / "moqi.db").write_bytes(b"no database" * 1000)
    ran = moqi("jobs", "list")
    assert ran.code == Exit.UNAVAILABLE
    assert "moqi restore FILE" in ran.err


def test_a_database_of_a_newer_version(moqi: Installation) -> None:
    with moqi.database() as db:
        db.run_sync(lambda conn: conn.exec_driver_sql("update alembic_version set version_num = '9999'"))
    ran = moqi("jobs", "list")
    assert ran.code == Exit.UNAVAILABLE
    assert "'9999', which this version does not know" in ran.err


def test_ctrl_c_is_quiet(moqi: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(common, "environment", interrupted)
    ran = moqi("verify")
    assert (ran.code, ran.out, ran.err) == (130, "", "")


def test_a_user_without_a_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 4711")

    monkeypatch.setattr("getpass.getuser", nameless)
    assert common.actor() == f"cli:{os.getuid()}"


def test_nothing_heavy_is_imported_to_look_around(moqi: Installation) -> None:
    code = (
        "import sys; from bot.cli import run\n"
        "for words in (['doctor'], ['models', 'list'], ['models', 'verify'], ['jobs', 'list']):\n"
        "    assert run(words) == 0, words\n"
        "print([n for n in ('torch', 'diffusers', 'transformers', 'lark_oapi') if n in sys.modules])"
    )
    command = [sys.executable, "-c", code]
    free = {**os.environ, "PORT": "0"}
    ran = subprocess.run(command, cwd=ROOT, env=free, capture_output=True, text=True, check=False)
    assert ran.stdout.splitlines()[-1:] == ["[]"], ran.stdout + ran.stderr


def test_a_reader_that_has_seen_enough(moqi: Installation, tmp_path: Path) -> None:
    command = f"{shlex.quote(sys.executable)} -m bot.cli config schema | head -c 1"
    ran = subprocess.run(["sh", "-c", command], cwd=ROOT, capture_output=True, text=True, check=True)
    assert (ran.stdout, ran.stderr) == ("{", "")
