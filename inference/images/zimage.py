"""Z-Image-Turbo through diffusers: loads a checkpoint folder and draws. The only engine file that imports diffusers.

Not thread-safe: the scheduler inside the pipeline counts steps, so two calls at once corrupt each other. One thread
owns a model (see inference/device.py). What the choices below rest on was measured; the scars:

- Steps are passed as they are: since diffusers 0.39 eight steps are eight forward passes (nine before).
- Guidance is exactly 0.0 for a distilled model: any value above switches on a second pass per step that it never
  learned. A base model takes it: see guidance.py.
- `vae.enable_slicing()` always: decoding a batch at once changes pixels by up to 18/255 against decoding one by one.
- The pipeline writes the chat template into the list of prompts it is given: it gets a fresh one.
- A picture to begin with goes through a second pipeline of the same parts: no second copy of any weight, and no second
  scheduler. Each call sets the scheduler anew, and one thread makes one call at a time.
"""

from __future__ import annotations

import gc
import os
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image

from inference.errors import BadImageRequest, ImageError, ModelUnavailable, NotFinite, OutOfMemory, PromptTooLong
from inference.images.batching import block_of
from inference.images.check import check_request, clean_prompt
from inference.images.guidance import arguments, guided
from inference.images.model import Adapter, ModelCard, Taker, Watch
from inference.images.placement import pick_device, put
from inference.images.preflight import preflight
from inference.images.sketch import Sketches, due
from inference.images.wardrobe import Wardrobe
from inference.requests import ImageRequest
from inference.results import ImageResult

MAX_TOKENS = 512  # chat template included; the pipeline cuts longer prompts at the end without a word
NO_MEMORY = ("out of memory", "can't allocate memory")  # how MPS and the CPU's allocator say it: plain RuntimeErrors


class ZImageModel:
    """A loaded pipeline. See inference.images.model.ImageModel."""

    def __init__(self, pipeline: Any, card: ModelCard) -> None:
        self.pipeline = pipeline
        self._redrawing = _sharing(pipeline)
        self._sketches = Sketches(pipeline.vae)
        self._wardrobe = Wardrobe(pipeline, Path(card.path), card.adapters)
        self.card = card
        self._special_tokens = tuple(pipeline.tokenizer.get_added_vocab())

    @classmethod
    def load(
        cls,
        path: Path,
        *,
        name: str,
        builtin: bool,
        dtype: str = "bfloat16",
        device: str = "auto",
        attention: str = "native",
        offload: str = "auto",
        memory_fraction: float | None = None,
        adapters: tuple[Adapter, ...] = (),
    ) -> ZImageModel:
        """Load the checkpoint folder, place it, and draw one small picture to prove that it works.

        `offload` is none, model, group or auto (none where the weights fit); `memory_fraction` caps this process's
        share of a GPU; `adapters` are those that were found to fit (adapters.py). Takes seconds (imports) to a minute
        (20 GB of weights). Raises ModelUnavailable.
        """
        preflight(path, dtype=dtype).require()
        _import_engine()
        with _load_errors(path):
            place = pick_device(device)
            pipeline = _read(path, dtype)
            put(pipeline, place, offload, memory_fraction)
            pipeline.vae.enable_slicing()
            pipeline.set_progress_bar_config(disable=True)
            pipeline.transformer.set_attention_backend(attention)
            card = ModelCard(name=name, path=str(path), builtin=builtin, device=place, dtype=dtype, adapters=adapters)
            model = cls(pipeline, card)
        model._prove()
        return model

    def generate(self, batch: Sequence[ImageRequest], watch: Watch) -> list[ImageResult | None]:
        """Draw the batch; None for a member that left on the way. Raises ImageError, ModelUnavailable.

        Members whose captions differ in length by blocks of 32 tokens go through separate passes, one after another.
        """
        if len({(one.width, one.height, one.steps, one.cfg, one.worn, one.strength) for one in batch}) > 1:
            raise ValueError("all members of a batch must share size, steps, guidance, adapters and strength")
        members = [self._member(index, request) for index, request in enumerate(batch)]
        results: list[ImageResult | None] = [None] * len(batch)
        for turn in sorted({self._turn(member) for member in members}):
            group = [one for one in members if self._turn(one) == turn and not watch.cancelled(one.index)]
            for member, result in self._draw(group, watch):
                results[member.index] = result
        return results

    def close(self) -> None:
        """Free the device. The model cannot be used afterwards."""
        import torch

        del self.pipeline, self._redrawing, self._sketches, self._wardrobe
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _member(self, index: int, request: ImageRequest) -> _Member:
        try:
            prompt = clean_prompt(request.prompt, self._special_tokens)
            request = replace(request, negative=clean_prompt(request.negative, self._special_tokens))
            check_request(replace(request, prompt=prompt), self.card)
            if guided(request, self.card):
                self._tokens(request.negative)  # the pipeline would cut it at its end without a word
            return _Member(index=index, prompt=prompt, seed=request.seed, request=request, tokens=self._tokens(prompt))
        except BadImageRequest as error:
            error.member = index
            raise

    def _turn(self, member: _Member) -> tuple[int, int]:
        """Members with equal turns share a pass: as long a caption, and no guidance."""
        return member.block, member.index + 1 if guided(member.request, self.card) else 0

    def _tokens(self, prompt: str) -> int:
        """How many tokens the caption has, chat template included. Raises PromptTooLong."""
        tokenizer = self.pipeline.tokenizer
        turn = [{"role": "user", "content": prompt}]
        text = tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True, enable_thinking=True)
        tokens = len(tokenizer(text).input_ids)
        if tokens > MAX_TOKENS:
            share = 100 - 100 * MAX_TOKENS // tokens
            problem = f"The prompt has {tokens} tokens, the model reads at most {MAX_TOKENS}."
            raise PromptTooLong(problem, f"Shorten it by about {share} %.")
        return tokens

    def _draw(self, members: list[_Member], watch: Watch) -> list[tuple[_Member, ImageResult]]:
        """One forward pass; returns those who stayed to the end."""
        if not members:
            return []
        started = time.perf_counter()
        running = _Pass(live=members, watch=watch, sketches=self._sketches)
        try:
            with self._faults(), self._wardrobe.wearing(members[0].request.worn):
                images = _to_images(self._call(members, running), running)
        except _AllLeftError:
            self.pipeline.maybe_free_model_hooks()  # offloaded parts go back, as at the end of a whole call
            return []
        seconds = time.perf_counter() - started
        return [
            (one, ImageResult(image=image, seed=one.seed, seconds=seconds, batch_size=len(members)))
            for one, image in zip(running.live, images, strict=True)
        ]

    def _call(self, members: list[_Member], running: _Pass) -> Any:
        """The pipeline itself: pixels as a tensor (picture, 3, height, width) from 0 to 1."""
        import torch

        shared = members[0].request
        pipeline = self.pipeline
        with torch.no_grad():
            begin = arguments(pipeline, shared, self.card, MAX_TOKENS)
        if shared.strength is not None:
            pipeline = self._redrawing
            begin |= {"image": [one.request.source for one in members], "strength": shared.strength}
        images = pipeline(
            prompt=[one.prompt for one in members],
            width=shared.width,
            height=shared.height,
            num_inference_steps=shared.steps,
            # One each, on the CPU: the noise then depends neither on the batch nor on the kind of device.
            generator=[torch.Generator("cpu").manual_seed(one.seed) for one in members],
            max_sequence_length=MAX_TOKENS,
            callback_on_step_end=running.on_step,
            callback_on_step_end_tensor_inputs=["latents", "prompt_embeds"],
            output_type="pt",
            **begin,
        ).images
        self.pipeline.maybe_free_model_hooks()  # the other pipeline knows of no hooks: it offloads nothing at its end
        return images

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """Translate what torch raises, and leave the pipeline usable."""
        import torch

        try:
            yield
        except torch.AcceleratorError as error:
            raise ModelUnavailable(f"The device reported a fault: {error}", "Restart the process.") from error
        except (RuntimeError, MemoryError) as error:
            traceback.clear_frames(error.__traceback__)  # the frames hold the tensors that did not fit
            self.pipeline.maybe_free_model_hooks()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            raise _image_error(error) from error

    def _prove(self) -> None:
        """One step at the smallest size: what does not work shows now, and the first user does not wait for set-up."""
        side = self.card.min_side
        try:
            self.generate([ImageRequest(prompt="a cat", width=side, height=side, steps=1, seed=0)], _Nobody())
        except ImageError as error:
            step = "Set image.offload to model." if isinstance(error, OutOfMemory) else "Download the checkpoint again."
            raise ModelUnavailable(f"{self.card.path} was loaded but cannot draw: {error.problem}", step) from error


@dataclass(frozen=True, kw_only=True, slots=True)
class _Member:
    """One picture of a batch, with its prompt as the model will read it."""

    index: int
    prompt: str
    seed: int
    request: ImageRequest
    tokens: int

    @property
    def block(self) -> int:
        return block_of(self.tokens)


class _AllLeftError(Exception):
    """Every member of a pass was cancelled. Raised out of the callback, so that nothing is decoded."""


@dataclass(kw_only=True, slots=True)
class _Pass:
    """A running forward pass: who is still in it."""

    live: list[_Member]
    watch: Watch
    sketches: Sketches
    before: Any = None  # the latents one step ago

    def on_step(self, pipeline: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        """Called by the pipeline after every step: report, let cancelled members go, look for NaN at the end."""
        for member in self.live:
            self.watch.step(member.index, step + 1, pipeline.num_timesteps)
        keep = [place for place, member in enumerate(self.live) if not self.watch.cancelled(member.index)]
        if not keep:
            raise _AllLeftError
        if len(keep) < len(self.live):
            self.live = [self.live[place] for place in keep]
            tensors["latents"] = tensors["latents"][keep]
            tensors["prompt_embeds"] = [tensors["prompt_embeds"][place] for place in keep]
            self.before = None if self.before is None else self.before[keep]
        if due(step + 1, pipeline.num_timesteps):
            asked = ((place, self.watch.preview(member.index)) for place, member in enumerate(self.live))
            takers = {place: take for place, take in asked if take is not None}
            self.sketches.show(takers, self.before, tensors["latents"], pipeline.scheduler)
        self.before = tensors["latents"]
        if step + 1 == pipeline.num_timesteps:
            self.require_finite(tensors["latents"])
        return tensors

    def require_finite(self, values: Any) -> None:
        """Refuse NaN and infinity: the decoder would turn them into a black picture without an error."""
        finite = values.isfinite().flatten(1).all(1).tolist()
        if not all(finite):
            error = NotFinite("The model produced values that are not numbers.", "Try another seed or prompt.")
            error.member = self.live[finite.index(False)].index if any(finite) else None
            raise error


class _Nobody:
    """A Watch nobody looks through."""

    def cancelled(self, index: int) -> bool:
        return False

    def step(self, index: int, done: int, total: int) -> None:
        return

    def preview(self, index: int) -> Taker | None:
        return None


def _import_engine() -> None:
    """Import torch and diffusers, quietly and without a network. Raises ModelUnavailable."""
    os.environ["HF_HUB_OFFLINE"] = "1"  # read when huggingface_hub is imported
    try:
        import diffusers
        import torch  # noqa: F401
        import transformers
    except ImportError as error:
        raise ModelUnavailable(
            f"Drawing needs {error.name}, which is not installed.", "Install moqi[image]."
        ) from error
    for library in (diffusers, transformers):
        library.utils.logging.set_verbosity_error()
        library.utils.logging.disable_progress_bar()


@contextmanager
def _load_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError, ValueError, TypeError, KeyError, AttributeError, ImportError, MemoryError) as error:
        raise ModelUnavailable(
            f"{path} cannot be loaded: {error}", "Run `moqi doctor`, or download it again."
        ) from error


def _read(path: Path, dtype: str) -> Any:
    import torch
    from diffusers import ZImagePipeline

    pipeline_class: Any = ZImagePipeline
    return pipeline_class.from_pretrained(
        str(path), dtype=getattr(torch, dtype), local_files_only=True, use_safetensors=True
    )


def _sharing(pipeline: Any) -> Any:
    """A pipeline that begins with pictures, made of the parts of one that begins with noise."""
    from diffusers import ZImageImg2ImgPipeline

    pipeline_class: Any = ZImageImg2ImgPipeline
    sharing = pipeline_class(**pipeline.components)
    sharing.set_progress_bar_config(disable=True)
    return sharing


def _to_images(pixels: Any, running: _Pass) -> list[Image.Image]:
    """Pixels from 0 to 1 as RGB pictures. Rounded on the device: a quarter of the bytes travels."""
    import torch

    running.require_finite(pixels)
    whole = (pixels.float() * 255).round_().clamp_(0, 255).to(torch.uint8)
    return [Image.fromarray(array) for array in whole.permute(0, 2, 3, 1).contiguous().cpu().numpy()]


def _image_error(error: Exception) -> ImageError:
    """What an error of torch means to the caller."""
    import torch

    said = str(error).lower()
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)) or any(phrase in said for phrase in NO_MEMORY):
        return OutOfMemory("The device ran out of memory.", "Fewer pictures at once or a smaller size may fit.")
    return ImageError(f"The engine failed: {error}", "Try again; if it stays, look at the log.")
