"""The names of the commands, and the nearest right one for a wrong one. Pure."""

from __future__ import annotations

from collections.abc import Iterable

#: Canonical name -> Chinese names. In the order /help lists them.
COMMANDS: dict[str, tuple[str, ...]] = {
    "draw": ("画", "画图", "绘图", "绘画"),
    "reserve": ("预约",),
    "ask": ("问", "提问", "问答"),
    "template": ("模板",),
    "jobs": ("任务",),
    "cancel": ("取消",),
    "redo": ("重画",),
    "quota": ("额度", "配额"),
    "new": ("新对话",),
    "status": ("状态",),
    "help": ("帮助",),
    "kb": ("知识库",),
    "review": ("审核",),
    "model": ("模型",),
    "role": ("角色",),
    "pause": ("暂停",),
    "resume": ("恢复", "继续"),
    "ban": ("封禁", "禁用", "停用"),
    "unban": ("解封", "解禁"),
}

#: Only admins may use these at all.
ADMIN_COMMANDS = frozenset({"role", "pause", "resume", "ban", "unban", "kb", "model"})

#: Only reviewers, and admins, may use these; but anybody may appeal.
REVIEWER_COMMANDS = frozenset({"review"})

#: In the contract, not in this version: recognised, so that nobody is told they mistyped.
LATER: dict[str, tuple[str, ...]] = {
    "gallery": ("图库",),
    "audit": ("审计",),
}

#: What people write who know other bots; only ever suggested.
_ELSEWHERE = {
    "paint": "draw",
    "imagine": "draw",
    "image": "draw",
    "generate": "draw",
    "生成": "draw",
    "schedule": "reserve",
    "book": "reserve",
    "定时": "reserve",
    "stop": "cancel",
    "queue": "jobs",
    "list": "jobs",
    "队列": "jobs",
    "retry": "redo",
    "again": "redo",
    "重来": "redo",
    "balance": "quota",
    "clear": "new",
    "reset": "new",
    "清空": "new",
    "info": "status",
    "菜单": "help",
    "menu": "help",
    "start": "help",
}

_CANONICAL: dict[str, str] = {
    alias: name for name, chinese in {**COMMANDS, **LATER}.items() for alias in (name, *chinese)
}
#: Longest first: 画图 before 画, 新对话 before nothing shorter.
_CHINESE = sorted((alias for alias in _CANONICAL if not alias.isascii()), key=len, reverse=True)


def canonical(name: str) -> str | None:
    """The canonical name of a command written in any case, or in Chinese."""
    return _CANONICAL.get(name.lower())


def chinese_prefix(text: str) -> str | None:
    """The Chinese command name that `text` begins with: /画一只猫 needs no space."""
    return next((alias for alias in _CHINESE if text.startswith(alias)), None)


def suggestions(name: str) -> tuple[str, ...]:
    """The commands somebody who wrote `name` most likely meant, best ones only; empty when nothing is near."""
    name = name.lower()
    if name in _ELSEWHERE:
        return (_ELSEWHERE[name],)
    aliases = [a for chinese in COMMANDS.items() for a in (chinese[0], *chinese[1])]
    near = nearest(name, aliases) or [a for a in aliases if name and a.startswith(name)]
    return tuple(dict.fromkeys(_CANONICAL[a] for a in near))


def nearest(word: str, candidates: Iterable[str]) -> list[str]:
    """The candidates at the smallest edit distance of `word`, as long as that is a plausible typo."""
    allowed = 0 if len(word) < 2 else 1 if len(word) < 5 else 2
    scored = [(distance(word, c), c) for c in candidates if abs(len(c) - len(word)) <= allowed]
    # One wrong character out of two is a typo in Chinese (额渡), a different word in Latin letters.
    scored = [(d, c) for d, c in scored if d <= allowed and d < len(c)]
    best = min((d for d, _ in scored), default=0)
    return [c for d, c in scored if d == best]


def distance(a: str, b: str) -> int:
    """Optimal string alignment distance: insertions, deletions, substitutions and swapped neighbours count 1."""
    before: list[int] = []
    last = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        row = [i]
        for j, y in enumerate(b, 1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        before, last = last, row
    return last[-1]
