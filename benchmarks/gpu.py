"""The full-size model with random weights on an NVIDIA GPU: sizes, batches, ways to compute, with stages and memory.

Nothing is downloaded: the configurations are those of Z-Image-Turbo, the tokenizer is the practice model's, and speed
does not depend on the weights. Our engine's own pass is measured, not the pipeline beside it.

    python -m benchmarks.gpu [--sizes 512,1024] [--batches 1,2,4,8] [--rounds 3] [--json] > benchmarks/results/NAME.txt
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks.common import machine
from inference.errors import ImageError
from inference.images.learning import Learning
from inference.images.memory import plan
from inference.images.model import ModelCard
from inference.images.passes import Nobody
from inference.images.placement import device_name
from inference.images.registry import BUILTIN
from inference.images.speed import Way
from inference.images.zimage import ZImageModel
from inference.requests import ImageRequest

DEVICE = "cuda:0"
STEPS = 8
#: Seconds in which an H200 could at best compute a picture: operations over the measured peak of bf16.
FLOOR = {512: 0.139, 1024: 0.581}
WAYS = (Way(), Way(attention="_native_cudnn"), Way(compiled=True), Way(attention="_native_cudnn", compiled=True))

TRANSFORMER: dict[str, Any] = {
    "all_patch_size": (2,),
    "all_f_patch_size": (1,),
    "in_channels": 16,
    "dim": 3840,
    "n_layers": 30,
    "n_refiner_layers": 2,
    "n_heads": 30,
    "n_kv_heads": 30,
    "norm_eps": 1e-5,
    "qk_norm": True,
    "cap_feat_dim": 2560,
    "rope_theta": 256.0,
    "t_scale": 1000.0,
    "axes_dims": [32, 48, 48],
    "axes_lens": [1536, 512, 512],
}
TEXT: dict[str, Any] = {
    "vocab_size": 151936,
    "hidden_size": 2560,
    "intermediate_size": 9728,
    "num_hidden_layers": 36,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "max_position_embeddings": 40960,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1_000_000,
    "tie_word_embeddings": True,
    "attention_bias": False,
}
VAE: dict[str, Any] = {
    "in_channels": 3,
    "out_channels": 3,
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
    "latent_channels": 16,
    "norm_num_groups": 32,
    "sample_size": 1024,
    "scaling_factor": 0.3611,
    "shift_factor": 0.1159,
    "use_quant_conv": False,
    "use_post_quant_conv": False,
    "force_upcast": True,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One measured combination. Seconds of a whole pass, and how they divide."""

    size: int
    batch: int
    way: str
    first: float  # with whatever is set up or compiled for it
    whole: float
    picture: float
    read: float  # the prompts, none of them known
    drawn: float
    decoded: float
    peak_gib: float
    floor: float | None  # whole time of a picture over what an H200 could reach


def full_size(device: str = DEVICE) -> Any:
    """The pipeline with random weights, made where it computes."""
    import torch
    from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, ZImagePipeline, ZImageTransformer2DModel
    from transformers import AutoTokenizer, Qwen3Config, Qwen3Model

    makers: Any = (ZImageTransformer2DModel, Qwen3Model, AutoencoderKL, ZImagePipeline, AutoTokenizer)
    transformer_class, text_class, vae_class, pipeline_class, tokenizer_class = makers
    kept = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)  # never 24 GB of fp32 first
    try:
        with torch.device(device):
            transformer = transformer_class(**TRANSFORMER).eval()
            text_encoder = text_class(Qwen3Config(**TEXT)).eval()
            vae = vae_class(**VAE).eval()
    finally:
        torch.set_default_dtype(kept)
    for name, parameter in transformer.named_parameters():
        if name.endswith("pad_token"):  # made empty: what lay in that memory may be no number
            torch.nn.init.zeros_(parameter)
    return pipeline_class(
        scheduler=FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, use_dynamic_shifting=False, shift=3.0),
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=tokenizer_class.from_pretrained(str(BUILTIN / "tokenizer"), local_files_only=True),
        transformer=transformer,
    )


def engine(pipeline: Any, notes: Path | None = None) -> ZImageModel:
    """Our engine around it, as loading makes it."""
    import torch

    from inference.images.placement import need_of

    usable, _ = torch.cuda.mem_get_info(DEVICE)
    need = need_of(pipeline)
    found = plan(need, usable + need.weights("none"), "none")
    pipeline.vae.enable_slicing()
    pipeline.set_progress_bar_config(disable=True)
    card = ModelCard(
        name="full size", path="", builtin=False, device=DEVICE, dtype="bfloat16", max_pixels=found.max_pixels
    )
    return ZImageModel(pipeline, card, Learning.of(found, notes, "full size", held="none"))


def measure(model: ZImageModel, size: int, batch: int, rounds: int) -> Row:
    """A pass of the engine, its stages timed by waiting for the device around each."""
    import torch

    def draw() -> float:
        model.embeddings.clear()
        prompts = [f"a red cube on a white table, picture {number}" for number in range(batch)]
        orders = [
            ImageRequest(prompt=one, width=size, height=size, steps=STEPS, seed=n) for n, one in enumerate(prompts)
        ]
        began = time.perf_counter()
        model.generate(orders, Nobody())
        torch.cuda.synchronize()
        return time.perf_counter() - began

    first = draw()
    torch.cuda.reset_peak_memory_stats()
    whole = sorted(draw() for _ in range(rounds))[rounds // 2]
    with _timed(model) as stages:  # apart: waiting around each stage costs a little
        draw()
    return Row(
        size=size,
        batch=batch,
        way=str(model.way),
        first=first,
        whole=whole,
        picture=whole / batch,
        read=stages["read"],
        drawn=stages["drawn"],
        decoded=stages["decoded"],
        peak_gib=torch.cuda.max_memory_allocated() / 2**30,
        floor=FLOOR[size] / (whole / batch) if size in FLOOR else None,
    )


@contextmanager
def _timed(model: ZImageModel) -> Iterator[dict[str, float]]:
    import torch

    pipeline = model.pipeline
    spots = {
        "read": (pipeline.text_encoder, "forward"),
        "drawn": (pipeline.transformer, "forward"),
        "decoded": (pipeline.vae, "decode"),
    }
    found = dict.fromkeys(spots, 0.0)
    kept = {name: getattr(owner, what) for name, (owner, what) in spots.items()}

    def around(name: str) -> Any:
        def timed(*given: Any, **named: Any) -> Any:
            torch.cuda.synchronize()
            began = time.perf_counter()
            made = kept[name](*given, **named)
            torch.cuda.synchronize()
            found[name] += time.perf_counter() - began
            return made

        return timed

    for name, (owner, what) in spots.items():
        setattr(owner, what, around(name))
    try:
        yield found
    finally:
        for name, (owner, what) in spots.items():
            setattr(owner, what, kept[name])


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--sizes", default="512,1024")
    parser.add_argument("--batches", default="1,2,4,8")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    import torch

    if not torch.cuda.is_available():
        print("torch sees no NVIDIA GPU: nothing was measured")
        return 2
    sizes, batches = ([int(one) for one in given.split(",")] for given in (options.sizes, options.batches))
    if not options.json:
        print(f"{device_name(DEVICE)}; torch {torch.__version__}; {machine()}")
        print(
            "size batch way                            first  whole  picture   read  drawn decoded  peak GiB"
            "  of the floor"
        )
    with torch.no_grad():
        model = engine(full_size())
        for way in WAYS:
            try:
                model._compute(way)
                for size, batch in product(sizes, batches):
                    _show(measure(model, size, batch, options.rounds), as_json=options.json)
            except (ImageError, ImportError, RuntimeError, ValueError) as error:  # one that does not work here
                print(f"{way}: {error}")
    return 0


def _show(row: Row, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(asdict(row)), flush=True)
        return
    floor = "" if row.floor is None else f"{100 * row.floor:.0f} %"
    times = f"{row.first:6.2f} {row.whole:6.3f}  {row.picture:7.3f} {row.read:6.3f} {row.drawn:6.3f} {row.decoded:7.3f}"
    print(f"{row.size:4} {row.batch:5} {row.way:30} {times}  {row.peak_gib:8.1f}  {floor:>12}", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
