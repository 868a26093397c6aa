"""Vectors and ranks from a server: `/embeddings` as OpenAI has it, `/rerank` as vLLM, Jina and others have it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import httpx

from inference.embedding import vector, wording
from inference.embedding.model import EncoderCard
from inference.errors import EmbeddingError

CONNECT = 3.0  # seconds
READ = 60.0  # seconds, for many passages at once; whoever asks a question does not wait so long
BATCH = 32  # texts in one request


class _Server:
    """One server's address. Answers are read as far as they are understood; the key stands in no message."""

    def __init__(self, base_url: str, api_key: str, section: str) -> None:
        self._url, self._section = base_url.rstrip("/"), section
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        timeout = httpx.Timeout(READ, connect=CONNECT)
        # Without TLS there is nothing to verify: reading all the authorities would take 0.1 s.
        self._http = httpx.AsyncClient(headers=headers, timeout=timeout, verify=self._url.startswith("https:"))

    async def post(self, path: str, body: dict[str, Any]) -> Any:
        """The JSON it answers. Raises EmbeddingError."""
        try:
            answer = await self._http.post(f"{self._url}{path}", json=body)
        except httpx.HTTPError as error:
            raise self.failed(f"{self._url} cannot be reached: {type(error).__name__}.") from error
        except RuntimeError as error:  # the client was closed
            raise self.failed("The embedding server's client is shut down.") from error
        if answer.status_code in (401, 403):
            raise EmbeddingError(f"{self._url} refuses the key.", f"Correct {self._section}.api_key in model.yaml.")
        if answer.status_code != 200:
            raise self.failed(f"{self._url}{path} answered {answer.status_code}.")
        try:
            return answer.json()
        except ValueError as error:
            raise self.failed(f"{self._url}{path} answered something that is no JSON.") from error

    def failed(self, problem: str) -> EmbeddingError:
        return EmbeddingError(problem, f"Look at {self._section} in model.yaml.")

    async def close(self) -> None:
        await self._http.aclose()


class RemoteEmbedder:
    """A model behind `/embeddings`."""

    def __init__(
        self, base_url: str, *, model: str, api_key: str = "", dimensions: int = 0, instruction: str | None = None
    ) -> None:
        """`dimensions`: 0 = as many as it sends. `instruction`: None = that of Qwen3-Embedding where it is one."""
        self._server = _Server(base_url, api_key, "embedding")
        self._url, self._model, self._dimensions = base_url.rstrip("/"), model, dimensions
        if instruction is None:
            instruction = wording.TASK if "qwen3" in model.lower() else ""
        self._prefix = wording.prefix(instruction)
        self._card: EncoderCard | None = None

    async def open(self) -> EncoderCard:
        if self._card is None:
            dimension = len((await self._vectors(["?"]))[0]) // 4
            recipe = wording.recipe("openai", self._model, dimension, self._prefix)
            self._card = EncoderCard(model=self._model, recipe=recipe, dimension=dimension)
        return self._card

    async def question(self, text: str) -> bytes:
        return (await self._vectors([self._prefix + text]))[0]

    async def passages(self, texts: Sequence[str]) -> list[bytes]:
        parts = [list(texts[start : start + BATCH]) for start in range(0, len(texts), BATCH)]
        return [made for part in parts for made in await self._vectors(part)]

    async def close(self) -> None:
        await self._server.close()

    async def _vectors(self, texts: list[str]) -> list[bytes]:
        answer = await self._server.post("/embeddings", {"model": self._model, "input": texts})
        try:
            found = {int(one["index"]): one["embedding"] for one in answer["data"]}
            made = [vector.pack(found[place], self._dimensions) for place in range(len(texts))]
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise self._server.failed(f"{self._url}/embeddings sent no vectors that can be used.") from error
        wanted = self._card.dimension if self._card else self._dimensions or len(made[0]) // 4
        if any(len(one) != 4 * wanted for one in made):
            raise self._server.failed(f"{self._url}/embeddings sent vectors of another length than {wanted}.")
        return made


class RemoteReranker:
    """A model behind `/rerank`."""

    def __init__(self, base_url: str, *, model: str, api_key: str = "") -> None:
        self._server = _Server(base_url, api_key, "embedding.reranker")
        self._url, self._model = base_url.rstrip("/"), model

    async def open(self) -> EncoderCard:
        await self.scores("?", ["?"])
        return EncoderCard(model=self._model, recipe=wording.recipe("rerank", self._model))

    async def scores(self, question: str, texts: Sequence[str]) -> list[float]:
        body = {"model": self._model, "query": question, "documents": list(texts)}
        answer = await self._server.post("/rerank", body)
        try:
            found = {int(one["index"]): float(one["relevance_score"]) for one in answer["results"]}
            return [found[place] for place in range(len(texts))]
        except (KeyError, TypeError, ValueError) as error:
            raise self._server.failed(f"{self._url}/rerank sent no scores that can be used.") from error

    async def close(self) -> None:
        await self._server.close()
