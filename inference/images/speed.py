"""How the transformer computes fastest here: which attention kernel, compiled or not. Chosen by trying, not believed.

Only what is installed is tried, and nothing on a CPU. Backends whose names end in `_hub` fetch code when they are first
used: they are refused. Compiled are the repeated blocks alone: they need one graph for all sizes at batch 1 and another
for larger batches, where the whole model would need one for each size and length of prompt.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from inference.errors import ModelUnavailable

NATIVE = "native"
TRIED = (NATIVE, "_native_cudnn")  # both exact, both part of torch
FASTER = 0.03  # share of the time that a less simple way must save to be taken
GRAPHS = 64  # per piece of code, where torch allows 8; past the limit it would refuse to draw


@dataclass(frozen=True, kw_only=True, slots=True)
class Way:
    """One way to compute."""

    attention: str = NATIVE
    compiled: bool = False

    def __str__(self) -> str:
        return f"{self.attention}, {'compiled' if self.compiled else 'eager'}"


def require_local(attention: str) -> None:
    """Raise ModelUnavailable for a backend that would fetch code."""
    if attention.endswith("_hub"):
        step = "Leave image.attention empty: the fastest backend that is installed is then found by trying."
        raise ModelUnavailable(f"image.attention {attention} downloads code when it is first used.", step)


def ways(device: str, attention: str, compiling: bool | str) -> tuple[Way, ...]:
    """What is to be tried, the simplest first. `attention` empty and `compiling` "auto" leave the choice open."""
    on_gpu = device.startswith("cuda")
    backends = (attention,) if attention else TRIED if on_gpu else (NATIVE,)
    chosen = ((False, True) if on_gpu else (False,)) if compiling == "auto" else (bool(compiling),)
    return tuple(Way(attention=backend, compiled=each) for each in chosen for backend in backends)


def fastest(seconds: Mapping[Way, float]) -> Way:
    """Of measured ways, in their order from the simplest: one that is less simple must be faster by a margin."""
    best, *others = seconds
    for way in others:
        if seconds[way] < (1 - FASTER) * seconds[best]:
            best = way
    return best


def apply(transformer: Any, way: Way, backend: str = "inductor") -> None:
    """Make the transformer compute this way from the next call on; `backend` is torch.compile's.

    Raises ValueError, RuntimeError, ImportError.
    """
    eager(transformer)
    # By name even when it is the default: diffusers keeps the last one that was set for the whole process.
    transformer.set_attention_backend(way.attention)
    if not way.compiled:
        return
    import torch._dynamo

    torch._dynamo.config.recompile_limit = GRAPHS
    transformer.compile_repeated_blocks(fullgraph=True, backend=backend)


def eager(transformer: Any) -> None:
    """Undo the compiling."""
    for module in transformer.modules():
        module._compiled_call_impl = None


def compile_faults() -> tuple[type[Exception], ...]:
    """What compiled code raises that eager code does not."""
    from torch._dynamo.exc import FailOnRecompileLimitHit, TorchDynamoException

    return (FailOnRecompileLimitHit, TorchDynamoException)


def described(found: Iterable[tuple[Way, float]]) -> str:
    """What was measured, for the log."""
    return "; ".join(f"{way}: {seconds:.3f} s" for way, seconds in found)
