"""A web chat with a real database and files, whose bot answers from a script. Also a program: python harness.py PORT.

Words that the script knows: /draw … draws a plain picture step by step, /ask … streams an answer with sources,
anything else is repeated. It answers through WebPlatform, as the real bot does.
"""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from socket import socket
from tempfile import TemporaryDirectory
from typing import Any

import uvicorn
from fastapi import FastAPI
from PIL import Image, ImageDraw
from sqlalchemy import Connection, select

from bot import kb
from bot.console import words
from bot.console.console import CommandHint, Console, Look, SizeHint
from bot.console.routes import build_router
from bot.console.security import SecurityHeaders
from bot.context import Pressed, Shown
from bot.enclosures import keep_picture
from bot.events import ChatEvent
from bot.kb_access import SILENT, Access
from bot.naming import Naming, name
from bot.platforms.base import Outgoing
from bot.platforms.web.feed import Feed
from bot.platforms.web.platform import WebPlatform
from bot.platforms.web.settings import WebSettings
from bot.replies import Words
from bot.replies.reasons import why_form
from bot.reply import Button, Form, FormField, Picture, Reply, SourceLink
from bot.showing import Showing
from inference.grounding import captions
from inference.grounding.chunk import Cutting
from scheduler.retrieval import Retrieval
from storage import assets, documents, jobs
from storage.database import Database
from storage.files import Files
from storage.records import Kind, NewPassage, ScoredPassage, SearchTerms, User, utcnow
from storage.tables import documents as documents_table
from storage.tables import jobs as jobs_table
from storage.tables import passages
from tests.blank import blank

HANDBOOK = (
    "员工入职满一年后享有带薪年假。年假按工龄计算：满一年不满十年的，每年五天；满十年不满二十年的，每年十天。",
    "申请年假须至少提前三个工作日在系统中提交，由直属主管批准。连续休假超过五天的，还须部门负责人批准。",
    "当年未休完的年假可以顺延到次年三月三十一日，逾期作废。离职时未休的年假按日工资折算。",
)
MARKS = (("up", "👍"), ("down", "👎"))
COMMANDS = (
    CommandHint(name="/draw", zh="/画", help="画一幅画：/draw 一只猫 --size 512x512"),
    CommandHint(name="/ask", zh="/问", help="从知识库里找答案，附出处"),
    CommandHint(name="/jobs", zh="/任务", help="我的任务"),
    CommandHint(name="/cancel", zh="/取消", help="取消一个任务"),
    CommandHint(name="/redo", zh="/重画", help="照样再画，可以改参数"),
    CommandHint(name="/quota", zh="/额度", help="还剩多少额度"),
    CommandHint(name="/help", zh="/帮助", help="都能做什么"),
    CommandHint(name="/new", zh="/新对话", help="开始新的对话"),
    CommandHint(name="/status", zh="/状态", help="模型和队列的状态"),
)


VOTES = tuple(Button(action=f"vote_{way}", label=mark, value={"job": 1}, quiet=True) for way, mark in MARKS)


def redo_form(job: int, prompt: str) -> Form:
    """The form of a finished picture."""
    return Form(
        action="redo_form",
        label="改词重画",
        send="按这个画",
        close="收起",
        fields=(
            FormField(name="prompt", label="描述", kind="lines", value=prompt, max=2000),
            FormField(name="size", label="尺寸", value="512x512", max=20),
            FormField(name="seed", label="种子", kind="number", value="7", max=12),
        ),
        value={"job": job},
    )


@dataclass
class Script:
    """The bot: what was accepted and pressed, and the answers."""

    db: Database
    files: Files
    platform: WebPlatform
    feed: Feed
    step: float = 0.0  # seconds between two steps of a picture, two words of an answer
    hold: bool = False  # leave jobs queued
    access: Access = SILENT  # who may read which document
    asks: bool = False  # whoever presses 👎 is asked why
    accepted: list[ChatEvent] = field(default_factory=list)
    pressed: list[ChatEvent] = field(default_factory=list)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def accept(self, event: ChatEvent) -> None:
        if any(one.key == event.key for one in self.accepted):
            return
        self.accepted.append(event)
        task = asyncio.create_task(self._answer(event))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def act(self, event: ChatEvent) -> Pressed:
        self.pressed.append(event)
        if event.action == "cancel":
            return Pressed("info", "正在取消")
        if event.action == "vote_down" and self.asks:
            asking = Reply(form=why_form(int(event.value["job"]), Words("zh")))
            return Pressed("success", "谢谢", Shown(reply=asking, receipt={}))
        if event.action.startswith(("vote", "why")):
            return Pressed("success", "谢谢")
        form = event.value.get("form", {})
        if form.get("size") == "7":
            return Pressed("warning", "尺寸没看懂")
        await self.accept(replace(event, kind="message", text=f"/draw {form.get('prompt', '重画的熊猫')}"))
        return Pressed("success", "已加入队列")

    async def settled(self) -> None:
        while self.tasks:
            await asyncio.gather(*self.tasks)

    async def _answer(self, event: ChatEvent) -> None:
        if event.text.startswith("/draw"):
            await self._draw(event)
        elif event.text.startswith("/ask"):
            await self._ask(event)
        elif event.text.startswith("/help"):
            lines = "\n".join(f"`{c.name}` {c.zh}　{c.help}" for c in COMMANDS)
            await self._post(
                event, "reply", Reply(text=f"**都能做什么**\n{lines}\n\n说「画一只猫」也可以画，别的话会当作问题。")
            )
        else:
            await self._post(event, "reply", Reply(text=f"你说：{event.text}"))

    async def _draw(self, event: ChatEvent) -> None:
        job, user = await self._job(event, Kind.DRAW)
        prompt = event.text.removeprefix("/draw").strip() or "一只猫"
        cancel = Button(action="cancel", label="取消", value={"job": job}, style="danger")
        receipt = await self._post(
            event,
            "card",
            Reply(title="排队中 · 第 1 位 · 约 2 秒", text=prompt, state="queued", job=job, buttons=(cancel,)),
        )
        if self.hold:
            return
        await asyncio.sleep(4 * self.step)
        for done in range(8):
            self.feed.progress(user, job=job, state="running", done=done + 1, total=8, seconds=1.6 - done * 0.2)
            if 2 <= done < 7:
                self.feed.preview(user, job=job, jpeg=sketch(20 * done))
            await asyncio.sleep(self.step)
        asset = await self._picture(job, prompt)
        redo = Button(action="redo", label="重画", value={"job": job}, style="primary")
        reseed = Button(action="reseed", label="换种子", value={"job": job})
        done_card = Reply(
            title="画好了",
            text=prompt,
            state="done",
            job=job,
            fields=(("种子", "7"), ("尺寸", "512×512"), ("步数", "8"), ("用时", "1.9 秒")),
            pictures=(Picture(asset=asset, width=512, height=512, alt=prompt),),
            buttons=(redo, reseed, *VOTES),
            form=redo_form(job, prompt),
            note="内容由 AI 生成 · 内置小模型（演示用）",
        )
        await self._update(event, receipt, done_card)

    async def _ask(self, event: ChatEvent) -> None:
        job, user = await self._job(event, Kind.ASK)
        receipt = await self._post(event, "card", Reply(title="正在查找", state="running", job=job, streaming=True))
        ids = await self.db.run(_handbook)
        text = (
            "入职**满一年**后有带薪年假，工龄不满十年的每年五天 [1]。\n"
            "至少提前三个工作日在系统里提交，由直属主管**批准 [2]**。"
        )
        for at in range(0, len(text), 3):
            self.feed.delta(user, job=job, text=text[at : at + 3])
            await asyncio.sleep(self.step / 4)
        sources = tuple(
            SourceLink(mark=n + 1, document="员工手册.md", heading="假期 › 年假", passage=ids[n], quote=HANDBOOK[n])
            for n in range(2)
        )
        note = "内容由 AI 生成 · 摘自知识库"
        await self._update(event, receipt, Reply(text=text, state="done", job=job, sources=sources, note=note))

    async def _job(self, event: ChatEvent, kind: Kind) -> tuple[int, int]:
        user = int(event.origin.chat_id)
        return await self.db.run(_add_job, event, kind, user), user

    async def _picture(self, job: int, prompt: str) -> int:
        data = painting(prompt)
        sha = await asyncio.to_thread(self.files.put, data)
        return await self.db.run(_drawn, job, prompt, sha, len(data))

    async def _post(self, event: ChatEvent, slot: str, reply: Reply) -> dict[str, object]:
        return await self.platform.post(
            Outgoing(key=f"{event.key}:{slot}", origin=event.origin, reply=reply, receipt={}), {}
        )

    async def _update(self, event: ChatEvent, receipt: dict[str, object], reply: Reply) -> None:
        message = Outgoing(key=f"{event.key}:card", origin=event.origin, reply=reply, receipt=receipt)
        await self.platform.update(receipt, message, {})


@dataclass
class Stage:
    """Everything a test may want to look at."""

    app: FastAPI
    console: Console
    script: Script


#: How documents are cut here: otherwise than by default.
CUTTING = Cutting(size=400, overlap=50)


@contextmanager
def stage(
    folder: Path, *, language: str = "zh", step: float = 0.0, practice: bool = False, **doors: Any
) -> Iterator[Stage]:
    """The application on a fresh database in `folder`. `doors`: who may come in, as fields of Console."""
    blank(folder / "moqi.db")
    with Database.open(data=folder) as db:
        feed = Feed()
        script = Script(db, Files(folder / "files"), WebPlatform(db, feed), feed, step)
        console = Console(
            db=db,
            files=script.files,
            showing=Showing(db, script.files),
            feed=feed,
            look=Look(title="墨契", language=language),
            words=words.of(language),
            commands=COMMANDS,
            accept=script.accept,
            act=script.act,
            principals=_principals,
            name=lambda asset, job, ending: name(Naming(project="墨契"), asset, job, ending),
            keep_picture=partial(keep_picture, db, script.files),
            sizes=lambda: (SizeHint(name="256x192", shape="4:3", help="每张计 1 份额度"),),
            templates=lambda conn, user: [("海报", "主题 颜色"), ("徽标", "")],
            thumbnail=_thumbnail,
            search=partial(_search, db),
            read=lambda name, data: kb.read_given(name, data, CUTTING),
            access=lambda: script.access,
            told=lambda outcome: Words(language).document(outcome).text,
            **{"web": WebSettings(), "practises": lambda: practice, **doors},
        )
        app = FastAPI(openapi_url=None)
        app.add_middleware(SecurityHeaders)
        app.include_router(build_router(console))
        yield Stage(app, console, script)


class Server(uvicorn.Server):
    """uvicorn waits for open streams before it stops, so they are ended first."""

    def __init__(self, config: uvicorn.Config, feed: Feed) -> None:
        super().__init__(config)
        self.feed = feed

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        self.feed.close()
        await super().shutdown(sockets)


@asynccontextmanager
async def serving(stage: Stage, port: int = 0) -> AsyncIterator[str]:
    """The application over real HTTP on 127.0.0.1; yields its URL."""
    config = uvicorn.Config(stage.app, host="127.0.0.1", port=port, log_level="warning", lifespan="off")
    server = Server(config, stage.console.feed)
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


def painting(prompt: str, side: int = 512) -> bytes:
    """A little ink landscape: enough to see on a page that a picture is there."""
    sun = 300 + sum(prompt.encode()) % 120
    image = Image.new("RGB", (side, side), (240, 232, 215))
    draw = ImageDraw.Draw(image)
    draw.ellipse((sun, 70, sun + 84, 154), fill=(184, 64, 46))
    for row, shade in enumerate((196, 150, 98, 50)):
        base = 250 + row * 66
        ridge = [
            (x, base - abs((x * (3 + row) + row * 140) % 300 - 150) * (0.9 - row * 0.14))
            for x in range(0, side + 16, 16)
        ]
        draw.polygon([(0, side), *ridge, (side, side)], fill=(shade, shade - 2, shade - 8))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def sketch(shade: int) -> bytes:
    """What a picture looks like so far."""
    out = io.BytesIO()
    Image.new("RGB", (128, 128), (shade, 60, 120)).save(out, "JPEG")
    return out.getvalue()


def _thumbnail(data: bytes) -> tuple[bytes, str]:
    image = Image.open(io.BytesIO(data))
    image.thumbnail((256, 256))
    out = io.BytesIO()
    image.save(out, "WEBP", quality=85)
    return out.getvalue(), "image/webp"


async def _search(
    db: Database, question: str, principals: Callable[[Connection], frozenset[str]], k: int
) -> list[ScoredPassage]:
    by = Retrieval()
    query = await by.prepare(question)
    return await db.read(lambda conn: by.find(conn, query, principals(conn), k))


def _principals(conn: Connection, user: User) -> frozenset[str]:
    return frozenset({"everyone", f"user:{user.id}"})


def _add_job(conn: Connection, event: ChatEvent, kind: Kind, user: int) -> int:
    values = {"user_id": user, "params": {}, "cost": 1, "weight": 1.0, "vtag": 0.0}
    job = jobs.add(conn, key=f"web:{event.key}", kind=kind, now=utcnow(), origin=event.origin, **values)
    assert job is not None
    return job.id


def _drawn(conn: Connection, job: int, prompt: str, sha: str, size: int) -> int:
    """The job is done and has its picture."""
    params = {"prompt": prompt, "width": 512, "height": 512, "count": 1, "seed": 7, "steps": 8}
    done = {"state": "done", "params": params, "result": {"seeds": [7], "model": "demo"}}
    conn.execute(jobs_table.update().where(jobs_table.c.id == job).values(done))
    shape: dict[str, Any] = {"media_type": "image/png", "size": size, "width": 512, "height": 512, "model": "demo"}
    terms = captions.indexed(prompt)
    return assets.add(conn, sha256=sha, job_id=job, index=0, now=utcnow(), terms=terms, **shape)


def _handbook(conn: Connection) -> list[int]:
    """The ids of the passages of a small handbook everybody may read."""
    return keep_document(conn, "员工手册.md", HANDBOOK, ("everyone",))


def keep_document(conn: Connection, name: str, texts: tuple[str, ...], readers: tuple[str, ...]) -> list[int]:
    """Keep a document of these passages, once; returns the passages' ids."""
    terms = SearchTerms(words=("年假",), bigrams=("年假",))
    pieces, at = [], 0
    for text in texts:
        pieces.append(NewPassage(heading="假期 › 年假", start=at, end=at + len(text), text=text, terms=terms))
        at += len(text) + 2
    if name not in [one.name for one in documents.list_documents(conn, frozenset(readers))]:
        documents.put_document(
            conn, name=name, title=name, sha256="0" * 64, recipe="test", pieces=pieces, principals=readers
        )
    ids = select(passages.c.id).join(documents_table).where(documents_table.c.name == name)
    return list(conn.execute(ids.order_by(passages.c.ordinal)).scalars())


async def _main(port: int) -> None:
    with TemporaryDirectory() as folder, stage(Path(folder), step=0.25) as made:
        async with serving(made, port) as url:
            print(url, flush=True)
            await asyncio.Event().wait()


if __name__ == "__main__":
    try:
        asyncio.run(_main(int(sys.argv[1])))
    except KeyboardInterrupt:
        pass
