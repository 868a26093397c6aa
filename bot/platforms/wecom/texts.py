"""Text in WeCom: markdown in which nothing that somebody wrote can do anything, cut by bytes, mentions taken out. Pure.

WeCom documents no escape: what a backslash or an entity shows differs between its two dialects (`markdown` of apps,
`markdown_v2` of robots and webhooks). So what would be markup is broken up by a character that nobody sees, or, where
none helps, stands in a form that looks the same. Both dialects, and any that resembles them, show it as it was written.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

from bot.platforms.markup import dressed
from bot.platforms.written import OWN, clean

UNSEEN: Final = "\u200b"  # breaks up markup; written.clean takes it out again when somebody copies our words to us
CUT: Final = "…"

#: Asterisk, backquote and tilde format whatever stands between two of them, wherever they are.
_ALIKE: Final = {"*": "\u2217", "`": "\u02cb", "~": "\u223c"}
_TAG: Final = r"<(?=[A-Za-z/@!?])"  # tags, mentions, colours, thoughts
_ENTITY: Final = r"&(?=#?\w{1,31};)"  # what a dialect might read as a character
_SPECIAL = re.compile(
    rf"(?P<address>https?://(?:[0-9A-Za-z_\-./?#@!$+,;=%:~]|(?!{_ENTITY})&)+)"  # broken up, it would lead nowhere
    r"|(?P<alike>[*`~])"
    r"|(?P<underlines>(?<![^\W_])_+|_+(?![^\W_]))"  # between letters they do nothing, and UNSEEN is one
    rf"|{_TAG}"
    rf"|{_ENTITY}"
    r"|\](?=[(:\[])"  # links and pictures
    r"|\\(?=[^\w\s])"  # a backslash that might take the next character along
)
#: Beginnings of lines that make headings, quotes, lists, rules, tables and blocks of code.
_LINE_START = re.compile(r"(?m)^(?=[ \t]*(?:#|>|\||[-+](?:\s|$)|\d{1,9}[.)](?:\s|$)|[-=:|][-=:| \t]*$)| {4}|\t)")
_SPACES_AT_END = re.compile(r"(?m)[ \t]+$")
_ATOMS = re.compile(r"`[^`\n]+`|\*\*[^*\n]+\*\*|\[[^\]\n]*\]\([^)\s]*\)|<a [^>\n]*>[^<\n]*</a>")
_PAUSE = re.compile(r"[。！？；…!?;]+[”’」）)]*\s*|\s+")
_INVISIBLE = ("Cc", "Cf", "Zs", "Zl", "Zp", "Mn")
_BLANK = "\u115f\u1160\u2800\u3164\uffa0"  # letters and signs without ink
_LONGEST_CLUSTER = 64  # characters looked back for the beginning of an emoji; longer ones are made to annoy


def escape(text: str) -> str:
    """Text that both dialects show as it stands."""
    return _LINE_START.sub(UNSEEN, _SPECIAL.sub(_safe, clean(text)))


def _safe(found: re.Match[str]) -> str:
    if found["address"]:
        return found[0]
    if found["alike"]:
        return _ALIKE[found[0]]
    return f"{UNSEEN}{found[0]}{UNSEEN}" if found["underlines"] else found[0] + UNSEEN


def markdown(text: str) -> str:
    """A reply's text, whose only markup is `**bold**` and backquoted code, as either dialect of WeCom's markdown.

    Each line is on its own: two spaces end it, which one dialect needs between lines and no dialect shows.
    """
    shown = dressed(clean(text), escape, bold, code)
    return re.sub(r"(?<=[^\n])\n(?=[^\n])", "  \n", _SPACES_AT_END.sub("", shown))


def bold(text: str) -> str:
    """Text in bold, on one line, whatever its first and last characters are."""
    inner = escape(text.strip())
    if not inner:
        return ""
    # Beside a punctuation mark two asterisks end nothing (**时间：**九点 would show them): then an unseen letter stands
    # between the two.
    before, after = (UNSEEN if _is_mark(at) else "" for at in (inner[0], inner[-1]))
    return f"**{before}{inner}{after}**"


def code(text: str) -> str:
    """Text in a code span, where one can be: no character in it can be escaped, so tags and links are broken up too."""
    inner = " ".join(clean(text).splitlines()).replace("`", _ALIKE["`"]).replace("](", f"]{UNSEEN}(")
    return f"`{re.sub(_TAG, '<' + UNSEEN, inner)}`"


def visible(text: str) -> bool:
    """Whether there is anything to see. WeCom takes a text without it, and its bubble stays as it was."""
    return any(unicodedata.category(char) not in _INVISIBLE and char not in _BLANK for char in text)


def split(text: str, limit: int) -> list[str]:
    """The text in pieces of at most `limit` bytes of UTF-8, in their order; nothing of it is lost.

    A piece ends with a line, else with a sentence or a word, else wherever no character, emoji, code span, bold or
    link is torn apart. A piece with nothing to see is left out. `limit` is at least 4.
    """
    if limit < 4:
        raise ValueError("no character may be longer than a piece: at least 4 bytes")
    return [piece for piece in _pieces(text, limit) if visible(piece)]


def cut(text: str, limit: int, ending: str = CUT) -> str:
    """The text, or as much of its beginning as fits into `limit` bytes of UTF-8 together with `ending`."""
    if _size(text) <= limit:
        return text
    room = limit - _size(ending)
    beginning = next(_pieces(text, room), "").rstrip() if room >= 4 else ""
    return beginning + ending if beginning else next(_pieces(ending or text, limit))


def strip_mention(text: str, name: str) -> tuple[str, bool]:
    """What was written without the mention of the robot called `name`, cleaned, and whether it was mentioned.

    Without a name the first mention counts as ours. Others stay: @ is how commands name people.
    """
    text = clean(text).strip()
    ours = next((each for each in _mentions(name) if each.search(text)), None)
    if ours is None:
        return text, False
    marked = ours.sub(OWN, text, count=0 if name.strip() else 1)
    joined = re.sub(rf"(^|\n)?[^\S\n]*{OWN}[^\S\n]*", lambda at: " " if at[1] is None else at[1], marked)
    return joined.strip(), True


def _mentions(name: str) -> Iterator[re.Pattern[str]]:
    """How ours may be written, the surest first."""
    words = clean(name).split()
    if not words:
        yield re.compile(r"(?<!\S)[@＠]\S+")
        return
    ours = r"[@＠]\s?" + r"\s+".join(map(re.escape, words))
    # Our name may begin another robot's, so no letter or digit comes after it; unless the space was taken away.
    yield re.compile(ours + r"(?![^\W_])", re.IGNORECASE)
    yield re.compile(ours, re.IGNORECASE)


def _is_mark(char: str) -> bool:
    return unicodedata.category(char)[0] in "PS"


def _size(text: str) -> int:
    return len(text.encode("utf-8", "replace"))


def _pieces(text: str, limit: int) -> Iterator[str]:
    while _size(text) > limit:
        end = _end(text, limit)
        yield text[:end]
        text = text[end:]
    if text:
        yield text


def _end(text: str, limit: int) -> int:
    """Where the first piece of a text that is too long ends; at least 1."""
    most = len(text[:limit].encode("utf-8", "replace")[:limit].decode("utf-8", "ignore"))
    window = text[:most]
    line = window.rfind("\n", most // 2) + 1
    if line:
        return line
    atoms = [(found.start(), found.end()) for found in _ATOMS.finditer(text[: most + limit])]
    pauses = [found.end() for found in _PAUSE.finditer(window, most // 2)]
    for end in [*reversed(pauses), most]:
        if not any(start < end < stop for start, stop in atoms) and not _joined(text, end):
            return end
    begun = next((start for start, stop in atoms if start < most < stop), 0)
    return begun or _between(text, most)


def _between(text: str, end: int) -> int:
    """The last place up to `end` between two things that a reader sees as one character each."""
    for place in range(end, max(0, end - _LONGEST_CLUSTER), -1):
        if not _joined(text, place):
            return place
    return end


def _joined(text: str, place: int) -> bool:
    """Whether the characters before and after `place` are seen as one: emoji of several parts, marks, flags."""
    if not 0 < place < len(text):
        return False
    before, after = text[place - 1], text[place]
    if before == "\u200d" or after in "\u200d\u20e3" or unicodedata.category(after) in ("Mn", "Me", "Mc"):
        return True
    if "\U0001f3fb" <= after <= "\U0001f3ff" or "\U000e0020" <= after <= "\U000e007f":  # skin, a region's letters
        return True
    flags = re.search(r"[\U0001f1e6-\U0001f1ff]*$", text[max(0, place - 64) : place])
    return "\U0001f1e6" <= after <= "\U0001f1ff" and len(flags[0] if flags else "") % 2 == 1
