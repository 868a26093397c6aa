"""The Feishu simulator in a process of its own, so that answering the bot costs the benchmark's process nothing."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from tests.simulators.feishu import FeishuSimulator


class Platform:
    """A running simulator. Its limit per chat is off; the limit of 50 calls a second is the client's own."""

    def __enter__(self) -> Self:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()
        self.settings: dict[str, Any] = self._pipe.recv()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._pipe.send(None)
        self._process.join()

    def remember(self, messages: Sequence[tuple[str, str]]) -> None:
        """(message id, chat id) of messages that the bot may answer."""
        self._pipe.send(list(messages))
        self._pipe.recv()

    def replies(self) -> Counter[str]:
        """How many answers stand under each message."""
        self._pipe.send("replies")
        found: Counter[str] = self._pipe.recv()
        return found


def _serve(pipe: Any) -> None:
    with FeishuSimulator(limits=False) as feishu:
        pipe.send(feishu.settings)
        while (asked := pipe.recv()) is not None:
            if asked == "replies":
                pipe.send(Counter(sent.parent_id for sent in feishu.visible()))
            else:
                for message_id, chat in asked:
                    feishu.remember(message_id, chat)
                pipe.send(True)
