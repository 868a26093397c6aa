"""knowledge.yaml: what answers are made from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, WithJsonSchema, model_validator

from bot import kb_addresses
from bot.settings.base import Section
from inference.grounding.chunk import STANDARD, Cutting
from storage.records import Identity

#: The principal that every reader has.
EVERYONE = "everyone"

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_SPAN = re.compile(r"([1-9][0-9]{0,5})([smhd])")
_ADDRESS = re.compile(
    r"https?://(?P<host>[^/\s]+)/wiki/(?:(?:space|settings)/(?P<space>\d+)|(?P<node>\w+))/?(?:[?#].*)?"
)
_TOKEN = re.compile(r"[A-Za-z][A-Za-z0-9]{9,}")
_READER = re.compile(r"everyone|role:admin|role:reviewer|dept:\S.*|user:[a-z][\w-]*:\S+|group:[a-z][\w-]*:\S+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A part of Feishu's wiki: a whole space, or a page with everything beneath it."""

    space: str = ""  # id of the space; empty when `node` says which
    node: str = ""  # token of the page to begin with; empty = the whole space
    host: str = ""  # where people open its pages, as far as the settings tell

    @property
    def key(self) -> str:
        """What it is known by in the database."""
        return self.node or self.space


def part(written: str) -> Part:
    """What `spaces` means by an id, a token or an address. Raises ValueError."""
    if written.isascii() and written.isdigit():
        return Part(space=written)
    if _TOKEN.fullmatch(written):
        return Part(node=written)
    if found := _ADDRESS.fullmatch(written):
        return Part(space=found["space"] or "", node=found["node"] or "", host=found["host"])
    raise ValueError(
        "write the id of a space (digits), the address of a page https://….feishu.cn/wiki/… for it and everything "
        "beneath it, or the token at the end of that address"
    )


def _named(written: str) -> str:
    part(written)
    return written


def _span(value: Any) -> Any:
    found = _SPAN.fullmatch(value) if isinstance(value, str) else None
    if isinstance(value, timedelta):
        return value
    if found is None:
        raise ValueError("write a time such as 90s, 15m, 2h or 1d")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def _written(value: timedelta) -> str:
    return f"{int(value.total_seconds())}s"


Span = Annotated[
    timedelta,
    BeforeValidator(_span),
    PlainSerializer(_written),
    WithJsonSchema({"type": "string", "pattern": f"^{_SPAN.pattern}$", "examples": ["15m", "2h"]}),
]


def _reader(value: str) -> str:
    value = " ".join(value.split())
    if value.startswith("user:") and _READER.fullmatch(value):  # as the platform's people are kept
        return f"user:{Identity.written(*value.removeprefix('user:').split(':', 1))}"
    if not _READER.fullmatch(value):
        raise ValueError(
            "write everyone, role:admin, role:reviewer, dept:<department>, user:feishu:<open_id> or "
            "group:feishu:<chat_id>"
        )
    return value


def _collection(value: str) -> str:
    value = " ".join(value.split())
    if len(value) > 40 or any(sign in value for sign in '"“”'):
        raise ValueError("write a name of at most 40 characters without quotation marks")
    return value


def _alone(values: tuple[str, ...]) -> tuple[str, ...]:
    if EVERYONE in values and len(set(values)) > 1:
        raise ValueError("everyone already holds the others: write either everyone or the others")
    return values


Reader = Annotated[
    str,
    AfterValidator(_reader),
    WithJsonSchema(
        {
            "type": "string",
            "examples": ["everyone", "role:admin", "dept:人事部", "user:feishu:ou_…", "group:feishu:oc_…"],
        }
    ),
]
Readers = Annotated[tuple[Reader, ...], AfterValidator(_alone)]


class FeishuWiki(Section):
    """Pages of Feishu's wiki that the app may read."""

    app: str = Field(default="feishu", min_length=1, description="Platform whose app reads it: feishu, feishu-<name>.")
    spaces: tuple[Annotated[str, AfterValidator(_named)], ...] = Field(
        min_length=1,
        description="Ids of spaces, or addresses of pages: each with everything beneath it.",
    )
    readers: Readers = Field(
        min_length=1,
        description="Who gets answers from it, whoever may read it in Feishu: everyone, dept:…, user:feishu:ou_…, "
        "group:feishu:oc_….",
    )
    every: Span = Field(
        default=timedelta(minutes=15), validate_default=True, description="How often it is looked through for changes."
    )

    @model_validator(mode="after")
    def _says_which(self) -> Self:
        found = [part(written) for written in self.spaces]
        if len({one.key for one in found}) < len(found):
            raise ValueError("spaces names the same one twice")
        return self

    @property
    def parts(self) -> tuple[Part, ...]:
        """What is to be read."""
        return tuple(part(written) for written in self.spaces)


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _host(written: str) -> str:
    return kb_addresses.host(written)


def _network(written: str) -> str:
    return str(kb_addresses.network(written))


def _everyday(written: str) -> str:
    """An address that somebody could be sent to. Which hosts are allowed is looked at with the whole source."""
    parts = urlsplit(written)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("write an address that begins with https://")
    if parts.fragment:
        raise ValueError("leave out what follows the #: a page is read as a whole")
    return written


Pages = Annotated[
    tuple[Annotated[str, AfterValidator(_everyday)], ...],
    BeforeValidator(_listed),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
]


class Source(Section):
    """A folder or file of documents, pages of the web, or a part of Feishu's wiki."""

    name: Annotated[str, AfterValidator(_collection)] = Field(
        default="", description="What people call it: /ask … --kb NAME asks it alone. Several may share a name."
    )
    path: str = Field(default="", description="Folder or file, relative to the settings folder.")
    url: Pages = Field(default=(), description="Address of a page or document of the web, or a list of them.")
    hosts: tuple[Annotated[str, AfterValidator(_host)], ...] = Field(
        default=(),
        description="With url: the only hosts that are asked, also where a page leads on to another one. "
        "Default: those of the addresses.",
    )
    private: tuple[Annotated[str, AfterValidator(_network)], ...] = Field(
        default=(),
        description="With url: networks of the house (10.0.0.0/8) in which these hosts may be. Default: none, only "
        "public addresses are asked.",
    )
    http: bool = Field(default=False, description="With url: fetch pages without encryption too.")
    readers: Readers = Field(
        default=(), description="Who gets answers from the folder or pages. Default: access.default."
    )
    every: Span | None = Field(
        default=None, description="How often it is looked through for changes. Default: 5s for a folder, 1h for pages."
    )
    feishu_wiki: FeishuWiki | None = Field(default=None, description="Pages of Feishu's wiki, instead of a folder.")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if sum((bool(self.path), bool(self.url), bool(self.feishu_wiki))) != 1:
            raise ValueError("needs one of path (a folder or file), url and feishu_wiki")
        if self.feishu_wiki and self.readers:
            raise ValueError("readers belong below feishu_wiki here")
        if self.feishu_wiki and self.every:
            raise ValueError("every belongs below feishu_wiki here")
        if not self.url and (self.hosts or self.private or self.http):
            raise ValueError("hosts, private and http belong to url")
        return self

    @model_validator(mode="after")
    def _may_be_fetched(self) -> Self:
        for url in self.url:
            try:
                kb_addresses.checked(url, self.allowed, plain=self.http)
            except kb_addresses.BadAddress as error:
                raise ValueError(f"{url}: {error}") from error
        return self

    @property
    def allowed(self) -> frozenset[str]:
        """The hosts that may be asked, as they are compared."""
        return frozenset(self.hosts) or frozenset(map(kb_addresses.host_of, self.url))


class Chunking(Section):
    """How documents are cut into passages. A change means that everything is indexed again."""

    size: int = Field(
        default=STANDARD.size,
        ge=100,
        le=4000,
        description="Longest passage, in characters; a table or a block of code stays whole up to 1500.",
    )
    overlap: int = Field(default=STANDARD.overlap, ge=0, le=1000, description="Characters that two neighbours share.")

    @model_validator(mode="after")
    def _overlap_fits(self) -> Self:
        if self.overlap * 2 > self.size:
            raise ValueError(f"overlap {self.overlap} is more than half of size {self.size}")
        return self

    @property
    def cutting(self) -> Cutting:
        """The same, for what cuts."""
        return Cutting(size=self.size, overlap=self.overlap)


class Retrieval(Section):
    """What is looked up for a question."""

    passages: int = Field(default=10, ge=1, le=50, description="Most passages an answer is made from.")


class Access(Section):
    """Who may read what."""

    default: Literal["everyone", "admins"] = Field(
        default="everyone",
        description="Who reads a document that names nobody. With admins, one added by hand is for everyone by a rule "
        "only.",
    )
    rules: dict[Annotated[str, Field(min_length=1)], Annotated[Readers, Field(min_length=1)]] = Field(
        default_factory=dict,
        description="Pattern of documents' names to who reads them, whatever their source says; the first that fits "
        "decides. * is anything, hr/ all beneath that folder; without a slash the file's own name counts.",
    )


class Encryption(Section):
    """Whether what is kept may lie on the disk in the clear. The key itself is named by MOQI_DATABASE_KEY_FILE."""

    required: bool = Field(
        default=False, description="Refuse to open or make a database without a key (MOQI_DATABASE_KEY_FILE)."
    )


class Knowledge(Section):
    """knowledge.yaml"""

    sources: tuple[Source, ...] = Field(default=(Source(path="../knowledge"),), description="Where documents lie.")
    chunking: Chunking = Field(default=Chunking(), description="How documents are cut.")
    retrieval: Retrieval = Field(default=Retrieval(), description="What is looked up.")
    access: Access = Field(default=Access(), description="Who may read what.")
    encryption: Encryption = Field(default=Encryption(), description="How it lies on the disk.")

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        keys = [(one.app, found.key) for one in self.wikis for found in one.parts]
        if len(set(keys)) < len(keys):
            raise ValueError("two sources name the same part of the wiki: it can have one list of readers only")
        urls = [url for one in self.sources for url in one.url]
        if len(set(urls)) < len(urls):
            raise ValueError("two sources name the same address: it can have one list of readers only")
        return self

    @property
    def collections(self) -> tuple[str, ...]:
        """The names of the sources, in their order."""
        return tuple(dict.fromkeys(source.name for source in self.sources if source.name))

    @property
    def folders(self) -> tuple[Source, ...]:
        """The sources that are folders or files."""
        return tuple(source for source in self.sources if source.path)

    @property
    def pages(self) -> tuple[Source, ...]:
        """The sources that are pages of the web."""
        return tuple(source for source in self.sources if source.url)

    @property
    def wikis(self) -> tuple[FeishuWiki, ...]:
        """The sources in Feishu's wiki."""
        return tuple(source.feishu_wiki for source in self.sources if source.feishu_wiki)
