"""Feishu's wiki as it can be read by an app: which pages there are, and what each of them says.

WikiError
├── Unlisted     the pages could not be listed to the end: nothing can be said about those that were not seen
├── Refused      Feishu says that the app may not read this, or that it is gone: a verdict, not a failure
├── Unsuitable   there is nothing in it that can be read: a kind without text, too large, empty
└── Unread       could not be read this time

Calls are paced at five a second, which is what Feishu allows an app for documents, and each is tried again when it
failed in passing. A page of the list may be empty though more follow; that is not its end.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlsplit

from bot.platforms.base import TOO_LARGE, PlatformError, Retry, Undelivered
from bot.platforms.feishu.client import FeishuClient
from bot.platforms.feishu.settings import FeishuSettings
from bot.platforms.feishu.wiki_text import tidy
from inference.grounding import parse

T = TypeVar("T")

PAGE: Final = 50  # nodes of one answer; Feishu gives no more
LONGEST_TITLE: Final = 200  # characters; Feishu's own may have 800
BATCH: Final = 200  # documents one question about their state may name
TRIES: Final = 5  # of one call, before it counts as failed
_PAUSE: Final = 0.5  # seconds before the second try, doubled each time
_NO_SCOPE: Final = 99991672
_GONE: Final = frozenset({131005, 131006, 1770002, 1770003, 1770032})  # not there (for us): both end in "take it out"
_TOO_LARGE: Final = frozenset({1770033, 2889925})
_SHUT: Final = frozenset({970003, 970005})  # of one document among many: no permission, not found
_NO_TEXT: Final = {
    "sheet": "spreadsheets are not read; put its text into a page",
    "bitable": "multi-dimensional tables are not read",
    "mindnote": "mind maps are not read",
    "slides": "slides are not read; put the file itself (.pptx) into the wiki",
}


class WikiError(Exception):
    """Something of the wiki cannot be read."""


class Unlisted(WikiError):
    """The list of pages did not come to its end."""


class Refused(WikiError):
    """The app may not read it, or it is gone."""


class Unsuitable(WikiError):
    """It holds nothing that could be read."""


class Unread(WikiError):
    """It could not be read this time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """A page as the wiki's tree shows it."""

    token: str  # of its place in the tree
    obj: str  # of the document itself: a shortcut has its original's
    kind: str  # docx | doc | file | sheet | …
    title: str
    space: str
    path: tuple[str, ...]  # titles above it, the space's name first
    edited: str  # when the document was changed last, seconds since 1970
    shortcut: bool
    has_child: bool
    url: str  # where people open it; empty when nothing tells


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """The pages of one part of the wiki."""

    nodes: tuple[Node, ...]
    complete: bool  # False: below some pages the app may not look, so what is not listed may still be there


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """What a page says."""

    data: bytes
    ending: str  # which parser reads it: .md, .txt, .pdf …


class Wiki:
    """The wiki as one app sees it. Every method raises WikiError, or PlatformError for what an operator must mend."""

    def __init__(
        self,
        settings: FeishuSettings,
        client: FeishuClient | None = None,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        # A client of its own: a limit on documents must not hold up the messages of the chats.
        self._client = client or FeishuClient(settings)
        self._domain = settings.domain
        self._sleep = sleep

    async def close(self) -> None:
        await self._client.close()

    async def pages(self, space: str, node: str = "", host: str = "") -> Listing:
        """Every page of a space, or the page `node` with everything beneath it.

        Raises Refused when the app may not see it at all, and Unlisted when the list broke off.
        """
        try:
            return await self._walk(await self._roots(space, node, host), host)
        except Retry as error:
            raise Unlisted(f"the list of pages broke off: {error}") from error

    async def _walk(self, roots: list[Node], host: str) -> Listing:
        found, seen, complete = list(roots), {one.token for one in roots}, True
        waiting = [one for one in roots if _goes_on(one)]
        while waiting:
            parent = waiting.pop()
            try:
                below = [one async for one in self._children(parent.space, parent.token, _below(parent), host)]
            except Refused:
                complete = False
                continue
            fresh = [one for one in below if one.token not in seen]  # a tree that bites its tail ends here
            seen.update(one.token for one in fresh)
            found += fresh
            waiting += [one for one in fresh if _goes_on(one)]
        return Listing(nodes=tuple(found), complete=complete)

    async def title(self, space: str, node: str = "") -> str:
        """What the space or page is called: one call, to see whether the app may read it. Raises as `pages`."""
        try:
            return _line((await self._node(node)).get("title")) if node else await self._space_name(space)
        except Retry as error:
            raise Unlisted(str(error)) from error

    async def readable(self, token: str) -> bool:
        """Whether the page at this place of the tree is still there for us. Raises Unread when nothing says."""
        try:
            await self._node(token)
        except Refused:
            return False
        except Retry as error:
            raise Unread(str(error)) from error
        return True

    async def shut(self, documents: Sequence[tuple[str, str]]) -> frozenset[str]:
        """Which of these documents (token, kind) Feishu will not tell about any more. Raises Unread."""
        found: set[str] = set()
        for start in range(0, len(documents), BATCH):
            asked = [{"doc_token": token, "doc_type": kind} for token, kind in documents[start : start + BATCH]]
            try:
                data = await self._ask("POST", "/drive/v1/metas/batch_query", "metas", json={"request_docs": asked})
            except PlatformError as error:
                raise Unread(_of_metas(error)) from error
            for failed in _records(data.get("failed_list")):
                if failed.get("code") in _SHUT:
                    found.add(str(failed.get("token")))
        return frozenset(found)

    async def read(self, node: Node) -> Content:
        """What a page says. Raises Refused, Unsuitable or Unread."""
        try:
            match node.kind:
                case "docx":
                    return await self._page(node.obj, node.title)
                case "doc":
                    path = f"/doc/v2/{quote(node.obj, safe='')}/raw_content"
                    return _plain(await self._ask("GET", path, "docs"))
                case "file":
                    return await self._file(node)
                case kind:
                    raise Unsuitable(_NO_TEXT.get(kind, f"documents of the kind {kind or '?'} are not read"))
        except Retry as error:
            raise Unread(str(error)) from error
        except Undelivered as error:
            raise _verdict(error) from error

    async def _roots(self, space: str, node: str, host: str) -> list[Node]:
        if node:
            return [_node(await self._node(node), (), host, self._domain)]
        name = await self._space_name(space)
        return [one async for one in self._children(space, "", (name,), host)]

    async def _space_name(self, space: str) -> str:
        try:
            data = await self._ask("GET", f"/wiki/v2/spaces/{quote(space, safe='')}", "wiki")
        except Undelivered as error:
            raise _listing_verdict(error) from error
        return _line(_record(data.get("space")).get("name")) or space

    async def _node(self, token: str) -> Mapping[str, Any]:
        try:
            data = await self._ask("GET", "/wiki/v2/spaces/get_node", "wiki", params={"token": token})
        except Undelivered as error:
            raise _listing_verdict(error) from error
        return _record(data.get("node"))

    async def _children(self, space: str, parent: str, path: tuple[str, ...], host: str) -> AsyncIterator[Node]:
        params = {"page_size": str(PAGE), **({"parent_node_token": parent} if parent else {})}
        tokens: set[str] = set()
        while True:
            try:
                data = await self._ask("GET", f"/wiki/v2/spaces/{quote(space, safe='')}/nodes", "wiki", params=params)
            except Undelivered as error:
                raise _listing_verdict(error) from error
            for item in _records(data.get("items")):
                yield _node(item, path, host, self._domain)
            if not data.get("has_more"):
                return
            token = str(data.get("page_token") or "")
            if not token or token in tokens:
                raise Unlisted("the list of pages says that more follow, but not where")
            tokens.add(token)
            params = {**params, "page_token": token}

    async def _page(self, token: str, title: str) -> Content:
        """Its Markdown; where that is refused or too much, its bare text, whose verdict counts."""
        params = {"doc_token": token, "doc_type": "docx", "content_type": "markdown"}
        try:
            data = await self._ask("GET", "/docs/v1/content", "docs", params=params)
        except Retry:
            raise
        except PlatformError:  # also a missing scope: the bare text needs another one
            path = f"/docx/v1/documents/{quote(token, safe='')}/raw_content"
            return _plain(await self._ask("GET", path, "docs", params={"lang": "0"}))
        text = tidy(str(data.get("content") or ""))
        return _text("" if text.strip() == f"# {title}" else text, ".md")

    async def _file(self, node: Node) -> Content:
        ending = f".{node.title.rpartition('.')[2].lower()}" if "." in node.title else ""
        if ending not in parse.supported():
            raise Unsuitable(f"files of the kind {ending or '(none)'} are not read")
        path = f"/drive/v1/files/{quote(node.obj, safe='')}/download"
        try:
            data = await self._again(lambda: self._client.download(path, {}, parse.MAX_BYTES, target="docs"))
        except Undelivered as error:
            if error.code != TOO_LARGE:
                raise
            raise Unsuitable(f"the file has more than {parse.MAX_BYTES // 1024**2} MB") from error
        return Content(data=data, ending=ending)

    async def _ask(self, method: str, path: str, target: str, **more: Any) -> Mapping[str, Any]:
        answer = await self._again(lambda: self._client.call(method, path, target, **more))
        return _record(answer.body.get("data"))

    async def _again(self, act: Callable[[], Awaitable[T]]) -> T:
        """Try until it works, at most `TRIES` times; a rate limit says itself how long to wait."""
        for attempt in range(1, TRIES):
            try:
                return await act()
            except Retry as error:
                await self._sleep(error.after if error.after is not None else _PAUSE * 2 ** (attempt - 1))
        return await act()


def _goes_on(node: Node) -> bool:
    """Whether to look beneath a page. Beneath a shortcut stands what stands beneath its original."""
    return node.has_child and not node.shortcut


def _below(node: Node) -> tuple[str, ...]:
    return (*node.path, node.title)


def _node(item: Mapping[str, Any], path: tuple[str, ...], host: str, domain: str) -> Node:
    token = str(item.get("node_token") or "")
    return Node(
        token=token,
        obj=str(item.get("obj_token") or ""),
        kind=str(item.get("obj_type") or ""),
        title=_line(item.get("title")),
        space=str(item.get("space_id") or ""),
        path=path,
        edited=str(item.get("obj_edit_time") or ""),
        shortcut=item.get("node_type") == "shortcut",
        has_child=bool(item.get("has_child")),
        url=str(item.get("url") or "") or _address(token, host, domain),
    )


def _line(text: object) -> str:
    """A title as one line of visible characters."""
    return " ".join(parse.clean(str(text or "")).split())[:LONGEST_TITLE]


def _address(token: str, host: str, domain: str) -> str:
    """Where people open a page: at their company's host where the settings name it, else where Feishu finds it."""
    host = host or urlsplit(domain).netloc.replace("open.", "www.", 1)
    return f"https://{host}/wiki/{quote(token, safe='')}"


def _plain(data: Mapping[str, Any]) -> Content:
    return _text(str(data.get("content") or ""), ".txt")


def _text(text: str, ending: str) -> Content:
    if not text.strip():
        raise Unsuitable("the page holds no text")
    return Content(data=text.encode("utf-8", "replace"), ending=ending)


def _verdict(error: Undelivered) -> WikiError:
    if error.code in _TOO_LARGE:
        return Unsuitable(str(error))
    return Refused(str(error)) if error.code in _GONE or error.status == 403 else Unread(str(error))


def _listing_verdict(error: Undelivered) -> WikiError:
    found = _verdict(error)
    return found if isinstance(found, Refused) else Unlisted(str(error))


def _of_metas(error: PlatformError) -> str:
    if error.code == _NO_SCOPE:
        return "whether pages were locked cannot be asked: grant the app drive:drive.metadata:readonly"
    return f"whether pages were locked could not be asked: {error}"


def _record(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _records(value: object) -> Iterable[Mapping[str, Any]]:
    return (one for one in value if isinstance(one, dict)) if isinstance(value, list) else ()
