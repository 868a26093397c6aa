"""What can be pressed and filled in on a Feishu card: buttons, the marks beside the small print, forms. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from bot.platforms.feishu.rules import MAX_INPUT
from bot.platforms.feishu.texts import Element, escape, markdown_element, plain_text
from bot.platforms.markup import clip
from bot.reply import FORM_CLOSE, Button, Form, FormField, Reply
from storage.records import ChatType

_STYLES = {"default": "default", "primary": "primary_filled", "danger": "danger"}


def row_of(buttons: Iterable[Button], chat_type: ChatType) -> Element:
    """Buttons beside each other, on as many lines as they need."""
    columns = [
        {"tag": "column", "width": "auto", "elements": [_button(number, button, chat_type)]}
        for number, button in enumerate(buttons)
    ]
    return {"tag": "column_set", "element_id": "buttons", "flex_mode": "flow", "columns": columns}


def _button(number: int, button: Button, chat_type: ChatType) -> Element:
    return {
        "tag": "button",
        "element_id": f"button_{number}",
        "text": plain_text(clip(button.label, 30)),
        "type": _STYLES.get(button.style, "default"),
        "behaviors": [_callback(button.action, button.value, chat_type)],
    }


def _callback(action: str, value: Mapping[str, Any], chat_type: ChatType) -> Element:
    """decode.py takes action and chat out again."""
    return {"type": "callback", "value": {**value, "action": action, "chat": chat_type.value}}


def foot(reply: Reply, chat_type: ChatType) -> Iterator[Element]:
    """The small print, and beside it on the right what people think."""
    note = f"<font color='grey'>{escape(clip(reply.note, 200))}</font>" if reply.note else ""
    marks = [button for button in reply.buttons if button.quiet][:4]
    if not marks:
        if note:
            yield markdown_element("note", note, small=True)
        return
    columns = [{"tag": "column", "width": "weighted", "weight": 1, "vertical_align": "center"}]
    columns[0]["elements"] = [markdown_element("note", note or " ", small=True)]
    for number, button in enumerate(marks):
        mark = {**_button(number, button, chat_type), "element_id": f"mark_{number}", "type": "text", "size": "small"}
        columns.append({"tag": "column", "width": "auto", "vertical_align": "center", "elements": [mark]})
    yield {
        "tag": "column_set",
        "element_id": "foot",
        "flex_mode": "none",
        "horizontal_spacing": "small",
        "columns": columns,
    }


def fitting(form: Form | None) -> Form | None:
    """A form that Feishu can show: an input takes 1000 characters. For more there is the command."""
    return form if form and all(len(one.value) <= MAX_INPUT for one in form.fields) else None


def form_element(form: Form, chat_type: ChatType) -> Element:
    """The open form: long fields on lines of their own, short ones two beside each other, then send and close."""
    value = {name: item for name, item in form.value.items() if name != "form"}
    send = {
        "tag": "button",
        "name": "send",
        "text": plain_text(form.send),
        "type": "primary_filled",
        "width": "fill",
        "form_action_type": "submit",
        "behaviors": [_callback(form.action, value, chat_type)],
    }
    close = {
        "tag": "button",
        "name": "close",
        "text": plain_text(form.close),
        "width": "fill",
        "form_action_type": "reset",
        "behaviors": [_callback(FORM_CLOSE, value, chat_type)],
    }
    long = [_input(one) for one in form.fields if one.kind == "lines"]
    short = [_input(one) for one in form.fields if one.kind != "lines"]
    rows = [_abreast(short[at : at + 2]) for at in range(0, len(short), 2)]
    elements = [*long, *rows, _abreast([send, close])]
    return {"tag": "form", "element_id": "form", "name": form.action, "elements": elements}


def _input(one: FormField) -> Element:
    lines = {"input_type": "multiline_text", "rows": 3, "auto_resize": True, "max_rows": 8}
    return {
        "tag": "input",
        "name": one.name,
        "label": plain_text(one.label),
        "default_value": one.value,
        "max_length": min(one.max, MAX_INPUT),
        "width": "fill",
        **(lines if one.kind == "lines" else {}),
    }


def _abreast(elements: list[Element]) -> Element:
    columns = [{"tag": "column", "width": "weighted", "weight": 1, "elements": [element]} for element in elements]
    return {"tag": "column_set", "flex_mode": "none", "columns": columns}
