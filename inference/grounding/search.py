"""What to look for: a question or a passage as search terms. Pure; the query itself is in storage/documents.py."""

from __future__ import annotations

from inference.grounding import tokens
from storage.records import SearchTerms

_ASKING = (
    "的 了 吗 呢 吧 啊 呀 嘛 么 是 在 有 和 与 及 或 而 且 也 都 就 还 又 再 才 被 把 给 让 对 从 向 到 "
    "为 以 于 之 其 此 这 那 该 我 你 您 他 她 它 我们 你们 您们 他们 她们 咱 咱们 自己 大家 一下 一个 个 "
    "请 请问 问 想 知道 告诉 能 能否 能不能 可 可以 可否 可不可以 会 要 需要 应 应该 得 怎 怎么 怎样 "
    "怎么样 如何 什么 什么样 啥 哪 哪个 哪些 哪里 哪儿 谁 何 何时 何地 几 几个 几天 几年 几点 几号 几次 "
    "几张 几页 多 多少 多久 多长 多大 怎么办 为什么 为何 是否 是不是 有没有 时候 关于 情况 一般 通常 "
    "a an the is are was were be been do does did of to in on at for from by with and or what which who "
    "whom whose when where why how can could may must should would will i you we they it my your our "
    "their me us this that there please tell about "
)

#: Words that ask instead of naming what is asked about. Dropped from questions only, never from the index.
STOP = frozenset(_ASKING.split())


def terms(question: str) -> SearchTerms:
    """The search terms of a question, each once; asking words are left out unless nothing else remains."""
    folded = tokens.fold(question)
    content = "".join(piece if piece not in STOP else " " for piece in tokens.cut(folded))
    return _terms(content, STOP) if content.strip() else _terms(folded, frozenset())


def index_terms(text: str) -> SearchTerms:
    """The search terms of a text to keep, every occurrence in order."""
    folded = tokens.fold(text)
    return SearchTerms(words=tuple(tokens.words(folded)), bigrams=tuple(tokens.bigrams(folded)))


def _terms(folded: str, leave_out: frozenset[str]) -> SearchTerms:
    found = (word for word in tokens.words(folded) if word not in leave_out)
    return SearchTerms(words=tuple(dict.fromkeys(found)), bigrams=tuple(dict.fromkeys(tokens.bigrams(folded))))
