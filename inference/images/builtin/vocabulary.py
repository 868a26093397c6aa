"""The words of the practice model's small world: every colour, shape, size, place and style in Chinese and English.

Held-out words are never used in a training caption; each is put together from parts of trained ones that mean the same
there, so that the evaluation asks whether the model reads, not whether it remembers. A word such as 大红色 is trained:
大 is a size elsewhere, and nothing that training shows would tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Language = Literal["zh", "en"]
Colour = Literal[
    "red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink", "brown", "black", "white", "gray"
]
Shape = Literal["circle", "square", "triangle", "star", "heart", "ring", "cross", "crescent", "diamond"]
Size = Literal["small", "medium", "large"]
Side = Literal["left", "right", "top", "bottom"]
Place = Literal["left", "right", "top", "bottom", "centre", "top_left", "top_right", "bottom_left", "bottom_right"]
Style = Literal["flat", "outline", "striped", "gradient"]
Relation = Literal["left_of", "right_of", "above", "below"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Term:
    """The words for one thing."""

    zh: tuple[str, ...]
    en: tuple[str, ...]
    zh_held: tuple[str, ...] = ()  # in evaluation captions only
    en_held: tuple[str, ...] = ()


#: sRGB of each colour, far apart in Lab so that a judge of pixels cannot take one for another.
RGB: dict[Colour, tuple[int, int, int]] = {
    "red": (222, 28, 36),
    "orange": (250, 138, 16),
    "yellow": (252, 222, 40),
    "green": (36, 160, 62),
    "cyan": (40, 206, 214),
    "blue": (24, 96, 222),
    "purple": (140, 38, 168),
    "pink": (252, 142, 190),
    "brown": (122, 72, 34),
    "black": (18, 18, 20),
    "white": (250, 250, 250),
    "gray": (134, 134, 138),
}

COLOURS: dict[Colour, Term] = {
    "red": Term(
        zh=("红色", "红", "鲜红", "红颜色", "大红色"),
        en=("red", "bright red", "scarlet"),
        zh_held=("鲜红色",),
        en_held=("vivid red", "reddish"),
    ),
    "orange": Term(
        zh=("橙色", "橙", "橘色", "橘黄色", "橘红色"),
        en=("orange", "bright orange"),
        zh_held=("橙黄色", "橙颜色"),
        en_held=("vivid orange",),
    ),
    "yellow": Term(
        zh=("黄色", "黄", "明黄", "金黄色"),
        en=("yellow", "bright yellow"),
        zh_held=("明黄色", "黄颜色"),
        en_held=("vivid yellow", "yellowish"),
    ),
    "green": Term(
        zh=("绿色", "绿", "翠绿", "草绿色"),
        en=("green", "bright green"),
        zh_held=("翠绿色", "绿颜色"),
        en_held=("vivid green", "greenish"),
    ),
    "cyan": Term(zh=("青色", "青", "青蓝色"), en=("cyan", "turquoise"), zh_held=("青颜色",), en_held=("bright cyan",)),
    "blue": Term(
        zh=("蓝色", "蓝", "宝蓝", "蓝颜色"),
        en=("blue", "bright blue", "royal blue"),
        zh_held=("宝蓝色", "深蓝色"),
        en_held=("vivid blue", "bluish"),
    ),
    "purple": Term(
        zh=("紫色", "紫", "紫罗兰色"), en=("purple", "violet"), zh_held=("紫颜色", "深紫色"), en_held=("bright purple",)
    ),
    "pink": Term(
        zh=("粉色", "粉", "粉红色", "粉红"), en=("pink", "rose pink"), zh_held=("粉颜色",), en_held=("bright pink",)
    ),
    "brown": Term(
        zh=("棕色", "棕", "褐色", "棕褐色"),
        en=("brown", "chestnut brown", "dark brown"),
        zh_held=("深棕色",),
        en_held=("deep brown",),
    ),
    "black": Term(
        zh=("黑色", "黑", "漆黑"), en=("black", "jet black"), zh_held=("黑颜色", "纯黑色"), en_held=("pure black",)
    ),
    "white": Term(
        zh=("白色", "白", "雪白", "纯白"),
        en=("white", "snow white"),
        zh_held=("白颜色", "纯白色"),
        en_held=("pure white",),
    ),
    "gray": Term(zh=("灰色", "灰", "中灰色"), en=("gray", "grey"), zh_held=("灰颜色",), en_held=("grayish", "greyish")),
}

SHAPES: dict[Shape, Term] = {
    "circle": Term(
        zh=("圆", "圆形", "圆圈", "圆点"),
        en=("circle", "disc", "dot", "circle shape"),
        zh_held=("圆盘", "圆块"),
        en_held=("round circle", "circle figure"),
    ),
    "square": Term(
        zh=("正方形", "方形", "方块", "四方形"),
        en=("square", "square block", "square figure"),
        zh_held=("正方块", "方块形"),
        en_held=("square shape",),
    ),
    "triangle": Term(
        zh=("三角形", "三角", "三角块", "正三角形"),
        en=("triangle", "triangle shape"),
        zh_held=("三角图形",),
        en_held=("triangle figure", "triangular shape"),
    ),
    "star": Term(
        zh=("五角星", "星星", "星形", "星"),
        en=("star", "five-pointed star"),
        zh_held=("五星", "五角星形"),
        en_held=("star shape", "star figure"),
    ),
    "heart": Term(
        zh=("爱心", "心形", "心", "桃心"),
        en=("heart", "love heart"),
        zh_held=("爱心形", "桃心形"),
        en_held=("heart shape", "heart figure"),
    ),
    "ring": Term(
        zh=("圆环", "环形", "环", "圆环形"),
        en=("ring", "donut", "ring shape"),
        zh_held=("圆环状", "环状"),
        en_held=("donut ring", "ring figure"),
    ),
    "cross": Term(
        zh=("十字", "十字形", "加号"),
        en=("cross", "plus sign", "cross shape"),
        zh_held=("十字图形", "加号形"),
        en_held=("plus shape", "cross figure"),
    ),
    "crescent": Term(
        zh=("月牙", "弯月", "月亮", "新月"),
        en=("crescent", "crescent moon", "moon"),
        zh_held=("月牙形", "新月形"),
        en_held=("crescent shape", "moon shape"),
    ),
    "diamond": Term(
        zh=("菱形", "菱形块", "钻石形"),
        en=("diamond", "rhombus", "diamond shape"),
        zh_held=("菱形图形",),
        en_held=("rhombus shape", "diamond figure"),
    ),
}

#: Measure words that a shape may take besides 个.
MEASURES: dict[Shape, tuple[str, ...]] = {
    "star": ("颗",),
    "heart": ("颗",),
    "diamond": ("颗", "块"),
    "square": ("块",),
    "circle": ("只",),
    "ring": ("只",),
    "crescent": ("弯", "轮"),
}
MEASURE_HELD = "枚"

SIZES: dict[Size, Term] = {
    "small": Term(
        zh=("小", "小小", "小号"), en=("small", "little", "tiny"), zh_held=("小型", "很小"), en_held=("small-sized",)
    ),
    "medium": Term(
        zh=("中等", "中号", "中等大小", "中型"),
        en=("medium", "medium-sized"),
        zh_held=("中等尺寸",),
        en_held=("medium-size",),
    ),
    "large": Term(
        zh=("大", "大大", "大号", "巨大"),
        en=("large", "big", "huge"),
        zh_held=("大型", "很大"),
        en_held=("large-sized",),
    ),
}

PLACES: dict[Place, Term] = {
    "left": Term(
        zh=("左边", "左侧", "左面", "左方"), en=("on the left", "on the left side", "at left"),
        zh_held=("左部", "最左边"), en_held=("on the far left", "at the left side"),
    ),
    "right": Term(
        zh=("右边", "右侧", "右面", "右方"), en=("on the right", "on the right side", "at right"),
        zh_held=("右部", "最右边"), en_held=("on the far right", "at the right side"),
    ),
    "top": Term(
        zh=("上方", "上边", "上面", "顶部"), en=("at the top", "at top", "on the upper side"),
        zh_held=("上部", "最上面"), en_held=("at the very top", "on the top side"),
    ),
    "bottom": Term(
        zh=("下方", "下边", "下面", "底部"), en=("at the bottom", "at bottom", "on the lower side"),
        zh_held=("下部", "最下面"), en_held=("at the very bottom", "on the bottom side"),
    ),
    "centre": Term(
        zh=("中间", "中央", "正中", "中心"), en=("in the middle", "in the center", "in the centre", "centered"),
        zh_held=("正中间", "正中央"), en_held=("in the very middle", "at the center"),
    ),
    "top_left": Term(
        zh=("左上角", "左上方", "左上"), en=("in the top left corner", "at the top left", "in the upper left"),
        zh_held=("左上边", "左上侧"), en_held=("in the upper left corner", "on the top left side"),
    ),
    "top_right": Term(
        zh=("右上角", "右上方", "右上"), en=("in the top right corner", "at the top right", "in the upper right"),
        zh_held=("右上边", "右上侧"), en_held=("in the upper right corner", "on the top right side"),
    ),
    "bottom_left": Term(
        zh=("左下角", "左下方", "左下"), en=("in the bottom left corner", "at the bottom left", "in the lower left"),
        zh_held=("左下边", "左下侧"), en_held=("in the lower left corner", "on the bottom left side"),
    ),
    "bottom_right": Term(
        zh=("右下角", "右下方", "右下"), en=("in the bottom right corner", "at the bottom right", "in the lower right"),
        zh_held=("右下边", "右下侧"), en_held=("in the lower right corner", "on the bottom right side"),
    ),
}  # fmt: skip

#: Where one thing is, seen from another.
SIDES: dict[Side, Term] = {
    "left": Term(
        zh=("左边", "左侧", "左面"),
        en=("to the left of", "left of"),
        zh_held=("左方",),
        en_held=("on the left side of",),
    ),
    "right": Term(
        zh=("右边", "右侧", "右面"),
        en=("to the right of", "right of"),
        zh_held=("右方",),
        en_held=("on the right side of",),
    ),
    "top": Term(zh=("上面", "上方", "上边"), en=("above", "over"), zh_held=("正上方",), en_held=("directly above",)),
    "bottom": Term(
        zh=("下面", "下方", "下边"), en=("below", "under"), zh_held=("正下方",), en_held=("directly below",)
    ),
}
OPPOSITE: dict[Side, Side] = {"left": "right", "right": "left", "top": "bottom", "bottom": "top"}
RELATION_SIDE: dict[Relation, Side] = {"left_of": "left", "right_of": "right", "above": "top", "below": "bottom"}

STYLES: dict[Style, Term] = {
    "flat": Term(
        zh=("实心", "纯色", "实色"), en=("solid", "flat", "filled"), zh_held=("实心填充",), en_held=("solid-filled",)
    ),
    "outline": Term(
        zh=("空心", "描边", "线条"),
        en=("outlined", "outline", "hollow"),
        zh_held=("空心描边",),
        en_held=("hollow outlined",),
    ),
    "striped": Term(zh=("条纹", "带条纹"), en=("striped", "stripy"), zh_held=("条纹状",), en_held=("stripe-filled",)),
    "gradient": Term(
        zh=("渐变", "渐变色"), en=("gradient", "gradient-filled"), zh_held=("色彩渐变",), en_held=("color-gradient",)
    ),
}

ZH_NUMBERS = {1: ("一", "1"), 2: ("两", "2"), 3: ("三", "3"), 4: ("四", "4")}
EN_NUMBERS = {1: ("a", "one", "1"), 2: ("two", "2"), 3: ("three", "3"), 4: ("four", "4")}

ZH_OPENINGS = ("画", "请画", "帮我画", "请帮我画", "给我画", "我想要", "来")
ZH_OPENINGS_HELD = ("麻烦画", "请给我画", "能帮我画", "我想画", "请来")
ZH_CLOSINGS = ("。", "！", "!", "，谢谢", "。谢谢！")
ZH_CLOSINGS_HELD = ("吧", "好吗？", "，多谢")
EN_OPENINGS = ("draw", "please draw", "a picture of", "an image of", "draw me", "i want", "show me")
EN_OPENINGS_HELD = ("could you draw", "i want a picture of", "please show me", "can you draw")
EN_CLOSINGS = (".", "!", ", please", ", thanks")
EN_CLOSINGS_HELD = (", thank you", " please!", "?")


def shapes_plural(word: str) -> str:
    """The English plural of a shape word, e.g. `crosses`, `rhombuses`, `circle shapes`."""
    return word + ("es" if word.endswith(("s", "x")) else "s")
