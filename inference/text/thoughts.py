"""What a model thinks aloud before it answers, taken out of a stream. Pure.

Qwen3's <think> and </think> are plain text to the tokenizer: they come through even where special tokens are left out.
"""

from __future__ import annotations

OPEN, CLOSE = "<think>", "</think>"


class Thoughts:
    """Keeps back what stands between the marks, wherever the pieces are cut."""

    def __init__(self) -> None:
        self._held = ""
        self._thinking = False

    def feed(self, piece: str) -> str:
        """What of the text so far may be shown now."""
        self._held += piece
        shown = ""
        while True:
            mark = CLOSE if self._thinking else OPEN
            before, found, after = self._held.partition(mark)
            if not found:
                break
            shown += "" if self._thinking else before
            self._thinking, self._held = not self._thinking, after
        kept = _begun(self._held, mark)
        shown += "" if self._thinking else self._held[: len(self._held) - kept]
        self._held = self._held[len(self._held) - kept :]
        return shown

    def end(self) -> str:
        """What was kept back only because it might have become a mark."""
        rest, self._held = "" if self._thinking else self._held, ""
        return rest


def _begun(text: str, mark: str) -> int:
    """How many characters at the end of `text` begin the mark."""
    return next((size for size in range(min(len(mark) - 1, len(text)), 0, -1) if text.endswith(mark[:size])), 0)
