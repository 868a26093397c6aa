"""A tiny language model in the layout of Qwen3, taught a few dialogues by heart: real weights, known answers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inference.images.builtin.components import tokenizer

STEPS = 60


def make(out: Path, dialogues: Mapping[str, str]) -> Path:
    """Teach it what to answer to each of these, with an empty thought before, and save it. A few seconds."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(0)
    words: Any = tokenizer([*dialogues, *dialogues.values()] * 3, 512)
    config = Qwen3Config(
        vocab_size=len(words),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=32,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        eos_token_id=words.convert_tokens_to_ids("<|im_end|>"),
        pad_token_id=words.convert_tokens_to_ids("<|endoftext|>"),
    )
    model: Any = Qwen3ForCausalLM(config)
    ids, targets = _batch(words, dialogues)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(STEPS):
        loss = model(input_ids=ids, labels=targets).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    model.generation_config.eos_token_id = config.eos_token_id
    model.save_pretrained(out)
    words.save_pretrained(out)
    return out


def _batch(words: Any, dialogues: Mapping[str, str]) -> tuple[Any, Any]:
    """Right-padded ids, and the same with everything but the answers left out of the loss."""
    import torch

    rows = []
    for asked, answer in dialogues.items():
        turn = [{"role": "user", "content": asked}]
        prompt = words.apply_chat_template(turn, tokenize=False, add_generation_prompt=True, enable_thinking=False)
        before, after = words(prompt).input_ids, words(f"{answer}<|im_end|>").input_ids
        rows.append((before + after, [-100] * len(before) + after))
    longest = max(len(ids) for ids, _ in rows)
    pad = words.convert_tokens_to_ids("<|endoftext|>")
    ids = [row + [pad] * (longest - len(row)) for row, _ in rows]
    targets = [row + [-100] * (longest - len(row)) for _, row in rows]
    return torch.tensor(ids), torch.tensor(targets)
