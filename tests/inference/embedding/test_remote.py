"""Servers that make vectors and rank, over real HTTP."""

from __future__ import annotations

from array import array
from collections.abc import Iterator

import pytest

from inference.embedding import wording
from inference.embedding.remote import BATCH, RemoteEmbedder, RemoteReranker
from inference.errors import EmbeddingError
from tests.simulators.embeddings import Server, serving

KEY = "sk-secret-of-the-server"


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def server(running: Server) -> Server:
    fresh = Server(url=running.url)
    for name in ("key", "status", "answer", "vector", "shuffled"):
        setattr(running, name, getattr(fresh, name))
    running.asked.clear()
    return running


def numbers(vector: bytes) -> list[float]:
    return array("f", vector).tolist()


async def test_vectors_are_of_length_one_and_in_the_order_of_the_texts(server: Server) -> None:
    server.shuffled = True
    model = RemoteEmbedder(server.url, model="bge-m3")
    card = await model.open()
    made = await model.passages(["年假", "报销报销", *["发票"] * BATCH])
    await model.close()
    assert (card.dimension, len(made)) == (8, BATCH + 2)
    assert numbers(made[0]) == pytest.approx([3**-0.5, 3**-0.5, 0, 0, 0, 0, 0, 3**-0.5])
    assert numbers(made[1]) == pytest.approx([0, 0, 2 / 3, 2 / 3, 0, 0, 0, 1 / 3])
    assert [len(body["input"]) for _, body in server.asked] == [1, BATCH, 2]


@pytest.mark.parametrize(
    ("model", "instruction", "expected"),
    [
        ("Qwen3-Embedding-0.6B", None, f"Instruct: {wording.TASK}\nQuery:年假"),
        ("Qwen3-Embedding-0.6B", "", "年假"),
        ("bge-m3", None, "年假"),
        ("bge-m3", "Find it", "Instruct: Find it\nQuery:年假"),
    ],
)
async def test_a_question_is_worded_as_its_model_was_trained(
    server: Server, model: str, instruction: str | None, expected: str
) -> None:
    embedder = RemoteEmbedder(server.url, model=model, instruction=instruction)
    await embedder.question("年假")
    await embedder.passages(["年假"])
    await embedder.close()
    assert [body["input"] for _, body in server.asked] == [[expected], ["年假"]]


async def test_shorter_vectors_are_cut_and_made_long_again(server: Server) -> None:
    server.vector = lambda text: [1.0 + text.count("假"), 1.0, 3.0]
    short, whole = RemoteEmbedder(server.url, model="m", dimensions=2), RemoteEmbedder(server.url, model="m")
    card, vector, other = await short.open(), await short.question("年假"), await whole.open()
    await short.close()
    await whole.close()
    assert card.dimension == 2
    assert numbers(vector) == pytest.approx([2 * 5**-0.5, 5**-0.5])
    assert card.recipe != other.recipe


BAD_ANSWERS = {
    "prose": b"I am a teapot",
    "nothing": {},
    "no vectors": {"data": []},
    "a wrong place": {"data": [{"index": 1, "embedding": [1.0, 2.0]}]},
    "words": {"data": [{"index": 0, "embedding": ["a", "b"]}]},
    "zeros": {"data": [{"index": 0, "embedding": [0.0, 0.0]}]},
    "no numbers": {"data": [{"index": 0, "embedding": [float("nan"), 1.0]}]},
    "too large": {"data": [{"index": 0, "embedding": [1e200, 1e200]}]},
    "empty": {"data": [{"index": 0, "embedding": []}]},
    "a list": [1, 2],
    "null": b"null",
}


async def test_what_is_no_vector_is_an_error_with_the_next_step(server: Server) -> None:
    embedder, reranker = RemoteEmbedder(server.url, model="m"), RemoteReranker(server.url, model="m")
    for what, answer in BAD_ANSWERS.items():
        server.answer = answer
        with pytest.raises(EmbeddingError, match=r"Look at embedding in model\.yaml"):
            pytest.fail(f"{what}: {await embedder.question('年假')!r}")
        with pytest.raises(EmbeddingError, match=r"Look at embedding\.reranker in model\.yaml"):
            pytest.fail(f"{what}: {await reranker.scores('年假', ['年假'])!r}")
    await embedder.close()
    await reranker.close()


async def test_a_server_that_changes_the_length_is_found_out(server: Server) -> None:
    embedder = RemoteEmbedder(server.url, model="m")
    await embedder.open()
    server.vector = lambda text: [1.0, 2.0]
    with pytest.raises(EmbeddingError, match="another length than 8"):
        await embedder.passages(["年假"])
    await embedder.close()


async def test_the_key_is_sent_and_stands_in_no_error(server: Server) -> None:
    server.key = KEY
    good, bad = (RemoteEmbedder(server.url, model="m", api_key=key) for key in (KEY, f"{KEY}-wrong"))
    assert await good.question("年假")
    with pytest.raises(EmbeddingError, match="refuses the key") as refused:
        await bad.question("年假")
    assert KEY not in f"{refused.value!r}{refused.value.__cause__!r}"
    await good.close()
    await bad.close()


@pytest.mark.parametrize("status", [400, 404, 429, 500, 503])
async def test_a_refusal_is_an_error(server: Server, status: int) -> None:
    server.status = status
    embedder = RemoteEmbedder(server.url, model="m")
    with pytest.raises(EmbeddingError, match=f"answered {status}"):
        await embedder.open()
    await embedder.close()


async def test_a_server_that_is_not_there_and_a_closed_client_are_errors() -> None:
    embedder = RemoteEmbedder("http://127.0.0.1:9/v1", model="m")
    with pytest.raises(EmbeddingError, match="cannot be reached: ConnectError"):
        await embedder.open()
    await embedder.close()
    with pytest.raises(EmbeddingError, match="shut down"):
        await embedder.question("年假")


async def test_scores_come_in_the_order_of_the_texts(server: Server) -> None:
    server.shuffled = True
    reranker = RemoteReranker(server.url, model="Qwen3-Reranker", api_key="")
    assert (await reranker.open()).dimension == 0
    assert await reranker.scores("年假", ["发票", "年假", "年"]) == [0.0, 1.0, 0.5]
    await reranker.close()
    assert server.asked[-1] == (
        "/v1/rerank",
        {"model": "Qwen3-Reranker", "query": "年假", "documents": ["发票", "年假", "年"]},
    )
