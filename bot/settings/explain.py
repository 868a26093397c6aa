"""What pydantic found wrong, in words an engineer can act on. Values that may be secret are never shown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from bot.commands.names import nearest
from bot.settings.source import Key, Source

_SECRET = re.compile(r"secret|token|password|key", re.IGNORECASE)
_PLAIN = {
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": "must be text",
    "dict_type": "must be a group of `key: value` lines",
    "model_type": "must be a group of `key: value` lines",
    "model_attributes_type": "must be a group of `key: value` lines",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "missing": "is missing: add it",
}
_BOUNDS = {
    "greater_than_equal": ("ge", "must be {} or more"),
    "greater_than": ("gt", "must be more than {}"),
    "less_than_equal": ("le", "must be {} or less"),
    "less_than": ("lt", "must be less than {}"),
    "too_short": ("min_length", "must name {} or more"),
    "string_too_short": ("min_length", "must have {} characters or more"),
    "string_too_long": ("max_length", "must have {} characters or fewer"),
}


def report(model: type[BaseModel], source: Source, errors: list[ErrorDetails]) -> None:
    """Note every error of validating `source` as `model`, at its line."""
    for error in errors:
        key = _key(error["loc"])
        message = _unknown(model, key) if error["type"] == "extra_forbidden" else _message(error)
        source.report(key, message + _given(source, key, error))


def later(model: BaseModel, key: Key = ()) -> Iterator[tuple[Key, str]]:
    """The settings that are valid, but that this version cannot serve yet, and what to write instead."""
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        marked = extra.get("later_values")
        if isinstance(marked, list) and value in marked:
            allowed = ", ".join(w for w in _words(field.annotation) if w not in marked)
            yield (*key, name), f"{value} comes with a later version; allowed now: {allowed}"
        elif extra.get("later") and value != field.get_default(call_default_factory=True):
            yield (*key, name), "comes with a later version: remove this key for now"
        elif isinstance(value, BaseModel):
            yield from later(value, (*key, name))


def _key(location: tuple[int | str, ...]) -> Key:
    """The place in the file; pydantic adds `[key]` when it speaks about a key itself."""
    return tuple(part for part in location if part != "[key]")


def _message(error: ErrorDetails) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind in ("literal_error", "enum"):
        return f"must be {str(context['expected']).replace(' or ', ', ')}"
    if kind in _BOUNDS:
        name, words = _BOUNDS[kind]
        return words.format(context[name])
    if kind == "string_pattern_mismatch":
        return f"must look like {_example(str(context['pattern']))}"
    if kind == "value_error":
        return str(context["error"])
    return _PLAIN.get(kind, error["msg"])


def _example(pattern: str) -> str:
    return "1024x1024" if "x" in pattern else "22:00-07:00"


def _given(source: Source, key: Key, error: ErrorDetails) -> str:
    """The value that was refused, unless it may be secret or says nothing."""
    value = error["input"]
    hidden = key in source.filled or any(_SECRET.search(str(part)) for part in key)
    if hidden or error["type"] in ("missing", "extra_forbidden") or not isinstance(value, str | int | float):
        return ""
    shown = str(value).lower() if isinstance(value, bool) else str(value)
    return f" (now: {shown[:60]})"


def _unknown(model: type[BaseModel], key: Key) -> str:
    allowed = _fields(model, key[:-1])
    near = nearest(str(key[-1]), allowed)
    hint = f", did you mean {near[0]}?" if near else ";"
    return f"unknown key{hint} allowed: {', '.join(allowed)}"


def _fields(model: type[BaseModel], key: Key) -> list[str]:
    """The keys allowed at a place of the file."""
    current: type[BaseModel] = model
    for part in key:
        field = current.model_fields.get(str(part))  # None inside a list or a free name: the section stays
        current = (_model_in(field.annotation) if field else None) or current
    return list(current.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The section that an annotation such as `dict[str, Adapter]` is about."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for a in get_args(annotation) if (found := _model_in(a))), None)


def _words(annotation: Any) -> list[str]:
    return [str(word) for word in get_args(annotation)]


def schemas(models: Mapping[str, type[BaseModel]]) -> dict[str, dict[str, Any]]:
    """A JSON Schema per file, for editors and for checks before a deployment."""
    base = "https://json-schema.org/draft/2020-12/schema"
    return {
        name: {"$schema": base, **model.model_json_schema(), "title": f"{name}.yaml"} for name, model in models.items()
    }
