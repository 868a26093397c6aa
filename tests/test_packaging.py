"""The promises of the set-up: locks that agree, a complete wheel, imports in their places, a script that heals."""

from __future__ import annotations

import ast
import configparser
import importlib.util
import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from inference.text import orphan_guard

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ["bot", "inference", "scheduler", "storage"]
PURPOSES = ["run", "test", "gpu", "textcpu"]

# Optional, slow to import or tied to one place: each is known to the named files and folders only.
PLACES = {
    "accelerate": ["inference/images/"],
    "apscheduler": ["scheduler/clock.py"],
    "diffusers": ["inference/images/loading.py", "inference/images/builtin/"],
    "huggingface_hub": ["inference/images/store/hub.py"],
    "lark_oapi": ["bot/platforms/feishu/"],
    "mammoth": ["inference/grounding/"],
    "opencc": ["inference/grounding/"],
    "openpyxl": ["inference/grounding/"],
    "peft": ["inference/images/"],
    "pptx": ["inference/grounding/"],
    "psycopg": ["storage/"],
    "pypdfium2": ["inference/grounding/"],
    "ray": ["inference/fleet.py"],
    "rjieba": ["inference/grounding/"],
    "sentence_transformers": ["inference/embedding/local.py"],
    "sqlcipher3": ["storage/"],
    "sqlite_vec": ["storage/vector_functions.py"],
    "torch": [
        "inference/images/zimage.py",
        "inference/images/decoding.py",
        "inference/images/embeddings.py",
        "inference/images/loading.py",
        "inference/images/sketch.py",
        "inference/images/speed.py",
        "inference/images/classifier.py",
        "inference/images/placement.py",
        "inference/images/builtin/",
        "inference/device.py",
        "inference/text/local.py",
        "inference/embedding/local.py",
        "inference/embedding/qwen.py",
    ],
    "transformers": [
        "inference/images/loading.py",
        "inference/images/classifier.py",
        "inference/images/builtin/",
        "inference/text/",
        "inference/embedding/local.py",
        "inference/embedding/qwen.py",
    ],
    "psutil": ["inference/text/orphan_guard.py", "inference/text/leftover.py"],
    "vllm": ["inference/text/vllm_engine.py"],
    "websockets": ["bot/platforms/"],
    "wechatpy": ["bot/platforms/wecom/"],
}
LAZY = [
    "huggingface_hub",
    "torch",
    "diffusers",
    "transformers",
    "sentence_transformers",
    "sqlite_vec",
    "accelerate",
    "peft",
    "lark_oapi",
    "rjieba",
    "opencc",
    "vllm",
    "ray",
    "websockets",
    "wechatpy",
]


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    """pyproject.toml's table `project`."""
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return table


@pytest.fixture
def dev() -> ModuleType:
    """A fresh copy of dev.py as a module."""
    spec = importlib.util.spec_from_file_location("dev", ROOT / "dev.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read_lock(purpose: str) -> dict[tuple[str, str], tuple[str, list[str]]]:
    """(name, marker) to (version, hashes) of one lock."""
    text = (ROOT / "requirements" / f"{purpose}.txt").read_text(encoding="utf-8").replace("\\\n", " ")
    pins = {}
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        requirement, *hashes = line.split("--hash=")
        name, version, marker = re.fullmatch(r"([a-z0-9-]+)==([^ ;]+)(?: ; (.*?))?\s*", requirement).groups()  # type: ignore[union-attr]
        pins[name, marker or ""] = (version, [item.strip() for item in hashes])
    return pins


def requirements_of(project: dict[str, Any], extras: list[str]) -> Iterator[Requirement]:
    """The core's requirements and those of the extras."""
    for text in [
        *project["dependencies"],
        *(item for extra in extras for item in project["optional-dependencies"][extra]),
    ]:
        yield Requirement(text)


# Locks ----------------------------------------------------------------------------------------------------------------


def test_the_locks_agree_on_every_version() -> None:
    run, test, gpu, textcpu = (read_lock(purpose) for purpose in PURPOSES)
    assert len(run) > 60
    for other in (test, gpu):
        assert {name for name, _ in run} <= {name for name, _ in other}
        for key in run.keys() & other.keys():
            assert run[key] == other[key], key
    versions = {name: {gpu[key][0] for key in gpu if key[0] == name} for name, _ in gpu}
    everything = run | test | textcpu
    for name, marker in everything:
        pinned = everything[name, marker][0]
        assert pinned in versions.get(name, {pinned}), f"{name}: {pinned} beside {versions[name]}"


@pytest.mark.parametrize("purpose", PURPOSES)
def test_every_pin_has_a_hash_and_no_index_is_named(purpose: str) -> None:
    for (name, _), (_, hashes) in read_lock(purpose).items():
        assert hashes, name
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", digest) for digest in hashes), name
    text = (ROOT / "requirements" / f"{purpose}.txt").read_text(encoding="utf-8")
    assert "://" not in text
    assert not re.search(r"^\s*--?(index|extra-index|find-links|trusted-host|[if] )", text, re.MULTILINE)


def test_each_lock_satisfies_the_project_and_only_gpu_brings_cuda(project: dict[str, Any], dev: ModuleType) -> None:
    for purpose in PURPOSES:
        pins = read_lock(purpose)
        versions = {name: [pins[key][0] for key in pins if key[0] == name] for name, _ in pins}
        for requirement in requirements_of(project, dev.LOCK_EXTRAS[purpose]):
            name = canonicalize_name(requirement.name)
            if name == "torch" and purpose != "gpu":
                continue
            assert versions.get(name), f"{name} is missing in {purpose}.txt: run `python3 dev.py lock`"
            assert all(requirement.specifier.contains(version) for version in versions[name]), name
        cuda = [name for name in versions if dev.CUDA_PACKAGE.fullmatch(name)]
        assert bool(cuda) == (purpose == "gpu"), cuda


def test_torch_is_the_same_version_everywhere(project: dict[str, Any], dev: ModuleType) -> None:
    assert f"torch=={dev.TORCH}" in project["optional-dependencies"]["image"]
    assert {version for (name, _), (version, _) in read_lock("gpu").items() if name == "torch"} == {dev.TORCH}


def test_every_dependency_says_why_it_is_there() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    lists = re.findall(
        r"^(?:dependencies|image|text|textcpu|feishu|wecom|postgres|cluster|dev) = \[\n(.*?)^\]",
        text,
        re.MULTILINE | re.DOTALL,
    )
    lines = [line for block in lists for line in block.splitlines()]
    assert len(lines) > 40
    assert [line for line in lines if not re.fullmatch(r'  "[^"]+", +# .{8,}', line)] == []


# Imports --------------------------------------------------------------------------------------------------------------


def imported(path: Path) -> set[str]:
    """Top-level names of everything a file imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


def test_each_special_package_is_imported_only_in_its_place() -> None:
    astray = [
        f"{file} imports {name}, which belongs to {' '.join(PLACES[name])}"
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        for file in [path.relative_to(ROOT).as_posix()]
        for name in imported(path) & PLACES.keys()
        if not any(file == place or (place.endswith("/") and file.startswith(place)) for place in PLACES[name])
    ]
    assert astray == []


def test_importing_every_module_loads_nothing_slow() -> None:
    program = (
        "import importlib, json, pkgutil, sys\n"
        f"packages = [importlib.import_module(name) for name in {PACKAGES}]\n"
        "names = [info.name for package in packages\n"
        "         for info in pkgutil.walk_packages(package.__path__, package.__name__ + '.')\n"
        # Alembic runs env.py inside a migration; on its own it has no meaning.
        "         if not info.name.endswith(('__main__', 'migrations.env'))]\n"
        "for name in names: importlib.import_module(name)\n"
        f"print(json.dumps([names, [name for name in {LAZY} if name in sys.modules]]))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    names, loaded = json.loads(done.stdout)
    assert {"bot.cli", "bot.app", "inference.images.zimage", "storage.database"} <= set(names)
    assert loaded == []


# The wheel ------------------------------------------------------------------------------------------------------------


def test_the_wheel_carries_everything_a_start_needs(dev: ModuleType, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("moqi-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        entry = next(name for name in names if name.endswith("entry_points.txt"))
        listed = configparser.ConfigParser()
        listed.read_string(archive.read(entry).decode())
        linked = configparser.ConfigParser()
        linked.read_string(dev.entry_points(ROOT))
        assert listed == linked  # as a checkout is installed
        assert listed["console_scripts"]["moqi"] == "bot.cli:main"
        assert listed["vllm.general_plugins"][orphan_guard.NAME] == "inference.text.orphan_guard:register"
    for folder in [*PACKAGES, "storage/migrations", "bot/console/static", "bot/console/templates"]:
        assert in_tree(folder) <= names, folder
    assert in_tree("inference/images/builtin/checkpoint") <= names
    for source, target in [("deploy/config", "bot/defaults/config"), ("deploy/knowledge", "bot/defaults/knowledge")]:
        assert {name.replace(source, target, 1) for name in in_tree(source)} <= names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    assert not [name for name in names if name.startswith(("tests/", "data/", "benchmarks/"))]


def in_tree(folder: str) -> set[str]:
    """The files of a folder as Git would see them; there must be some."""
    found = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.name != ".DS_Store"
    }
    assert found, folder
    return found


# dev.py ---------------------------------------------------------------------------------------------------------------


def test_an_unknown_word_is_answered_with_the_known_ones(dev: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert dev.main(["rum"]) == 2
    assert "run|test|check|fix|bench|chaos|eval-builtin|lock" in capsys.readouterr().err


def test_make_knows_the_words_of_dev(dev: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    dev.main([])
    words = re.search(r"dev\.py (\S+)", capsys.readouterr().err)
    assert words is not None
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert f".PHONY: {words.group(1).replace('|', ' ')}\n" in makefile


def test_without_a_supported_python_it_says_what_to_install(
    dev: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(dev.sys, "version_info", (3, 9, 18))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(dev.SetupError, match=r"needs Python 3\.11 to 3\.14.*\n.*apt install"):
        dev.use_a_supported_python()


def test_a_newer_python_on_the_path_takes_over_and_a_dead_name_does_not(tmp_path: Path) -> None:
    dead, alive = tmp_path / "python3.14", tmp_path / "python3.12"
    dead.write_text("#!/bin/sh\nexit 127\n", encoding="utf-8")
    alive.write_text('#!/bin/sh\n[ "$1" = -c ] || echo "took over: $2"\n', encoding="utf-8")
    dead.chmod(0o755)
    alive.chmod(0o755)
    program = "import sys; sys.version_info = (3, 9, 18); sys.argv = ['dev.py', 'fix']; import dev; dev.main(['fix'])"
    environment = {**os.environ, "PATH": f"{tmp_path}:/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout == "took over: fix\n", done.stderr


def test_cuda_is_only_for_machines_with_an_nvidia_gpu(dev: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dev, "has_nvidia_gpu", lambda: False)
    monkeypatch.setattr(dev.platform, "system", lambda: "Darwin")
    assert (dev.locks_for("run"), dev.locks_for("test")) == (["run"], ["test"])
    monkeypatch.setattr(dev.platform, "system", lambda: "Linux")
    assert (dev.locks_for("run"), dev.locks_for("test")) == (["run"], ["test", "textcpu"])
    for source in dev.torch_sources("Linux"):
        assert f"torch=={dev.TORCH}+cpu" in source or dev.TORCH_CPU_INDEX in source
    monkeypatch.setattr(dev, "has_nvidia_gpu", lambda: True)
    assert (dev.locks_for("run"), dev.locks_for("test")) == (["gpu"], ["gpu", "test"])


@pytest.fixture
def checkout(dev: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A tiny project in a folder with a blank in its name, for which dev.py has made an environment."""
    root = tmp_path / "my project"
    (root / "bot").mkdir(parents=True)
    (root / "bot" / "cli.py").write_text("import sys\ndef main(): return print(sys.argv[1:])\n", encoding="utf-8")
    (root / "pyproject.toml").write_text('version = "4.5.6"\n', encoding="utf-8")
    venv = root / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    monkeypatch.setattr(dev, "ROOT", root)
    monkeypatch.setattr(dev, "VENV", venv)
    monkeypatch.setattr(dev, "PYTHON", venv / "bin" / "python")
    return root


def test_the_command_works_from_anywhere_in_a_path_with_blanks(dev: ModuleType, checkout: Path, tmp_path: Path) -> None:
    for _ in range(2):  # installing again must not leave two versions behind
        dev.link_project(dev.site_packages(), checkout)
    command = [str(checkout / ".venv" / "bin" / "moqi"), "draw", "一只猫"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == "['draw', '一只猫']\n", done.stderr
    asked = "import importlib.metadata as m; print(m.version('moqi'), len(list(m.files('moqi'))))"
    done = subprocess.run([str(dev.PYTHON), "-c", asked], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["4.5.6", "8"], done.stderr


@pytest.mark.usefixtures("checkout")
def test_a_stamp_counts_until_something_it_depends_on_changes(dev: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not dev.is_stamped("run", ["run"])
    dev.stamp("run", dev.fingerprint(["run"]))
    dev.stamp("test", dev.fingerprint(["test"]))
    assert dev.is_stamped("run", ["run"])
    assert dev.is_stamped("test", ["test"])
    assert not dev.is_stamped("run", ["gpu"])  # a GPU was built in
    monkeypatch.setattr(dev, "TORCH", "0.0.0")
    assert not dev.is_stamped("run", ["run"])


@pytest.mark.usefixtures("checkout")
@pytest.mark.parametrize("damage", ["interrupted", "never stamped", "garbage", "moved", "python gone"])
def test_an_environment_that_is_not_sure_does_not_count(dev: ModuleType, damage: str) -> None:
    dev.stamp("run", dev.fingerprint(["run"]))
    assert dev.venv_is_sound()
    stamps = dev.VENV / "moqi-stamps.json"
    if damage == "interrupted":
        dev.write_stamps(dict(dev.stamps(), unfinished="test"))
    elif damage == "never stamped":
        stamps.unlink()
    elif damage == "garbage":
        stamps.write_text("{", encoding="utf-8")
    elif damage == "moved":
        stamps.write_text(stamps.read_text(encoding="utf-8").replace("my project", "before"), encoding="utf-8")
    elif damage == "python gone":
        dev.PYTHON.unlink()
        dev.PYTHON.symlink_to("/nowhere/python3")
    assert not dev.venv_is_sound()
    assert not dev.is_stamped("run", ["run"])


def test_an_interrupted_installation_is_begun_anew_and_a_finished_one_kept(
    dev: ModuleType, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    half_installed = dev.site_packages() / "half_installed"
    (checkout / "requirements").mkdir()
    (checkout / "requirements" / "run.txt").write_text("", encoding="utf-8")
    monkeypatch.setattr(dev, "LOCKS", checkout / "requirements")
    monkeypatch.setattr(dev, "has_nvidia_gpu", lambda: False)
    dev.stamp("run", "of another lock")

    def fail(arguments: list[str], count: int) -> str:
        half_installed.touch()
        return "no route to host"

    monkeypatch.setattr(dev, "pip_install", fail)
    with pytest.raises(dev.SetupError, match=r"(?s)no route to host.*PIP_FIND_LINKS"):
        dev.install("run")
    assert half_installed.exists()
    assert not dev.is_stamped("run", ["run"])

    monkeypatch.setattr(dev, "pip_install", lambda arguments, count: None)
    dev.install("run")
    assert not half_installed.exists()
    assert dev.is_stamped("run", ["run"])
    kept = dev.site_packages() / "kept"
    kept.touch()
    dev.install("run")
    assert kept.exists()


def test_a_mirror_set_for_pip_counts_for_uv(dev: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith(("PIP_", "UV_", "SSL_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".config" / "pip").mkdir(parents=True)
    (tmp_path / ".config" / "pip" / "pip.conf").write_text(
        "[global]\nindex-url = https://mirror.example/simple\nfind-links = /a\n  /b\n", encoding="utf-8"
    )
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://one.example https://two.example")
    environment = dev.uv_environment()
    assert environment["UV_DEFAULT_INDEX"] == "https://mirror.example/simple"
    assert environment["UV_FIND_LINKS"] == "/a,/b"
    assert environment["UV_INDEX"] == "https://one.example https://two.example"
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://chosen.example/simple")
    assert dev.uv_environment()["UV_DEFAULT_INDEX"] == "https://chosen.example/simple"
