"""model.yaml: which models compute, and on what."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, SecretStr, model_validator

from bot.settings.base import Section, later
from inference.text.registry import TextOptions

#: vLLM's share of a card that does not say how much memory it has.
UNPLANNED = 0.3


def _share(value: object) -> object:
    """One sentence for whatever is neither; of a union two would be said."""
    try:
        share = value if value == "auto" or isinstance(value, bool) else float(str(value))
    except ValueError:
        share = 0.0
    if share == "auto" or (isinstance(share, float) and 0 < share <= 1):
        return share
    raise ValueError("must be auto, or more than 0 and at most 1")


#: A share of a card's memory; auto = as much as is sensible beside the other engine.
Share = Annotated[Literal["auto"] | Annotated[float, Field(gt=0, le=1)], BeforeValidator(_share)]


class Adapter(Section):
    """One LoRA adapter."""

    path: str = Field(description="The .safetensors file, or a folder with one, relative to the settings folder.")
    weight: float = Field(default=1.0, ge=-4, le=4, description="How strongly it acts unless a command says otherwise.")
    description: str = Field(default="", max_length=200, description="One line for /help; empty = as the file has it.")


class ImageModel(Section):
    """The model that draws."""

    engine: Literal["auto", "zimage", "remote"] = Field(
        default="auto",
        description="auto = the checkpoint in `path`, else the built-in practice model.",
        json_schema_extra=later("remote"),
    )
    id: str = Field(default="Tongyi-MAI/Z-Image-Turbo", description="Name of the model, as `moqi models` knows it.")
    path: str = Field(default="", description="Folder of the checkpoint, relative to the settings folder.")
    dtype: Literal["bfloat16", "float16", "float32"] = Field(default="bfloat16", description="Number format.")
    attention: str = Field(
        default="", description="Attention backend of diffusers; empty = the fastest installed one, found by trying."
    )
    compile: Literal["auto", True, False] = Field(
        default="auto",
        description="Compile the transformer's blocks: a slow first start, faster pictures. auto = on a GPU where that "
        "is measured to be faster.",
    )
    offload: Literal["auto", "none", "model", "group"] = Field(
        default="auto", description="What to keep in main memory while it does not compute."
    )
    quantization: Literal["none", "fp8"] = Field(
        default="none",
        description="fp8 keeps the transformer's weights in 8 bits: half its memory, not faster, slightly other "
        "pictures. Not with offload: group or on Apple's GPUs.",
    )
    memory_fraction: Share = Field(
        default="auto",
        description="Share of the GPU's memory it may use at most; auto = what the language model leaves. "
        "`moqi models memory` shows who gets how much.",
    )
    adapters: dict[str, Adapter] = Field(
        default_factory=dict, description="Styles (LoRA) that --lora may name: name and file. Safetensors only."
    )
    adapters_folder: str = Field(
        default="", description="A folder of further ones, called as their files are, relative to the settings folder."
    )
    guidance: Literal["auto"] | bool = Field(
        default="auto",
        description="Whether the checkpoint takes --cfg and --neg: true for a base model, false for a distilled one "
        "(Turbo); auto = as moqi.json in its folder says, else by its scheduler's shift.",
    )

    @model_validator(mode="after")
    def _has_its_checkpoint(self) -> Self:
        if self.engine == "zimage" and not self.path:
            raise ValueError("engine zimage needs path, the folder of the checkpoint; auto works without one")
        return self


class TextModel(Section):
    """The model that answers."""

    engine: Literal["auto", "vllm", "transformers", "openai", "extractive"] = Field(
        default="auto",
        description="extractive quotes the best passages and needs no model; auto = openai where base_url is written; "
        "with a path vllm where it is installed and an NVIDIA GPU is there, else transformers.",
    )
    id: str = Field(default="", description="Name of the model.")
    path: str = Field(default="", description="Folder of the checkpoint, relative to the settings folder.")
    gpu_memory_utilization: Share = Field(
        default="auto",
        description="Share of the GPU's memory that vllm reserves; auto = what it can use beside the image model.",
    )
    sleep: Literal["auto", True, False] = Field(
        default="auto",
        description="Whether vllm lends its memory to pictures while nobody asks; who asks then waits for the end of a "
        "picture. auto = where both do not fit beside each other.",
    )
    max_model_len: int = Field(default=8192, ge=512, description="Longest question with its passages, in tokens.")
    max_num_seqs: int = Field(default=16, ge=1, le=512, description="How many answers vllm writes at once.")
    kv_cache_gb: float = Field(
        default=0,
        ge=0,
        description="Gigabytes in which vllm keeps what it has read; 0 = what its weights leave of its share of the "
        "GPU, half a gigabyte without a GPU.",
    )
    base_url: str = Field(default="", description="Address of an OpenAI-compatible server.")
    api_key: SecretStr = Field(default=SecretStr(""), description="Its key.")

    @model_validator(mode="after")
    def _has_its_address(self) -> Self:
        if self.engine == "openai" and not self.base_url:
            raise ValueError("engine openai needs base_url, the server's address such as http://gpu:8000/v1")
        if self.engine in ("vllm", "transformers") and not self.path:
            raise ValueError(f"engine {self.engine} needs path, the folder of the checkpoint")
        return self

    def options(self, folder: Path | None, notes: Path | None = None) -> TextOptions:
        """The same as the engines want it; `folder` is that of the checkpoint, `notes` one for what engines keep."""
        return TextOptions(
            engine=self.engine,
            model=self.id,
            base_url=self.base_url,
            api_key=self.api_key.get_secret_value(),
            path=folder,
            max_tokens=self.max_model_len,
            share=UNPLANNED if self.gpu_memory_utilization == "auto" else self.gpu_memory_utilization,
            streams=self.max_num_seqs,
            cache=int(self.kv_cache_gb * 1e9),
            folder=notes,
        )


def _somewhere(engine: str, path: str, base_url: str, model: str) -> None:
    """Raise ValueError for a model that is nowhere."""
    if engine == "local" and not path:
        raise ValueError("engine local needs path, the folder of the checkpoint")
    if engine == "openai" and not (base_url and model):
        raise ValueError("engine openai needs base_url, the server's address, and id, the model's name there")


class RankingModel(Section):
    """The model that ranks what was found."""

    engine: Literal["none", "local", "openai"] = Field(
        default="none",
        description="local = Qwen3-Reranker in `path`, for a GPU; openai = a server with /rerank, such as vLLM's.",
    )
    id: str = Field(default="", description="Name of the model.")
    path: str = Field(default="", description="Folder of the checkpoint, relative to the settings folder.")
    base_url: str = Field(default="", description="Address of the server, such as http://gpu:8002/v1.")
    api_key: SecretStr = Field(default=SecretStr(""), description="Its key.")
    device: Literal["auto", "cpu", "cuda"] = Field(default="auto", description="Where a model of one's own computes.")
    patience: float = Field(default=2.0, gt=0, le=30, description="Seconds a question waits for it.")
    candidates: int = Field(default=20, ge=2, le=50, description="How many passages it reads for a question.")

    @model_validator(mode="after")
    def _is_somewhere(self) -> Self:
        _somewhere(self.engine, self.path, self.base_url, self.id)
        return self


class VectorModel(Section):
    """A model that makes vectors."""

    engine: Literal["none", "local", "openai"] = Field(
        default="none",
        description="none = words alone; local = a sentence-transformers checkpoint in `path` (needs moqi[embedding]); "
        "openai = a server with /embeddings.",
    )
    id: str = Field(default="", description="Name of the model.")
    path: str = Field(default="", description="Folder of the checkpoint, relative to the settings folder.")
    base_url: str = Field(default="", description="Address of an OpenAI-compatible server.")
    api_key: SecretStr = Field(default=SecretStr(""), description="Its key.")
    device: Literal["auto", "cpu", "cuda"] = Field(default="auto", description="Where a model of one's own computes.")
    dimensions: int = Field(
        default=0, ge=0, le=4096, description="Numbers kept of a vector, for models made for that; 0 = all."
    )
    instruction: str | None = Field(
        default=None,
        description="What a model of Qwen3-Embedding's kind is told questions are for; '' = nothing; without this "
        "line as its folder says.",
    )
    patience: float = Field(
        default=1.0, gt=0, le=30, description="Seconds a question waits for its vector; then words alone must do."
    )

    @model_validator(mode="after")
    def _is_somewhere(self) -> Self:
        _somewhere(self.engine, self.path, self.base_url, self.id)
        return self


class EmbeddingModel(VectorModel):
    """The models that the search has beside words."""

    next: VectorModel = Field(
        default=VectorModel(),
        description="A model that is to take this one's place: its vectors are made while this one serves. Once `moqi "
        "kb vectors` says that it is live, write it above.",
    )
    reranker: RankingModel = Field(default=RankingModel(), description="The model that ranks what was found.")


class Model(Section):
    """model.yaml"""

    image: ImageModel = Field(default=ImageModel(), description="The model that draws.")
    text: TextModel = Field(default=TextModel(), description="The model that answers.")
    embedding: EmbeddingModel = Field(default=EmbeddingModel(), description="What the search has beside words.")
    fleet: Literal["local", "ray"] = Field(
        default="local", description="Compute in this process, or on a Ray cluster.", json_schema_extra=later("ray")
    )
