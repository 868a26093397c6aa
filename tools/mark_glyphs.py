"""Makes inference/images/glyphs: the characters that the visible mark may be written with, as one mask.

    apt-get install fonts-noto-cjk && python tools/mark_glyphs.py

Pillow's built-in font has no Chinese characters, and a whole Chinese font is 20 MB. Font: Noto Sans CJK SC Bold,
Copyright 2014-2021 Adobe, SIL Open Font License 1.1 (glyphs/OFL.txt). Each character stands in a cell as wide as its
advance; Latin letters and digits are drawn larger, so that they are nearly as tall as the Chinese characters.
"""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

FONT = "/usr/share/fonts/opentype/noto/NotoSansCJK-Bold.ttc"
SIMPLIFIED = 2  # which face of the collection
EM = 128  # pixels: enough for pictures of 2048 x 2048 pixels
LATIN = 1.14  # times as large
CHARACTERS = "人工智能生成合成内容由制作图片像本辅助仅供参考" + "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789" + "·-"
FOLDER = Path(__file__).resolve().parents[1] / "inference" / "images" / "glyphs"


def main() -> None:
    chinese = ImageFont.truetype(FONT, EM, index=SIMPLIFIED)
    latin = ImageFont.truetype(FONT, round(EM * LATIN), index=SIMPLIFIED)
    cells: dict[str, Image.Image] = {}
    for char in dict.fromkeys(CHARACTERS):
        font = latin if char.isascii() and char.isalnum() else chinese
        cell = Image.new("L", (round(font.getlength(char)), 2 * EM))
        ImageDraw.Draw(cell).text((0, EM * 3 // 2), char, fill=255, font=font, anchor="ls")
        cells[char] = cell
    whole = Image.new("L", (sum(cell.width for cell in cells.values()), 2 * EM))
    places, left = {}, 0
    for char, cell in cells.items():
        whole.paste(cell, (left, 0))
        places[char] = [left, cell.width]
        left += cell.width
    box = whole.getbbox()
    assert box is not None
    whole = whole.crop((0, box[1], whole.width, box[3])).quantize(16, dither=Image.Dither.NONE).convert("L")
    cap = cells["A"].getbbox()
    assert cap is not None
    whole.save(FOLDER / "glyphs.png", optimize=True)
    table = {"font": "Noto Sans CJK SC Bold, OFL 1.1", "em": EM, "capital": cap[3] - cap[1], "cells": places}
    written = json.dumps(table, ensure_ascii=False, separators=(",", ":"))
    (FOLDER / "glyphs.json").write_text(written + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
