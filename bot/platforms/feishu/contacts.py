"""Feishu's contact API: who an open_id is, their departments, and the organisation our app belongs to.

A field whose scope is missing is not in the answer, and somebody outside the app's contact range is not in it at all:
both read as "not told", never as an error. People of other organisations are never told about.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote, urlencode

from bot.platforms.base import Undelivered
from bot.platforms.directory import Person, Place
from bot.platforms.feishu.client import FeishuClient

AT_ONCE: Final = 50  # people or departments that one call may name
ROOT: Final = "0"  # the department that is the whole organisation


async def people(client: FeishuClient, open_ids: Sequence[str]) -> list[Person]:
    """Those of at most `AT_ONCE` people whom the directory tells about."""
    query = [("user_ids", one) for one in open_ids]
    query += [("user_id_type", "open_id"), ("department_id_type", "open_department_id")]
    return [_person(item) for item in await _items(client, "users", query) if _text(item.get("open_id"))]


async def departments(client: FeishuClient, ids: Sequence[str]) -> list[Place]:
    """Those of at most `AT_ONCE` departments that the directory tells about."""
    query = [("department_ids", one) for one in ids] + [("department_id_type", "open_department_id")]
    return [
        _place(item) for item in await _items(client, "departments", query) if _text(item.get("open_department_id"))
    ]


async def tenant(client: FeishuClient) -> str:
    """The tenant_key of the organisation our app belongs to; empty when it is not told."""
    answer = await client.call("GET", "/tenant/v2/tenant/query", "")
    return _text(_object(_object(answer.body.get("data")).get("tenant")).get("tenant_key"))


async def is_external(client: FeishuClient, chat_id: str) -> bool:
    """Whether people of other organisations are in a group. Raises Undelivered where the bot is not in it."""
    answer = await client.call("GET", f"/im/v1/chats/{quote(chat_id, safe='')}", "", passing=True)
    return _object(answer.body.get("data")).get("external") is True


async def _items(client: FeishuClient, what: str, query: list[tuple[str, str]]) -> list[Mapping[str, Any]]:
    """The items of a batch. One id that Feishu refuses makes it refuse all: then the halves are asked for."""
    try:
        # `passing`: looking people up never takes the room of a message.
        answer = await client.call("GET", f"/contact/v3/{what}/batch?{urlencode(query)}", "", passing=True)
    except Undelivered:
        ids = [pair for pair in query if pair[0].endswith("_ids")]
        rest = query[len(ids) :]
        if len(ids) < 2:
            return []
        half = len(ids) // 2
        return [*await _items(client, what, ids[:half] + rest), *await _items(client, what, ids[half:] + rest)]
    found = _object(answer.body.get("data")).get("items")
    return [_object(item) for item in found] if isinstance(found, list) else []


def _person(item: Mapping[str, Any]) -> Person:
    ids = item.get("department_ids")
    orders = item.get("orders")
    return Person(
        id=_text(item.get("open_id")),
        union_id=_text(item.get("union_id")),
        name=_text(item.get("name")) or None,
        departments=_primary_first(ids, orders if isinstance(orders, list) else ()) if isinstance(ids, list) else None,
    )


def _primary_first(ids: Iterable[object], orders: Iterable[object]) -> tuple[str, ...]:
    primary = [
        _text(_object(one).get("department_id")) for one in orders if _object(one).get("is_primary_dept") is True
    ]
    told = [one for one in map(_text, ids) if one not in ("", ROOT)]
    return tuple(dict.fromkeys([*(one for one in primary if one in told), *told]))


def _place(item: Mapping[str, Any]) -> Place:
    parent = _text(item.get("parent_department_id"))
    return Place(
        id=_text(item.get("open_department_id")), name=_text(item.get("name")), parent="" if parent == ROOT else parent
    )


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""
