"""What becomes of orders and of finished pictures, by the team's policy: its words, a language model, a classifier, or
every picture is held."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bot.ordering import HELD_BY
from bot.settings import Settings
from bot.settings.moderation import Moderation
from inference.errors import OrderCheckFailed, PictureCheckFailed
from inference.images.classifier import Classifier
from inference.moderation import By, Decision, ImageCheck, Limits, Verdict
from inference.text.chat import ChatModel
from inference.text.judge import OrderCheck
from storage.records import Job

if TYPE_CHECKING:  # for its name only
    from PIL.Image import Image

log = logging.getLogger("moqi.moderation")


class HouseJudge:
    """Implements scheduler.work.Judge by the settings as they are at each picture."""

    def __init__(
        self,
        settings: Callable[[], Settings],
        opened: Callable[[Path, Limits], ImageCheck] = Classifier,
        chat: ChatModel | None = None,
    ) -> None:
        """`chat` is the language model that orders are shown to; None = there is none."""
        self._settings = settings
        self._opened = opened
        self._made: tuple[Path, Limits] | None = None  # what `_check` was made for
        self._check: ImageCheck | None = None
        self._chat = chat
        self._asked: tuple[str, OrderCheck] | None = None  # what it asks for, and whom

    async def order(self, job: Job) -> Verdict | None:
        """The language model's opinion, where the policy asks for it; a failed check counts as the policy says."""
        rules = self._rules().orders
        if not rules.model:
            return None
        try:
            return await self._of_orders(rules.unwanted).check(str(job.params["prompt"]))
        except OrderCheckFailed as error:
            log.error("an order could not be checked: %s", error, extra={"action": "order-check-failed"})
            return Verdict(decision=Decision(rules.on_failure), by=By.FAILURE)

    def unseen(self, job: Job) -> bool:
        """A preview would show what is yet to be judged, or held already."""
        rules = self._rules()
        doubted = rules.orders.model and self._doubted(job)
        return rules.review or doubted or bool(rules.pictures.path) or bool(job.params.get(HELD_BY))

    async def verdicts(self, job: Job, images: Sequence[Image]) -> Sequence[Verdict]:
        """What is to happen with the pictures of a job: those verdicts that do not just let them through."""
        rules = self._rules()
        named = job.params.get(HELD_BY, ())
        found = [Verdict(decision=Decision.REVIEW, by=By.WORDS, label=str(name)) for name in named]
        if rules.pictures.path:
            found += await asyncio.to_thread(self._judged, rules, images)
        if rules.review:
            found.append(Verdict(decision=Decision.REVIEW, by=By.HOUSE))
        return [one for one in found if one.decision is not Decision.ALLOW]

    def _doubted(self, job: Job) -> bool:
        """Everything but what is known to be allowed."""
        known = self._asked[1].known(str(job.params["prompt"])) if self._asked is not None else None
        return known is None or known.decision is not Decision.ALLOW

    def _of_orders(self, unwanted: str) -> OrderCheck:
        if self._chat is None:
            raise OrderCheckFailed("No language model is configured.", "Set text.engine in model.yaml.")
        if self._asked is None or self._asked[0] != unwanted:
            self._asked = unwanted, OrderCheck(self._chat, unwanted)
        return self._asked[1]

    def _rules(self) -> Moderation:
        return self._settings().policy.moderation

    def _judged(self, rules: Moderation, images: Sequence[Image]) -> list[Verdict]:
        check = self._open(self._settings().path(rules.pictures.path), rules.pictures.limits)
        return [_judge(check, image, number, rules) for number, image in enumerate(images, 1)]

    def _open(self, folder: Path, limits: Limits) -> ImageCheck:
        if self._check is None or self._made != (folder, limits):
            self._check, self._made = self._opened(folder, limits), (folder, limits)
        return self._check


def _judge(check: ImageCheck, image: Image, number: int, rules: Moderation) -> Verdict:
    """One picture's verdict; where the check fails, the one that the policy has for that."""
    try:
        found = check.check(image)
    except PictureCheckFailed as error:
        log.error("a picture could not be checked: %s", error, extra={"action": "picture-check-failed"})
        found = Verdict(decision=Decision(rules.pictures.on_failure), by=By.FAILURE)
    return Verdict(decision=found.decision, by=found.by, label=found.label, score=found.score, picture=number)
