"""What people wrote stands on a card as they wrote it."""

from __future__ import annotations

import re

from bot.platforms.feishu import texts


def test_escaped_text_reads_as_written() -> None:
    text = "a < b & c > d *e* [f](g) `h` ~i~ _j_ $k$ #l !m |n \\o\n- p\n1. q \"r\" 's'"
    shown = re.sub(r"&#(\d+);", lambda found: chr(int(found[1])), texts.escape(text))
    assert shown == text


def test_code_with_special_characters_is_shown_as_plain_text() -> None:
    assert texts.markdown("用 `/draw <词>` 和 `/help`") == "用 /draw &#60;词&#62; 和 `/help`"
