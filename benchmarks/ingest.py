"""A folder of 5,000 documents: read for the first time, looked through, changed, partly deleted, moved; and the report
of each reading held against what was done to the folder."""

from __future__ import annotations

import asyncio
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from benchmarks.common import Figure, figure, part
from bot import kb_folders, kb_listing
from bot.kb_folders import Memory, Wanted
from storage import documents
from storage.database import Database
from storage.migrations import migrate

TITLE = "Knowledge base: a folder of 5,000 documents"
DOCUMENTS = 5000
TOPICS = ("年假", "报销", "采购", "招聘", "信息安全", "差旅", "会议室", "绩效", "合同", "设备")
SENTENCES = (
    "{topic}须提前{n}个工作日在系统中提交申请，由直属主管与人事部共同审批，超过期限的不再受理。",
    "金额超过{n}元的{topic}事项需要附上两份以上的书面材料，并由财务部复核后存档。",
    "第{n}条规定的{topic}标准自公布之日起执行，此前的办法同时废止，由行政部负责解释。",
)


def run(quick: bool = False) -> list[Figure]:
    """One group of figures."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_measure(Path(folder), 100 if quick else DOCUMENTS))


async def _measure(root: Path, count: int) -> list[Figure]:
    folder = root / "docs"
    _write(folder, count)
    migrate(url := f"sqlite:///{root}/moqi.db")
    with Database.open(url) as db:
        steps = _Steps(db, folder)
        busy = time.process_time()
        first = await steps.read("read for the first time", {"added": count})
        busy = time.process_time() - busy
        passages = (await db.read(documents.stats)).passages
        await steps.read("looked through by the server, nothing new", {"unchanged": count})
        await steps.read("every file's content compared, nothing new", {"unchanged": count}, attended=True)
        expected = _change(folder, count)
        await steps.read("10 % changed, 5 % gone, 5 % moved, 5 % new", expected)
        assert (await db.read(documents.stats)).documents == count, "nothing doubled, nothing lost"
        looks = [_timed(lambda: kb_listing.look([folder])) for _ in range(5)]
    rate = figure("first reading: documents a second", [count / first], "1/s")
    cut = figure("first reading: passages a second", [passages / first], "1/s")
    worked = figure("first reading: passages a second of the processor", [passages / busy], "1/s")
    looked = figure("a look for changes", [1000 * one for one in looks], "ms")
    wrong = figure("reports that differ from what was done", [float(steps.wrong)], "", at_most=0)
    return [rate, cut, worked, *steps.figures, looked, wrong]


class _Steps:
    """Readings of a folder, each with the report it must give."""

    def __init__(self, db: Database, folder: Path) -> None:
        self.figures: list[Figure] = []
        self.wrong = 0
        self._db = db
        self._wanted = Wanted(folders={folder: frozenset()})
        self._memory: Memory = {}

    async def read(self, name: str, expected: dict[str, int], *, attended: bool = False) -> float:
        began = time.perf_counter()
        result = await kb_folders.sync(self._db, self._wanted, attended=attended, memory=self._memory)
        took = time.perf_counter() - began
        found = Counter(one.status for one in result.outcomes)
        if found != expected or result.tally.problem:
            self.wrong += 1
            print(f"{name}: expected {expected}, reported {dict(found)} {result.tally.problem}")
        self.figures.append(figure(name, [took], "s"))
        return took


def _write(folder: Path, count: int) -> None:
    """Documents of one to four pages in folders of a hundred."""
    for number in range(count):
        file = folder / f"{number // 100:02}" / f"{number:04}.md"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(_text(number), encoding="utf-8")


def _text(number: int) -> str:
    rolled = random.Random(number)
    topic = TOPICS[number % len(TOPICS)]
    sections = [
        f"## 第{section}节\n\n" + "".join(_sentence(rolled, topic) for _ in range(rolled.randint(4, 12)))
        for section in range(rolled.randint(2, 6))
    ]
    return f"# {topic}办法{number}\n\n" + "\n\n".join(sections) + "\n"


def _sentence(rolled: random.Random, topic: str) -> str:
    return rolled.choice(SENTENCES).format(topic=topic, n=rolled.randint(1, 9999))


def _change(folder: Path, count: int) -> dict[str, int]:
    """Change, delete, move and add files; what the report must say of it."""
    files = sorted(folder.rglob("*.md"))
    random.Random(0).shuffle(files)
    few, many = count // 20, count // 10
    changed, gone, moved = files[:many], files[many : many + few], files[many + few : many + 2 * few]
    for file in changed:
        file.write_text(file.read_text(encoding="utf-8") + "\n另有补充规定。\n", encoding="utf-8")
    for file in gone:
        file.unlink()
    for file in moved:
        target = folder / "归档" / file.parent.name / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(file, target)
    for number in range(few):
        (folder / f"新{number:04}.md").write_text(_text(count + number), encoding="utf-8")
    rest = count - many - 2 * few
    return {"updated": many, "removed": few, "moved": few, "added": few, "unchanged": rest}


def _timed(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


if __name__ == "__main__":
    part(run, TITLE)
