"""The prompt templates of policy.yaml: everybody's, read-only in the chats, with their history in Git."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema

from bot.commands import filling
from bot.commands.options import MEASURES
from bot.commands.templates import known_name
from bot.commands.values import Mistake
from storage.templates import key_of

MOST, LONGEST = 200, 3000  # templates; characters of one

#: What is wrong with a template, by the code of the same mistake in a chat.
_WRONG = {
    "template_name": "the name {given} cannot be used: up to 20 letters, digits, _ . -, and no word of /template",
    "template_which": "a template needs a name",
    "template_flag": "{flag} cannot stand in a template: it is written with each order",
    "slot_open": "a brace opens nothing at {near}: write {{name}} or {{name=default}}, and {{{{ for a brace",
    "slot_name": "{given} is no slot: a name has up to 20 letters, digits, _ - and begins with a letter; "
    "write {{{{ for a brace",
    "slot_defaults": "the slot {slot} has two defaults, {one} and {other}: keep one",
    "slots_many": "has {count} slots: up to {limit} are allowed",
    "unknown_flag": "there is no {flag}",
    "repeated_flag": "{flag} stands there twice",
    "missing_value": "{flag} has no value",
    "open_quote": "a quotation is never closed: {near}",
}


def _checked(written: dict[str, str]) -> dict[str, str]:
    if len(written) > MOST:
        raise ValueError(f"has {len(written)} templates: up to {MOST} are allowed")
    if len({key_of(name) for name in written}) < len(written):
        raise ValueError("has two names that differ in case or width alone")
    for name, body in written.items():
        try:
            known_name(name)
            read = filling.read(body, MEASURES)
        except Mistake as mistake:
            raise ValueError(f"{name}: {_WRONG[mistake.code].format(**mistake.values)}") from None
        if not any(part if isinstance(part, str) else part.name for part in read.parts):
            raise ValueError(f"{name}: has no text")
        if len(body) > LONGEST:
            raise ValueError(f"{name}: has {len(body)} characters, up to {LONGEST} are allowed")
    return written


Templates = Annotated[
    dict[str, str],
    AfterValidator(_checked),
    WithJsonSchema(
        {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "examples": [{"海报": "一张{主题}的海报，{颜色=蓝色}背景 --size 1024x1360"}],
        }
    ),
]
