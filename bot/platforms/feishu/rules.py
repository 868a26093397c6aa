"""What Feishu demands of a card (JSON 2.0): unknown properties, sizes and ids are errors there. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

MAX_CARD_BYTES: Final = 29_000  # the limit is 30 KB; a margin for what counting differs in
MAX_ELEMENTS: Final = 200
MAX_DEPTH: Final = 5
MAX_INPUT: Final = 1000  # characters an input takes

_ELEMENT_ID = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,19}")
_TEMPLATES = frozenset(
    ("blue", "wathet", "turquoise", "green", "yellow", "orange", "red", "carmine", "violet", "purple", "indigo", "grey")
)
_TOP = frozenset({"schema", "config", "header", "body"})
_CONFIG = frozenset({"update_multi", "enable_forward", "summary", "width_mode", "streaming_mode", "streaming_config"})
_COMMON = frozenset({"tag", "element_id", "margin"})
# For each element we use: what it may have, what it must have.
_PROPERTIES: Final[Mapping[str, tuple[frozenset[str], frozenset[str]]]] = {
    "markdown": (frozenset({"content", "text_size", "text_align"}), frozenset({"content"})),
    "img": (frozenset({"img_key", "alt", "scale_type", "preview", "corner_radius"}), frozenset({"img_key", "alt"})),
    "img_combination": (
        frozenset({"combination_mode", "combination_transparent", "corner_radius", "img_list"}),
        frozenset({"combination_mode", "img_list"}),
    ),
    "button": (
        frozenset({"text", "type", "size", "width", "behaviors", "confirm", "disabled", "name", "form_action_type"}),
        frozenset({"text", "behaviors"}),
    ),
    "column_set": (frozenset({"flex_mode", "horizontal_spacing", "columns"}), frozenset({"columns"})),
    "column": (frozenset({"width", "weight", "elements", "vertical_align"}), frozenset({"elements"})),
    "hr": (frozenset(), frozenset()),
    "form": (frozenset({"name", "elements", "vertical_spacing", "padding"}), frozenset({"name", "elements"})),
    "input": (
        frozenset({"name", "label", "label_position", "placeholder", "default_value", "max_length", "required"})
        | frozenset({"input_type", "rows", "auto_resize", "max_rows", "width", "disabled"}),
        frozenset({"name"}),
    ),
}
_COMBINATIONS = {"double": range(2, 3), "triple": range(3, 4), "bisect": range(2, 7), "trisect": range(3, 10)}

Json = Mapping[str, Any]


def size_of(card: Json) -> int:
    """Bytes of the card as it is sent."""
    return len(json.dumps(card, ensure_ascii=False, separators=(",", ":")).encode())


def check_card(card: Json) -> list[str]:
    """What Feishu would refuse this card for, one sentence each; empty when it is fine."""
    elements = (problem for element, depth in _walk(card) for problem in _one(element, depth))
    return [*_whole(card), *_ids(card), *_forms(card), *elements]


def _whole(card: Json) -> Iterator[str]:
    if size_of(card) > MAX_CARD_BYTES:
        yield f"{size_of(card)} bytes, {MAX_CARD_BYTES} are allowed"
    if card.get("schema") != "2.0":
        yield "schema must be 2.0"
    if card.get("config", {}).get("update_multi") is not True:
        yield "config.update_multi must be true, or the card can never be updated"
    yield from (f"unknown property {name}" for name in card.keys() - _TOP)
    yield from (f"unknown property config.{name}" for name in card.get("config", {}).keys() - _CONFIG)
    header = card.get("header")
    if header is not None and header.get("template", "default") not in {*_TEMPLATES, "default"}:
        yield f"header.template {header.get('template')!r} is no colour"
    if not card.get("body", {}).get("elements"):
        yield "body.elements is empty"
    if sum(1 for _ in _walk(card)) > MAX_ELEMENTS:
        yield f"more than {MAX_ELEMENTS} elements"


def _ids(card: Json) -> Iterator[str]:
    seen: set[str] = set()
    for element, _ in _walk(card):
        element_id = element.get("element_id")
        if element_id is None:
            continue
        if not _ELEMENT_ID.fullmatch(str(element_id)):
            yield f"element_id {element_id!r} is not a letter and up to 19 letters, digits or _"
        if element_id in seen:
            yield f"element_id {element_id} stands twice"
        seen.add(element_id)


def _forms(card: Json) -> Iterator[str]:
    """A form stands at the root, has a button that sends it, and all that is pressed or filled in there has a name."""
    roots = card.get("body", {}).get("elements", ())
    if sum(1 for element, _ in _walk(card) if element.get("tag") == "form") > sum(
        e.get("tag") == "form" for e in roots
    ):
        yield "a form stands inside another element"
    names: list[str] = []
    for form in (element for element in roots if element.get("tag") == "form"):
        inner = [element for element, _ in _walk({"body": {"elements": [form]}})]
        names += [
            str(element.get("name", "")) for element in inner if element.get("tag") in ("form", "input", "button")
        ]
        if not any(element.get("form_action_type") == "submit" for element in inner):
            yield "a form needs a button whose form_action_type is submit"
    if "" in names or len(names) != len(set(names)):
        yield "a form and everything in it that is filled in or pressed needs a name of its own"


def _one(element: Json, depth: int) -> Iterator[str]:
    tag = str(element.get("tag"))
    if tag not in _PROPERTIES:
        yield f"unknown element {tag}"
        return
    may, must = _PROPERTIES[tag]
    yield from (f"{tag} has the unknown property {name}" for name in element.keys() - may - _COMMON)
    yield from (f"{tag} needs {name}" for name in must - element.keys())
    if depth > MAX_DEPTH:
        yield f"{tag} is nested {depth} deep, {MAX_DEPTH} is allowed"
    if tag == "img_combination":
        mode, count = str(element.get("combination_mode")), len(element.get("img_list", ()))
        if count not in _COMBINATIONS.get(mode, range(0)):
            yield f"img_combination {mode} cannot show {count} pictures"
    if tag == "input":
        yield from _input(element)
    if tag == "button" and not all(_is_callback(item) for item in element.get("behaviors", ())):
        yield "a button needs behaviors of type callback whose value is an object"


def _input(element: Json) -> Iterator[str]:
    most = element.get("max_length", MAX_INPUT)
    if not 1 <= most <= MAX_INPUT:
        yield f"input.max_length is {most}, 1 to {MAX_INPUT} is allowed"
    if len(element.get("default_value", "")) > most:
        yield f"input.default_value is longer than the {most} that may be filled in"
    if element.get("input_type", "text") not in ("text", "multiline_text", "password"):
        yield f"input.input_type {element.get('input_type')!r} does not exist"


def _is_callback(behavior: Json) -> bool:
    return behavior.get("type") == "callback" and isinstance(behavior.get("value"), Mapping)


def _walk(card: Json) -> Iterator[tuple[Json, int]]:
    """Every element with its depth, containers before their contents."""
    pending = [(element, 1) for element in card.get("body", {}).get("elements", ())]
    while pending:
        element, depth = pending.pop(0)
        yield element, depth
        pending += [(inner, depth + 1) for name in ("columns", "elements") for inner in element.get(name, ())]
