"""Whose people somebody is: of our organisation, or of another one. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Standing(StrEnum):
    """What somebody is to us."""

    MEMBER = "member"  # of our organisation
    GUEST = "guest"  # of another one, let in
    OUTSIDER = "outsider"  # of another one


@dataclass(frozen=True, kw_only=True, slots=True)
class Tenancy:
    """Whom a platform's app is for."""

    own: str = ""  # the organisation the app belongs to; empty while only the events say it
    allowed: frozenset[str] = frozenset()  # others whose people are treated as our own
    external: bool = False  # everybody else may use it as well, as a guest


def standing(tenant: str, home: str, rules: Tenancy) -> Standing:
    """What somebody of `tenant` is; `home` is the organisation that the event was delivered to.

    A platform that does not tell organisations has no outsiders.
    """
    own = rules.own or home
    if not tenant or not own or tenant == own or tenant in rules.allowed:
        return Standing.MEMBER
    return Standing.GUEST if rules.external else Standing.OUTSIDER
