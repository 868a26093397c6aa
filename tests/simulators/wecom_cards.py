"""What WeCom refuses in a template card, and what its clients would not show of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tests.simulators.wecom_world import Refused

INTERACTIVE = ("button_interaction", "vote_interaction", "multiple_interaction")
NOTICES = ("text_notice", "news_notice")
_TASK_ID = re.compile(r"[0-9A-Za-z_@-]{1,128}")


def judge(card: Any, kinds: tuple[str, ...] = INTERACTIVE + NOTICES, *, needs_task: bool = False) -> list[str]:
    """Raise Refused for what WeCom refuses; returns what its clients would clip."""
    if not isinstance(card, dict) or card.get("card_type") not in kinds:
        raise Refused(40058, "invalid Request Parameter: template_card.card_type")
    title, sub = card.get("main_title", {}).get("title"), card.get("sub_title_text")
    _need(bool(title or sub), "main_title.title or sub_title_text")
    task_id = card.get("task_id")
    _need(task_id is None or (isinstance(task_id, str) and bool(_TASK_ID.fullmatch(task_id))), "task_id")
    _need(not (needs_task or "action_menu" in card) or bool(task_id), "task_id missing")
    _need(len(card.get("horizontal_content_list", [])) <= 6, "horizontal_content_list has more than 6")
    _need(len(card.get("jump_list", [])) <= 3, "jump_list has more than 3")
    for row in card.get("horizontal_content_list", []):
        _need(bool(row.get("keyname")), "horizontal_content_list.keyname")
    if card["card_type"] in NOTICES:
        action = card.get("card_action", {})
        _need(action.get("type") in (1, 2) and bool(action.get("url") or action.get("appid")), "card_action")
    if card["card_type"] == "button_interaction":
        _buttons(card.get("button_list"))
    if card["card_type"] in ("vote_interaction", "multiple_interaction"):
        _need(bool(card.get("submit_button", {}).get("key")), "submit_button.key")
    return list(_clipped(card))


def readable(card: Mapping[str, Any]) -> str:
    """What can be read of a card, without its buttons."""
    title = card.get("main_title", {})
    quote = card.get("quote_area", {})
    rows = [f"{row.get('keyname', '')} {row.get('value', '')}" for row in card.get("horizontal_content_list", [])]
    parts = (
        card.get("source", {}).get("desc"),
        title.get("title"),
        title.get("desc"),
        quote.get("title"),
        quote.get("quote_text"),
        card.get("sub_title_text"),
        *rows,
    )
    return "\n".join(str(part) for part in parts if part)


def _buttons(buttons: Any) -> None:
    _need(isinstance(buttons, list) and 1 <= len(buttons) <= 6, "button_list has none or more than 6")
    keys = [button.get("key") for button in buttons if button.get("type", 0) == 0]
    for button in buttons:
        _need(bool(button.get("text")), "button_list.text")
        _need(button.get("type", 0) in (0, 1), "button_list.type")
        _need(button.get("type", 0) == 0 or bool(button.get("url")), "button_list.url")
    for key in keys:
        _need(isinstance(key, str) and 1 <= len(key.encode()) <= 1024, "button_list.key")
    _need(len(set(keys)) == len(keys), "button_list.key stands there twice")


def _clipped(card: Mapping[str, Any]) -> Iterator[str]:
    """Fields longer than the documentation advises: clients cut them."""
    title, quote = card.get("main_title", {}), card.get("quote_area", {})
    fields = [
        ("source.desc", card.get("source", {}).get("desc"), 13),
        ("main_title.title", title.get("title"), 26),
        ("main_title.desc", title.get("desc"), 30),
        ("quote_area.title", quote.get("title"), 26),
        ("sub_title_text", card.get("sub_title_text"), 160 if card["card_type"] == "button_interaction" else 112),
        *(("button_list.text", button.get("text"), 10) for button in card.get("button_list", [])),
        *(
            ("horizontal_content_list.keyname", row.get("keyname"), 5)
            for row in card.get("horizontal_content_list", [])
        ),
        *(("horizontal_content_list.value", row.get("value"), 26) for row in card.get("horizontal_content_list", [])),
    ]
    for name, value, most in fields:
        if value and len(str(value)) > most:
            yield f"{name}: {value}"


def _need(holds: bool, what: str) -> None:
    if not holds:
        raise Refused(40058, f"invalid Request Parameter: template_card.{what}")
