"""A settings file as plain data that remembers its lines. `${NAME}` and `${file:…}` are filled in after parsing.

YAML is read in the sense people mean: only true and false are booleans (so `mode: off` stays a word), 22:00 is not
a number in base 60, dates stay text, a key written twice is an error, and tags are refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

Key = tuple[str | int, ...]

_REFERENCE = re.compile(r"\$\$\{|\$\{(?P<name>[^}]*)\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One thing wrong in a settings file."""

    file: str
    line: int  # 1-based
    key: str  # dotted path; empty for the file as a whole
    message: str  # what is wrong, what is allowed

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}: "
        return f"{where}{self.key}: {self.message}" if self.key else f"{where}{self.message}"


@dataclass(kw_only=True)
class Source:
    """What one file says."""

    name: str
    raw: Any = None  # before references were filled in: safe to show and to hash
    data: Any = None
    lines: dict[Key, int] = field(default_factory=dict)
    filled: set[Key] = field(default_factory=set)  # values that came from outside: never shown
    problems: list[Problem] = field(default_factory=list)

    def report(self, key: Key, message: str) -> None:
        """Note a problem at the line of `key`, or of the nearest thing around it that was written."""
        written = key
        while written and written not in self.lines:
            written = written[:-1]
        dotted = ".".join(str(part) for part in key)
        self.problems.append(Problem(file=self.name, line=self.lines.get(written, 1), key=dotted, message=message))


def read(path: Path, environ: Mapping[str, str]) -> Source:
    """Read one file; everything wrong with it is in `problems`."""
    source = Source(name=path.name)
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"), Loader=_Loader)
    except (OSError, UnicodeDecodeError) as error:
        source.report((), f"cannot be read ({error}): it must be a readable UTF-8 text file")
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        source.lines[()] = line
        source.report((), f"not valid YAML: {error.problem or error.context}")
    except yaml.YAMLError as error:
        source.report((), f"not valid YAML: {' '.join(str(error).split())}")
    else:
        _Reader(source, path.parent, environ).run(node)
    return source


class _Loader(yaml.SafeLoader):
    """Resolves plain words to null, true, false, decimal numbers, and otherwise text."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(?:0|[1-9][0-9_]*)", list("-+0123456789")),
    ("float", r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?", list("-+.0123456789")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), _first)


class _Reader:
    """Walks the nodes of one file into plain data, twice: as written and filled in."""

    def __init__(self, source: Source, folder: Path, environ: Mapping[str, str]) -> None:
        self.source = source
        self.folder = folder
        self.environ = environ
        self.open: set[int] = set()  # nodes being read: an alias to one of them would never end

    def run(self, node: yaml.Node | None) -> None:
        if node is None:
            self.source.raw = self.source.data = {}
            return
        self.source.raw, self.source.data = self._value(node, ())
        if self.source.data is None:
            self.source.raw = self.source.data = {}
        elif not isinstance(self.source.data, dict):
            self.source.report((), "must consist of `key: value` lines")

    def _value(self, node: yaml.Node, key: Key) -> tuple[Any, Any]:
        self.source.lines.setdefault(key, node.start_mark.line + 1)
        if id(node) in self.open:
            self.source.report(key, "refers to itself")
            return None, None
        self.open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, key)
            if isinstance(node, yaml.SequenceNode):
                pairs = [self._value(item, (*key, index)) for index, item in enumerate(node.value)]
                return [raw for raw, _ in pairs], [data for _, data in pairs]
            return self._scalar(node, key)
        finally:
            self.open.discard(id(node))

    def _mapping(self, node: yaml.MappingNode, key: Key) -> tuple[dict[str, Any], dict[str, Any]]:
        raw: dict[str, Any] = {}
        data: dict[str, Any] = {}
        for name_node, value_node in node.value:
            line = name_node.start_mark.line + 1
            if not isinstance(name_node, yaml.ScalarNode):
                self.source.report(key, "keys must be plain words")
                continue
            name = str(name_node.value)
            here = (*key, name)
            if name in data:
                first = self.source.lines[here]
                self.source.lines[here] = line
                self.source.report(here, f"written twice (first in line {first}): keep one of them")
                continue
            self.source.lines[here] = line
            raw[name], data[name] = self._value(value_node, here)
        return raw, data

    def _scalar(self, node: yaml.Node, key: Key) -> tuple[Any, Any]:
        kind = node.tag.removeprefix("tag:yaml.org,2002:")
        text: str = node.value
        if kind == "null":
            return None, None
        if kind == "bool":
            return (text.lower() == "true",) * 2
        if kind in ("int", "float"):
            number = int(text.replace("_", "")) if kind == "int" else float(text)
            return number, number
        if kind != "str":
            self.source.report(key, f"the tag {node.tag} is not allowed: write a plain value")
            return None, None
        return text, self._fill(text, key)

    def _fill(self, text: str, key: Key) -> str:
        def replace(match: re.Match[str]) -> str:
            if match["name"] is None:
                return "${"  # $${ stands for a literal ${
            self.source.filled.add(key)
            return self._outside(match["name"].strip(), key)

        return _REFERENCE.sub(replace, text)

    def _outside(self, name: str, key: Key) -> str:
        if name.startswith("file:"):
            return self._file(name.removeprefix("file:").strip(), key)
        if not _NAME.fullmatch(name):
            self.source.report(key, f"${{{name}}} is not a reference: write ${{NAME}} or ${{file:/path}}")
            return ""
        if name not in self.environ:
            self.source.report(key, f"the environment variable {name} is not set: set it, or write the value here")
        return self.environ.get(name, "")

    def _file(self, name: str, key: Key) -> str:
        try:
            return (self.folder / name).read_text(encoding="utf-8").rstrip("\r\n")
        except FileNotFoundError:
            self.source.report(key, f"the file {name} does not exist: create it, or correct the path")
        except UnicodeDecodeError:  # without the bytes: they may be a secret
            self.source.report(key, f"the file {name} is not UTF-8 text")
        except OSError as error:
            self.source.report(key, f"the file {name} cannot be read ({error.strerror}): check its permissions")
        return ""
