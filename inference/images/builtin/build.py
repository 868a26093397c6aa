"""Rebuilds the built-in checkpoint: a tiny Z-Image model in the standard pipeline folder, byte for byte.

    python -m inference.images.builtin.build OUT

Same files, classes and configuration keys as the full Z-Image-Turbo, so whatever loads one loads the other. Nothing is
downloaded: the tokenizer is trained here, and the weights come from an integer generator. Torch's own initialisers
differ in the last bits between processors (AVX2 and others draw other normals); integers scaled by constants do not.

What must stay as in the full model, or the tests test another pipeline: transformer width = heads x sum of the rope
axes; caption width = text encoder width; a VAE of 4 blocks (factor 8) with 16 latent channels and no quant
convolutions; scheduler shift 3.0 without dynamic shifting; a ChatML template with `enable_thinking`, right padding.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inference.images.builtin import components

if TYPE_CHECKING:
    import torch

SEED = 0
WIDTH = 64  # of the text encoder and of the transformer
HEADS = 2
ROPE_AXES = (8, 12, 12)  # HEADS * sum(ROPE_AXES) == WIDTH
VOCABULARY = 512

#: What the tokenizer learns its merges from.
CORPUS = (
    "a red cube on a white table, studio light",
    "a cat wearing sunglasses, cyberpunk city at night, neon lights",
    "a quiet lake at sunrise with soft mist and warm reflections",
    "portrait of an old fisherman, 35mm photo, high detail",
    "poster with the title HELLO WORLD in bold letters",
    "一只戴墨镜的猫，赛博朋克城市夜景，霓虹灯",
    "白色桌子上的红色立方体，影棚灯光",
    "清晨的湖面，薄雾，暖色倒影，水墨画风格",
    "年轻的中国女子，身着红色汉服，背景是西安大雁塔",
    "一张海报，上面写着“你好，世界”",
    "user assistant system\n",
)

ENCODER_BOUND = 0.35  # wide enough that two prompts give two visibly different pictures
OUTPUT_GAIN = 4.0  # on the last projections, so that prompt and seed both show in 8-bit colours


def build(out: Path) -> None:
    """Write the checkpoint folder `out`: about 1.7 MB, bfloat16, readable by everybody."""
    import torch
    from diffusers import ZImagePipeline

    with torch.random.fork_rng(devices=[]):  # constructors draw from the global generator; the draw is thrown away
        pipeline: Any = ZImagePipeline(**_components())
    pipeline.to(dtype=torch.bfloat16)
    pipeline.save_pretrained(out, safe_serialization=True)
    for file in out.rglob("*"):
        file.chmod(0o755 if file.is_dir() else 0o644)  # safetensors writes 0600: unreadable for a service user


def _components() -> dict[str, Any]:
    tokenizer = components.tokenizer(CORPUS, VOCABULARY, components.WORD_PATTERN)
    encoder, transformer, vae = _text_encoder(tokenizer), _transformer(), components.vae((8, 16, 16, 16), groups=4)
    _fill(encoder.named_parameters(), seed=SEED, bound=ENCODER_BOUND)
    _fill(transformer.named_parameters(), seed=SEED + 1)
    _fill(vae.named_parameters(), seed=SEED + 2)
    _widen([layer.linear.weight for layer in transformer.all_final_layer.values()] + [vae.decoder.conv_out.weight])
    return {
        "scheduler": components.scheduler(),
        "text_encoder": encoder.eval(),
        "tokenizer": tokenizer,
        "transformer": transformer.eval(),
        "vae": vae.eval(),
    }


def _text_encoder(tokenizer: Any) -> Any:
    from transformers import Qwen3Config, Qwen3Model

    return Qwen3Model(
        Qwen3Config(
            vocab_size=len(tokenizer),
            hidden_size=WIDTH,
            intermediate_size=128,
            num_hidden_layers=3,  # the pipeline reads the last but one: at least 2
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=16,
            max_position_embeddings=1024,
            rms_norm_eps=1e-6,
            rope_parameters={"rope_theta": 1_000_000, "rope_type": "default"},
            tie_word_embeddings=True,
            bos_token_id=tokenizer.convert_tokens_to_ids(components.END_OF_TEXT),
            eos_token_id=tokenizer.convert_tokens_to_ids(components.TURN_END),
        )
    )


def _transformer() -> Any:
    from diffusers import ZImageTransformer2DModel

    return ZImageTransformer2DModel(
        all_patch_size=(2,),
        all_f_patch_size=(1,),
        in_channels=16,
        dim=WIDTH,
        n_layers=2,
        n_refiner_layers=1,
        n_heads=HEADS,
        n_kv_heads=HEADS,
        norm_eps=1e-5,
        qk_norm=True,
        cap_feat_dim=WIDTH,
        rope_theta=256.0,
        t_scale=1000.0,
        axes_dims=list(ROPE_AXES),
        axes_lens=[1536, 512, 512],
    )


def _fill(parameters: Iterable[tuple[str, torch.Tensor]], seed: int, bound: float | None = None) -> None:
    """Matrices and kernels: uniform in +-`bound` (default 1/sqrt(inputs)). Vectors: 1 for norms, 0 for biases."""
    import torch

    generator = torch.Generator("cpu").manual_seed(seed)
    with torch.no_grad():
        for name, parameter in parameters:
            if parameter.ndim < 2:
                parameter.fill_(1.0 if name.endswith("weight") else 0.0)
                continue
            integers = torch.randint(-(2**15), 2**15, parameter.shape, generator=generator)
            width = bound or 1 / math.sqrt(math.prod(parameter.shape[1:]))
            parameter.copy_(integers.to(torch.float32) * (width / 2**15))


def _widen(weights: Iterable[torch.Tensor]) -> None:
    import torch

    with torch.no_grad():
        for weight in weights:
            weight.mul_(OUTPUT_GAIN)


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m inference.images.builtin.build OUT\n")
        return 2
    out = Path(arguments[0])
    build(out)
    size = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    sys.stdout.write(f"{out}: {size / 1e6:.2f} MB\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
