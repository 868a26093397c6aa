"""Each document holds a word that stands nowhere else: it reaches whoever may read it, and nobody else by any way.

The language model is told nothing of rights and tells everything it reads: whatever keeps a word from somebody must
have kept it from the prompt.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.inference.text.scripted import answer
from tests.journeys.light import Light
from tests.journeys.moqi import Person, until
from tests.simulators import openai
from tests.simulators.feishu import FeishuSimulator
from tests.simulators.feishu_events import BOT_OPEN_ID, mention, message

WORD = re.compile(r"kanari-[a-z]+-\d{4}")
WORDS = {who: f"kanari-{who}-{number}" for number, who in enumerate(("all", "alice", "hr", "group", "admin"), 7101)}
READERS: dict[str, list[str]] = {
    "all": [],
    "alice": ["user:feishu:ou_alice"],
    "hr": ["dept:人事部"],
    "group": ["group:feishu:oc_group"],
    "admin": ["role:admin"],
}
QUESTION = "各份文件的暗号分别是什么?"
NUMBERS = itertools.count(1)


class House:
    """An installation with one document for each sort of reader, and whatever its model was asked."""

    def __init__(self, folder: Path, feishu: FeishuSimulator, model: openai.Server) -> None:
        self.feishu, self.model = feishu, model
        engine = {"engine": "openai", "base_url": model.url, "id": "qwen3"}
        settings = {
            "platforms": {"feishu": feishu.settings},
            "model": {"text": engine},
            "knowledge": knowledge(READERS),
        }
        self.moqi = Light(folder, settings=settings)
        feishu.bot_url = f"{self.moqi.url}/feishu/events"
        for who, word in WORDS.items():
            (folder / who).mkdir()
            (folder / who / f"文件-{word}.md").write_text(
                f"# 标题 {word}\n\n这份文件的暗号是 {word}。", encoding="utf-8"
            )
        self.moqi.start()
        self.admin, self.dave = Person(self.moqi, "boss"), Person(self.moqi, "dave")
        self.moqi.command("dept", "set", "feishu:ou_bob", "人事部", check=True)
        until(lambda: len(self.held()) == len(WORDS), "the documents to be read")

    def held(self) -> list[Any]:
        found: list[Any] = json.loads(self.moqi.command("kb", "list", "--json", check=True).stdout)
        return found

    def share(self, readers: dict[str, list[str]]) -> None:
        """Write other readers into knowledge.yaml, and wait until they hold."""
        written = yaml.safe_dump(knowledge(readers), allow_unicode=True)
        (self.moqi.config / "knowledge.yaml").write_text(written, encoding="utf-8")
        wanted = {WORDS[who]: sorted(names) or ["everyone"] for who, names in readers.items()}
        until(lambda: {words(one["document"])[0]: one["readers"] for one in self.held()} == wanted, "the new readers")

    def ask(self, sender: str, *, group: bool = False, question: str = QUESTION) -> set[str]:
        """The words that a question brings, by its card or by a prompt."""
        before, seen = len(self.model.asked), len(self.feishu.visible())
        chat = "oc_group" if group else f"oc_direct_{sender}"
        ours = [mention(1, BOT_OPEN_ID, "墨契", "bot")] if group else []
        text = f"@_user_1 /ask {question}" if group else f"/ask {question}"
        event = message(self.feishu.app, text, sender=sender, chat_id=chat, group=group, mentions=ours)
        assert self.feishu.push(event).statuses == [200]
        asked_in = str(event["event"]["message"]["message_id"])

        def ended() -> str:
            cards = [one for one in self.feishu.visible()[seen:] if one.parent_id == asked_in and not one.generating]
            told = "".join(one.text for one in cards)
            return told if "vote_up" in told else ""

        told = until(ended, f"the answer to {sender}")
        prompts = json.dumps(self.model.asked[before:], ensure_ascii=False)
        return set(words(told)) | set(words(prompts))


def knowledge(readers: dict[str, list[str]]) -> dict[str, Any]:
    sources = [{"path": f"../../{who}", **({"readers": names} if names else {})} for who, names in readers.items()]
    return {"sources": sources}


def words(text: str) -> list[str]:
    return list(dict.fromkeys(WORD.findall(text)))


def telltale(body: dict[str, Any]) -> str:
    """Everything secret that stands in the prompt, each with the source it stands in; a rewriting just repeats."""
    system = str(body["messages"][0]["content"])
    if "<source" not in system:
        return str(body["messages"][-1]["content"])
    found = re.findall(r'<source n="(\d+)"[^>]*>(.*?)</source', system, re.DOTALL)
    return answer(*((f"暗号是 {word}。", [int(n)], f"暗号是 {word}") for n, text in found for word in words(text)))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with FeishuSimulator(limits=False) as feishu, openai.serving() as model:
        model.answers = telltale
        made = House(tmp_path_factory.mktemp("leaks"), feishu, model)
        yield made
        made.moqi.stop()


@pytest.mark.parametrize(
    ("sender", "group", "reads"),
    [
        ("ou_alice", False, {"all", "alice"}),
        ("ou_bob", False, {"all", "hr"}),
        ("ou_carol", False, {"all"}),
        ("ou_alice", True, {"all", "group"}),  # everybody there reads the answer
        ("ou_bob", True, {"all", "group"}),
    ],
)
def test_an_answer_holds_what_its_readers_may_read(house: House, sender: str, group: bool, reads: set[str]) -> None:
    assert house.ask(sender, group=group) == {WORDS[one] for one in reads}


def test_what_was_said_alone_is_no_part_of_a_group_s_conversation(house: House) -> None:
    house.ask("ou_alice")
    assert WORDS["alice"] not in house.ask("ou_alice", group=True, question="那另一份的暗号呢?")


@pytest.mark.parametrize(("who", "reads"), [("admin", {"all", "admin"}), ("dave", {"all"})])
def test_the_page_shows_what_its_reader_may_read(house: House, who: str, reads: set[str]) -> None:
    person: Person = getattr(house, who)
    mine = {WORDS[one] for one in reads}
    found = person.http.post("/api/search", json={"question": QUESTION})
    assert set(words(found.text)) == mine
    job = person.ordered(f"/ask {QUESTION}")
    assert set(words(json.dumps(person.finished(job), ensure_ascii=False))) == mine
    opened = [person.http.get(f"/passages/{number}") for number in range(1, len(WORDS) + 1)]
    assert {word for page in opened if page.status_code == 200 for word in words(page.text)} == mine
    assert not any(words(page.text) for page in opened if page.status_code != 200)


@pytest.mark.parametrize(
    "path",
    [
        *("/knowledge", "/", "/api/commands", "/api/messages", "/api/knowledge/documents?q=kanari"),
        *("/api/knowledge/unanswered", "/api/knowledge/sources", "/metrics", "/readyz", "/healthz", "/api/docs"),
    ],
)
def test_no_other_door_tells_somebody(house: House, path: str) -> None:
    assert set(words(house.dave.http.get(path).text)) <= {WORDS["all"]}
    with httpx.Client(base_url=house.moqi.url, verify=False) as stranger:
        assert not words(stranger.get(path).text)


def test_neither_logs_nor_the_audit_tell(house: House) -> None:
    assert not words(house.moqi.log.read_text(encoding="utf-8"))
    assert not words(house.moqi.command("audit", "list", "--json", check=True).stdout)


def test_a_right_that_was_taken_is_gone_from_answers_and_from_what_was_said(house: House) -> None:
    """The last one here: it changes who may read what."""
    assert WORDS["alice"] in house.ask("ou_alice")
    house.share({**READERS, "alice": ["user:feishu:ou_bob"]})
    assert WORDS["alice"] not in house.ask("ou_alice", question="那另一份的暗号呢?")
    assert WORDS["alice"] in house.ask("ou_bob")
