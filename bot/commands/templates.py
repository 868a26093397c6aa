"""/template: prompts with `{slots}` under a name; and the form of one as an order. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from bot.commands import filling, options, slots
from bot.commands.clean import clean, half_width
from bot.commands.filling import Filled
from bot.commands.flags import clip
from bot.commands.names import nearest
from bot.commands.rules import Rules
from bot.commands.values import (
    Draw,
    Mistake,
    Preview,
    Reserve,
    TemplateDelete,
    TemplateList,
    TemplateSave,
    TemplateShow,
    UsageError,
)
from storage.records import Scope, Template

#: What people call whose a template is.
FOR = dict.fromkeys(("我的", "我", "自己", "me", "mine", "my"), Scope.USER)
FOR |= dict.fromkeys(("本群", "群", "这个群", "group", "chat", "here"), Scope.CHAT)
FOR |= dict.fromkeys(("全体", "团队", "大家", "所有人", "team", "all", "everyone"), Scope.TEAM)

_ACTS = {"list": "list", "列表": "list", "show": "show", "查看": "show", "看": "show", "save": "save", "保存": "save"}
_ACTS |= {"add": "save", "存": "save", "delete": "delete", "remove": "delete", "删除": "delete", "删": "delete"}
_ACT = re.compile(rf"({'|'.join(sorted(_ACTS, key=len, reverse=True))})(?=\s|$)\s*", re.IGNORECASE)
_NAME = re.compile(r"\w[\w.-]{0,19}")
_WORDS = "|".join(sorted(map(re.escape, FOR), key=len, reverse=True))
_SCOPE = re.compile(rf"(?:^|\s)(?:--|[—–―]+)for[\s=:]*(?P<scope>{_WORDS})(?=\s|$)", re.IGNORECASE)
_ANY_SCOPE = re.compile(r"(?:^|\s)(?:--|[—–―]+)for(?:[\s=:]+(?P<given>\S+)|$)", re.IGNORECASE)
MORE = "more"  # the field of a template's form for what stands beside the slots


def template(rest: str, rules: Rules) -> TemplateList | TemplateShow | TemplateSave | TemplateDelete:
    """/template · list · show NAME · save NAME TEXT · delete NAME, with --for 我的 | 本群 | 全体. Raises Mistake."""
    if not rest.strip("?？!！.。~ "):
        return TemplateList()
    match = _ACT.match(rest)
    act, after = (_ACTS[match[1].lower()], rest[match.end() :]) if match else ("show", rest)
    if act == "list":
        if after:
            raise Mistake("takes_nothing", given=clip(after))
        return TemplateList()
    if match is None and len(rest.split()) > 1:  # /template 海报 … : neither an act nor a name alone
        first = rest.split()[0]
        near = " / ".join(f"/template {one}" for one in nearest(first.lower(), _ACTS))
        raise Mistake("template_form", given=clip(first, 20), near=near)
    name, body = [*after.split(maxsplit=1), "", ""][:2]
    scope, body = _scope(body.strip())
    if act == "save":
        return _save(name, body, scope or Scope.USER, rules)
    scope = scope or FOR.get(name.partition("/")[0].lower())
    name = known_name(name.rpartition("/")[2])
    if body:
        raise Mistake("takes_nothing", given=clip(body))
    return TemplateShow(name=name, scope=scope) if act == "show" else TemplateDelete(name=name, scope=scope)


def known_name(written: str) -> str:
    """The name of a template as it may be. Raises Mistake."""
    name = half_width(written).strip('"“”「」『』 ')
    if not name:
        raise Mistake("template_which")
    if not _NAME.fullmatch(name) or name.lower() in _ACTS or name.lower() in FOR:
        raise Mistake("template_name", given=clip(written, 24))
    return name


def template_form(found: Template, filled: Mapping[str, str], rules: Rules) -> Draw | Reserve | Preview | UsageError:
    """The order that was sent with a template's form: a field per slot, in their order, and one for more text.

    What stands in the slots stays text; the field for more may hold flags, as after /draw.
    """
    try:
        wanted = filling.read(found.body, options.MEASURES).slots
        said = {slots.key_of(slot.name): clean(filled.get(field(n), "")) for n, slot in enumerate(wanted)}
        values = {key: " ".join(text.split()) for key, text in said.items() if text}
        return options.draw(clean(filled.get(MORE, "")), rules, Filled(template=found, values=values))
    except Mistake as mistake:
        return mistake.about("draw")


def field(number: int) -> str:
    """What the field of the n-th slot is called: lower-case letters, as every platform allows."""
    return f"slot{chr(ord('a') + number)}"


def _scope(text: str) -> tuple[Scope | None, str]:
    """Whose it is to be, said right behind the name or at the very end, and what is left of the text."""
    plain = half_width(text)
    match = next((one for one in _SCOPE.finditer(plain) if one.start() == 0 or one.end() == len(plain)), None)
    if match is not None:
        return FOR[match["scope"].lower()], f"{text[: match.start()]} {text[match.end() :]}".strip()
    unknown = _ANY_SCOPE.match(plain)
    if unknown is not None:
        raise Mistake("template_for", given=clip(unknown["given"] or "--for", 20))
    return None, text


def _save(name: str, body: str, scope: Scope, rules: Rules) -> TemplateSave:
    name = known_name(name)
    if not body:
        raise Mistake("template_empty", name=name)
    options.template(body, rules)
    return TemplateSave(name=name, body=body, scope=scope)
