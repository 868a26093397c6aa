"""The `{slots}` of a prompt template: what there is to fill in, what somebody filled in, and the text of both. Pure.

A template is cut into text and slots before anything is filled in, and its flags are cut out before that: what is put
into a slot stays text, whatever it looks like.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bot.commands.clean import half_width, one_line
from bot.commands.flags import clip, quote_end
from bot.commands.names import nearest
from bot.commands.values import Mistake

MOST = 8  # slots of a template
_PART = re.compile(r"\{\{|\}\}|\{(?P<name>[^{}=]*)(?:=(?P<default>[^{}]*))?\}|(?P<lone>\{)")
_NAME = re.compile(r"[^\W\d][\w-]{0,19}")
_SAID = re.compile(r"(?P<name>[^\W\d][\w-]{0,19})\s*(?P<sign>[=:])\s*")
_PAUSES = ",，;；、"
_CJK = re.compile(r"[\u2e80-\u9fff]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Slot:
    """A place in a template that somebody fills in."""

    name: str
    default: str | None = None  # None = it must be filled in


def key_of(name: str) -> str:
    """What a slot is known by: the same in any case and width."""
    return half_width(name).casefold()


def cut(text: str) -> list[str | Slot]:
    """A template's text as text and slots in turn. Raises Mistake for a brace that opens nothing."""
    plain, parts, pos = half_width(text), list[str | Slot](), 0
    for match in _PART.finditer(plain):
        parts.append(text[pos : match.start()])
        parts.append(_part(text, match))
        pos = match.end()
    return [*parts, text[pos:]]


def _part(text: str, match: re.Match[str]) -> str | Slot:
    if match["lone"]:
        raise Mistake("slot_open", near=clip(text[match.start() :], 12))
    if match["name"] is None:
        return match[0][0]  # {{ is a brace
    name = text[slice(*match.span("name"))].strip()
    if not _NAME.fullmatch(half_width(name)):
        raise Mistake("slot_name", given=clip(match[0], 30))
    return Slot(name=name, default=None if match["default"] is None else text[slice(*match.span("default"))].strip())


def slots(*parts: Iterable[str | Slot]) -> tuple[Slot, ...]:
    """The slots in the order they come, each once. Raises Mistake where one has two defaults, or they are too many."""
    found: dict[str, Slot] = {}
    for one in (part for text in parts for part in text if isinstance(part, Slot)):
        known = found.setdefault(key_of(one.name), one)
        if None not in (known.default, one.default) and known.default != one.default:
            raise Mistake("slot_defaults", slot=one.name, one=known.default, other=one.default)
        if known.default is None and one.default is not None:
            found[key_of(one.name)] = Slot(name=known.name, default=one.default)
    if len(found) > MOST:
        raise Mistake("slots_many", count=len(found), limit=MOST)
    return tuple(found.values())


def fill(parts: Iterable[str | Slot], values: Mapping[str, str]) -> str:
    """The text with every slot filled in from `values`, which go by the slots' keys."""
    return one_line("".join(part if isinstance(part, str) else values[key_of(part.name)] for part in parts))


def said(text: str, wanted: tuple[Slot, ...]) -> tuple[dict[str, str], str]:
    """What `主题=秋招 标题：“来 吧”` says of which slot, by the slots' keys, and the text beside that.

    A text beside the slots goes into the only one that must be filled in, or that there is. Raises Mistake for a slot
    that is not there or is filled in twice.
    """
    values, beside = _Scan(text, wanted).run()
    needed = [slot for slot in wanted if slot.default is None]
    only = needed if len(needed) == 1 else list(wanted) if len(wanted) == 1 else []
    if only and beside and key_of(only[0].name) not in values:
        return {**values, key_of(only[0].name): _unquoted(beside)}, ""
    return values, beside


def complete(values: Mapping[str, str], wanted: tuple[Slot, ...], template: str) -> dict[str, str]:
    """Every slot's value, defaults included. Raises Mistake with what is missing, and an order to copy."""
    missing = [slot.name for slot in wanted if slot.default is None and key_of(slot.name) not in values]
    if missing:
        raise Mistake(
            "slots_missing", template=template, names=" ".join(missing), example=example(template, wanted, values)
        )
    return {key_of(slot.name): values.get(key_of(slot.name), slot.default or "") for slot in wanted}


def example(template: str, wanted: Iterable[Slot], values: Mapping[str, str] | None = None) -> str:
    """An order with this template to copy: … stands where something is to be written."""
    known = values or {}
    filled = [(slot.name, known.get(key_of(slot.name), "…")) for slot in wanted if _shown(slot, known)]
    return " ".join([f"/draw --template {template}", *(f"{name}={_written(value)}" for name, value in filled)])


def _shown(slot: Slot, known: Mapping[str, str]) -> bool:
    return slot.default is None or key_of(slot.name) in known


def beside(text: str, more: str) -> str:
    """A filled-in text with what somebody wrote beside the slots."""
    if not more:
        return text
    return f"{text}{'，' if _CJK.search(text + more) else ', '}{more}" if text else more


def _written(value: str) -> str:
    if value and not re.search(r"[\s\"“”'=]", half_width(value)):
        return value
    return f'"{value}"' if '"' not in value else f"“{value}”"


def _unquoted(text: str) -> str:
    whole = text[:1] in "\"“'‘" and quote_end(half_width(text), 0, value=True) == len(text) > 1
    return text[1:-1].strip() if whole else text


class _Scan:
    """One walk over what was written beside a template's name."""

    def __init__(self, text: str, wanted: tuple[Slot, ...]) -> None:
        self.text = text
        self.plain = half_width(text)
        self.names = {key_of(slot.name): slot.name for slot in wanted}
        known = "|".join(re.escape(name) for name in sorted(self.names, key=len, reverse=True)) or r"(?!)"
        self.end = re.compile(rf"\s|[,;、](?=\s*(?:{known})\s*[=:])|$", re.IGNORECASE)
        self.pos = 0

    def run(self) -> tuple[dict[str, str], str]:
        values: dict[str, str] = {}
        kept: list[str] = []
        while self.pos < len(self.text):
            name = self._name()
            if name is None:
                start = self.pos
                self.pos = quote_end(self.plain, start) or start + 1
                kept.append(self.text[start : self.pos])
                continue
            value = self._value()
            if name in values:
                raise Mistake("slot_twice", slot=self.names[name])
            if value is not None:
                values[name] = value
            kept.append(" ")
        return values, one_line("".join(kept)).strip(f" {_PAUSES}")

    def _name(self) -> str | None:
        """The key of the slot that is filled in from here; None for text. Raises Mistake for one that is not there."""
        fresh = self.pos == 0 or self.plain[self.pos - 1].isspace() or self.text[self.pos - 1] in _PAUSES
        match = _SAID.match(self.plain, self.pos) if fresh else None
        if match is None:
            return None
        name = match["name"].casefold()
        if name in self.names:
            self.pos = match.end()
            return name
        near = nearest(name, self.names)
        if match["sign"] == ":" and not near:
            return None  # a colon is in many a text
        listed = " ".join(self.names.values())
        raise Mistake(
            "unknown_slot", given=clip(match["name"]), near=" / ".join(self.names[n] for n in near), names=listed
        )

    def _value(self) -> str | None:
        """What stands from here, up to a blank or the next slot, or in quotes; None for nothing."""
        start = self.pos
        end = quote_end(self.plain, start, value=True) if self.plain[start : start + 1] in tuple("\"“”„'‘") else None
        if end:
            self.pos = end
            return one_line(self.text[start + 1 : end - 1])
        following = _SAID.match(self.plain, start)
        if following is not None and following["name"].casefold() in self.names:
            return None
        found = self.end.search(self.plain, start)
        self.pos = found.start() if found else len(self.text)
        return self.text[start : self.pos].rstrip(_PAUSES) or None
