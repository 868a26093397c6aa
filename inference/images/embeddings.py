"""What the text encoder says about a prompt, kept: drawing the same prompt again does not read it again.

Every prompt is read alone, so that its embedding depends on nothing but itself, whoever shares the pass. The pipeline
pads to 512 tokens whatever the prompt's length. The encoder looks back only, so the padding changes no embedding: on
the CPU a block of 32 gives the same bits (measured; the exact length does not) in a tenth of the time. On a GPU, where
the difference is 3 ms and another length may be rounded otherwise, the pipeline's own padding stays.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from inference.images.batching import TOKEN_BLOCK, block_of

MOST_BYTES = 64 * 2**20  # about 200 prompts of the full-size model: 64 tokens are 0.33 MB


class Embeddings:
    """An LRU of prompt embeddings, bounded by bytes. Lives and dies with its pipeline: keyed by the prompt alone."""

    def __init__(self, pipeline: Any, max_tokens: int, most_bytes: int = MOST_BYTES) -> None:
        self._pipeline = pipeline
        self._max_tokens = max_tokens
        self._most = most_bytes
        self._kept: OrderedDict[str, Any] = OrderedDict()
        self.bytes = 0
        self.hits, self.misses = 0, 0

    def of(self, prompt: str) -> Any:
        """The embedding of one prompt (tokens, width), on the device that draws."""
        if prompt in self._kept:
            self.hits += 1
            self._kept.move_to_end(prompt)
            return self._kept[prompt]
        self.misses += 1
        made = self._read(prompt)
        self._keep(prompt, made)
        return made

    def clear(self) -> None:
        """Forget all: the memory is wanted, or the text encoder is another."""
        self._kept.clear()
        self.bytes = 0

    def _keep(self, prompt: str, made: Any) -> None:
        size = made.numel() * made.element_size()
        if size > self._most:
            return
        self._kept[prompt] = made
        self.bytes += size
        while self.bytes > self._most:
            _, dropped = self._kept.popitem(last=False)
            self.bytes -= dropped.numel() * dropped.element_size()

    def _read(self, prompt: str) -> Any:
        import torch

        pipeline = self._pipeline
        device = pipeline._execution_device  # of an offloaded model not where its weights lie
        with torch.no_grad():
            (made,), _ = pipeline.encode_prompt(
                prompt=[prompt],
                device=device,
                do_classifier_free_guidance=False,
                max_sequence_length=self._length(prompt, str(device)),
            )
        return made

    def _length(self, prompt: str, device: str) -> int:
        """To how many tokens the prompt is padded."""
        if not device.startswith("cpu"):  # an offloaded one calls itself cpu:0
            return self._max_tokens
        return min(self._max_tokens, TOKEN_BLOCK * block_of(count_tokens(self._pipeline.tokenizer, prompt)))


def count_tokens(tokenizer: Any, prompt: str) -> int:
    """How many tokens the prompt takes, chat template included."""
    turn = [{"role": "user", "content": prompt}]
    text = tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True, enable_thinking=True)
    return len(tokenizer(text).input_ids)
