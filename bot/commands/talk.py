"""What a plain message is that is no order: a question, small talk, about the bot itself, or not clear. Pure.

A question is always answered from the documents, so whatever asks for something is one; small talk is only what says
nothing else. Between the two stands what a language model may be asked about, where there is one; without, a question.
"""

from __future__ import annotations

import re
import unicodedata
from enum import StrEnum

from bot.commands.clean import half_width


class Tone(StrEnum):
    """How a message without a command sounds."""

    QUESTION = "question"  # it asks, or speaks of something
    CHAT = "chat"  # a greeting, thanks, a compliment: nothing else
    ABOUT = "about"  # what the bot is and does
    UNSURE = "unsure"  # it may be small talk, or an order in other words than ours


LONGEST = 60  # characters of small talk; what is longer says something
ORDER = 300  # characters of what may be an order; what is longer is a text to ask about

_PICTURES = ("So", "Sk", "Cf", "Cn")  # 😴 and what holds such together
_MARKS = r"[\s,，.。!！~～…?？、;；:：]*"
_CALLED = r"(?:墨契|moqi|机器人|小墨|there|bot|all|everyone|大家|各位)?"
_AFTER = rf"(?:[呀啊哦噢喔哈啦了呢吧嘛哟耶]|你|您|们)*{_MARKS}{_CALLED}{_MARKS}"
_SMALL = (
    r"你好|您好|大家好|哈喽|哈啰|嗨+|hi+|hello|hey+|yo|早|早安|早上好|上午好|中午好|下午好|晚上好|晚安"
    r"|good (?:morning|afternoon|evening|night)"
    r"|在吗|在不在|在么|有人吗|are you there|你好吗|最近怎么样|最近好吗|吃了吗|吃饭了吗"
    r"|how are you(?: doing)?(?: today)?|how'?s it going|what'?s up"
    r"|(?:非常|太|多|十分)?(?:谢谢|感谢|多谢|谢啦|谢了|辛苦)"
    r"|(?:many )?thanks(?: a lot| so much)?|thank (?:you|u)(?: very much| so much)?|thx|ty"
    r"|再见|拜拜|回见|明天见|下次见|bye(?: bye)?|goodbye|see you(?: later| tomorrow)?"
    r"|好的?|嗯+|哦+|收到|明白|知道|了解|没事|没关系|不客气|ok(?:ay)?|got it|i see|no problem|never mind"
    r"|哈哈+|呵呵+|嘿嘿+|lol|haha+|不错|很好|真棒|太棒|你真棒|你太棒|厉害|真厉害|太好|牛|赞|棒|可爱|你真可爱"
    r"|great|nice|cool|awesome|perfect|well done|good (?:job|bot)"
    r"|讲个笑话|说个笑话|tell me a joke|好无聊|好累|我累|累死我|心情不好|开心"
)
_CHAT = re.compile(rf"{_MARKS}{_CALLED}{_MARKS}(?:(?:{_SMALL}){_AFTER}){{1,3}}", re.IGNORECASE)
_ABOUT = re.compile(
    rf"{_MARKS}(?:(?:你好|您好|hi|hello|hey|请问){_MARKS})?(?:"
    r"你是谁|你是什么|你叫什么(?:名字)?|你是(?:机器人|真人|人|ai)[吗么]|介绍(?:一下)?(?:你)?自己|自我介绍(?:一下)?"
    r"|你(?:都|还)?(?:能|会|可以)(?:做|干|帮我做|帮我干)?(?:点|些)?(?:什么|啥|哪些事|什么事)|你有(?:什么|哪些)(?:功能|用|本事)"
    r"|你?(?:会|能|可以)(?:画图|画画|回答问题)[吗么]"
    r"|(?:怎么|如何)(?:使?用|跟你聊|玩)(?:你|墨契)?|使用说明|帮助|功能介绍"
    r"|who are you|what are you|what can you do|what do you do|how do (?:i|you) use (?:you|this)"
    r"|are you (?:a )?(?:bot|robot|human|real)|help(?: me)?"
    rf"){_AFTER}",
    re.IGNORECASE,
)
_ASKS = re.compile(
    r"多少|多久|多大|多长|怎么|怎样|如何|为什么|为啥|什么|几|哪|是否|能否|能不能|是不是|要不要|可不可以|有没有|可以吗|谁|吗|呢|么[?？]?$|[?？]"
    r"|\b(?:how|what|why|when|which|whose|who|where|can|could|is|are|do|does|did|should|may|tell me|explain)\b",
    re.IGNORECASE,
)
_PICTURE = r"(?:图|画|照片|海报|壁纸|头像|插画|表情包|漫画|封面|logo|标志|图标|素描|水彩)"
_EN_PICTURE = r"(?:picture|image|photo|drawing|painting|poster|wallpaper|logo|illustration|icon|cover|avatar)s?"
#: Wanting something made, with a picture in it: perhaps an order, even where it asks.
_WANTS = re.compile(
    rf"(?:整|来|弄|搞|出|生成|设计|创作|画|绘|做|P|给我|帮我|替我|我?想要|想看|需要|要).{{0,40}}{_PICTURE}"
    rf"|{_PICTURE}.{{0,12}}(?:来|给我|走起|安排|整)|(?:画|绘)(?!展|廊|家|册).{{2,}}"
    rf"|\b(?:want|need|make|give|show|get|draw|paint|create|imagine|picture)\b.{{0,60}}\b{_EN_PICTURE}\b"
    r"|\b(?:draw|paint|sketch|illustrate)\b",
    re.IGNORECASE | re.DOTALL,
)


def tone(text: str) -> Tone:
    """How a plain message sounds that is no order by the rules (intent.py)."""
    said = "".join(char for char in half_width(text) if unicodedata.category(char) not in _PICTURES).strip()
    if not any(char.isalnum() for char in said):
        return Tone.CHAT  # 👍, 😂, !!!
    if len(said) <= LONGEST:
        if _ABOUT.fullmatch(said):
            return Tone.ABOUT
        if _CHAT.fullmatch(said):
            return Tone.CHAT
    if len(said) <= ORDER and _WANTS.search(said):
        return Tone.UNSURE
    return Tone.QUESTION if _ASKS.search(said) or len(said) > LONGEST else Tone.UNSURE
