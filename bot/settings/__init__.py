"""The settings: six YAML files in one folder, checked as a whole. Nothing here reads the process environment.

SettingsError: the settings cannot be used. Its text has one line per problem, `file:line: key: what is wrong`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from bot.commands.names import nearest
from bot.settings import explain
from bot.settings.environment import Environment
from bot.settings.interface import Interface
from bot.settings.knowledge import Encryption, Knowledge
from bot.settings.model import Model
from bot.settings.parameters import Parameters
from bot.settings.platforms import Platforms
from bot.settings.policy import Limits, Policy
from bot.settings.source import Problem, Source, read

__all__ = [
    "Environment",
    "Interface",
    "Knowledge",
    "Limits",
    "Model",
    "Parameters",
    "Platforms",
    "Policy",
    "Problem",
    "Settings",
    "SettingsError",
    "encryption_required",
    "json_schema",
    "load",
]

#: File name without .yaml -> what it holds. In the order an operator reads them.
FILES: dict[str, type[BaseModel]] = {
    "model": Model,
    "parameters": Parameters,
    "interface": Interface,
    "platforms": Platforms,
    "policy": Policy,
    "knowledge": Knowledge,
}


class SettingsError(Exception):
    """The settings cannot be used; `problems` says where and why."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Everything an operator set, checked. A missing file or key has its default."""

    folder: Path
    hash: str  # of what the files say, without what was filled in: equal hashes = equal files
    model: Model
    parameters: Parameters
    interface: Interface
    platforms: Platforms
    policy: Policy
    knowledge: Knowledge

    def path(self, written: str) -> Path:
        """A path as written in a settings file: relative to the settings folder."""
        return (self.folder / Path(written).expanduser()).resolve()


def load(folder: Path, environ: Mapping[str, str]) -> Settings:
    """Read and check the settings in `folder`. Raises SettingsError with every problem of every file at once."""
    if not folder.is_dir():
        message = f"the settings folder {folder} does not exist: run `moqi init`, or set MOQI_CONFIG to your folder"
        raise SettingsError([Problem(file=str(folder), line=1, key="", message=message)])
    problems = _strangers(folder)
    sections: dict[str, Any] = {}
    raw: dict[str, Any] = {}
    for name, model in FILES.items():
        source = _read(folder / f"{name}.yaml", environ)
        sections[name] = _validated(model, source)
        raw[name] = source.raw
        problems += sorted(source.problems, key=lambda problem: problem.line)
    if problems:
        raise SettingsError(problems)
    return Settings(folder=folder, hash=_hash(raw), **sections)


def encryption_required(folder: Path) -> bool:
    """What knowledge.yaml says about it, read alone: the database is opened before the settings, and without them.

    A section that cannot be understood wants it, a file that cannot be read does not.
    """
    data = _read(folder / "knowledge.yaml", {}).data
    try:
        return Encryption.model_validate((data or {}).get("encryption") or {}).required
    except AttributeError:
        return False
    except ValidationError:
        return True


def json_schema() -> dict[str, dict[str, Any]]:
    """A JSON Schema per settings file."""
    return explain.schemas(FILES)


def _read(path: Path, environ: Mapping[str, str]) -> Source:
    return read(path, environ) if path.exists() else Source(name=path.name, raw={}, data={})


def _validated(model: type[BaseModel], source: Source) -> BaseModel | None:
    if source.problems:
        return None  # what could not be read cannot be judged; half a file would only add misleading errors
    try:
        section = model.model_validate(source.data)
    except ValidationError as error:
        explain.report(model, source, error.errors(include_url=False))
        return None
    for key, message in explain.later(section):
        source.report(key, message)
    return section


def _strangers(folder: Path) -> list[Problem]:
    """Files that nobody reads: a name mistyped is a setting silently lost."""
    allowed = [f"{name}.yaml" for name in FILES]
    found = sorted(p.name for p in folder.iterdir() if p.suffix in (".yaml", ".yml") and p.name not in allowed)
    return [Problem(file=name, line=1, key="", message=_stranger(name, allowed)) for name in found]


def _stranger(name: str, allowed: list[str]) -> str:
    near = nearest(name.removesuffix(".yml").removesuffix(".yaml"), FILES)
    hint = f"rename it to {near[0]}.yaml" if near else "remove it"
    return f"no settings file has this name: {hint}; allowed: {', '.join(allowed)}"


def _hash(raw: Mapping[str, Any]) -> str:
    text = json.dumps(raw, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
