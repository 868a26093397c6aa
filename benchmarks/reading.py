"""Reading documents in the child: passages a second of processor time by format, and what the server itself pays."""

from __future__ import annotations

import asyncio
import io
import resource
import time
from collections.abc import Callable

from benchmarks.common import Figure, figure, part, percentile
from inference.grounding.reader import Readers

TITLE = "Knowledge base: reading documents, lexically"
LINE = "员工出差住宿费在规定标准内据实报销，超过标准的部分由本人承担；第{n}条另有规定的从其规定。"
AIM = 1000  # passages a second
TICK = 0.001  # seconds


def run(quick: bool = False) -> list[Figure]:
    """One group of figures."""
    size = 20 if quick else 400
    found = []
    for name, make in MAKERS.items():
        data = make(size)
        found.append(figure(f"{name}: passages a second", [_rate(name, data) for _ in range(1 if quick else 3)], "1/s"))
    small = _markdown(4)
    rates = [_small(small, 5 if quick else 500) for _ in range(1 if quick else 3)]
    here, both = zip(*rates, strict=True)
    found.append(figure("small Markdown files, one child: passages a second", both, "1/s", at_least=AIM))
    found.append(figure("… processor time of the server itself, a passage", here, "µs"))
    late = asyncio.run(_lateness(_markdown(size)))
    return [*found, *(figure(f"event loop late, {when}: p99", [ms], "ms") for when, ms in late.items())]


def _markdown(sections: int) -> bytes:
    body = (f"## 第{n}节\n\n{LINE.format(n=n) * 8}\n\n" for n in range(sections))
    return "".join(["# 办法\n\n", *body]).encode()


def _csv(rows: int) -> bytes:
    return "".join(["城市,标准,说明\n", *(f"城市{n},{n},{LINE.format(n=n)}\n" for n in range(rows * 10))]).encode()


def _html(sections: int) -> bytes:
    return "".join(f"<h2>第{n}节</h2><p>{LINE.format(n=n) * 8}</p>" for n in range(sections)).encode()


def _xlsx(rows: int) -> bytes:
    import openpyxl

    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("标准")
    for n in range(rows * 10):
        sheet.append([f"城市{n}", n, LINE.format(n=n)])
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


MAKERS: dict[str, Callable[[int], bytes]] = {"a.md": _markdown, "a.csv": _csv, "a.html": _html, "a.xlsx": _xlsx}


def _request(name: str, data: bytes) -> dict[str, object]:
    asked = {"name": name, "kind": "", "title": "", "size": 500, "overlap": 75, "seconds": 60}
    return {**asked, "bytes": len(data)}


def _processor(who: int) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def _rate(name: str, data: bytes) -> float:
    """Passages of one document by the processor time of both processes, the start of the child left out."""
    costs, passages = [], 0
    for times in (1, 2):
        readers, began = Readers(), _processor(resource.RUSAGE_SELF) + _processor(resource.RUSAGE_CHILDREN)
        for _ in range(times):
            passages = len(readers.read(_request(name, data), data).passages)
        readers.close()
        costs.append(_processor(resource.RUSAGE_SELF) + _processor(resource.RUSAGE_CHILDREN) - began)
    return passages / max(costs[1] - costs[0], 0.001)


def _small(data: bytes, count: int) -> tuple[float, float]:
    """Microseconds of this process for a passage, and passages by the processor time of both processes."""
    readers = Readers()
    before, mine = _processor(resource.RUSAGE_CHILDREN), _processor(resource.RUSAGE_SELF)
    passages = sum(len(readers.read(_request("a.md", data), data).passages) for _ in range(count))
    mine = _processor(resource.RUSAGE_SELF) - mine
    readers.close()
    return mine / passages * 1e6, passages / (mine + _processor(resource.RUSAGE_CHILDREN) - before)


async def _lateness(data: bytes) -> dict[str, float]:
    readers = Readers()
    found = {}
    for when in ("idle", "while a thread waits for the child"):
        late: list[float] = []
        ticking = asyncio.create_task(_tick(late))
        if when == "idle":
            await asyncio.sleep(1)
        else:
            await asyncio.to_thread(readers.read, _request("a.md", data), data)
        ticking.cancel()
        await asyncio.gather(ticking, return_exceptions=True)
        found[when] = percentile(late, 99) * 1000
    await asyncio.to_thread(readers.close)
    return found


async def _tick(late: list[float]) -> None:
    while True:
        began = time.perf_counter()
        await asyncio.sleep(TICK)
        late.append(time.perf_counter() - began - TICK)


if __name__ == "__main__":
    part(run, TITLE)
