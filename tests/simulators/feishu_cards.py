"""The simulator's own reading of Feishu's card rules, written apart from the bot's. Codes as CardKit names them."""

from __future__ import annotations

import json
import re
from typing import Any

_ALLOWED: dict[str, str] = {
    "markdown": "tag element_id content text_size text_align icon margin",
    "img": "tag element_id img_key alt title scale_type size preview corner_radius transparent margin",
    "img_combination": "tag element_id combination_mode combination_transparent corner_radius img_list margin",
    "button": "tag element_id text type size width icon behaviors confirm disabled name form_action_type margin",
    "column_set": "tag element_id flex_mode horizontal_spacing horizontal_align columns background_style margin",
    "column": "tag element_id width weight elements vertical_align vertical_spacing background_style padding margin",
    "hr": "tag element_id margin",
    "div": "tag element_id text icon margin",
    "form": "tag element_id name elements direction horizontal_spacing vertical_spacing horizontal_align "
    "vertical_align padding margin",
    "input": "tag element_id name required placeholder default_value disabled disabled_tips width behaviors max_length "
    "input_type show_icon rows auto_resize max_rows label label_position value confirm margin",
}
_PICTURES = {"double": {2}, "triple": {3}, "bisect": {2, 4, 6}, "trisect": set(range(3, 10))}


class Refused(Exception):
    """The platform refuses the card with this inner code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def judge(raw: str, image_keys: set[str]) -> dict[str, Any]:
    """The card of a message's content, or Refused. `image_keys` are the pictures this app has uploaded."""
    try:
        card = json.loads(raw)
    except ValueError as error:
        raise Refused(200621, "parse card json err") from error
    if len(raw.encode()) > 30 * 1024:
        raise Refused(230025, "the card is longer than 30 KB")
    if not isinstance(card, dict) or card.get("schema") != "2.0":
        raise Refused(300303, "schema is not 2.0")
    _only(card, "schema config header body card_link", "card")
    if card.get("config", {}).get("update_multi", True) is not True:
        raise Refused(300302, "update_multi is false")
    _only(
        card.get("config", {}),
        "update_multi streaming_mode streaming_config summary width_mode enable_forward locales style",
        "config",
    )
    if "header" in card:
        _only(card["header"], "title subtitle template icon text_tag_list padding", "header")
        _text(card["header"].get("title"))
    elements = card.get("body", {}).get("elements")
    if not elements:
        raise Refused(300307, "the card is empty")
    seen: list[str] = []
    for element in elements:
        _element(element, 1, seen, image_keys)
    names = _form_names(elements)
    if len(names) != len(set(names)):
        raise Refused(200621, "two components of a form have the same name")
    if len(seen) > 200:
        raise Refused(300305, "more than 200 components")
    named = [name for name in seen if name]
    if len(named) != len(set(named)):
        raise Refused(300301, "duplicate element_id")
    return card


def _element(element: dict[str, Any], depth: int, seen: list[str], image_keys: set[str]) -> None:
    tag = element.get("tag")
    if tag not in _ALLOWED:
        raise Refused(200621, f"not support tag: {tag}")
    _only(element, _ALLOWED[tag], str(tag))
    if tag == "form" and depth > 1:
        raise Refused(200621, "a form can only be placed under the root")
    if depth > 5:
        raise Refused(200621, "nested deeper than 5")
    name = element.get("element_id", "")
    if name and not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,19}", name):
        raise Refused(300301, f"element_id {name}")
    seen.append(name)
    _own(element, str(tag), image_keys)
    for inner in [*element.get("columns", []), *element.get("elements", [])]:
        _element(inner, depth + 1, seen, image_keys)


def _own(element: dict[str, Any], tag: str, image_keys: set[str]) -> None:
    """The rules of one kind of element."""
    if tag == "markdown" and not isinstance(element.get("content"), str):
        raise Refused(200621, "markdown without content")
    if tag == "img":
        _text(element.get("alt"))
        _picture(element.get("img_key"), image_keys)
    if tag == "img_combination":
        pictures = element.get("img_list", [])
        if len(pictures) not in _PICTURES.get(str(element.get("combination_mode")), set()):
            raise Refused(200621, f"{len(pictures)} pictures in {element.get('combination_mode')}")
        for picture in pictures:
            _picture(picture.get("img_key"), image_keys)
    if tag == "input":
        _field(element)
    if tag == "button":
        _text(element.get("text"))
        for behavior in element.get("behaviors", []):
            if behavior.get("type") == "callback" and not isinstance(behavior.get("value"), dict):
                raise Refused(200621, "a callback's value must be an object")


def _field(element: dict[str, Any]) -> None:
    """The rules of an input."""
    most = element.get("max_length", 1000)
    if type(most) is not int or not 1 <= most <= 1000 or len(element.get("default_value", "")) > most:
        raise Refused(200621, "max_length of an input")
    for name in ("label", "placeholder"):
        if name in element:
            _text(element[name])
    if element.get("input_type", "text") not in ("text", "multiline_text", "password"):
        raise Refused(200621, f"input_type {element['input_type']}")
    if element.get("label_position", "top") not in ("top", "left"):
        raise Refused(200621, "label_position")


def _form_names(elements: list[dict[str, Any]]) -> list[str]:
    """The names in all forms; without one, or without a button that submits, the data cannot be sent."""
    names: list[str] = []
    for form in (element for element in elements if element["tag"] == "form"):
        inner = _inside(form)
        interactive = [form, *(element for element in inner if element["tag"] in ("input", "button"))]
        if not all(element.get("name") for element in interactive):
            raise Refused(200621, "an interactive component of a form has no name")
        kinds = [element.get("form_action_type") for element in inner if element["tag"] == "button"]
        if not {*kinds} <= {"submit", "reset"} or "submit" not in kinds:
            raise Refused(200621, "a button of a form neither submits nor resets, or none submits")
        names += [element["name"] for element in interactive]
    return names


def _inside(element: dict[str, Any]) -> list[dict[str, Any]]:
    children = [*element.get("columns", []), *element.get("elements", [])]
    return [one for child in children for one in (child, *_inside(child))]


def _picture(key: object, image_keys: set[str]) -> None:
    if key not in image_keys:
        raise Refused(200570, f"image key {key} is not this app's")


def _text(value: Any) -> None:
    if not isinstance(value, dict) or value.get("tag") not in ("plain_text", "lark_md") or "content" not in value:
        raise Refused(200621, "text must be plain_text with content")


def _only(value: dict[str, Any], allowed: str, what: str) -> None:
    unknown = set(value) - set(allowed.split())
    if unknown:
        raise Refused(200621, f"unknown property of {what}: {sorted(unknown)}")
