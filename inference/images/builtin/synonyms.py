"""More ways to say it, heard in training beside the usual words: what shows which part of a word carries its meaning.

部 in 底部 says nothing of the bottom, and 型 in 中型 nothing of the size: only 左边部分 and 大号型 tell. No held-out
word or frame stands here; the tokenizer does not learn from these.
"""

from __future__ import annotations

from collections.abc import Mapping

#: By the first English word of its term: Chinese words, then English ones.
WORDS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    # colours
    "red": (("深红色", "纯红色", "朱红"), ("pure red", "deep red")),
    "orange": (("纯橙色", "深橙色"), ("pure orange", "orangey", "deep orange")),
    "yellow": (("纯黄色", "深黄色"), ("pure yellow", "deep yellow")),
    "green": (("纯绿色", "深绿色"), ("pure green", "deep green")),
    "cyan": (("纯青色", "深青色"), ("pure cyan", "vivid cyan", "bright turquoise")),
    "blue": (("纯蓝色",), ("pure blue", "deep blue")),
    "purple": (("纯紫色",), ("pure purple", "vivid purple", "purplish", "bright violet")),
    "pink": (("纯粉色", "深粉色"), ("pure pink", "vivid pink", "pinkish")),
    "brown": (("棕颜色", "深褐色", "纯棕色"), ("pure brown", "brownish", "bright brown")),
    "black": (("深黑色", "墨黑"), ("deep black", "blackish")),
    "white": (("洁白", "亮白色"), ("bright white", "whitish")),
    "gray": (("纯灰色", "深灰色"), ("pure gray", "deep grey")),
    # shapes
    "circle": (("圆形图案", "圆形状", "圆型"), ("circular shape", "circle symbol")),
    "square": (("正方形状", "方形图案"), ("square symbol", "square tile")),
    "triangle": (("三角形状", "三角形图案"), ("triangle symbol", "triangular block")),
    "star": (("五角星图案", "星状"), ("star symbol", "star sign")),
    "heart": (("心状", "爱心图案"), ("heart symbol", "heart sign")),
    "ring": (("环形图案", "圆环块"), ("ring symbol", "donut shape")),
    "cross": (("十字状", "十字块", "加号图案"), ("cross symbol", "plus", "cross sign")),
    "crescent": (("月牙状", "弯月形", "月亮形"), ("crescent figure", "crescent symbol")),
    "diamond": (("菱形状", "菱形图案"), ("diamond symbol", "rhombus figure", "diamond block")),
    # sizes
    "small": (("小个", "小尺寸", "小号型", "特小"), ("tiny-sized", "little-sized", "mini")),
    "medium": (("中号型", "中号尺寸"), ("mid-sized", "middle-sized")),
    "large": (("大个", "大尺寸", "大号型", "特大"), ("big-sized", "huge-sized", "giant")),
    # places
    "on the left": (
        ("左边部分", "靠左", "左半边", "最靠左", "左端"),
        ("at far left", "along the left edge", "on the left part", "on the left-hand side"),
    ),
    "on the right": (
        ("右边部分", "靠右", "右半边", "最靠右", "右端"),
        ("at far right", "along the right edge", "on the right part", "on the right-hand side"),
    ),
    "at the top": (
        ("上边部分", "靠上", "上半边", "最靠上", "上端"),
        ("along the top edge", "on the upper part", "on the top edge", "very high up at the top"),
    ),
    "at the bottom": (
        ("下边部分", "靠下", "下半边", "最靠下", "下端"),
        ("along the bottom edge", "on the lower part", "on the bottom edge", "very low down at the bottom"),
    ),
    "in the middle": (("中间部分", "居中", "正当中"), ("right in the middle", "at center", "in the exact middle")),
    "in the top left corner": (("左上角落", "左上端"), ("in the top left area", "at the upper left", "top left")),
    "in the top right corner": (("右上角落", "右上端"), ("in the top right area", "at the upper right", "top right")),
    "in the bottom left corner": (
        ("左下角落", "左下端"),
        ("in the bottom left area", "at the lower left", "bottom left"),
    ),
    "in the bottom right corner": (
        ("右下角落", "右下端"),
        ("in the bottom right area", "at the lower right", "bottom right"),
    ),
    # sides
    "to the left of": (("左手边", "左半边"), ("on the left of", "to the left side of")),
    "to the right of": (("右手边", "右半边"), ("on the right of", "to the right side of")),
    "above": (("上头",), ("on top of", "higher than")),
    "below": (("下头",), ("beneath", "underneath", "lower than")),
    # styles
    "solid": (("纯色填充", "填满"), ("solid-colored", "plain")),
    "outlined": (("空心线条", "描线"), ("outline-only", "line-drawn")),
    "striped": (("条纹填充", "条纹图案"), ("stripe-patterned", "striped-all-over")),
    "gradient": (("渐变填充", "颜色渐变"), ("gradient-colored", "gradient-shaded")),
}

GROUND_ZH = ("背景填{c}", "背景涂成{c}", "{c}作底", "以{c}为背景", "把背景画成{c}", "背景色是{c}")
GROUND_EN = (
    "{c} in the back",
    "with {c} behind it",
    "background colored {c}",
    "over a {c} backdrop",
    "using {c} for the background",
    "{c} for the background",
    "make the background {c}",
)
PLACED_ZH = (("{n}处于{p}",), ("{n}摆在{p}",), ("{p}画上{n}",), ("{n}", "摆在{p}"), ("把{n}摆在{p}",))
PLACED_EN = (("{n} sitting {p}",), ("{p} we see {n}",), ("draw {n} {p}",), ("{n} goes {p}",), ("{p} goes {n}",))
TRAILING_EN = (("{}, being ", " and ", ""), ("{} [", ", ", "]"), ("{} colored ", " and ", ""))
JOINED_ZH = (("{a}加{b}",), ("{a}同{b}",), ("{a}", "另外{b}"), ("{a}再加{b}",))
JOINED_EN = (("{a} plus {b}",), ("{a} as well as {b}",), ("{a} next to {b}",), ("{a} along with {b}",))
RELATED_ZH = (
    ("{a}处于{b}的{near}",),
    ("{a}摆在{b}的{near}",),
    ("{a}就在{b}{near}",),
    ("{b}的{near}放着{a}",),
    ("{b}{near}有{a}",),
    ("{b}的{near}是{a}",),
    ("{a}", "{far}有{b}"),
    ("把{a}摆在{b}{near}",),
)
RELATED_EN = (
    ("{a} sitting {near} {b}",),
    ("{near} {b} we see {a}",),
    ("draw {a} {near} {b}",),
    ("{a} goes {near} {b}",),
    ("{near} {b} comes {a}",),
    ("{a}", "which is {near} {b}"),
    ("{a} and {far} it {b}",),
)
EACH_ZH = ("{p}摆{n}", "{p}画上{n}", "{n}处于{p}", "{n}摆在{p}", "把{n}摆在{p}")
EACH_EN = ("{n} sitting {p}", "{p} we see {n}", "draw {n} {p}", "{n} goes {p}")
