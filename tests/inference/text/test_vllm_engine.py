"""The real vLLM on the processor, with a tiny model that was taught a handbook.

One engine serves all of these tests: it takes 10 s to start, and minutes on a machine that has much else to do. How it
dies and comes back is in tests/journeys/test_vllm.py.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from inference.errors import TextBusy, TextError, TextTooLong
from inference.gpu.gate import Gate
from inference.gpu.sharing import Queued, Sharing, Waits
from inference.gpu.turns import Holder
from inference.grounding import contract
from inference.requests import Message
from inference.results import Answer, Delta
from inference.text import orphan_guard
from inference.text.chat import ChatModel, ChatRequest, Ended, Piece
from inference.text.grounded import GroundedModel
from inference.text.lent import LentModel
from inference.text.model import TextCard
from inference.text.supervised import EngineState, SupervisedModel
from inference.text.vllm_engine import VllmEngine, VllmOptions, environment, installed
from tests import plugins
from tests.inference.text import handbook
from tests.inference.text.handbook import ALL, ANSWERS, ASK_ALL, ASK_LEAVE, BEFORE, FOLLOWING, LEAVE, YEAR

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.first,
    pytest.mark.skipif(not installed(), reason="vllm is not installed: there is none for this system"),
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("default"),  # of other people's packages, as they are imported
]

STREAMS = 8


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> VllmOptions:
    folder = tmp_path_factory.mktemp("engine")
    return VllmOptions(
        path=handbook.checkpoint(), max_tokens=handbook.TOKENS, streams=STREAMS, cache=64 << 20, folder=folder
    )


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def model(options: VllmOptions, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SupervisedModel]:
    """The engine, kept running."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(plugins.installed(tmp_path_factory.mktemp("site")))
        # What it finds out about a kind of model takes 10 s, and is the same every time.
        patch.setenv("VLLM_CACHE_ROOT", str(handbook.CACHE))
        for name, value in environment(options, os.environ).items():
            patch.setenv(name, value)  # and taken back afterwards
        card = TextCard(name="vllm", model="handbook", generative=True)
        found = SupervisedModel(card, lambda: VllmEngine.start(options))
        await found.start()
        assert found.problem is None
        yield found
        await found.close()


def engine_process() -> psutil.Process:
    [child] = [one for one in multiprocessing.active_children() if one.name.startswith(orphan_guard.ENGINE)]
    return psutil.Process(child.pid)


async def told(model: SupervisedModel, question: str, *documents: str, **more: object) -> tuple[str, Answer]:
    """What is shown while the answer is written, and the answer."""
    shown = ""
    async for piece in GroundedModel(model).stream(handbook.request(question, *documents, **more)):  # type: ignore[arg-type]
        if isinstance(piece, Answer):
            return shown, piece
        assert isinstance(piece, Delta)
        shown += piece.text
    raise AssertionError("it ended without an answer")


def asked(text: str, tokens: int = 300, **more: object) -> ChatRequest:
    return ChatRequest(messages=(Message(role="user", text=text),), max_tokens=tokens, **more)  # type: ignore[arg-type]


def whole(question: str = ASK_ALL) -> ChatRequest:
    """A question that is answered at length, as the model is asked it."""
    messages = contract.messages(handbook.request(question), b"secret")
    return ChatRequest(messages=messages, max_tokens=400, schema=contract.SCHEMA)


async def said(model: ChatModel, request: ChatRequest) -> tuple[str, Ended]:
    pieces = [piece async for piece in model.stream(request)]
    assert isinstance(pieces[-1], Ended)
    return "".join(piece.text for piece in pieces if isinstance(piece, Piece)), pieces[-1]


@pytest.mark.parametrize("question", ANSWERS)
async def test_answers_are_right_and_cite_what_they_rest_on(model: SupervisedModel, question: str) -> None:
    document, sentences = ANSWERS[question]
    shown, answer = await told(model, question, document)
    assert answer.grounded is bool(sentences)
    assert (answer.engine, answer.interrupted) == ("vllm", False)
    if sentences:
        assert shown == answer.text == handbook.text(*sentences)
        assert [(one.document, one.quote) for one in answer.citations] == [(document, sentences[0][2])]
    else:
        assert (answer.citations, answer.nearest) == ((), (document,))
    assert answer.tokens > 100


async def test_it_goes_by_every_source_it_is_given(model: SupervisedModel) -> None:
    shown, answer = await told(model, ASK_ALL)
    assert shown == answer.text == handbook.text(*ALL)
    assert [one.document for one in answer.citations] == list(handbook.DOCUMENTS)


@pytest.mark.parametrize(("question", "meant"), FOLLOWING.items())
async def test_a_follow_up_is_understood(model: SupervisedModel, question: str, meant: str) -> None:
    assert await GroundedModel(model).standalone(question, (BEFORE,)) == meant
    document, sentences = ANSWERS[meant]
    assert (await told(model, question, document, history=(BEFORE,)))[1].text == handbook.text(*sentences)


async def test_many_at_once_each_get_their_own(model: SupervisedModel) -> None:
    questions = [*ANSWERS, *ANSWERS][:STREAMS]
    answers = await asyncio.gather(*(told(model, question, ANSWERS[question][0]) for question in questions))
    expected = [handbook.text(*ANSWERS[question][1]) for question in questions]
    assert [answer.text if answer.grounded else "" for _, answer in answers] == expected


async def test_it_writes_by_the_grammar_whatever_it_would_rather_say(model: SupervisedModel) -> None:
    schema = {
        "type": "object",
        "properties": {"kind": {"type": "string", "enum": ["draw", "ask"]}},
        "required": ["kind"],
    }
    text, ended = await said(model, asked("？", schema=schema | {"additionalProperties": False}))
    assert json.loads(text)["kind"] in ("draw", "ask")
    assert ended.reason == "stop"
    with pytest.raises(TextError, match="Error"):  # a schema that is none; the engine lives on
        await said(model, asked("？", schema={"type": "strin"}))
    assert (await said(model, whole(ASK_LEAVE)))[1].reason == "stop"


async def test_an_answer_that_is_too_long_is_cut_and_says_so(model: SupervisedModel) -> None:
    text, ended = await said(model, replace(whole(), max_tokens=12))
    assert (ended.reason, ended.written) == ("length", 12)
    assert ended.read > 150
    assert text


@pytest.mark.parametrize(("length", "answer"), [(handbook.TOKENS, 1), (50_000, 1), (1, handbook.TOKENS)])
async def test_a_question_that_is_too_long_is_refused_with_what_to_do(
    model: SupervisedModel, length: int, answer: int
) -> None:
    with pytest.raises(TextTooLong, match="tokens") as caught:
        await said(model, asked("长" * length, answer))
    assert "max_model_len" in caught.value.next_step


async def test_whoever_comes_too_many_waits_in_line(model: SupervisedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = model._engine
    assert isinstance(engine, VllmEngine)
    monkeypatch.setattr(engine._llm.scheduler_config, "max_num_queued_reqs", 1)
    async with aclosing(model.stream(whole())) as first:
        await anext(first)
        with pytest.raises(TextBusy):
            await told(model, ASK_LEAVE, LEAVE)
    assert (await told(model, ASK_LEAVE, LEAVE))[1].engine == "vllm"


async def test_who_leaves_stops_the_writing(model: SupervisedModel) -> None:
    engine = model._engine
    assert isinstance(engine, VllmEngine)
    async with aclosing(model.stream(whole())) as stream:
        await anext(stream)
        assert engine._llm.get_num_unfinished_requests() == 1
    assert engine._llm.get_num_unfinished_requests() == 0
    writing = asyncio.create_task(told(model, ASK_ALL))
    while engine._llm.get_num_unfinished_requests() == 0:
        await asyncio.sleep(0)
    writing.cancel()
    await asyncio.wait({writing})
    assert engine._llm.get_num_unfinished_requests() == 0


async def test_what_was_read_for_some_is_read_anew_for_others(model: SupervisedModel) -> None:
    """Otherwise the time until the first word would tell what others have asked."""
    engine = model._engine
    assert isinstance(engine, VllmEngine)

    async def cached(salt: str) -> int:
        prompt = await engine._prompt(replace(whole(), salt=salt))
        assert prompt["cache_salt"] == salt
        from vllm import SamplingParams

        async for output in engine._llm.generate(prompt, SamplingParams(max_tokens=1), f"cached {os.urandom(4).hex()}"):
            return int(output.num_cached_tokens)
        return -1

    assert [await cached("a"), await cached("b")] == [0, 0]
    assert await cached("a") > 100


async def test_it_lends_its_memory_and_answers_when_it_has_it_back(model: SupervisedModel) -> None:
    queued, told = [Queued(), Queued(waiting=True)], list[Waits]()

    async def look() -> tuple[Queued, Queued]:
        return queued[0], queued[1]

    async def tell(waits: Waits) -> None:
        told.append(waits)

    shared = Sharing(Gate(), model, look, tell, alternates=True)
    running = asyncio.create_task(shared.run(lambda: asyncio.sleep(0)))
    async with shared.drawing():
        assert (shared.holder, model.sleeping) == (Holder.PICTURES, True)
        await asyncio.to_thread(hold, shared)
        queued[1] = Queued()
        asking = asyncio.create_task(said(LentModel(model, shared.answering), whole(ASK_LEAVE)))
        await asyncio.sleep(0)
        assert not shared.may_draw
        assert model.sleeping, "a batch is drawn to its end"
    text, ended = await asking
    assert (ended.reason, shared.holder) == ("stop", Holder.TEXT)
    assert json.loads(text)["answerable"]
    assert told[-1].text == ""
    running.cancel()
    await asyncio.wait({running})


def hold(shared: Sharing) -> None:
    with shared.held():
        pass


async def test_it_sleeps_and_a_question_wakes_it(model: SupervisedModel) -> None:
    await model.sleep()
    assert model.sleeping
    assert (await told(model, ASK_LEAVE, LEAVE))[1].text == handbook.text(YEAR)
    assert not model.sleeping


async def test_the_engine_notes_itself_and_leaves_the_group_of_the_program(
    model: SupervisedModel, options: VllmOptions
) -> None:
    process = engine_process()
    assert options.folder is not None
    assert json.loads((options.folder / "text-engine.json").read_text())["pid"] == process.pid
    assert os.getpgid(process.pid) == process.pid


async def test_nothing_listens_beyond_this_machine(model: SupervisedModel) -> None:
    for process in (engine_process(), psutil.Process()):
        for open_ in process.net_connections("inet"):
            assert open_.laddr.ip.removeprefix("::ffff:") in ("127.0.0.1", "::1"), open_


async def test_closing_it_leaves_nothing(model: SupervisedModel) -> None:
    process = engine_process()
    await model.close()
    assert not process.is_running()
    assert model.state is EngineState.CLOSED
    with pytest.raises(TextError, match="shut down"):
        await said(model, whole())


async def test_a_start_that_nobody_waits_for_leaves_nothing(model: SupervisedModel, options: VllmOptions) -> None:
    await model.close()
    assert options.folder is not None
    (options.folder / "text-engine.json").unlink()
    starting = asyncio.create_task(VllmEngine.start(options))
    async with asyncio.timeout(300):
        while not multiprocessing.active_children():
            await asyncio.sleep(0.01)
        starting.cancel()
        await asyncio.wait({starting})
    assert starting.cancelled()
    assert multiprocessing.active_children() == []
    assert not (options.folder / "text-engine.json").exists()  # it was not waited for until it ran


async def test_a_checkpoint_that_cannot_be_loaded_is_named(tmp_path: Path) -> None:
    with pytest.raises(TextError, match=r"config\.json"):
        await VllmEngine.start(VllmOptions(path=tmp_path))


async def test_the_model_of_these_tests_is_of_these_lessons() -> None:
    assert (handbook.KEPT / handbook.MARK).read_text().strip() == handbook.digest(), (
        "the prompts have changed: run `python -m tests.inference.text.handbook`"
    )
