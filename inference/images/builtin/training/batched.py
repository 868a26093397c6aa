"""The transformer's forward pass for a whole batch of equal shapes at once, with the transformer's own weights.

The pipeline's forward takes lists, because pictures and captions there may differ in size. Training groups them by
size, and a plain batch is several times faster. A test holds the two to the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

BLOCK = 32  # sequences are padded to multiples of this, as diffusers does (SEQ_MULTI_OF)


def positions(caption: int, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Position ids of (picture tokens, caption tokens), each (tokens, 3): where, row, column.

    `caption` is the padded length; `height` and `width` count patches.
    """
    import torch

    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    where = torch.full((height * width,), caption + 1)
    picture = torch.stack([where, rows.flatten(), columns.flatten()], dim=1)
    padding = -len(picture) % BLOCK
    picture = torch.cat([picture, torch.zeros(padding, 3, dtype=torch.long)])
    text = torch.zeros(caption, 3, dtype=torch.long)
    text[:, 0] = torch.arange(1, caption + 1)
    return picture, text


def angles(model: Any, ids: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine of the rotary embedding at `ids`, each (1, tokens, 1, head width / 2)."""
    turned = model.rope_embedder(ids)
    return turned.real[None, :, None, :].contiguous(), turned.imag[None, :, None, :].contiguous()


class Seen(NamedTuple):
    """What a forward pass gives."""

    velocity: Tensor  # picture - noise, of the latents' shape
    # What the patches know on the way, each (batch, patches, width):
    refined: Tensor  # before they have met the caption
    early: Tensor  # after the first layer with the caption
    middle: Tensor  # after half of the layers
    late: Tensor  # before the last layer


def forward(
    model: Any,
    latents: Tensor,
    times: Tensor,
    captions: Tensor,
    lengths: Tensor,
    turn: tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]],
    run: Callable[..., Tensor] | None = None,
) -> Seen:
    """What the transformer gives for `latents` (batch, 16, h, w) at `times` (batch).

    `captions` is (batch, padded tokens, caption width), of which `lengths` (batch) are real; `turn` holds the angles of
    picture and caption; `run` is a compiled `block`.
    """
    import torch

    run = run or block
    batch, channels, high, wide = latents.shape
    rows, columns = high // 2, wide // 2
    time = model.t_embedder(times * model.t_scale)
    patches = latents.view(batch, channels, rows, 2, columns, 2).permute(0, 2, 4, 3, 5, 1)
    patches = patches.reshape(batch, rows * columns, 4 * channels)
    picture = model.all_x_embedder["2-1"](patches)
    padding = -(rows * columns) % BLOCK
    if padding:
        picture = torch.cat([picture, model.x_pad_token.expand(batch, padding, -1).to(picture.dtype)], dim=1)
    for layer in model.noise_refiner:
        picture = run(layer, picture, turn[0], time)
    text = model.cap_embedder(captions)
    real = torch.arange(captions.shape[1], device=captions.device)[None, :, None] < lengths[:, None, None]
    text = torch.where(real, text, model.cap_pad_token.to(text.dtype))
    for layer in model.context_refiner:
        text = run(layer, text, turn[1], None)
    both = torch.cat([picture, text], dim=1)
    joint = (torch.cat([turn[0][0], turn[1][0]], dim=1), torch.cat([turn[0][1], turn[1][1]], dim=1))
    on_the_way = []
    for layer in model.layers:
        both = run(layer, both, joint, time)
        on_the_way.append(both[:, : rows * columns])
    out: Tensor = model.all_final_layer["2-1"](both[:, : rows * columns], c=time)
    velocity = out.view(batch, rows, columns, 2, 2, channels).permute(0, 5, 1, 3, 2, 4).reshape(latents.shape)
    half = on_the_way[len(on_the_way) // 2 - 1]
    return Seen(velocity, picture[:, : rows * columns], on_the_way[0], half, on_the_way[-2])


def block(layer: Any, x: Tensor, turn: tuple[Tensor, Tensor], time: Tensor | None) -> Tensor:
    """One transformer block; without `time` the unmodulated kind of the caption's refiner."""
    more: Tensor
    if time is None:
        x = x + layer.attention_norm2(_attention(layer.attention, layer.attention_norm1(x), turn))
        more = layer.ffn_norm2(layer.feed_forward(layer.ffn_norm1(x)))
        return x + more
    scale1, gate1, scale2, gate2 = layer.adaLN_modulation(time)[:, None].chunk(4, dim=2)
    seen = _attention(layer.attention, layer.attention_norm1(x) * (1 + scale1), turn)
    x = x + gate1.tanh() * layer.attention_norm2(seen)
    more = gate2.tanh() * layer.ffn_norm2(layer.feed_forward(layer.ffn_norm1(x) * (1 + scale2)))
    return x + more


def _attention(attention: Any, x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    import torch

    shape = (x.shape[0], x.shape[1], attention.heads, -1)
    query = _turned(attention.norm_q(attention.to_q(x).view(shape)).float(), turn).to(x.dtype).transpose(1, 2)
    key = _turned(attention.norm_k(attention.to_k(x).view(shape)).float(), turn).to(x.dtype).transpose(1, 2)
    value = attention.to_v(x).view(shape).transpose(1, 2)
    # Written out, because for so few tokens the fused kernel takes half as long again on a CPU, backwards above all.
    alike = (query @ key.transpose(-1, -2)).float() * query.shape[-1] ** -0.5
    seen = torch.softmax(alike, dim=-1).to(x.dtype) @ value
    return attention.to_out[0](seen.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


def _turned(x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """Rotate neighbouring pairs of the last axis."""
    import torch

    cosine, sine = (part.to(x.dtype) for part in turn)
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack([even * cosine - odd * sine, even * sine + odd * cosine], dim=-1).flatten(-2)
