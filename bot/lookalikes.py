"""What looks like a Latin letter and is none, read as the letter; invisible characters and marks, left out. Pure.

A table of the letters that people write words with to get past a list. The libraries for this compare single
characters both ways (confusable_homoglyphs) or transliterate (anyascii: Cyrillic р becomes r, not the p it looks like).
"""

from __future__ import annotations

import unicodedata

#: Lower and upper case apart: Greek η looks like n, its capital like H.
_CYRILLIC = {
    **dict(zip("асеһіјӏорԛѕԝхуүԁтмкнвпьгԍ", "acehijlopqswxyydtmkhbnbrg", strict=True)),
    **dict(zip("АВСԌЕНІЈКӀМОРԚЅТԜХУҮԀ", "ABCGEHIJKIMOPQSTWXYYD", strict=True)),
}
_GREEK = {
    **dict(zip("αβεηικνορτυωχγϲϳ", "abenikvoptuwxycj", strict=True)),
    **dict(zip("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧϹ", "ABEZHIKMNOPTYXC", strict=True)),
}
_OTHERS = dict(zip("ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢɑɡıȷɩοօոսհԍⲟ", "abcdefghijklmnoprstuvwyzagijioonuhgo", strict=True))
#: Letters in circles and squares that no normalisation reads, and the flags' halves.
_ENCLOSED = {
    chr(first + n): chr(ord("a") + n) for first in (0x1F150, 0x1F170, 0x1F1E6) for n in range(26)
}  # fmt: skip
_TABLE = str.maketrans({**_CYRILLIC, **_GREEK, **_OTHERS, **_ENCLOSED})
_VOICED = "\u3099\u309a"  # が is another letter than か, not か with an ornament
_LEFT_OUT = frozenset({"Mn", "Me", "Cf"})


def plain(text: str) -> str:
    """The text as it looks: Latin letters for what looks like them, nothing that cannot be seen, no marks on letters.

    For comparing only: a word in Cyrillic comes out as nobody writes it, and so does the same word of a list.
    """
    apart = unicodedata.normalize("NFKD", text)
    seen = (one for one in apart if one in _VOICED or unicodedata.category(one) not in _LEFT_OUT)
    return unicodedata.normalize("NFC", "".join(seen)).translate(_TABLE)
