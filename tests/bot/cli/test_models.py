"""`moqi models`: bringing a model in from a folder or a hub, checking it, and drawing with it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from bot.cli.common import Exit
from storage import audit, jobs, models
from storage.records import Kind
from tests.bot.cli.installation import ROOT, Installation
from tests.inference.images import versions

COMMIT = "f332072aa78be7aecdf3ee76d5c247082da564a6"


def test_a_model_comes_in_is_checked_and_chosen(moqi: Installation, tmp_path: Path) -> None:
    source = versions.hollow(tmp_path / "Z-Image-Turbo")
    ran = moqi("models", "pull", source)
    assert ran.code == Exit.DONE, ran.err
    assert "moqi models use Z-Image-Turbo" in ran.out
    assert "  vae/config.json\n" in ran.out, "a line for each file where nobody looks on"
    kept = moqi.data / "models" / "Z-Image-Turbo"
    one = next(one for one in moqi("models", "list", "--json").json if one["name"] == "Z-Image-Turbo")
    assert (one["in_use"], one["dtype"], one["source"], one["path"]) == (False, "BF16", str(source), str(kept))
    first = one["verified_at"]
    verified = moqi("models", "verify", "z-image-turbo")
    assert (verified.code, "ok" in verified.out) == (Exit.DONE, True)
    listed = {one["name"]: one for one in moqi("models", "list", "--json").json}
    assert listed["Z-Image-Turbo"]["verified_at"] > first

    assert moqi("models", "use", "Z-Image-Turbo").code == Exit.DONE
    listed = {one["name"]: one for one in moqi("models", "list", "--json").json}
    assert {name: one["in_use"] for name, one in listed.items() if one["kind"] == "image"} == {
        "builtin": False, "Z-Image-Turbo": True
    }  # fmt: skip
    assert "chosen by cli:olga" in listed["Z-Image-Turbo"]["reason"]
    assert "another one was chosen" in listed["builtin"]["reason"]
    checks = {one["name"]: one for one in moqi("doctor", "--json").json["checks"]}
    assert "chosen by cli:olga" in checks["image model"]["detail"]
    with moqi.database() as db:
        chosen = db.read_sync(models.chosen, Kind.DRAW)
        assert (chosen.name, chosen.settled, chosen.version) == ("Z-Image-Turbo", False, 1)
        assert db.read_sync(jobs.peek_lane, Kind.DRAW).switching
        assert db.read_sync(audit.entries, 1)[0].action == "model.use"

    (kept / "vae" / "config.json").write_text("{}")
    broken = moqi("models", "verify", "--json")  # the one in use
    assert (broken.code, broken.json["ok"], broken.json["path"]) == (Exit.BROKEN, False, str(kept))
    assert any("vae/config.json" in one["problem"] for one in broken.json["problems"])
    refused = moqi("models", "use", "Z-Image-Turbo")
    assert (refused.code, "nothing was changed" in refused.err) == (Exit.BROKEN, True)
    assert moqi("models", "use", "default").code == Exit.DONE
    with moqi.database() as db:
        assert db.read_sync(models.chosen, Kind.DRAW).name == ""


def test_what_cannot_be_done_says_what_to_do(moqi: Installation, tmp_path: Path) -> None:
    cases: list[tuple[list[str | Path], Exit, str]] = [
        (["pull", tmp_path / "none"], Exit.UNAVAILABLE, "There is no"),
        (["pull", tmp_path], Exit.UNAVAILABLE, "lacks model_index.json"),
        (["pull", tmp_path, "--revision", "main"], Exit.USAGE, "--revision is for models of the hub"),
        (["use", "builtn"], Exit.USAGE, "Perhaps builtin?"),
        (["use", "flux"], Exit.USAGE, "moqi models list"),
        (["verify", "flux"], Exit.USAGE, "moqi models list"),
    ]
    for words, code, said in cases:
        ran = moqi("models", *words)
        assert (ran.code, said in ran.err) == (code, True), (words, ran)


# --- from a hub -------------------------------------------------------------------------------------------------


class Hub(BaseHTTPRequestHandler):
    """What huggingface_hub asks of a hub for one model, answered from a folder."""

    root: Path
    asked: list[str]
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, *, body: bool) -> None:
        path = unquote(urlsplit(self.path).path)
        self.asked.append(f"{self.command} {path} {self.headers.get('Authorization', '')}")
        if path.startswith("/api/models/team/turbo/tree/"):
            return self.json([self.entry(file, kind="file") for file in self.files()], body)
        if path in (
            "/api/models/team/turbo",
            f"/api/models/team/turbo/revision/{COMMIT}",
            "/api/models/team/turbo/revision/main",
        ):
            info = {"id": "team/turbo", "sha": COMMIT, "siblings": [self.entry(file) for file in self.files()]}
            return self.json(info, body)
        prefix = f"/team/turbo/resolve/{COMMIT}/"
        file = self.root / path.removeprefix(prefix)
        if path.startswith(prefix) and file.is_file():
            return self.file(file, body)
        self.send_response(404)
        self.send_header("X-Error-Code", "RepoNotFound")
        self.send_header("Content-Length", "0")
        self.end_headers()
        return None

    def files(self) -> list[Path]:
        return sorted(one for one in self.root.rglob("*") if one.is_file())

    def entry(self, file: Path, kind: str = "") -> dict[str, Any]:
        name, data = file.relative_to(self.root).as_posix(), file.read_bytes()
        found: dict[str, Any] = {"size": len(data), "path" if kind else "rfilename": name}
        found |= {"type": kind, "oid": self.etag(file)} if kind else {"blobId": self.etag(file)}
        if file.suffix == ".safetensors":
            digest = hashlib.sha256(data).hexdigest()
            found["lfs"] = {"oid" if kind else "sha256": digest, "size": len(data), "pointerSize": 134}
        return found

    def etag(self, file: Path) -> str:
        return hashlib.sha256(file.read_bytes()).hexdigest()

    def json(self, value: Any, body: bool) -> None:
        self.reply(json.dumps(value).encode(), body, {"Content-Type": "application/json"})

    def file(self, file: Path, body: bool) -> None:
        data, extra, status = file.read_bytes(), {"ETag": f'"{self.etag(file)}"', "X-Repo-Commit": COMMIT}, 200
        if (wanted := self.headers.get("Range")) and body:
            start = int(wanted.removeprefix("bytes=").partition("-")[0])
            extra["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            data, status = data[start:], 206
        self.reply(data, body, extra, status)

    def reply(self, data: bytes, body: bool, headers: dict[str, str], status: int = 200) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Nobody reads it."""


@contextmanager
def hub(root: Path) -> Iterator[tuple[str, list[str]]]:
    """A hub on the loopback interface; gives its address and what it was asked."""
    asked: list[str] = []
    handler = type("OneHub", (Hub,), {"root": root, "asked": asked})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        serving = threading.Thread(target=server.serve_forever, daemon=True)
        serving.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()
        serving.join()


def from_hub(moqi: Installation, address: str, *words: str) -> subprocess.CompletedProcess[str]:
    """A process of its own: the client library reads the environment when it is imported."""
    environment = {
        **os.environ, "HF_ENDPOINT": address, "HF_HUB_OFFLINE": "0", "HF_TOKEN": "hf_secret", "HF_HUB_DISABLE_XET": "1",
        "HF_HOME": str(moqi.data.parent / "hf"),
    }  # fmt: skip
    command = [sys.executable, "-m", "bot.cli", "models", "pull", *words]
    return subprocess.run(command, env=environment, cwd=ROOT, check=False, capture_output=True, text=True, timeout=120)


def test_a_model_is_fetched_from_a_hub_at_a_pinned_revision(moqi: Installation, tmp_path: Path) -> None:
    source = versions.hollow(tmp_path / "source")
    (source / "vae" / "old.bin").write_bytes(b"a pickle")
    (source / "model.py").write_bytes(b"code")
    with hub(source) as (address, asked):
        ran = from_hub(moqi, address, "team/turbo", "--json")
        assert ran.returncode == Exit.DONE, ran.stderr
        found = json.loads(ran.stdout)
        assert (found["name"], found["source"], found["revision"]) == ("turbo", "team/turbo", COMMIT)
        files = [line for line in asked if "/resolve/" in line]
        assert files
        assert all(line.startswith(("GET", "HEAD")) and f"/{COMMIT}/" in line for line in files), "one revision"
        assert all("hf_secret" in line for line in files)
        assert not [line for line in files if ".bin" in line or ".py " in line], "only what cannot run"
        gone = from_hub(moqi, address, "team/nothing")
    assert (gone.returncode, "has no team/nothing" in gone.stderr) == (Exit.UNAVAILABLE, True)
    store = moqi.data / "models"
    assert sorted(one.name for one in store.iterdir()) == [".lock", "turbo"], "the download is gone"
    assert moqi("models", "verify", "turbo").code == Exit.DONE
    assert "hf_secret" not in ran.stdout + ran.stderr + gone.stderr
