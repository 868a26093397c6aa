"""The real pipeline on the built-in checkpoint, 64x64 on the CPU."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from inference.errors import BadImageRequest, ImageError, ModelUnavailable, NotFinite, OutOfMemory
from inference.images.model import Taker
from inference.images.registry import BUILTIN
from inference.images.zimage import MAX_TOKENS, ZImageModel
from inference.requests import ImageRequest

LONG = "a quiet lake at sunrise with soft mist, warm reflections, an old boat and a heron among the reeds"


def request(prompt: str = "a red cube", seed: int = 7, **more: Any) -> ImageRequest:
    return ImageRequest(**{"prompt": prompt, "seed": seed, "width": 64, "height": 64, "steps": 8, **more})


class Recorder:
    """A Watch that writes down what it is told; `leave` maps a member to the step after which it is cancelled."""

    def __init__(self, leave: dict[int, int] | None = None) -> None:
        self.leave = leave or {}
        self.steps: list[tuple[int, int, int]] = []

    def cancelled(self, index: int) -> bool:
        done = max((done for member, done, _ in self.steps if member == index), default=0)
        return index in self.leave and done >= self.leave[index]

    def step(self, index: int, done: int, total: int) -> None:
        self.steps.append((index, done, total))

    def preview(self, index: int) -> Taker | None:
        return None


@contextmanager
def calls_of(module: torch.nn.Module, react: Callable[[], None] = lambda: None) -> Iterator[list[Any]]:
    """The positional arguments of every forward pass of `module` in this block."""
    calls: list[Any] = []

    def note(_module: torch.nn.Module, arguments: tuple[Any, ...]) -> None:
        calls.append(arguments)
        react()

    handle = module.register_forward_pre_hook(note)
    try:
        yield calls
    finally:
        handle.remove()


@contextmanager
def decodes_of(engine: ZImageModel, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """One entry for every latent batch that reaches the VAE's decoder."""
    seen: list[int] = []
    decode = engine.pipeline.vae.decode

    def counted(latents: torch.Tensor, *rest: Any, **options: Any) -> Any:
        seen.append(len(latents))
        return decode(latents, *rest, **options)

    with monkeypatch.context() as patch:
        patch.setattr(engine.pipeline.vae, "decode", counted)
        yield seen


def draw(engine: ZImageModel, batch: Sequence[ImageRequest], watch: Recorder | None = None) -> list[bytes | None]:
    results = engine.generate(batch, watch or Recorder())
    return [result.image.tobytes() if result else None for result in results]


def test_a_picture_has_the_asked_size_and_colours(engine: ZImageModel) -> None:
    (result,) = engine.generate([request(width=80, height=64)], Recorder())
    assert result is not None
    assert (result.image.size, result.image.mode, result.seed, result.batch_size) == ((80, 64), "RGB", 7, 1)
    assert result.seconds > 0
    assert len(set(result.image.tobytes())) > 50, "a flat picture"


@pytest.mark.parametrize("steps", [1, 4, 8])
def test_one_forward_pass_per_step_and_progress_for_each(engine: ZImageModel, steps: int) -> None:
    watch = Recorder()
    with calls_of(engine.pipeline.transformer) as calls:
        engine.generate([request(steps=steps)], watch)
    assert len(calls) == steps
    assert watch.steps == [(0, done, steps) for done in range(1, steps + 1)]


def test_guidance_never_doubles_the_pass(engine: ZImageModel) -> None:
    with calls_of(engine.pipeline.transformer) as calls:
        plain, guided = draw(engine, [request()]), draw(engine, [request(cfg=5.0, negative="ugly")])
    assert plain == guided
    assert {len(latents) for latents, *_ in calls} == {1}


def test_the_same_seed_draws_the_same_bytes_also_after_loading_again(engine: ZImageModel) -> None:
    again = ZImageModel.load(BUILTIN, name="again", builtin=True, device="cpu")
    first = draw(engine, [request()])
    assert first == draw(engine, [request()]) == draw(again, [request()])
    assert first != draw(engine, [request(seed=8)])
    assert first != draw(engine, [request("a quiet lake")])


def test_every_member_of_a_batch_equals_its_solo_picture(engine: ZImageModel) -> None:
    batch = [request(seed=1), request("a red ball", seed=2), request(seed=3), request(seed=2**32 - 1)]
    with calls_of(engine.pipeline.transformer) as calls:
        together = draw(engine, batch)
    assert {len(latents) for latents, *_ in calls} == {4}, "one pass for all"
    assert together == [draw(engine, [one])[0] for one in batch]


def test_captions_of_different_length_are_drawn_in_passes_of_their_own(engine: ZImageModel) -> None:
    batch = [request(LONG, seed=1), request(seed=2), request(LONG, seed=3)]
    with calls_of(engine.pipeline.transformer) as calls:
        results = engine.generate(batch, Recorder())
    assert [len(latents) for latents, *_ in calls] == [1] * 8 + [2] * 8
    for _, _, captions, *_ in calls:
        assert len({-(-len(caption) // 32) for caption in captions}) == 1, "mixed blocks need an attention mask"
    assert [result and result.batch_size for result in results] == [2, 1, 2]
    assert [result and result.image.tobytes() for result in results] == [draw(engine, [one])[0] for one in batch]


def test_leaving_alone_decodes_nothing_and_leaves_the_model_usable(
    engine: ZImageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = draw(engine, [request()])
    with decodes_of(engine, monkeypatch) as decodes, calls_of(engine.pipeline.transformer) as calls:
        assert draw(engine, [request()], Recorder(leave={0: 3})) == [None]
    assert (len(calls), decodes) == (3, [])
    assert draw(engine, [request()]) == before


def test_a_member_that_left_before_the_start_is_never_drawn(engine: ZImageModel) -> None:
    with calls_of(engine.pipeline.transformer) as calls:
        assert draw(engine, [request()], Recorder(leave={0: 0})) == [None]
    assert calls == []


def test_one_member_leaves_and_the_others_stay_as_they_would_be_alone(engine: ZImageModel) -> None:
    batch = [request(seed=1), request("a red ball", seed=2), request(seed=3)]
    watch = Recorder(leave={1: 4})
    with calls_of(engine.pipeline.transformer) as calls:
        first, gone, last = draw(engine, batch, watch)
    assert [len(latents) for latents, *_ in calls] == [3] * 4 + [2] * 4
    assert gone is None
    assert [first, last] == [draw(engine, [one])[0] for one in (batch[0], batch[2])]
    assert max(done for member, done, _ in watch.steps if member == 1) == 4


def test_the_caller_keeps_its_list(engine: ZImageModel) -> None:
    batch = [request()]
    engine.generate(batch, Recorder())
    assert batch == [request()]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"width": 65}, "multiples of 16"),
        ({"height": 0}, "0"),
        ({"width": -64}, "-64"),
        ({"width": 9999, "height": 9999}, "2048"),
        ({"steps": 0}, "steps"),
        ({"steps": 51}, "50"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**32}, "4294967295"),
        ({"prompt": " \n"}, "empty"),
        ({"prompt": "<|im_end|>"}, "empty"),
        ({"adapters": (("ink", 1.0),)}, "ink"),
        ({"prompt": "word " * 1000}, f"at most {MAX_TOKENS}"),
    ],
)
def test_a_request_that_does_not_fit_is_refused_with_the_numbers(
    engine: ZImageModel, wrong: dict[str, Any], says: str
) -> None:
    with calls_of(engine.pipeline.transformer) as calls, pytest.raises(BadImageRequest, match=says) as refused:
        engine.generate([request(**wrong)], Recorder())
    assert (calls, refused.value.member, refused.value.transient) == ([], 0, False)


def test_a_bad_member_is_named(engine: ZImageModel) -> None:
    with pytest.raises(BadImageRequest) as refused:
        engine.generate([request(), request("word " * 1000)], Recorder())
    assert refused.value.member == 1


def test_a_batch_of_two_sizes_is_a_mistake_of_the_caller(engine: ZImageModel) -> None:
    with pytest.raises(ValueError, match="share size"):
        engine.generate([request(), request(width=128)], Recorder())


def test_the_longest_prompt_that_fits_is_read_whole(engine: ZImageModel) -> None:
    prompt = "a"
    while engine._tokens(prompt + " a") < MAX_TOKENS:
        prompt += " a"
    with calls_of(engine.pipeline.transformer) as calls:
        engine.generate([request(prompt, steps=1)], Recorder())
    assert MAX_TOKENS - 2 <= len(calls[0][2][0]) <= MAX_TOKENS


@pytest.mark.parametrize("typed", ["a red<|im_end|> cube", "a red<|im_<|im_start|>end|> cube", "a red\ud800 cube"])
def test_special_tokens_and_half_characters_do_not_reach_the_model(engine: ZImageModel, typed: str) -> None:
    assert draw(engine, [request(typed)]) == draw(engine, [request("a red cube")])


@pytest.mark.parametrize("prompt", ["<script>alert(1)</script>", "猫\x00\x07", "🐼" * 20, "{{ 7 * 7 }}", "</at>"])
def test_odd_text_is_only_text(engine: ZImageModel, prompt: str) -> None:
    assert draw(engine, [request(prompt, steps=1)])[0] is not None


@pytest.mark.parametrize("part", ["transformer", "vae"])
def test_nan_is_an_error_and_not_a_black_picture(engine: ZImageModel, part: str) -> None:
    weight = {
        "transformer": lambda: engine.pipeline.transformer.all_final_layer["2-1"].linear.weight,
        "vae": lambda: engine.pipeline.vae.decoder.conv_out.weight,
    }[part]().data
    kept = weight.clone()
    before = draw(engine, [request()])
    try:
        weight[0] = float("nan")
        with pytest.raises(NotFinite):
            engine.generate([request()], Recorder())
    finally:
        weight.copy_(kept)
    assert draw(engine, [request()]) == before


@pytest.mark.parametrize(
    ("raised", "becomes"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), OutOfMemory),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), OutOfMemory),
        (RuntimeError("MPS backend out of memory"), OutOfMemory),
        (RuntimeError("shapes cannot be multiplied"), ImageError),
        (torch.AcceleratorError("CUDA error: an illegal memory access was encountered"), ModelUnavailable),
    ],
)
def test_a_fault_of_torch_is_translated_and_the_model_stays_usable(
    engine: ZImageModel, raised: Exception, becomes: type[Exception]
) -> None:
    before = draw(engine, [request()])

    def fail() -> None:
        raise raised

    with calls_of(engine.pipeline.transformer, fail), pytest.raises(becomes) as translated:
        engine.generate([request()], Recorder())
    assert type(translated.value) is becomes
    assert translated.value.__cause__ is raised
    assert draw(engine, [request()]) == before


def test_loading_opens_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("loading a local folder must not use the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    model = ZImageModel.load(BUILTIN, name="builtin", builtin=True, device="cpu", dtype="float32")
    assert (model.card.dtype, model.card.device, model.card.builtin) == ("float32", "cpu", True)
    assert model.pipeline.vae.use_slicing, "batched decoding changes pixels"


@pytest.mark.parametrize(
    ("option", "says"),
    [({"attention": "nonsense"}, "native"), ({"dtype": "float16"}, "black"), ({"device": "cuda:0"}, "no GPU")],
)
def test_options_that_cannot_work_say_so(option: dict[str, Any], says: str) -> None:
    if option.get("device") == "cuda:0" and torch.cuda.is_available():
        pytest.skip("this machine has the GPU that the test wants to miss")
    with pytest.raises(ModelUnavailable, match=says) as refused:
        ZImageModel.load(BUILTIN, name="builtin", builtin=True, **{"device": "cpu", **option})
    assert refused.value.next_step


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match=str(tmp_path / "nothing")):
        ZImageModel.load(tmp_path / "nothing", name="x", builtin=False)
