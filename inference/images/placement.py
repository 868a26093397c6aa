"""Puts a pipeline's weights where they belong: which device, all at once or in parts, with how many CPU threads.

What fits is decided in memory.py; here is what is there, and what the libraries are told.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from inference.errors import ModelUnavailable
from inference.images.memory import Need, Plan, plan

QUANTIZATIONS = ("none", "fp8")


def pick_device(wanted: str) -> str:
    """The device to use: cpu, cuda:N or mps. Raises ModelUnavailable for a GPU that is not there."""
    import torch

    if wanted.startswith("cuda") and not torch.cuda.is_available():
        raise ModelUnavailable(f"image.device is {wanted}, but torch sees no GPU.", "Install the driver, or use auto.")
    if wanted != "auto":
        return "cuda:0" if wanted == "cuda" else wanted
    if torch.cuda.is_available():
        return "cuda:0"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def require_quantization(quantization: str, device: str, offload: str) -> None:
    """Raise ModelUnavailable for what cannot be, before anything is loaded."""
    if quantization == "none":
        return
    if quantization not in QUANTIZATIONS:
        ways = " or ".join(QUANTIZATIONS)
        raise ModelUnavailable(f"image.quantization {quantization} is not offered.", f"Set it to {ways}.")
    if device == "mps":
        raise ModelUnavailable("Apple's GPUs have no 8-bit floats.", "Set image.quantization to none.")
    if offload == "group":
        problem = "image.quantization fp8 does not go with image.offload group: both replace the layers' weights."
        raise ModelUnavailable(problem, "Set image.offload to model or auto.")


def quantise(pipeline: Any, quantization: str) -> None:
    """With fp8 keep the transformer's weights in 8 bits, each layer widened while it computes: half the memory.

    Not faster, and the only way that needs no further package and nothing but the checkpoint.
    """
    if quantization == "none":
        return
    import torch

    transformer = pipeline.transformer
    transformer.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=transformer.dtype)


def put(pipeline: Any, device: str, offload: str, memory_fraction: float | None, *, may_group: bool = True) -> Plan:
    """Put a pipeline's weights where they belong; see ZImageModel.load for the options. Returns how they lie."""
    import torch

    need = need_of(pipeline)
    if device == "cpu":
        # One core stays with the event loop; more threads than free cores make small models many times slower.
        torch.set_num_threads(max(1, min(torch.get_num_threads(), _cores() - 1)))
        return plan(need, free_memory(), "none")
    if not device.startswith("cuda"):
        pipeline.to(device)
        return plan(need, float(torch.mps.recommended_max_memory()), "none")
    if memory_fraction is not None:
        torch.cuda.set_per_process_memory_fraction(memory_fraction, device)
    free, total = torch.cuda.mem_get_info(device)
    usable = min(free, total * (memory_fraction or 1.0))
    found = plan(need, usable, offload)
    if offload == "auto" and found.offload == "group" and not may_group:
        found = plan(need, usable, "model")
    if found.offload == "model":
        pipeline.enable_model_cpu_offload(device=device)
    elif found.offload == "group":
        pipeline.enable_group_offload(torch.device(device), num_blocks_per_group=1, use_stream=True)
    else:
        pipeline.to(device)
    return found


def give_back() -> None:
    """Give back what torch keeps of the GPU's memory for later: somebody else needs it now."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def device_name(device: str) -> str:
    """What computes, as its maker calls it: what was measured on another one says nothing."""
    import torch

    if device.startswith("cuda"):
        return str(torch.cuda.get_device_name(device))
    return f"{device} with {torch.get_num_threads()} threads of {_cores()}"


def need_of(pipeline: Any) -> Need:
    """What a pipeline is made of."""

    def weights(module: Any) -> int:
        return sum(tensor.numel() * tensor.element_size() for tensor in module.parameters())

    return Need(
        text_encoder=weights(pipeline.text_encoder),
        transformer=weights(pipeline.transformer),
        vae=weights(pipeline.vae),
        width=int(pipeline.transformer.config.dim),
        vae_channels=int(pipeline.vae.config.block_out_channels[0]),
        element=int(pipeline.vae.dtype.itemsize),
    )


def free_memory() -> float:
    """Bytes of main memory that may be taken now; infinity where nobody says."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return float("inf")
    found = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return 1024.0 * int(found[0]) if found else float("inf")


def _cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
