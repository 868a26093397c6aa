"""The wiki of the Feishu simulator: spaces, their trees, what the pages say, and who may not read them any more."""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import quote, unquote

from tests.simulators.feishu_http import ApiError, Call, Download

MOST_NODES = 50
OLD = 1_700_000_000  # when pages were changed that nobody says otherwise of, seconds since 1970


class House(Protocol):
    """The platform the wiki belongs to."""

    limits: bool


@dataclass
class Page:
    """A node of a tree. A shortcut shares `obj` with its original."""

    title: str
    space: str
    parent: str = ""
    kind: str = "docx"
    text: str = ""  # its Markdown
    data: bytes = b""  # of a file
    edited: int = OLD
    original: Page | None = None  # of a shortcut
    token: str = field(default_factory=lambda: f"wikcn{secrets.token_hex(11)}")
    obj: str = field(default_factory=lambda: f"doxcn{secrets.token_hex(11)}")


class WikiSide:
    """What of the platform answers under /wiki, /docs, /docx, /doc and /drive."""

    def __init__(self, house: House) -> None:
        self._house = house
        self.host = "acme.feishu.cn"
        self.spaces: dict[str, str] = {}  # id -> name
        self.pages: dict[str, Page] = {}  # by node token, in the order of the tree
        self.strangers: set[str] = set()  # spaces the app is no member of
        self.hidden: set[str] = set()  # node tokens beneath which the app may not look
        self.shared: set[str] = set()  # node tokens it may see all the same: somebody gave it that one page
        self.locked: set[str] = set()  # objects the app may not read, though the tree still shows them
        self.huge: set[str] = set()  # objects too large for the Markdown
        self.endless: set[str] = set()  # objects too large even for their bare text
        self.broken: dict[str, int] = {}  # parent token -> how many more of its lists fail
        self.cap = MOST_NODES  # nodes of one answer, at most
        self.no_scope: set[str] = set()  # first words of paths whose scope was not granted
        self.read: list[str] = []  # objects whose contents were asked for
        self._recent: dict[str, deque[float]] = {}

    # -- what people do in it --------------------------------------------------------------------------------------

    def space(self, name: str) -> str:
        """A new space; returns its id."""
        space = str(7_000_000_000_000_000_000 + len(self.spaces))
        self.spaces[space] = name
        return space

    def add(self, space: str, title: str, text: str = "", *, parent: Page | None = None, **more: Any) -> Page:
        """A new page, at the end of its parent's."""
        page = Page(title=title, space=space, text=text, parent=parent.token if parent else "", **more)
        self.pages[page.token] = page
        return page

    def shortcut(self, space: str, original: Page, *, parent: Page | None = None) -> Page:
        """A shortcut to a page, perhaps of another space."""
        made = self.add(space, original.title, parent=parent, kind=original.kind, original=original)
        made.obj = original.obj
        return made

    def edit(self, page: Page, text: str = "", *, title: str = "", at: int = 0) -> None:
        """Change a page, which the tree shows by its time."""
        page.text, page.title = text or page.text, title or page.title
        page.edited = at or page.edited + 10

    def trash(self, page: Page) -> None:
        """Delete a page with everything beneath it."""
        for below in [one for one in self.pages.values() if one.parent == page.token]:
            self.trash(below)
        del self.pages[page.token]

    # -- answering -------------------------------------------------------------------------------------------------

    def answer(self, call: Call) -> dict[str, Any] | Download | None:
        """The JSON of a success, or a file; None when it is for another part of the platform."""
        parts = [unquote(part) for part in call.path.removeprefix("/open-apis/").split("/")]
        if parts[0] not in ("wiki", "docs", "docx", "doc", "drive"):
            return None
        if parts[0] in self.no_scope:
            raise ApiError(99991672, "Access denied. One of the following scopes is required: [...]")
        match call.method, parts:
            case "GET", ["wiki", "v2", "spaces"]:
                items = [self._space(space) for space in self.spaces if space not in self.strangers]
                return {"data": {"items": items, "has_more": False, "page_token": ""}}
            case "GET", ["wiki", "v2", "spaces", "get_node"]:
                return {"data": {"node": self._shape(self._visible(call.query.get("token", "")))}}
            case "GET", ["wiki", "v2", "spaces", space]:
                self._enter(space)
                return {"data": {"space": self._space(space)}}
            case "GET", ["wiki", "v2", "spaces", space, "nodes"]:
                return {"data": self._nodes(space, call.query)}
            case "GET", ["docs", "v1", "content"]:
                return {"data": {"content": self._markdown(call.query)}}
            case "GET", ["docx", "v1", "documents", obj, "raw_content"]:
                return {"data": {"content": self._bare(obj, "docx", "raw_content")}}
            case "GET", ["doc", "v2", obj, "raw_content"]:
                return {"data": {"content": self._bare(obj, "doc", "old raw_content")}}
            case "GET", ["drive", "v1", "files", obj, "download"]:
                return self._download(obj)
            case "POST", ["drive", "v1", "metas", "batch_query"]:
                return {"data": self._metas(call.json())}
        raise ApiError(99991201, "no such address", 404)

    def _space(self, space: str) -> dict[str, Any]:
        return {"space_id": space, "name": self.spaces[space], "description": "", "space_type": "team"}

    def _enter(self, space: str) -> None:
        if space not in self.spaces:
            raise ApiError(131005, "space not found")
        if space in self.strangers:
            raise ApiError(131006, "wiki space permission denied")

    def _visible(self, token: str) -> Page:
        page = self.pages.get(token)
        if page is None:
            raise ApiError(131005, "node not found")
        if page.space in self.strangers or self._is_hidden(page):
            raise ApiError(131006, "node permission denied")
        return page

    def _is_hidden(self, page: Page) -> bool:
        if page.token in self.shared:
            return False
        above = self.pages.get(page.parent)
        return page.parent in self.hidden or (above is not None and self._is_hidden(above))

    def _nodes(self, space: str, query: Mapping[str, str]) -> dict[str, Any]:
        self._enter(space)
        parent = query.get("parent_node_token", "")
        if parent and self._visible(parent).token in self.hidden:
            raise ApiError(131006, "node permission denied")
        size = int(query.get("page_size", "10"))
        if not 1 <= size <= MOST_NODES:
            raise ApiError(131002, "param err: page_size")
        at = int(query.get("page_token") or 0)
        if self.broken.get(parent, 0) and at:
            self.broken[parent] -= 1
            raise ApiError(131007, "internal err")
        above = self.pages.get(parent)
        base = above.original.token if above and above.original else parent  # beneath a shortcut: its original's
        found = [page for page in self.pages.values() if page.space == space and page.parent == base]
        size = min(size, self.cap)
        pages = [found[start : start + size] for start in range(0, len(found), size)] or [[]]
        pages.insert(min(1, len(pages) - 1), [])  # what the app may not see is left out of a page, down to nothing
        more = at + 1 < len(pages)
        listed: dict[str, Any] = {"items": [self._shape(page) for page in pages[at]], "has_more": more}
        return {**listed, "page_token": str(at + 1)} if more else listed

    def _shape(self, page: Page) -> dict[str, Any]:
        origin = page.original or page
        return {
            "space_id": page.space,
            "node_token": page.token,
            "obj_token": page.obj,
            "obj_type": page.kind,
            "parent_node_token": page.parent,
            "node_type": "shortcut" if page.original else "origin",
            "origin_node_token": origin.token,
            "origin_space_id": origin.space,
            "has_child": any(one.parent == origin.token for one in self.pages.values()),
            "title": page.title,
            "obj_create_time": str(OLD),
            "obj_edit_time": str(origin.edited),
            "node_create_time": str(OLD),
            "creator": "ou_creator",
            "owner": "ou_owner",
            "url": f"https://{self.host}/wiki/{page.token}",
        }

    def _original(self, obj: str, kind: str) -> Page:
        self.read.append(obj)
        found = [one for one in self.pages.values() if one.obj == obj and one.original is None]
        if not found or found[0].kind != kind:
            raise ApiError(1770002, "not found", 404)
        if obj in self.locked or found[0].space in self.strangers or self._is_hidden(found[0]):
            raise ApiError(1770032, "forBidden", 403)
        return found[0]

    def _markdown(self, query: Mapping[str, str]) -> str:
        self._pace("content")
        if query.get("doc_type") != "docx" or query.get("content_type") != "markdown":
            raise ApiError(99992402, "field validation failed")
        page = self._original(query.get("doc_token", ""), "docx")
        if page.obj in self.huge | self.endless:
            raise ApiError(2889925, "The content is too large")
        return f"# {page.title}\n\n{page.text}"

    def _bare(self, obj: str, kind: str, api: str) -> str:
        self._pace(api)
        page = self._original(obj, kind)
        if obj in self.endless:
            raise ApiError(1770033, "content size exceed limit")
        return page.text

    def _download(self, obj: str) -> Download:
        self._pace("download")
        page = self._original(obj, "file")
        return Download(page.data, {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(page.title)}"})

    def _metas(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        wanted = asked.get("request_docs")
        if not isinstance(wanted, list) or not 1 <= len(wanted) <= 200:
            raise ApiError(99992402, "field validation failed: request_docs")
        known = {page.obj: page for page in self.pages.values() if page.original is None}
        metas, failed = [], []
        for one in wanted:
            obj = one["doc_token"]
            if obj not in known:
                failed.append({"token": obj, "code": 970005})
            elif obj in self.locked or known[obj].space in self.strangers:
                failed.append({"token": obj, "code": 970003})
            else:
                metas.append({"doc_token": obj, "doc_type": one["doc_type"], "title": known[obj].title})
        return {"metas": metas, "failed_list": failed}

    def _pace(self, api: str) -> None:
        """Five calls a second of each of these, whoever asks."""
        recent = self._recent.setdefault(api, deque(maxlen=5))
        moment = time.monotonic()
        if self._house.limits and len(recent) == 5 and moment - recent[0] < 1.0:
            reset = {"x-ogw-ratelimit-limit": "5", "x-ogw-ratelimit-reset": "1"}
            raise ApiError(99991400, "request trigger frequency limit", 429, **reset)
        recent.append(moment)
