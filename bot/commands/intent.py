"""Is plain text an order to draw? In doubt it is a question: a wrong answer costs less than a wrong picture. Pure."""

from __future__ import annotations

import re

from bot.commands.clean import half_width

_COUNT = r"(?:[一二两三四五六七八九十几半]|\d{1,2})"
_MEASURE = r"(?:[只个张幅条朵座位头匹棵辆艘架间栋枚颗把对双群些碗杯盘束片株本台款套组种副尊团]|下)"
_SOME = rf"(?:{_COUNT}\s*{_MEASURE}|{_MEASURE}(?=\S))"
_PICTURE = r"(?:图片|图像|图|画|画作|照片|海报|壁纸|头像|插画|插图|表情包|漫画|封面|logo|标志|图标|素描|油画|水彩)"

#: Words before the order itself. Polite ones make a closing 吗 or ? part of the order.
_POLITE = r"(?:请问|请|麻烦|劳驾|拜托|你能不能|能不能|可不可以|可以|可否|能否|你能|能)"
_FOR_ME = r"(?:帮忙|帮我|帮|给我|替我|为我|我想要?|我要|你)"
_LEAD = re.compile(rf"^(?:(?:{_POLITE}|{_FOR_ME}|再|来|现在|直接|快)[,，\s]*)*")

#: 画 + one of these is a word of its own (画册, 画展 …) or speaks about drawing, not an order.
_COMPOUND = re.compile(
    r"画(?:[册展廊笔家质布板室架框风报纸院店集师卷的了完过得不错]|面(?![包条])|法(?![国拉])|中(?!国)|像(?!素[风级画点的])|好了|[图画](?![\s:：]))"
)
#: What was drawn, or is being: 画了一只猫 tells of it.
_TOLD = re.compile(r"画(?:[了过完]|好了)")
_DRAW = re.compile(
    rf"^画(?:[图画]\s*[:：]\s*|[图画]\s+|[图画](?={_COUNT}\s*{_MEASURE})|出\s*|一下\s*|\s*[:：]?\s*)(?P<prompt>\S.*)$",
    re.DOTALL,
)
_RENDER = re.compile(r"^(?:绘制|描绘|绘)\s*[:：]?\s*(?P<prompt>\S.*)$", re.DOTALL)
_BARE = re.compile(rf"^(?:画(?:图|画)?|绘图)?(?:{_COUNT}?\s*{_MEASURE}?\s*{_PICTURE}?)?[吧呀啊。.!！]*$")
_MAKE = re.compile(rf"^(?:生成|创作|制作|设计|做|要|来)?\s*(?P<prompt>{_SOME}.*{_PICTURE})[吧呀啊。.!！]*$", re.DOTALL)
_MAKE_OF = re.compile(rf"^(?:生成|创作|制作|设计|做)(?:{_SOME})?{_PICTURE}\s*[:：,，\s]\s*(?P<prompt>.+)$", re.DOTALL)
_STYLE = re.compile(rf"^用\S{{1,16}}?画\s*{_SOME}", re.DOTALL)

#: 用海报模板画 秋招 · 用模板“海报”画一张：主题=秋招
_NAMED = r"[“\"「『]?(?P<{}>[^\s“”\"「」『』]{{1,20}}?)[”\"」』]?"
_TEMPLATE = re.compile(
    rf"^[用按套](?:模板\s*{_NAMED.format('a')}|{_NAMED.format('b')}\s*的?模板)\s*[来去]?(?:画|生成|做)"
    rf"(?:一?[张幅])?{_PICTURE}?\s*[:：,，]?\s*(?P<said>.*)$",
    re.DOTALL,
)
_SOME_TEMPLATE = frozenset({"这个", "那个", "一个", "什么", "哪个", "别的", "其他", "网上", "网上的", "自己", "自己的"})

_REQUEST = re.compile(r"请(?!问)|麻烦|劳驾|拜托|帮|[给替为]我")
_AGREED = re.compile(r"(?:好吗|可以吗|行吗|好不好|行不行)[?？]?\s*$")
_TAG = re.compile(r"[,，]?\s*(?:好吗|可以吗|行吗|好不好|行不行|可不可以|谢谢|吗|么|吧)?[?？。!！~～\s]*$")
_QUESTION = re.compile(
    r"多少|多久|多大|多长|怎么|怎样|如何|为什么|为啥|什么(?!都)|几(?:分钟|秒|点|天|次|块|元|个额度|单位)"
    r"|哪[里儿个些位种]|在哪|是否|能否|能不能|是不是|要不要|需不需要|可不可以|有没有|谁|吗|呢|[?？]"
)
_ABOUT_US = re.compile(
    r"^\s*(?:图|画)?(?:的|额度|配额|次数|费用|价格|任务|队列|命令|功能|限制|上限|记录|历史|排队|失败)"
)

_EN_LEAD = re.compile(
    r"^(?:(?:please|pls|hey|hi|now|just|can you|could you|would you|will you|i want you to)[,\s]+)*", re.IGNORECASE
)
_EN_POLITE = re.compile(r"\b(?:please|pls|can you|could you|would you|will you)\b", re.IGNORECASE)
_EN_TAG = re.compile(r"(?:,?\s*please)?[?\s]*$", re.IGNORECASE)
_EN_DRAW = re.compile(
    r"^(?:draw|paint|sketch|illustrate)(?![A-Za-z0-9_])(?:\s+(?:me|us)\b)?\s*[:：]?\s*(?P<prompt>.*)$",
    re.IGNORECASE | re.DOTALL,
)
_EN_MAKE = re.compile(
    r"^(?:generate|create|make|render|design)(?:\s+(?:me|us))?\s+(?P<prompt>(?:an?|the|some|one|two|\d)\s+.*?"
    r"\b(?:picture|image|photo|drawing|painting|illustration|poster|wallpaper|logo|portrait|sketch|icon)s?\b.*)$",
    re.IGNORECASE | re.DOTALL,
)
_EN_NOT = re.compile(
    r"^(?:up|on|from|into|near|out|back|conclusions?|attention|(?:a|the) (?:conclusion|line|contract)|quotas?"
    r"|limits?|commands?|history|jobs?|queue|status|help|is|was|does|costs?|and|or)\b|^[-_.(=/]",
    re.IGNORECASE,
)
_EN_QUESTION = re.compile(r"\b(?:how|what|why|when|which|whose|quota|cost|costs|allowed|limit)\b|\?", re.IGNORECASE)
_QUOTED = re.compile(r"\"[^\"]*\"|“[^”]*”|「[^」]*」|『[^』]*』|《[^》]*》|'[^']*'|‘[^’]*’")


def order(text: str) -> str | None:
    """The prompt of an order to draw, flags included ("" when it does not say what); None for anything else."""
    head, flags = _split_flags(text.strip())
    prompt = _chinese(head)
    if prompt is None:
        prompt = _english(head)
    return None if prompt is None else f"{prompt} {flags}".strip()


def _split_flags(text: str) -> tuple[str, str]:
    """The words before the first flag, and the rest: flags do not make a sentence a question."""
    match = re.search(r"\s(?:-{2,}|[–—―]{1,2})(?=[A-Za-z])", half_width(text))
    return (text[: match.start()], text[match.start() :].strip()) if match else (text, "")


def _chinese(text: str) -> str | None:
    lead = _LEAD.match(text)
    start = lead.end() if lead else 0
    body = text[start:]
    if _REQUEST.search(text[:start]) or _counted(body) or _AGREED.search(body):
        body = _TAG.sub("", body)  # a request stays one when it ends in 吗 or ?
    if not body or _asks(_QUESTION, body):
        return None
    chosen = _TEMPLATE.match(body)
    if chosen is not None and (name := chosen["a"] or chosen["b"]) not in _SOME_TEMPLATE:
        return f"--template {name} {chosen['said']}".strip()
    if body.startswith(("画", "绘图")) and _BARE.match(body):
        return ""
    return _drawn(body) or _made(body, ordered=start > 0)


def _drawn(body: str) -> str | None:
    if _STYLE.match(body):
        return body
    match = _DRAW.match(body)
    if match is None:
        match = _RENDER.match(body) if body.startswith("绘制") or _counted(body) else None
    elif _ABOUT_US.match(body[1:]) or _TOLD.match(body) or (_COMPOUND.match(body) and not _counted(body)):
        return None
    return match["prompt"].strip() if match else None


def _counted(body: str) -> bool:
    return re.match(rf"^\S{{1,2}}?\s*{_COUNT}\s*{_MEASURE}", body) is not None


def _made(body: str, *, ordered: bool) -> str | None:
    """生成一张…图, 来张…壁纸, 给我一张…照片."""
    match = _MAKE_OF.match(body) or _MAKE.match(body)
    if match is None or (match.re is _MAKE and not ordered and not re.match(r"生成|创作|制作|设计|做|来", body)):
        return None
    return match["prompt"].strip()


def _english(text: str) -> str | None:
    lead = _EN_LEAD.match(text)
    start = lead.end() if lead else 0
    body = text[start:]
    if _EN_POLITE.search(text[:start]):
        body = _EN_TAG.sub("", body)
    match = _EN_DRAW.match(body) or _EN_MAKE.match(body)
    if match is None or _asks(_EN_QUESTION, body) or _asks(_QUESTION, body):
        return None
    prompt = match["prompt"].strip()
    return None if _EN_NOT.match(prompt) or _ABOUT_US.match(prompt) else prompt


def _asks(pattern: re.Pattern[str], body: str) -> bool:
    """Whether a question stands in the sentence itself, not in something it quotes."""
    return pattern.search(_QUOTED.sub("", body)) is not None
