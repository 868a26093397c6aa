"""The five parts of the built-in model, untrained: the classes and configuration keys of the full Z-Image-Turbo.

What must stay as in the full model, or whoever tests with this one tests another pipeline: transformer width = heads x
sum of the rope axes; caption width = text encoder width; a VAE of 4 blocks (factor 8) with 16 latent channels and no
quant convolutions; scheduler shift 3.0 without dynamic shifting; a ChatML template with `enable_thinking`, right
padding. The tokenizer reads bytes and joins them to Chinese characters and to English words, never across characters:
a word that training never showed (艳红) is still read as characters it did show.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

HEADS = 3
ROPE_AXES = (16, 24, 24)
WIDTH = HEADS * sum(ROPE_AXES)  # of the transformer: 192
CAPTION_WIDTH = 128  # of the text encoder
VOCABULARY = 1024

END_OF_TEXT, TURN_START, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
THINKING = ("<think>", "</think>")

#: How a Qwen tokenizer cuts text before it merges bytes.
WORD_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
#: In training only: every Chinese character stands alone, so that no merge reaches across two of them.
CHARACTER_PATTERN = r"\p{Han}|" + WORD_PATTERN.replace(r"\p{L}+", r"(?:(?!\p{Han})\p{L})+")

CHAT_TEMPLATE = (
    "{%- for message in messages %}"
    "{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}"
    "{{- '<|im_start|>assistant\\n' }}"
    "{%- if enable_thinking is defined and enable_thinking is false %}"
    "{{- '<think>\\n\\n</think>\\n\\n' }}"
    "{%- endif %}"
    "{%- endif %}"
)


def tokenizer(corpus: Iterable[str], vocabulary: int = VOCABULARY, pattern: str = CHARACTER_PATTERN) -> Any:
    """A byte-level BPE trained on `corpus`, in the class that the full model names. Same corpus, same tokenizer.

    `pattern` cuts the corpus into the words that merges stay within.
    """
    from tokenizers import AddedToken
    from transformers import Qwen2Tokenizer

    bpe = _trained_bpe(corpus, vocabulary, pattern)
    merges: Any = [tuple(merge) for merge in bpe["merges"]]
    made = Qwen2Tokenizer(
        vocab=bpe["vocab"],
        merges=merges,
        unk_token=END_OF_TEXT,
        eos_token=TURN_END,
        pad_token=END_OF_TEXT,
        extra_special_tokens=[TURN_START, TURN_END],
        model_max_length=131072,
        padding_side="right",
    )
    made.add_tokens([AddedToken(token, normalized=False, special=False) for token in THINKING])
    made.chat_template = CHAT_TEMPLATE
    return made


def _trained_bpe(corpus: Iterable[str], vocabulary: int, pattern: str) -> dict[str, Any]:
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

    bpe = Tokenizer(models.BPE())
    bpe.normalizer = normalizers.NFC()
    words = pre_tokenizers.Split(Regex(pattern), behavior="isolated")
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [words, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - 3 - len(THINKING),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),  # every byte: there is no unknown character
        show_progress=False,
    )
    bpe.train_from_iterator(corpus, trainer)
    model: dict[str, Any] = json.loads(bpe.to_str())["model"]
    return model


def text_encoder(tokenizer: Any) -> Any:
    """A Qwen3 of five layers; the pipeline reads what the fourth one gives, shape (tokens, CAPTION_WIDTH)."""
    from transformers import Qwen3Config, Qwen3Model

    return Qwen3Model(
        Qwen3Config(
            vocab_size=len(tokenizer),
            hidden_size=CAPTION_WIDTH,
            intermediate_size=2 * CAPTION_WIDTH,
            num_hidden_layers=5,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=32,
            max_position_embeddings=1024,
            rms_norm_eps=1e-6,
            rope_parameters={"rope_theta": 1_000_000, "rope_type": "default"},
            tie_word_embeddings=True,
            bos_token_id=tokenizer.convert_tokens_to_ids(END_OF_TEXT),
            eos_token_id=tokenizer.convert_tokens_to_ids(TURN_END),
        )
    )


def transformer() -> Any:
    """Six layers after one refiner for the picture and one for the caption: 5.1 million weights."""
    from diffusers import ZImageTransformer2DModel

    return ZImageTransformer2DModel(
        all_patch_size=(2,),
        all_f_patch_size=(1,),
        in_channels=16,
        dim=WIDTH,
        n_layers=6,
        n_refiner_layers=1,
        n_heads=HEADS,
        n_kv_heads=HEADS,
        norm_eps=1e-5,
        qk_norm=True,
        cap_feat_dim=CAPTION_WIDTH,
        rope_theta=256.0,
        t_scale=1000.0,
        axes_dims=list(ROPE_AXES),
        axes_lens=[1536, 512, 512],
    )


def vae(channels: tuple[int, ...] = (16, 32, 32, 64), groups: int = 8) -> Any:
    """The full model's autoencoder with few channels: 8 x 8 pixels become 16 numbers."""
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=channels,
        layers_per_block=1,
        latent_channels=16,
        norm_num_groups=groups,
        sample_size=1024,
        scaling_factor=0.3611,
        shift_factor=0.1159,
        use_quant_conv=False,
        use_post_quant_conv=False,
        mid_block_add_attention=True,
    )


def scheduler() -> Any:
    """The full model's own: 1000 training steps, shift 3."""
    from diffusers import FlowMatchEulerDiscreteScheduler

    return FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=3.0, use_dynamic_shifting=False)


def save(pipeline: Any, out: Path) -> None:
    """Write the pipeline folder `out`, readable by everybody: safetensors alone writes 0600, not for a service user."""
    pipeline.save_pretrained(out, safe_serialization=True)
    for file in out.rglob("*"):
        file.chmod(0o755 if file.is_dir() else 0o644)
