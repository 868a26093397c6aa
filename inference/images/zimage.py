"""Z-Image-Turbo through diffusers: loads a checkpoint folder and draws. See loading.py for the way in.

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
import logging
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from inference.errors import BadImageRequest, ImageError, ModelUnavailable, OutOfMemory, PromptTooLong
from inference.images import speed
from inference.images.check import check_request, clean_prompt
from inference.images.decoding import image_error, tiled, to_images
from inference.images.embeddings import Embeddings, count_tokens
from inference.images.gauge import Gauged, gauge, sides_of
from inference.images.guidance import arguments, guided
from inference.images.learning import Learning
from inference.images.loading import import_engine, load_errors, read, sharing, versions
from inference.images.memory import lowered
from inference.images.model import Adapter, ModelCard, Watch
from inference.images.passes import AllLeft, Member, Nobody, Pass
from inference.images.placement import device_name, pick_device, put, quantise, require_quantization
from inference.images.preflight import preflight
from inference.images.sketch import Sketches
from inference.images.wardrobe import Wardrobe
from inference.requests import ImageRequest
from inference.results import ImageResult

log = logging.getLogger(__name__)

MAX_TOKENS = 512  # chat template included; the pipeline cuts longer prompts at the end without a word
SMALL_SIDE = 512  # pixels: where pictures are drawn together on any machine


class ZImageModel:
    """A loaded pipeline. See inference.images.model.ImageModel."""

    def __init__(self, pipeline: Any, card: ModelCard, learning: Learning) -> None:
        self.pipeline = pipeline
        self._redrawing = sharing(pipeline)
        self._sketches = Sketches(pipeline.vae)
        self._wardrobe = Wardrobe(pipeline, Path(card.path), card.adapters)
        self.embeddings = Embeddings(pipeline, MAX_TOKENS)
        self.learning = learning
        self.way = speed.Way()
        self.card = replace(card, batches=learning.batches)
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
        attention: str = "",
        compiling: bool | str = False,
        offload: str = "auto",
        quantization: str = "none",
        memory_fraction: float | None = None,
        notes: Path | None = None,
        adapters: tuple[Adapter, ...] = (),
    ) -> ZImageModel:
        """Load the checkpoint folder, place it, prove by one small picture that it works, and choose how to compute.

        `offload` is none, model, group or auto (none where the weights fit); `memory_fraction` caps this process's
        share of a GPU; `attention` empty and `compiling` "auto" leave the choice to what is measured; `notes` is the
        folder where that is kept; `adapters` are those that were found to fit (adapters.py). Takes seconds (imports) to
        a minute (20 GB of weights), the first time on a GPU some minutes for trying. Raises ModelUnavailable.
        """
        preflight(path, dtype=dtype).require()
        import_engine(None if notes is None else notes / "compiled")
        with load_errors(path):
            place = pick_device(device)
            require_quantization(quantization, place, offload)
            speed.require_local(attention)
            pipeline = read(path, dtype)
            quantise(pipeline, quantization)
            plan = put(pipeline, place, offload, memory_fraction, may_group=quantization == "none")
            if compiling == "auto" and (plan.offload == "group" or quantization != "none"):
                compiling = False  # both put their own code around the blocks
            tried = speed.ways(place, attention, compiling)
            pipeline.vae.enable_slicing()
            pipeline.set_progress_bar_config(disable=True)
            key = f"{path.resolve()} {dtype} {quantization}, {device_name(place)}, {versions()}"
            learning = Learning.of(plan, notes, key, held=f"{plan.offload}/{memory_fraction}")
            card = ModelCard(
                name=name,
                path=str(path),
                builtin=builtin,
                device=place,
                dtype=dtype,
                max_pixels=plan.max_pixels,
                adapters=adapters,
            )
            model = cls(pipeline, card, learning)
            model._compute(speed.Way(attention=tried[0].attention))
        model._prove()
        model._choose(tried, wanted=f"{attention or 'auto'}/{compiling}")
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

    def measure(self, budget: float, report: Callable[[Gauged], None] = lambda found: None) -> list[Gauged]:
        """Find out within about `budget` seconds how many pictures at once pay, and keep it for the starts to come."""
        self.learning.forgive()
        found = gauge(self, sides_of(self), budget, report)
        self.learn(found)
        return found

    def learn(self, found: Sequence[Gauged]) -> None:
        """Batch as these measurements say."""
        self.learning.measured(tuple((one.side * one.side, one.batch, one.seconds) for one in found))
        self.card = replace(self.card, batches=self.learning.batches)

    def close(self) -> None:
        """Free the device. The model cannot be used afterwards."""
        import torch

        self.embeddings.clear()
        del self.pipeline, self._redrawing, self._sketches, self.embeddings, self._wardrobe
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _member(self, index: int, request: ImageRequest) -> Member:
        try:
            prompt = clean_prompt(request.prompt, self._special_tokens)
            request = replace(request, negative=clean_prompt(request.negative, self._special_tokens))
            check_request(replace(request, prompt=prompt), self.card)
            if guided(request, self.card):
                self._tokens(request.negative)  # the pipeline would cut it at its end without a word
            return Member(index=index, prompt=prompt, seed=request.seed, request=request, tokens=self._tokens(prompt))
        except BadImageRequest as error:
            error.member = index
            raise

    def _turn(self, member: Member) -> tuple[int, int]:
        """Members with equal turns share a pass: as long a caption, and no guidance."""
        return member.block, member.index + 1 if guided(member.request, self.card) else 0

    def _tokens(self, prompt: str) -> int:
        """How many tokens the caption has, chat template included. Raises PromptTooLong."""
        tokens = count_tokens(self.pipeline.tokenizer, prompt)
        if tokens > MAX_TOKENS:
            share = 100 - 100 * MAX_TOKENS // tokens
            problem = f"The prompt has {tokens} tokens, the model reads at most {MAX_TOKENS}."
            raise PromptTooLong(problem, f"Shorten it by about {share} %.")
        return tokens

    def _draw(self, members: list[Member], watch: Watch) -> list[tuple[Member, ImageResult]]:
        """One forward pass, or a second one where the first can be mended; returns those who stayed to the end."""
        members = [one for one in members if not watch.cancelled(one.index)]
        if not members:
            return []
        size = members[0].request.width, members[0].request.height
        tile = self.learning.tile(*size)
        try:
            worn = members[0].request.worn
            with self._faults(), self._wardrobe.wearing(worn), tiled(self.pipeline.vae, tile):
                return self._drawn(members, watch)
        except AllLeft:
            self.pipeline.maybe_free_model_hooks()  # offloaded parts go back, as at the end of a whole call
            return []
        except _NotCompiled:
            self._compute(speed.Way(attention=self.way.attention))
            return self._draw(members, watch)
        except OutOfMemory:
            self.embeddings.clear()
            if len(members) > 1:
                self.learning.ran_out(*size, len(members))
                self.card = replace(self.card, batches=self.learning.batches)
                raise
            if self.learning.tile_more(*size):
                return self._draw(members, watch)
            self.card = replace(self.card, max_pixels=lowered(self.card.max_pixels, size[0] * size[1]))
            raise

    def _drawn(self, members: list[Member], watch: Watch) -> list[tuple[Member, ImageResult]]:
        started = time.perf_counter()
        running = Pass(live=members, watch=watch, sketches=self._sketches)
        pixels = self._call(members, running)
        running.require_finite(pixels)
        images = to_images(pixels)
        seconds = time.perf_counter() - started
        return [
            (one, ImageResult(image=image, seed=one.seed, seconds=seconds, batch_size=len(members)))
            for one, image in zip(running.live, images, strict=True)
        ]

    def _call(self, members: list[Member], running: Pass) -> Any:
        """The pipeline itself: pixels as a tensor (picture, 3, height, width) from 0 to 1."""
        import torch

        shared = members[0].request
        pipeline = self.pipeline
        begin = arguments(self.embeddings.of, shared, self.card)
        if shared.strength is not None:
            pipeline = self._redrawing
            begin |= {"image": [one.request.source for one in members], "strength": shared.strength}
        images = pipeline(
            prompt_embeds=[self.embeddings.of(one.prompt) for one in members],
            width=shared.width,
            height=shared.height,
            num_inference_steps=shared.steps,
            # One each, on the CPU: the noise then depends neither on the batch nor on the kind of device.
            generator=[torch.Generator("cpu").manual_seed(one.seed) for one in members],
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
            with self._compile_faults():
                yield
        except torch.AcceleratorError as error:
            raise ModelUnavailable(f"The device reported a fault: {error}", "Restart the process.") from error
        except (RuntimeError, MemoryError) as error:
            traceback.clear_frames(error.__traceback__)  # the frames hold the tensors that did not fit
            self.pipeline.maybe_free_model_hooks()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            raise image_error(error) from error

    @contextmanager
    def _compile_faults(self) -> Iterator[None]:
        """Of compiled code: what eager code would not raise costs a second pass, never a picture."""
        if not self.way.compiled:
            yield
            return
        try:
            yield
        except speed.compile_faults() as error:
            traceback.clear_frames(error.__traceback__)
            log.warning("drawing without compiled code from now on: %s", error, extra={"action": "compile-failed"})
            raise _NotCompiled from error

    def _compute(self, way: speed.Way) -> None:
        speed.apply(self.pipeline.transformer, way)
        self.way = way

    def _choose(self, tried: tuple[speed.Way, ...], wanted: str) -> None:
        """Compute in the fastest of the ways; which one that is, is measured once and kept."""
        if len(tried) > 1:
            tried = self.learning.chosen(wanted) or self.learning.safe(tried)
        if tried == (self.way,):
            return
        found: dict[speed.Way, float] = {}
        for way in tried:
            self.learning.trying(way)
            try:
                found |= self._timed(way)
            except (ImageError, RuntimeError, ValueError, ImportError) as error:  # one that does not work here
                log.warning("%s does not work here: %s", way, error, extra={"action": "way-failed"})
        self.learning.trying(None)
        best = speed.fastest(found) if found else speed.Way(attention=tried[0].attention)
        if best != self.way:
            self._compute(best)
        if len(tried) > 1:
            log.info("computing %s (%s)", best, speed.described(found.items()), extra={"action": "way-chosen"})
            self.learning.choose(wanted, best)

    def _timed(self, way: speed.Way) -> dict[speed.Way, float]:
        """Seconds of a picture in two steps, once whatever is to be compiled for one and two at once is."""
        self._compute(way)
        width, height = self.card.default_size
        one = ImageRequest(prompt="a cat", width=width, height=height, steps=2, seed=0)
        small = replace(one, width=min(width, SMALL_SIDE), height=min(height, SMALL_SIDE))
        self.generate([small, small], Nobody())
        seconds = []
        for _ in range(4):
            began = time.perf_counter()
            self.generate([one], Nobody())
            seconds.append(time.perf_counter() - began)
        return {self.way: min(seconds[1:])}  # eager where compiling failed

    def _prove(self) -> None:
        """One step at the smallest size: what does not work shows now, and the first user does not wait for set-up."""
        side = self.card.min_side
        try:
            self.generate([ImageRequest(prompt="a cat", width=side, height=side, steps=1, seed=0)], Nobody())
        except ImageError as error:
            step = "Set image.offload to model." if isinstance(error, OutOfMemory) else "Download the checkpoint again."
            raise ModelUnavailable(f"{self.card.path} was loaded but cannot draw: {error.problem}", step) from error


class _NotCompiled(Exception):
    """Compiled code failed where eager code may work."""
