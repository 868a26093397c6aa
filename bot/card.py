"""The graphics card of this process, where pictures and a language model compute on it; else nothing of it acts."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace

from bot.opening import image_choice
from bot.settings import Settings
from bot.sharing import drawing, present, summary
from inference.gpu.gate import Gate
from inference.gpu.shares import Shares, Way
from inference.gpu.sharing import Look, Sharing, Tell
from inference.images.placement import give_back
from inference.images.registry import LoadOptions
from inference.text import leftover
from inference.text.chat import ChatModel
from inference.text.lent import LentModel
from inference.text.registry import TextOptions, open_chat_model
from inference.text.supervised import SupervisedModel
from inference.text.vllm_engine import note

log = logging.getLogger("moqi.card")


class Card:
    """How it is shared: found once, when the program starts."""

    def __init__(self, plan: Shares | None, wanted: TextOptions, look: Look, tell: Tell) -> None:
        """`wanted`: the language model of model.yaml. `look` and `tell`: see Sharing. Raises ModelUnavailable."""
        self._plan = plan
        together = plan is not None and plan.text is not None and plan.way is not Way.APART
        self.gate = Gate() if together else None
        self.options = _answering(wanted, plan)
        #: The language model as it is; nobody but `chat` may have it write.
        self.model = open_chat_model(self.options, self.gate.of("the language model") if self.gate else None)
        self.sharing: Sharing | None = None
        if self.gate is not None and isinstance(self.model, SupervisedModel):
            alternates = plan is not None and plan.way is Way.SLEEP
            self.sharing = Sharing(self.gate, self.model, look, tell, alternates=alternates, empty=give_back)

    @classmethod
    def of(cls, settings: Settings, environ: Mapping[str, str], wanted: TextOptions, look: Look, tell: Tell) -> Card:
        """The card that is there. The log says how it is shared, or why the language model is left out."""
        if wanted.folder is not None:
            leftover.end(note(wanted.folder))  # or its memory would count as somebody else's
        plan = present(settings, image_choice(settings), environ)
        if plan is not None and plan.problem:
            log.error("%s %s", plan.problem, plan.next_step, extra={"action": "gpu-too-small"})
        elif plan is not None:
            log.info("%s", summary(plan), extra={"action": "gpu-shared"})
        return cls(plan, wanted, look, tell)

    @property
    def chat(self) -> ChatModel | None:
        """The language model for everybody who wants something written."""
        if self.model is None or self.sharing is None:
            return self.model
        return LentModel(self.model, self.sharing.answering)

    def loading(self, wanted: LoadOptions) -> LoadOptions:
        """How the image model is to be loaded."""
        return drawing(wanted, self._plan)

    def may_answer(self) -> bool:
        """Whether a question may be begun now."""
        return self.sharing is None or self.sharing.may_answer

    def may_draw(self) -> bool:
        """Whether a picture may be begun now."""
        return self.sharing is None or self.sharing.may_draw

    def close(self) -> None:
        """Let everybody free what they have, without waiting for each other."""
        if self.gate is not None:
            self.gate.close()


def _answering(wanted: TextOptions, plan: Shares | None) -> TextOptions:
    """How the language model is to be started beside the image model; where it does not fit, it is not."""
    if plan is not None and plan.problem:
        return replace(wanted, engine="extractive")
    if plan is None or plan.text is None:
        return wanted
    return replace(wanted, share=plan.text.utilization, cache=int(plan.text.cache), lends=plan.text.sleeps)
