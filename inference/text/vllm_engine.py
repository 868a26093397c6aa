"""A language model on this machine's GPU through vLLM. Nothing else imports it.

vLLM computes in a process of its own, so the event loop only passes text on; that process is started off the loop (10 s
to minutes), can die and be started again (inference/text/supervised.py), and ends with the program whatever happens
(inference/text/orphan_guard.py). Nothing of it is reported or downloaded.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import shutil
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from inference.errors import EngineDown, TextBusy, TextError, TextTooLong
from inference.grounding import contract
from inference.images.checkpoint_files import BrokenFileError, read_json
from inference.requests import Message
from inference.text import leftover, orphan_guard
from inference.text.chat import ChatRequest, Ended, Piece
from inference.text.local import preflight
from inference.text.thoughts import Thoughts

log = logging.getLogger(__name__)

LONGEST_FOLDER = 60  # characters; the address of a socket has room for 107, and vLLM's names take 37 of them
QUEUED = 64  # answers written and waiting at once; whoever comes then is told to wait in line
LOOK = 0.5  # seconds between two looks whether the engine still lives
FALLING_ASLEEP = 120.0  # seconds: what is being written is finished first
WAKING = 60.0
CPU_CACHE = 512 << 20  # bytes for what is read, on a machine without a GPU; else vLLM takes nearly all memory
PRELOAD = "LD_PRELOAD"
NEXT = "Look at the log above and at text in model.yaml; `moqi doctor` looks too."

#: What a stream ends with. What vLLM says otherwise (abort, error, repetition) is no answer.
REASONS: dict[str, Literal["stop", "length"]] = {"stop": "stop", "length": "length"}


@dataclass(frozen=True, kw_only=True, slots=True)
class VllmOptions:
    """What the engine is started with."""

    path: Path  # of the checkpoint
    max_tokens: int = 8192  # of a question with its passages and its answer
    share: float = 0.3  # of the GPU's memory
    streams: int = 16  # answers written at once
    cache: int = 0  # bytes for what was read; 0 = what is left of its share
    lends: bool = False  # may be put to sleep
    folder: Path | None = None  # where it notes itself and keeps what it compiled


def installed() -> bool:
    """Whether vLLM is there at all; it is not imported."""
    return find_spec("vllm") is not None


def guarded() -> bool:
    """Whether vLLM's processes will find the guard that ends them with the program."""
    return any(one.name == orphan_guard.NAME for one in entry_points(group="vllm.general_plugins"))


def has_gpu() -> bool:
    """Whether an NVIDIA GPU may be used by this process; nothing is loaded to find out."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES", "all") in ("", "-1")
    # In a container only some of the cards are there; on WSL none has a file of its own.
    return not hidden and any(Path(device).exists() for device in ("/dev/nvidiactl", "/dev/dxg"))


class VllmEngine:
    """An engine that runs. Safe for concurrent streams. Gone for good when its process has died."""

    def __init__(self, llm: Any, max_tokens: int) -> None:
        self._llm = llm
        self._max_tokens = max_tokens
        self._dead = asyncio.Event()

    @classmethod
    async def start(cls, options: VllmOptions) -> VllmEngine:
        """Start the engine's process and write a word with it. Cancelling ends it. Raises TextError."""
        before = _processes()
        starting = asyncio.ensure_future(asyncio.to_thread(_started, options))
        try:
            llm = await asyncio.shield(starting)
        except asyncio.CancelledError:
            await _given_up(starting, before)
            raise
        engine = cls(llm, llm.model_config.max_model_len)
        try:
            await engine.warm_up()
        except BaseException:
            await engine.close()
            raise
        return engine

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Piece | Ended]:
        thoughts, reason, read, written = Thoughts(), "", 0, 0
        try:
            prompt = await self._prompt(request)
            async with aclosing(self._llm.generate(prompt, _sampling(request), uuid.uuid4().hex)) as outputs:
                async for output in outputs:
                    [part] = output.outputs
                    read, written = len(output.prompt_token_ids or ()), written + len(part.token_ids)
                    reason = part.finish_reason or reason
                    if text := thoughts.feed(part.text):
                        yield Piece(text)
        except TextError:
            raise
        except Exception as error:  # vLLM raises what it likes, and who asked must hear of it
            raise self._told(error) from error
        if text := thoughts.end():
            yield Piece(text)
        yield Ended(reason=REASONS.get(reason, "abort"), read=read, written=written)

    async def died(self) -> None:
        """Return when the engine's process has died."""
        while not self._llm.errored:
            try:
                await asyncio.wait_for(self._dead.wait(), LOOK)
            except TimeoutError:
                continue

    async def sleep(self) -> None:
        """Give back the GPU's memory, once what is being written is written. Raises TextError."""
        await self._commanded(self._llm.sleep(level=1, mode="wait"), FALLING_ASLEEP, asleep=True)

    async def wake(self) -> None:
        """Take the memory again and write a word. Raises TextError: then it has to be started anew."""
        await self._commanded(self._llm.wake_up(), WAKING, asleep=False)
        await self.warm_up()

    async def warm_up(self) -> None:
        """Write one word by the grammar of answers, so that nobody waits for what is made at the first use."""
        word = ChatRequest(messages=(Message(role="user", text="?"),), max_tokens=1, schema=contract.SCHEMA)
        async with asyncio.timeout(WAKING), aclosing(self.stream(word)) as pieces:
            async for _ in pieces:
                pass

    async def close(self) -> None:
        """End the engine's process. What is being written ends as aborted. Safe to repeat."""
        llm, self._llm = self._llm, _Gone()
        await asyncio.to_thread(_shut_down, llm)

    async def _prompt(self, request: ChatRequest) -> Any:
        """The messages as the model reads them, cut into tokens off the loop. Raises TextTooLong."""
        from vllm.exceptions import VLLMValidationError
        from vllm.renderers import ChatParams

        wanted = ChatParams(chat_template_kwargs={"enable_thinking": False, "add_generation_prompt": True})
        turns = [{"role": message.role, "content": message.text} for message in request.messages]
        renderer, salt = self._llm.renderer, {"cache_salt": request.salt} if request.salt else {}
        try:
            _, [prompt] = await renderer.render_chat_async(
                [turns], wanted, renderer.default_chat_tok_params, prompt_extras=salt
            )
        except VLLMValidationError as error:
            raise self._too_long() from error
        if len(prompt["prompt_token_ids"]) + request.max_tokens > self._max_tokens:
            raise self._too_long()
        return prompt

    def _too_long(self) -> TextTooLong:
        problem = f"The question with its passages and the answer has more than {self._max_tokens} tokens."
        return TextTooLong(problem, "Raise text.max_model_len, or ask a shorter question.")

    async def _commanded(self, command: Any, patience: float, *, asleep: bool) -> None:
        try:
            async with asyncio.timeout(patience):
                await command
                if await self._llm.is_sleeping() is not asleep:
                    raise TextError(f"The language model did not {'fall asleep' if asleep else 'wake up'}.", NEXT)
        except TextError:
            raise
        except Exception as error:  # as above; a timeout too
            raise self._told(error) from error

    def _told(self, error: Exception) -> TextError:
        """What an error of vLLM means. No text of a question stands in it."""
        from vllm.exceptions import MaxQueuedTokensError, QueueOverflowError

        if isinstance(error, (QueueOverflowError, MaxQueuedTokensError)):
            return TextBusy("The language model has as much to do as it takes.", "Ask again in a moment.")
        if self._llm.errored:
            self._dead.set()
            return EngineDown("The language model's process died.", "It is being started again.")
        return TextError(f"The language model failed: {type(error).__name__}.", NEXT)


class _Gone:
    """Stands where a closed engine was."""

    errored = True

    def shutdown(self) -> None:
        """It is down already."""


def _sampling(request: ChatRequest) -> Any:
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

    form = StructuredOutputsParams(json=dict(request.schema)) if request.schema is not None else None
    return SamplingParams(
        max_tokens=request.max_tokens,
        temperature=request.temperature,
        output_kind=RequestOutputKind.DELTA,
        structured_outputs=form,
    )


# --- the start, off the event loop ------------------------------------------------------------------------------------


def _started(options: VllmOptions) -> Any:
    for problem in preflight(options.path):
        raise TextError(problem.problem, problem.next_step)
    if not guarded():
        log.warning("should Moqi crash, vllm will outlive it and keep the GPU: install Moqi as a package")
    os.environ.update(environment(options, os.environ))
    if options.folder is not None:
        leftover.end(note(options.folder))
        shutil.rmtree(_sockets(options.folder), ignore_errors=True)
        _sockets(options.folder).mkdir(parents=True, exist_ok=True)
    try:
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.v1.engine.async_llm import AsyncLLM
    except ImportError as error:
        raise TextError(
            f"Answering by vllm needs {error.name}, which is not installed.", "Install moqi[text]."
        ) from error
    preloaded = os.environ.get(PRELOAD)
    try:
        return AsyncLLM.from_engine_args(AsyncEngineArgs(**_arguments(options)))
    except Exception as error:  # as above
        said = str(error).strip().partition("\n")[0]
        raise TextError(f"The language model cannot be started: {type(error).__name__}: {said}", NEXT) from error
    finally:
        _restore(preloaded)


def _restore(preloaded: str | None) -> None:
    """vLLM preloads libraries into its processes on a CPU by this process's environment: no other child wants them."""
    if preloaded is None:
        os.environ.pop(PRELOAD, None)
    else:
        os.environ[PRELOAD] = preloaded


def environment(options: VllmOptions, given: os._Environ[str] | dict[str, str]) -> dict[str, str]:
    """What vLLM and the processes it starts must find in their environment, before it is imported."""
    plugins = given.get("VLLM_PLUGINS")
    wanted = {
        "VLLM_WORKER_MULTIPROC_METHOD": "spawn",  # a fork of a program with threads may hang for ever
        "VLLM_PLUGINS": orphan_guard.NAME if plugins is None else f"{plugins},{orphan_guard.NAME}",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "VLLM_CONFIGURE_LOGGING": "0",  # the program's own log
    }
    usual = {
        "VLLM_USE_FLASHINFER_SAMPLER": "0",  # it would be compiled at the start, by a compiler that is not there
        "VLLM_HOST_IP": "127.0.0.1",
        "GLOO_SOCKET_IFNAME": "lo",
        "NCCL_SOCKET_IFNAME": "lo",
    }
    if not has_gpu():
        usual["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"  # one process instead of two, as on one GPU
    if options.folder is not None:
        wanted[orphan_guard.NOTE] = str(note(options.folder))
        usual["VLLM_CACHE_ROOT"] = str(options.folder / "vllm")
        if len(str(_sockets(options.folder))) <= LONGEST_FOLDER:
            wanted["VLLM_RPC_BASE_PATH"] = str(_sockets(options.folder))
    return {**{name: given.get(name, value) for name, value in usual.items()}, **wanted}


def note(folder: Path) -> Path:
    return folder / "text-engine.json"


def _sockets(folder: Path) -> Path:
    """Where vLLM's processes talk to each other: it never removes these, the next start does."""
    return folder.absolute() / "sockets"


def _arguments(options: VllmOptions) -> dict[str, Any]:
    from vllm.config import StructuredOutputsConfig

    wanted: dict[str, Any] = {
        "model": str(options.path),
        "max_model_len": min(options.max_tokens, _longest(options.path)),
        "max_num_seqs": options.streams,
        "max_num_queued_reqs": max(QUEUED, options.streams),
        "gpu_memory_utilization": options.share,
        "enable_prefix_caching": True,
        "enable_sleep_mode": options.lends,
        "generation_config": "vllm",  # a request says itself how it is to be written
        "disable_log_stats": True,
        "use_tqdm_on_load": False,
        "shutdown_timeout": 20,
        # Without it a model may write blanks until it has no tokens left.
        "structured_outputs_config": StructuredOutputsConfig(backend="xgrammar", disable_any_whitespace=True),
    }
    if not has_gpu():
        wanted |= {"dtype": "bfloat16", "enforce_eager": True, "kv_cache_memory_bytes": options.cache or CPU_CACHE}
    elif options.cache:
        wanted["kv_cache_memory_bytes"] = options.cache
    return wanted


def _longest(path: Path) -> int:
    """How many tokens the checkpoint was made for."""
    try:
        return int(read_json(path / "config.json").get("max_position_embeddings", 0)) or 1 << 30
    except (BrokenFileError, TypeError, ValueError):
        return 1 << 30


def _processes() -> set[int]:
    """The engines that this program has started."""
    return {
        one.pid for one in multiprocessing.active_children() if one.pid and one.name.startswith(orphan_guard.ENGINE)
    }


async def _given_up(starting: asyncio.Future[Any], before: set[int]) -> None:
    """End a start that nobody waits for any more. It cannot be interrupted; without its process it fails."""
    while not starting.done():
        for pid in _processes() - before:
            os.kill(pid, 9)
        await asyncio.wait({starting}, timeout=LOOK)
    if not starting.cancelled() and starting.exception() is None:
        await asyncio.to_thread(_shut_down, starting.result())


def _shut_down(llm: Any) -> None:
    llm.shutdown()
    llm.shutdown = lambda timeout=None: None  # its finaliser would call it again, at an exit that has no modules left
