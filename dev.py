#!/usr/bin/env python3
"""Set up Moqi in .venv and work on it, with the standard library only: `python3 dev.py run`, and the words of `main`.

It installs exactly what `requirements/*.txt` name, by hash, and stamps the result, so that a second start takes well
under a second. It must start on a Python older than the project's, to find a newer one or to say so.
"""

from __future__ import annotations

import configparser
import contextlib
import hashlib
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
LOCKS = ROOT / "requirements"
PYTHON = VENV / "bin" / "python"

OLDEST, NEWEST = (3, 11), (3, 14)  # for which every locked package has a wheel on Linux and macOS
TORCH = "2.13.0"
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
CUDA_PACKAGE = re.compile(r"torch(vision|audio|codec)?|triton|nvidia-.+|cuda-.+")

# What each lock holds, as extras of pyproject.toml, and whether it holds torch and CUDA too.
LOCK_EXTRAS = {
    "run": ["image", "feishu", "wecom"],
    "test": ["image", "embedding", "feishu", "wecom", "postgres", "dev"],
    "gpu": ["image", "embedding", "feishu", "wecom", "text"],
    "textcpu": ["textcpu"],
}
LOCKS_WITH_CUDA = {"gpu"}
# Not resolved together with the others: its package takes the place of vllm, and wants other builds of the same torch.
ALONE = "textcpu"
OVERRIDDEN = ("torch", "setuptools")


class SetupError(Exception):
    """The set-up cannot go on; the message says why and what to do next."""


def main(argv: list[str]) -> int:
    """Run one word; returns the process's exit code."""
    words = {"run": run, "test": test, "check": check, "fix": fix}
    words.update({"bench": bench, "chaos": chaos, "eval-builtin": evaluate, "lock": lock})
    if not argv or argv[0] not in words:
        print(f"usage: python3 dev.py {'|'.join(words)} [arguments]", file=sys.stderr)
        return 2
    try:
        use_a_supported_python()
        return words[argv[0]](argv[1:])
    except SetupError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped; the next start goes on from a clean state", file=sys.stderr)
        return 130


# The words ------------------------------------------------------------------------------------------------------------


def run(arguments: list[str]) -> int:
    """Install what serving needs, then become `moqi serve`."""
    install("run")
    port = os.environ.get("PORT") or "8080"
    become([str(PYTHON), str(VENV / "bin" / "moqi"), "serve", "--port", port, *arguments])


def test(arguments: list[str]) -> int:
    """Install the test extras too, then become pytest, on all cores; `-n0` brings back one process."""
    install("test")
    # The tests start hundreds of processes. Where none may leave its bytecode behind, each would compile torch anew.
    if os.environ.pop("PYTHONDONTWRITEBYTECODE", ""):
        os.environ["PYTHONPYCACHEPREFIX"] = str(VENV / "bytecode")
    # Two for each core, for half of the time a journey waits for its server. A file's tests share one, so more workers
    # than four would mostly start servers; the last ones share out.
    workers = min(2 * (os.cpu_count() or 1), 4)
    become([str(PYTHON), "-m", "pytest", "-n", str(workers), "--dist", "worksteal", *arguments])


def check(arguments: list[str]) -> int:
    """Lint, format, types and the import contract; all of them, even after one has failed."""
    install("test")
    bin_folder = VENV / "bin"
    steps = [
        ("lint", [str(bin_folder / "ruff"), "check", "--quiet"]),
        ("format", [str(bin_folder / "ruff"), "format", "--check", "--quiet"]),
        ("imports", [str(bin_folder / "lint-imports")]),
        ("types", [str(bin_folder / "mypy")]),
    ]
    failed = [name for name, command in steps if not passes(name, command + arguments)]
    say(f"check failed: {', '.join(failed)}; `make fix` mends lint and format" if failed else "check passed")
    return 1 if failed else 0


def fix(arguments: list[str]) -> int:
    """Mend what ruff can mend."""
    install("test")
    ruff = str(VENV / "bin" / "ruff")
    mended = subprocess.call([ruff, "check", "--fix", *arguments], cwd=str(ROOT))
    return subprocess.call([ruff, "format", *arguments], cwd=str(ROOT)) or mended


def bench(arguments: list[str]) -> int:
    """Install the test extras too, then become the benchmarks."""
    install("test")
    become([str(PYTHON), "-m", "benchmarks", *arguments])


def chaos(arguments: list[str]) -> int:
    """Install the test extras too, then become the harness that kills, starves and misleads real processes."""
    install("test")
    become([str(PYTHON), "-m", "tests.chaos", *arguments])


def evaluate(arguments: list[str]) -> int:
    """Ask the built-in model for what training never showed it, and print how often it was right."""
    install("run")
    become([str(PYTHON), "-m", "inference.images.builtin.evaluate", *arguments])


def lock(arguments: list[str]) -> int:
    """Resolve all extras together, then write one lock per purpose from that single resolution."""
    uv = shutil.which("uv")
    if uv is None:
        raise SetupError("Locks are made with uv, which is not on PATH. Install it with `pip install uv`.")
    with tempfile.TemporaryDirectory() as folder:
        together = Path(folder) / "all.txt"
        extras = [word for name in sorted(other_extras(ROOT)) for word in ("--extra", name)]
        compile_lock(uv, together, [*extras, "--no-annotate", *arguments])
        overrides = Path(folder) / "overrides.txt"
        overrides.write_text("".join(pins_of(together, OVERRIDDEN)), encoding="utf-8")
        names = re.findall(r"^([a-z0-9-]+)==", together.read_text(encoding="utf-8"), re.MULTILINE)
        cuda = sorted({name for name in names if CUDA_PACKAGE.fullmatch(name)})
        for purpose, extras in LOCK_EXTRAS.items():
            options = ["--generate-hashes", "--constraint", str(together)]
            options += [word for extra in extras for word in ("--extra", extra)]
            if purpose == ALONE:
                options += ["--override", str(overrides)]
            if purpose not in LOCKS_WITH_CUDA:
                options += [word for name in cuda for word in ("--no-emit-package", name)]
            compile_lock(uv, LOCKS / f"{purpose}.txt", options)
    return 0


def other_extras(root: Path) -> set[str]:
    """The extras of pyproject.toml that can live together."""
    text = (root / "pyproject.toml").read_text(encoding="utf-8")
    table = text.partition("[project.optional-dependencies]\n")[2].partition("\n[")[0]
    return set(re.findall(r"^([a-z0-9-]+) = \[", table, re.MULTILINE)) - {ALONE}


def pins_of(lock: Path, names: tuple[str, ...]) -> list[str]:
    """The lines of a lock without hashes that pin these."""
    lines = lock.read_text(encoding="utf-8").splitlines(keepends=True)
    return [line for line in lines if line.partition("==")[0] in names]


def compile_lock(uv: str, target: Path, options: list[str]) -> None:
    """Write one requirements file for every supported Python, Linux and macOS; no index is named in it."""
    started = time.monotonic()
    command = [uv, "pip", "compile", "pyproject.toml", "--universal", "--quiet", "--output-file", str(target)]
    command += ["--python-version", "{}.{}".format(*OLDEST), "--custom-compile-command", "python3 dev.py lock"]
    command += ["--no-emit-index-url", "--no-emit-find-links", "--annotation-style", "line", "--no-config"]
    command += ["--only-binary", ":all:"]  # as they are installed: nothing is built on a user's machine
    # One complete index only: an extra one with fewer files would hide the hashes of the others' wheels.
    extra = {"UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS"}
    environment = {name: value for name, value in os.environ.items() if name not in extra}
    subprocess.run([*command, *options], cwd=str(ROOT), env=environment, check=True)
    # The resolution's own file is a temporary one: its name would change with every lock.
    text = re.sub(
        r"(?:-c|--override) \S+(?:all|overrides)\.txt,? ?|, (?:-c|--override) \S+(?:all|overrides)\.txt",
        "",
        target.read_text(encoding="utf-8"),
    )
    target.write_text(re.sub(r" *# via *$", "", text, flags=re.MULTILINE), encoding="utf-8")
    say(f"{target.name} written", started)


# A Python -------------------------------------------------------------------------------------------------------------


def use_a_supported_python() -> None:
    """Go on in a supported Python if this one is not; raises SetupError if there is none."""
    if OLDEST <= sys.version_info[:2] <= NEWEST:
        return
    for minor in range(NEWEST[1], OLDEST[1] - 1, -1):
        candidate = shutil.which(f"python3.{minor}")
        # Asked rather than trusted: a version manager leaves names on PATH that start nothing.
        if candidate and subprocess.call([candidate, "-c", ""], stderr=subprocess.DEVNULL) == 0:
            become([candidate, str(Path(__file__).resolve()), *sys.argv[1:]])
    here, oldest, newest = platform.python_version(), "{}.{}".format(*OLDEST), "{}.{}".format(*NEWEST)
    raise SetupError(
        f"Moqi needs Python {oldest} to {newest}; this is {here} and no other was found on PATH.\n"
        f"Debian/Ubuntu: sudo apt install python3 python3-venv    macOS: brew install python@{newest}"
    )


def become(command: list[str]) -> NoReturn:
    """Replace this process, so that signals and the exit code are the new program's own."""
    sys.stdout.flush()
    os.chdir(str(ROOT))
    os.execv(command[0], command)


# The environment ------------------------------------------------------------------------------------------------------


def install(purpose: str) -> None:
    """Bring .venv to what `purpose` needs; returns at once if its stamp says it is there."""
    locks = locks_for(purpose)
    if is_stamped(purpose, locks):
        return
    with one_at_a_time():
        if is_stamped(purpose, locks):  # another start did it while this one waited
            return
        started = time.monotonic()
        prepare_venv()
        # From here until the stamp nothing in .venv is sure: a start that finds this word makes it anew.
        write_stamps(dict(stamps(), unfinished=purpose))
        install_torch()
        for name in locks:
            install_lock(name)
        link_project(site_packages(), ROOT)
        stamp(purpose, fingerprint(locks))
        say("ready", started)


def locks_for(purpose: str) -> list[str]:
    """Names of the locks to install, in order: a machine with an NVIDIA GPU gets CUDA, no other does."""
    if has_nvidia_gpu():
        return ["gpu"] if purpose == "run" else ["gpu", purpose]
    return [purpose, ALONE] if purpose == "test" and platform.system() == "Linux" else [purpose]


def has_nvidia_gpu() -> bool:
    """Whether CUDA packages are worth their gigabytes here."""
    return platform.system() == "Linux" and (Path("/dev/nvidia0").exists() or shutil.which("nvidia-smi") is not None)


def fingerprint(locks: list[str]) -> str:
    """What an installation depends on."""
    digest = hashlib.sha256(TORCH.encode())
    for path in [Path(__file__), *(LOCKS / f"{name}.txt" for name in locks)]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def stamps() -> dict[str, str]:
    """Purpose to fingerprint of what .venv holds; nothing if it was made elsewhere (it is full of absolute paths)."""
    try:
        read = json.loads((VENV / "moqi-stamps.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return read if isinstance(read, dict) and read.get("venv") == str(VENV) else {}


def is_stamped(purpose: str, locks: list[str]) -> bool:
    """Whether the last installation for `purpose` finished and nothing it depends on has changed since."""
    known = stamps()
    return known.get(purpose) == fingerprint(locks) and "unfinished" not in known and PYTHON.exists()


def stamp(purpose: str, value: str) -> None:
    """Record that `purpose` is completely installed."""
    known = {name: kept for name, kept in stamps().items() if name != "unfinished"}
    write_stamps(dict(known, **{purpose: value}))


def write_stamps(known: dict[str, str]) -> None:
    """Replace the record in one step."""
    path = VENV / "moqi-stamps.json"
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(dict(known, venv=str(VENV)), indent=1), encoding="utf-8")
    draft.replace(path)


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """Let a second start in the same checkout wait for the first one's installation."""
    import fcntl

    with (ROOT / ".venv.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def prepare_venv() -> None:
    """Make .venv, from nothing if there is one that cannot be relied on."""
    if venv_is_sound():
        return
    started = time.monotonic()
    if VENV.exists():
        shutil.rmtree(str(VENV))
    uv = shutil.which("uv")
    if uv is None and importlib.util.find_spec("ensurepip") is None:
        raise SetupError(
            "This Python cannot make virtual environments: its module ensurepip is missing.\n"
            "Debian/Ubuntu: sudo apt install python3-venv, then run the same command again."
        )
    if uv:
        command = [uv, "venv", "--quiet", "--no-project", "--python", sys.executable, str(VENV)]
    else:
        command = [sys.executable, "-m", "venv", str(VENV)]
    words = failure_of(command)
    if words is not None:
        raise SetupError(f"Making .venv failed:\n{words}")
    say(f"made .venv with Python {platform.python_version()}", started)


def venv_is_sound() -> bool:
    """Whether .venv was made here, no installation was cut short, and its Python still starts.

    A system upgrade may have removed the Python that .venv points at.
    """
    known = stamps()
    if not known or "unfinished" in known or not PYTHON.exists():
        return False
    return subprocess.call([str(PYTHON), "-c", ""], stderr=subprocess.DEVNULL) == 0


def site_packages() -> Path:
    """Where .venv keeps packages."""
    return next((VENV / "lib").glob("python3.*/site-packages"))


# Packages -------------------------------------------------------------------------------------------------------------


def install_lock(name: str) -> None:
    """Install one lock: every file is checked by hash, nothing is built, nothing else comes in."""
    lock_file = LOCKS / f"{name}.txt"
    count = len(re.findall(r"^\S+==", lock_file.read_text(encoding="utf-8"), re.MULTILINE))
    started = time.monotonic()
    say(f"installing up to {count} packages of requirements/{name}.txt …")
    words = pip_install(["--require-hashes", "--requirement", str(lock_file)], count)
    if words is not None:
        raise SetupError(f"{words}\nInstalling failed; the lines above say why. If the network did, run it again.")
    say(f"installed requirements/{name}.txt", started)


def install_torch() -> None:
    """Install the torch build for this machine; on an NVIDIA machine gpu.txt brings it.

    It is no part of the other locks because on Linux the package index only has the CUDA build, gigabytes of it.
    """
    if has_nvidia_gpu() or list(site_packages().glob(f"torch-{TORCH}*.dist-info")):
        return
    started = time.monotonic()
    say(f"installing torch {TORCH} …")
    for source in torch_sources(platform.system()):
        words = pip_install(source, 1)
        if words is None:
            break
    else:
        raise SetupError(
            f"{words}\n"
            f"No torch {TORCH} wheel could be fetched for {platform.platform()}, Python {platform.python_version()}.\n"
            f"It needs Linux (x86_64, aarch64) or macOS 14 on Apple silicon, and a connection to {TORCH_CPU_INDEX}\n"
            "on Linux. Behind a firewall, put the wheel into a folder and set PIP_FIND_LINKS to that folder."
        )
    say(f"installed torch {TORCH}", started)


def torch_sources(system: str) -> list[list[str]]:
    """The ways to get torch without CUDA, in the order to try."""
    if system == "Darwin":
        return [[f"torch=={TORCH}"]]
    return [[f"torch=={TORCH}+cpu"], ["--index-url", TORCH_CPU_INDEX, f"torch=={TORCH}"]]


def pip_install(arguments: list[str], count: int) -> str | None:
    """Install wheels without resolving, by uv where it is, else by .venv's own pip; the last words if it failed."""
    uv = shutil.which("uv")
    options = ["install", "--no-deps", "--only-binary", ":all:", *arguments]
    if uv:
        return watched([uv, "pip", *options, "--python", str(PYTHON)], count, uv_environment())
    # Compiling everything would double the time; Python compiles what it imports.
    options += ["--no-input", "--disable-pip-version-check", "--no-compile"]
    return watched([str(PYTHON), "-m", "pip", *options], count, dict(os.environ))


def watched(command: list[str], count: int, environment: dict[str, str]) -> str | None:
    """Run an installer, on a terminal with a running count of `count`; the end of its own words if it failed."""
    process = subprocess.Popen(
        command,
        cwd=str(ROOT),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        universal_newlines=True,
    )
    assert process.stdout is not None
    lines: list[str] = []
    fetched = 0
    for line in process.stdout:
        lines.append(line)
        if line.startswith("Collecting ") and sys.stdout.isatty():
            fetched += 1
            print(f"\r  {fetched}/{count} {line.split()[1].split('==')[0]:<40}", end="", flush=True)
    if fetched:
        print("\r" + " " * 60 + "\r", end="")
    return "".join(lines[-20:]) if process.wait() else None


# What uv reads in the environment, the pip option that says the same, and what stands between several values.
UV_FROM_PIP = [
    ("UV_DEFAULT_INDEX", "index-url", " "),
    ("UV_INDEX", "extra-index-url", " "),
    ("UV_FIND_LINKS", "find-links", ","),
    ("SSL_CERT_FILE", "cert", " "),
]


def uv_environment() -> dict[str, str]:
    """The environment for uv, with the index settings that the user gave to pip: a mirror set once counts for both."""
    environment = dict(os.environ)
    for name, option, between in UV_FROM_PIP:
        value = os.environ.get("PIP_" + option.upper().replace("-", "_")) or pip_setting(option)
        if value:
            environment.setdefault(name, between.join(value.split()))
    # As pip does: a mirror that lacks the locked version does not hide the others. Hashes make it safe.
    environment.setdefault("UV_INDEX_STRATEGY", "unsafe-best-match")
    environment.setdefault("UV_SYSTEM_CERTS", "1")
    return environment


def pip_setting(option: str) -> str:
    """A value of the first pip configuration file that has it, or nothing."""
    home = Path("~").expanduser()
    named = [os.environ["PIP_CONFIG_FILE"]] if os.environ.get("PIP_CONFIG_FILE") else []
    usual = [".config/pip/pip.conf", ".pip/pip.conf", "Library/Application Support/pip/pip.conf"]
    for path in [*map(Path, named), *(home / place for place in usual), Path("/etc/pip.conf")]:
        parser = configparser.RawConfigParser()
        with contextlib.suppress(configparser.Error):
            parser.read(str(path))
        for section in ("install", "global"):
            if parser.has_option(section, option):
                return parser.get(section, option)
    return ""


# The project itself ---------------------------------------------------------------------------------------------------


def link_project(target: Path, root: Path) -> None:
    """Install this checkout editable without a build: a path file, the `moqi` command and pip's metadata."""
    version = project_version(root)
    for stale in target.glob("moqi-*.dist-info"):
        shutil.rmtree(str(stale))
    (target / "moqi.pth").write_text(f"{root}\n", encoding="utf-8")
    script = VENV / "bin" / "moqi"
    script.write_text(console_script(script.with_name("python")), encoding="utf-8")
    script.chmod(0o755)
    info = target / f"moqi-{version}.dist-info"
    info.mkdir()
    files = {
        "METADATA": f"Metadata-Version: 2.1\nName: moqi\nVersion: {version}\n",
        "WHEEL": "Wheel-Version: 1.0\nGenerator: dev.py\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "INSTALLER": "dev.py\n",
        "entry_points.txt": entry_points(root),
        "direct_url.json": json.dumps({"url": root.as_uri(), "dir_info": {"editable": True}}),
    }
    for name, text in files.items():
        (info / name).write_text(text, encoding="utf-8")
    owned = ["moqi.pth", "../../../bin/moqi", *(f"{info.name}/{name}" for name in [*files, "RECORD"])]
    (info / "RECORD").write_text("".join(f"{path},,\n" for path in owned), encoding="utf-8")


def console_script(python: Path) -> str:
    """A command for any path: `#!` stops at the first blank and at 127 characters, so a shell starts Python."""
    return (
        "#!/bin/sh\n"
        f"""'''exec' "{python}" "$0" "$@"\n"""
        "' '''\n"
        "import sys\n\nfrom bot.cli import main\n\n"
        'if __name__ == "__main__":\n    sys.exit(main())\n'
    )


def entry_points(root: Path) -> str:
    """The commands and plugins in pyproject.toml, as an installed package lists them."""
    groups = {"scripts": "console_scripts"}
    said = []
    text = (root / "pyproject.toml").read_text(encoding="utf-8")
    for name, lines in re.findall(r"^\[project\.(scripts|entry-points\..+?)\]\n((?:\S.*\n)+)", text, re.MULTILINE):
        group = groups.get(name, name.partition(".")[2].strip('"'))
        said.append(f"[{group}]\n{lines.replace(chr(34), '')}")
    return "\n".join(said)


def project_version(root: Path) -> str:
    """The version in pyproject.toml."""
    text = (root / "pyproject.toml").read_text(encoding="utf-8")
    found = re.search(r'^version = "([^"]+)"', text, re.MULTILINE)
    if found is None:
        raise SetupError("pyproject.toml has no version; restore it with `git checkout pyproject.toml`.")
    return found.group(1)


# Words to the user ----------------------------------------------------------------------------------------------------


def say(what: str, started: float | None = None) -> None:
    """One line of progress, with how long it took since `started` (monotonic seconds)."""
    print(f"moqi: {what}" + ("" if started is None else f" ({time.monotonic() - started:.1f} s)"), flush=True)


def passes(name: str, command: list[str]) -> bool:
    """Run one checker; its own words are shown only if it fails."""
    started = time.monotonic()
    words = failure_of(command)
    say(f"{name}: {'ok' if words is None else 'failed'}", started)
    print(words or "", end="")
    return words is None


def failure_of(command: list[str]) -> str | None:
    """Run a command in the repository; returns what it printed if it failed, else None."""
    done = subprocess.run(
        command, cwd=str(ROOT), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True, check=False
    )
    return done.stdout if done.returncode else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
