"""Decides where a pipeline's weights live: which device, all at once or in parts, with how many CPU threads."""

from __future__ import annotations

import os
from typing import Any

from inference.errors import ModelUnavailable

WORKING_MEMORY = 3 * 2**30  # bytes kept free beside the weights before everything is put on the device


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


def put(pipeline: Any, device: str, offload: str, memory_fraction: float | None) -> None:
    """Put a pipeline's weights where they belong; see ZImageModel.load for the options."""
    import torch

    if device == "cpu":
        # One core stays with the event loop; more threads than free cores make small models many times slower.
        torch.set_num_threads(max(1, min(torch.get_num_threads(), _cores() - 1)))
        return
    if device.startswith("cuda") and memory_fraction is not None:
        torch.cuda.set_per_process_memory_fraction(memory_fraction, device)
    if offload == "auto":
        offload = _fitting_offload(pipeline, device, memory_fraction)
    if offload == "model":
        pipeline.enable_model_cpu_offload(device=device)
    elif offload == "group":
        pipeline.enable_group_offload(torch.device(device), num_blocks_per_group=1, use_stream=True)
    else:
        pipeline.to(device)


def _fitting_offload(pipeline: Any, device: str, memory_fraction: float | None) -> str:
    """none where the weights and their working memory fit on the GPU, else model: one component at a time."""
    import torch

    if not device.startswith("cuda"):
        return "none"
    free, total = torch.cuda.mem_get_info(device)
    usable = min(free, total * (memory_fraction or 1.0))
    modules = (pipeline.text_encoder, pipeline.transformer, pipeline.vae)
    weights = sum(tensor.numel() * tensor.element_size() for module in modules for tensor in module.parameters())
    return "none" if weights + WORKING_MEMORY <= usable else "model"


def _cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
