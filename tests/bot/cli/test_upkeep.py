"""Backup, restore, verify and init: what is kept comes back whole, and nothing is overwritten unasked."""

from __future__ import annotations

import io
import re
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from bot import setup
from bot.cli.common import Exit
from bot.settings import load
from storage.database import data_lock
from tests.bot.cli.installation import Installation


@pytest.fixture
def archive(moqi: Installation, tmp_path: Path) -> Path:
    """A backup of an installation with documents, pictures, quotas and waiting jobs."""
    moqi("kb", "sync")
    moqi("quota", "set", "web:alice", "5/day")
    for end in ("done", "done", "failed", ""):
        moqi.order(end=end)
    path = tmp_path / "moqi.tar.gz"
    with moqi.database():  # as while a server runs
        ran = moqi("backup", path)
    assert (ran.code, "2 pictures" in ran.out) == (Exit.DONE, True), ran
    return path


def seen(moqi: Installation) -> list[str]:
    """What an operator sees of the data."""
    words = ("jobs list", "kb list", "quota show web:alice", "audit list")
    return [moqi(*word.split(), "--json").out for word in words]


def test_what_was_backed_up_comes_back_whole(moqi: Installation, archive: Path) -> None:
    before, pictures = seen(moqi), sorted((moqi.data / "files").rglob("*"))
    kept = {path: path.read_bytes() for path in pictures if path.is_file()}
    shutil.rmtree(moqi.data)
    ran = moqi("restore", archive)
    assert (ran.code, ran.err) == (Exit.DONE, "")
    assert "1 jobs were waiting or running" in ran.out
    assert "BROKEN" not in ran.out
    assert seen(moqi) == before
    assert {path: path.read_bytes() for path in kept} == kept
    assert sorted(path.name for path in moqi.data.iterdir()) == ["files", "moqi.db", "moqi.lock"]


def test_the_archive_is_private_and_holds_the_settings(moqi: Installation, archive: Path) -> None:
    assert archive.stat().st_mode & 0o777 == 0o600
    with tarfile.open(archive) as tar:
        names = tar.getnames()
    assert names[-1] == "manifest.json"
    assert {f"config/{path.name}" for path in moqi.config.glob("*.yaml")} < set(names)
    assert [path.name for path in archive.parent.glob(".moqi-backup-*")] == []


def test_nothing_is_overwritten_unasked(moqi: Installation, archive: Path) -> None:
    size = archive.stat().st_size
    refused = moqi("backup", archive)
    assert (refused.code, "--force" in refused.err, archive.stat().st_size) == (Exit.REFUSED, True, size)
    assert moqi("backup", archive, "--force").code == Exit.DONE
    moqi("role", "set", "web:later", "admin")
    before = seen(moqi)
    refused = moqi("restore", archive)
    assert (refused.code, "--force" in refused.err) == (Exit.REFUSED, True)
    assert seen(moqi) == before
    assert moqi("restore", archive, "--force").code == Exit.DONE
    assert seen(moqi) != before
    assert moqi("jobs", "list", "--who", "web:later").code == Exit.USAGE


def test_settings_come_back_where_there_are_none_or_when_asked(moqi: Installation, archive: Path) -> None:
    policy = moqi.config / "policy.yaml"
    shipped = policy.read_text(encoding="utf-8")
    policy.write_text("timezone: UTC\n", encoding="utf-8")
    moqi("restore", archive, "--force")
    assert policy.read_text(encoding="utf-8") == "timezone: UTC\n"
    moqi("restore", archive, "--force", "--with-settings")
    assert policy.read_text(encoding="utf-8") == shipped
    shutil.rmtree(moqi.config)
    assert "policy.yaml" in moqi("restore", archive, "--force").out
    assert policy.read_text(encoding="utf-8") == shipped


def test_restore_while_a_server_runs_is_refused(moqi: Installation, archive: Path) -> None:
    with data_lock(moqi.data, 8080):
        ran = moqi("restore", archive, "--force")
    assert (ran.code, "on port 8080" in ran.err) == (Exit.UNAVAILABLE, True)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2000])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)


def text(path: Path) -> None:
    path.write_bytes(b"no archive")


def repacked(path: Path, change: Callable[[dict[str, bytes]], object]) -> None:
    """Unpack, change, pack again: an archive that is whole but not what the manifest says."""
    with tarfile.open(path) as tar:
        held = {name: tar.extractfile(name).read() for name in tar.getnames()}  # type: ignore[union-attr]
    change(held)
    with tarfile.open(path, "w:gz") as tar:
        for name, data in held.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def other_settings(path: Path) -> None:
    repacked(path, lambda held: held.update({"config/policy.yaml": b"timezone: UTC\n"}))


def without_manifest(path: Path) -> None:
    repacked(path, lambda held: held.pop("manifest.json"))


def without_a_picture(path: Path) -> None:
    repacked(path, lambda held: held.pop(next(name for name in held if name.startswith("files/"))))


def of_a_later_format(path: Path) -> None:
    repacked(path, lambda held: held.update({"manifest.json": b'{"format": 2, "files": []}'}))


def climbing(path: Path) -> None:
    repacked(path, lambda held: held.update({"../outside": b"x"}))


def linked(path: Path) -> None:
    with tarfile.open(path, "w:gz") as tar:
        info = tarfile.TarInfo("moqi.db")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(info)


@pytest.mark.parametrize(
    "harm",
    [cut, flip, text, other_settings, without_manifest, without_a_picture, of_a_later_format, climbing, linked],
)
def test_a_damaged_archive_changes_nothing(moqi: Installation, archive: Path, harm: Callable[[Path], None]) -> None:
    before = seen(moqi)
    harm(archive)
    ran = moqi("restore", archive, "--force", "--with-settings")
    assert (ran.code, "Nothing was changed" in ran.err) == (Exit.BROKEN, True), ran
    assert seen(moqi) == before
    assert sorted(path.name for path in moqi.data.iterdir()) == ["files", "moqi.db", "moqi.lock"]
    assert not (moqi.data.parent / "outside").exists()


def test_a_backup_of_a_newer_version_is_not_restored(moqi: Installation, archive: Path) -> None:
    with moqi.database() as db:
        db.run_sync(lambda conn: conn.exec_driver_sql("update alembic_version set version_num = '9999'"))
    moqi("backup", archive, "--force")
    shutil.rmtree(moqi.data)
    ran = moqi("restore", archive)
    assert (ran.code, "'9999'" in ran.err) == (Exit.UNAVAILABLE, True)
    assert not (moqi.data / "moqi.db").exists()


def test_a_picture_that_is_lost_is_named_and_the_rest_is_backed_up(moqi: Installation, tmp_path: Path) -> None:
    for _ in range(2):
        moqi.order(end="done")
    lost = next(path for path in (moqi.data / "files").rglob("*") if path.is_file())
    lost.unlink()
    ran = moqi("backup", tmp_path / "b.tar.gz")
    assert (ran.code, f"picture {lost.name} is missing" in ran.out) == (Exit.BROKEN, True)
    shutil.rmtree(moqi.data)
    ran = moqi("restore", tmp_path / "b.tar.gz")
    assert (ran.code, f"asset {lost.name}: its file is missing" in ran.out) == (Exit.BROKEN, True)


def test_postgresql_has_tools_of_its_own(moqi: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOQI_DATABASE_URL", "postgresql://moqi:hidden-word@db.example/moqi")
    for words in (("backup", "b.tar.gz"), ("restore", "b.tar.gz")):
        ran = moqi(*words)
        assert (ran.code, "pg_dump" in ran.err, "hidden-word" in ran.err) == (Exit.UNAVAILABLE, True, False)


def test_verify_prints_the_contracts_json(moqi: Installation) -> None:
    moqi.order(end="done")
    ran = moqi("verify", "--json")
    assert (ran.code, ran.json["ok"], len(ran.json["checks"])) == (Exit.DONE, True, 6)
    assert all(set(one) == {"invariant", "ok", "broken"} for one in ran.json["checks"])
    shutil.rmtree(moqi.data / "files")
    ran = moqi("verify", "--json")
    assert (ran.code, ran.json["ok"]) == (Exit.BROKEN, False)


# --- init -------------------------------------------------------------------------------------------------------


def test_init_yes_makes_settings_that_pass(moqi: Installation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MOQI_CONFIG", str(tmp_path / "new" / "config"))
    assert moqi("init", "--yes").code == Exit.DONE
    assert moqi("config", "check").code == Exit.DONE
    assert moqi("init", "--yes").code == Exit.DONE, "the same again replaces nothing"
    (tmp_path / "new" / "config" / "policy.yaml").write_text("timezone: UTC\n", encoding="utf-8")
    refused = moqi("init", "--yes")
    assert (refused.code, "policy.yaml" in refused.err) == (Exit.REFUSED, True)
    assert moqi("init", "--yes", "--force").code == Exit.DONE
    assert (tmp_path / "new" / "config" / "policy.yaml.bak").read_text(encoding="utf-8") == "timezone: UTC\n"
    assert moqi("config", "check").code == Exit.DONE


def answer(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    """Type these lines."""
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))


def test_init_asks_until_an_answer_can_be_used(
    moqi: Installation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = tmp_path / "new"
    monkeypatch.setenv("MOQI_CONFIG", str(config))
    weights, feishu = str(tmp_path / "weights"), ("y", "cli_123", "n")  # no webhook
    answer(
        monkeypatch,
        "画室 ${X}: #1",
        "fr",
        "en",
        "Mars/Base",
        "UTC",
        "n",
        *feishu,
        weights,
        "",
        "9/day",
        "lots",
        "1/week",
    )
    ran = moqi("init")
    assert ran.code == Exit.DONE, ran
    assert "language: must be 'zh', 'en'" in ran.out
    assert "is no time zone" in ran.out
    assert "export FEISHU_APP_SECRET=" in ran.out
    assert "FEISHU_ENCRYPT_KEY" not in ran.out
    assert "${FEISHU_APP_SECRET}" in (config / "platforms.yaml").read_text(encoding="utf-8")
    assert "FEISHU_APP_SECRET is not set" in moqi("config", "check").err
    found = load(config, dict.fromkeys(setup.FEISHU_SECRETS, "s"))
    assert (found.interface.title, found.interface.language, found.policy.timezone) == ("画室 ${X}: #1", "en", "UTC")
    assert (found.platforms.web.enabled, found.platforms.feishu.app_id) == (False, "cli_123")
    assert found.platforms.feishu.mode == "long_connection"
    assert (found.model.image.path, found.knowledge.sources) == (weights, ())
    assert (found.policy.quotas.user.draw[0].amount, found.policy.quotas.user.ask[0].period) == (9, "week")


def test_init_asks_for_the_keys_of_a_webhook(
    moqi: Installation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MOQI_CONFIG", str(tmp_path / "new"))
    answer(monkeypatch, "", "", "", "", "y", "cli_123", "y", "", "", "", "")
    ran = moqi("init")
    assert ran.code == Exit.DONE, ran
    assert all(f"export {name}=" in ran.out for name in {**setup.FEISHU_SECRETS, **setup.WEBHOOK_SECRETS})
    found = load(tmp_path / "new", dict.fromkeys({**setup.FEISHU_SECRETS, **setup.WEBHOOK_SECRETS}, "s"))
    assert found.platforms.feishu.mode == "webhook"


def test_init_asks_for_wecom(moqi: Installation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MOQI_CONFIG", str(tmp_path / "new"))
    start = ("画室", "", "", "")
    robot, app = ("aibX", "墨契 Moqi"), ("ww1", "the first", "1000002", "y")
    answer(monkeypatch, *start, "what?", "wecom", "", "", *robot, *app, "", "", "", "")
    ran = moqi("init")
    assert ran.code == Exit.DONE, ran
    assert "Answer feishu, wecom, both or n." in ran.out
    assert "WeCom needs the robot, the app, or both." in ran.out
    assert "agent_id is a number, find it in the admin console (管理后台)" in ran.out
    secrets = {**setup.ROBOT_SECRETS, **setup.APP_SECRETS, **setup.CALLBACK_SECRETS}
    assert all(f"export {name}=…   # {where}" in ran.out for name, where in secrets.items())
    assert "FEISHU" not in ran.out
    assert "moqi feishu" not in ran.out
    assert "WECOM_BOT_SECRET is not set" in moqi("config", "check").err
    for name in secrets:
        monkeypatch.setenv(name, "0" * 43)
    assert moqi("config", "check").code == Exit.DONE
    found = load(tmp_path / "new", dict.fromkeys(secrets, "0" * 43)).platforms
    assert (found.wecom.aibot.enabled, found.wecom.aibot.bot_id, found.wecom.aibot.name) == (True, *robot)
    assert (found.wecom.app.corp_id, found.wecom.app.agent_id, found.wecom.app.listens) == ("ww1", "1000002", True)
    assert not found.feishu.enabled


@pytest.mark.parametrize(
    ("lines", "enabled", "secrets"),
    [
        (("feishu", "cli_1", "n"), ["feishu"], {"FEISHU_APP_SECRET"}),
        (("wecom", "aibX", "", ""), ["aibot"], {"WECOM_BOT_SECRET"}),
        (("wecom", "", "ww1", "7", "n"), ["app"], {"WECOM_APP_SECRET"}),
        (("both", "cli_1", "n", "aibX", "", ""), ["feishu", "aibot"], {"FEISHU_APP_SECRET", "WECOM_BOT_SECRET"}),
        (("neither",), [], set()),
    ],
)
def test_init_asks_for_the_platforms_that_are_wanted(
    moqi: Installation,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    lines: tuple[str, ...],
    enabled: list[str],
    secrets: set[str],
) -> None:
    monkeypatch.setenv("MOQI_CONFIG", str(tmp_path / "new"))
    answer(monkeypatch, "", "", "", "", *lines, "", "", "", "")
    ran = moqi("init")
    assert ran.code == Exit.DONE, ran
    assert set(re.findall(r"export (\w+)=", ran.out)) == secrets
    found = load(tmp_path / "new", dict.fromkeys(secrets, "s")).platforms
    wecom = found.wecom
    served = {"feishu": found.feishu.enabled, "aibot": wecom.aibot.enabled, "app": wecom.app.enabled}
    assert [name for name, one in served.items() if one] == enabled
    assert found.wecom.aibot.name == ("墨契" if "aibot" in enabled else "")


def test_init_that_is_interrupted_or_not_confirmed_writes_nothing(
    moqi: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path: path.read_bytes() for path in moqi.config.glob("*") if path.is_file()}
    answer(monkeypatch, "画室")
    assert moqi("init").code == 130
    answer(monkeypatch, *[""] * 9, "n")
    assert moqi("init").code == Exit.REFUSED
    assert {path: path.read_bytes() for path in moqi.config.glob("*") if path.is_file()} == before
