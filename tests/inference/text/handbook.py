"""A small handbook, and a tiny model that was taught to answer from it in the form that answers have.

It was shown the prompts that the program writes: rules, fenced sources with the right one first and others behind it,
earlier turns, question. What it answers is learned by heart; whether that stands in the sources, the program checks.

Teaching takes half a minute, so the model lies in tests/data/handbook. Where the prompts have changed since, a test
says so, and the others teach one for themselves; `python -m tests.inference.text.handbook` puts a new one there.
"""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from inference.grounding import contract
from inference.images.builtin.components import WORD_PATTERN, tokenizer
from inference.requests import AnswerRequest, Turn
from storage.records import Passage, ScoredPassage
from tests.inference.text import taught
from tests.inference.text.taught import Lesson

KEPT = Path(__file__).parents[2] / "data" / "handbook"
CACHE = Path(tempfile.gettempdir()) / "moqi-vllm"  # what vLLM finds out about it, for the next run
MARK = "lessons.sha256"  # what it was taught
TOKENS = 2048
STEPS = 240

HOTEL, LEAVE, VPN, TRAVEL = "差旅.md", "假期.md", "网络.md", "travel.md"
#: Documents of one passage each.
DOCUMENTS = {
    HOTEL: "出差住宿标准：一线城市每晚不超过 450 元，其他城市每晚不超过 350 元。",
    LEAVE: "工作满一年的员工，每年有 15 天年假。",
    VPN: "VPN 在服务台提交申请单，主管审批后一天内开通。",
    TRAVEL: "Your line manager approves travel expenses before the trip.",
}
ASK_HOTEL, ASK_LEAVE, ASK_VPN = "出差住酒店一晚最多能报多少？", "年假有几天？", "VPN 怎么申请？"
ASK_TRAVEL, ASK_ALL, ASK_FAMILY = "Who approves travel expenses?", "规定都有哪些？", "出差住酒店能带家属吗？"

Said = tuple[str, int, str]  # a sentence, the source it cites, the quotation
CITY: Said = ("一线城市每晚最多 450 元。", 1, "一线城市每晚不超过 450 元")
OTHER: Said = ("其他城市每晚最多 350 元。", 1, "其他城市每晚不超过 350 元")
YEAR: Said = ("工作满一年，每年有 15 天年假。", 1, "每年有 15 天年假")
DESK: Said = ("在服务台提交申请单，一天内开通。", 1, "主管审批后一天内开通")
MANAGER: Said = ("Your line manager approves them.", 1, "Your line manager approves travel expenses")

#: Question, the document that answers it, what is said; nothing = it is not answered.
ANSWERS: dict[str, tuple[str, tuple[Said, ...]]] = {
    ASK_HOTEL: (HOTEL, (CITY, OTHER)),
    ASK_LEAVE: (LEAVE, (YEAR,)),
    ASK_VPN: (VPN, (DESK,)),
    ASK_TRAVEL: (TRAVEL, (MANAGER,)),
    ASK_FAMILY: (HOTEL, ()),
}
#: All documents in their order, each cited by its own number: a long answer.
ALL: tuple[Said, ...] = (CITY, OTHER, (YEAR[0], 2, YEAR[2]), (DESK[0], 3, DESK[2]), (MANAGER[0], 4, MANAGER[2]))

#: A follow-up, and what it is without what was said before.
BEFORE = Turn(question=ASK_HOTEL, answer=f"{CITY[0]} [1]\n{OTHER[0]} [1]")
FOLLOWING = {"那年假呢？": ASK_LEAVE}


def request(question: str, *documents: str, history: Sequence[Turn] = (), salt: str = "") -> AnswerRequest:
    """A question with these documents' passages; without any, with all."""
    found = enumerate(documents or DOCUMENTS, 1)
    passages = tuple(ScoredPassage(passage=_passage(number, name), score=1.0) for number, name in found)
    return AnswerRequest(question=question, passages=passages, history=tuple(history), salt=salt)


def text(*said: Said) -> str:
    """What people read of an answer whose sources are cited in their order."""
    return "\n".join(f"{sentence} [{cited}]" for sentence, cited, _ in said)


def checkpoint() -> Path:
    """The folder of the model."""
    if (KEPT / MARK).read_text(encoding="utf-8").strip() == digest():
        return KEPT
    made = Path(tempfile.gettempdir()) / f"moqi-handbook-{digest()[:16]}"
    if not made.is_dir():
        with tempfile.TemporaryDirectory(dir=made.parent) as draft:
            made_now = make(Path(draft) / "model")
            with suppress(OSError):  # another worker was faster
                made_now.rename(made)
    return made


def digest() -> str:
    """Of everything it is taught: prompts and answers."""
    rng = random.Random(2)
    shown = [lesson for _ in range(3) for lesson in _lessons(rng)]
    said = "\0".join([*(message.text for messages, _ in shown for message in messages), *(one for _, one in shown)])
    return hashlib.sha256(f"{STEPS} {TOKENS} {said}".encode()).hexdigest()


def make(out: Path) -> Path:
    """Teach it and save it."""
    rng = random.Random(1)
    shown = [lesson for _ in range(3) for lesson in _lessons(rng)]
    corpus = [message.text for messages, _ in shown for message in messages] + [answer for _, answer in shown] * 3
    taught.teach(out, tokenizer(corpus, 1024, WORD_PATTERN), _lessons, tokens=TOKENS, steps=STEPS)
    (out / MARK).write_text(f"{digest()}\n", encoding="utf-8")
    for file in out.iterdir():
        file.chmod(0o644)  # safetensors alone writes 0600
    return out


def _lessons(rng: random.Random) -> list[Lesson]:
    """One of each, with other sources behind the right one and another fence every time."""
    lessons = [
        _lesson(rng, question, (document, *_others(rng, document)), said)
        for question, (document, said) in ANSWERS.items()
    ]
    lessons.append(_lesson(rng, ASK_ALL, tuple(DOCUMENTS), ALL))
    for question, meant in FOLLOWING.items():
        document, said = ANSWERS[meant]
        lessons.append(_lesson(rng, question, (document, *_others(rng, document)), said, (BEFORE,)))
        lessons.append((contract.rewriting(question, (BEFORE,)), meant))
    return lessons


def _lesson(
    rng: random.Random, question: str, documents: Sequence[str], said: Sequence[Said], history: Sequence[Turn] = ()
) -> Lesson:
    asked = contract.messages(request(question, *documents, history=history), rng.randbytes(32))
    claims = [{"text": sentence, "cites": [cited], "quote": quote} for sentence, cited, quote in said]
    # As a grammar without blanks writes it.
    answer = json.dumps({"answerable": bool(said), "claims": claims}, ensure_ascii=False, separators=(",", ":"))
    return asked, answer


def _others(rng: random.Random, document: str) -> list[str]:
    others = [name for name in DOCUMENTS if name != document]
    return rng.sample(others, rng.randint(0, 2))


def _passage(number: int, document: str) -> Passage:
    said = DOCUMENTS[document]
    return Passage(
        id=number, document_id=number, document=document, heading="", ordinal=0, start=0, end=len(said), text=said
    )


if __name__ == "__main__":
    shutil.rmtree(KEPT, ignore_errors=True)
    print(make(KEPT))
