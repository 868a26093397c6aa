"""In which words questions and passages are given to an encoder. Pure."""

from __future__ import annotations

import hashlib

#: Part of a recipe: raise it when a passage is written differently, and every vector is made again.
VERSION = "1"

#: What Qwen3-Embedding is told that its questions are for, and Qwen3-Reranker that it is to judge.
TASK = "Given a question of an employee, retrieve passages of the company's documents that answer the question"

_JUDGE = (
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
    'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
)
_ANSWER = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"


def prefix(instruction: str) -> str:
    """What stands before a question, in the form of Qwen3-Embedding (no blank behind the colon); empty without one."""
    return f"Instruct: {instruction}\nQuery:" if instruction else ""


def passage(title: str, heading: str, text: str) -> str:
    """A passage with the headings it stands under, the document's title once."""
    above = heading if heading.startswith(title) else f"{title} › {heading}" if heading else title
    return f"{above}\n{text}" if above else text


def pair(question: str) -> tuple[str, str]:
    """What stands before and behind a document that Qwen3-Reranker judges; only the document may be cut."""
    return f"{_JUDGE}<Instruct>: {TASK}\n<Query>: {question}\n<Document>: ", _ANSWER


def recipe(*parts: object) -> str:
    """A short name for everything that a model's numbers depend on."""
    return hashlib.sha256("\0".join(map(str, (VERSION, *parts))).encode()).hexdigest()[:16]
