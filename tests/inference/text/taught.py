"""A tiny language model in the layout of Qwen3, taught a few dialogues by heart: real weights, known answers."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from inference.images.builtin.components import CHARACTER_PATTERN, tokenizer
from inference.requests import Message

STEPS = 60

#: What is said to it, and what it answers.
Lesson = tuple[Sequence[Message], str]


def make(out: Path, dialogues: Mapping[str, str]) -> Path:
    """Teach it what to answer to each of these, with an empty thought before, and save it. A few seconds."""
    lessons: list[Lesson] = [((Message(role="user", text=asked),), answer) for asked, answer in dialogues.items()]
    words = tokenizer([*dialogues, *dialogues.values()] * 3, 512, CHARACTER_PATTERN)
    return teach(out, words, lambda rng: lessons, tokens=512)


def teach(
    out: Path, words: Any, lessons: Callable[[random.Random], Sequence[Lesson]], *, tokens: int, steps: int = STEPS
) -> Path:
    """Teach it lessons, which may be new ones for every step, and save it. `tokens`: the longest it may ever read."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=len(words),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=32,
        max_position_embeddings=tokens,
        tie_word_embeddings=True,
        eos_token_id=words.convert_tokens_to_ids("<|im_end|>"),
        pad_token_id=words.convert_tokens_to_ids("<|endoftext|>"),
    )
    model: Any = Qwen3ForCausalLM(config)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    rng = random.Random(0)
    pace = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min(1.0, (step + 1) / 10) * (1 - 0.9 * step / steps)
    )
    for _ in range(steps):
        loss = _loss(model, *_batch(words, lessons(rng)))
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        pace.step()
    model.generation_config.eos_token_id = config.eos_token_id
    model.to(torch.bfloat16).save_pretrained(out)
    words.save_pretrained(out)
    return out


def _loss(model: Any, ids: Any, targets: Any) -> Any:
    """Of the answers alone: what is said to it is long, and not to be learned."""
    import torch

    seen, wanted = model.model(input_ids=ids).last_hidden_state[:, :-1], targets[:, 1:]
    counts = wanted != -100
    return torch.nn.functional.cross_entropy(model.lm_head(seen[counts]), wanted[counts])


def _batch(words: Any, lessons: Sequence[Lesson]) -> tuple[Any, Any]:
    """Right-padded ids, and the same with everything but the answers left out of the loss."""
    import torch

    rows = []
    for messages, answer in lessons:
        turns = [{"role": message.role, "content": message.text} for message in messages]
        prompt = words.apply_chat_template(turns, tokenize=False, add_generation_prompt=True, enable_thinking=False)
        before, after = words(prompt).input_ids, words(f"{answer}<|im_end|>").input_ids
        rows.append((before + after, [-100] * len(before) + after))
    longest = max(len(ids) for ids, _ in rows)
    pad = words.convert_tokens_to_ids("<|endoftext|>")
    ids = [row + [pad] * (longest - len(row)) for row, _ in rows]
    targets = [row + [-100] * (longest - len(row)) for _, row in rows]
    return torch.tensor(ids), torch.tensor(targets)
