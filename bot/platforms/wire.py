"""What may be wrong with a request that claims to come from a platform.

WireError
├── Forged     401  not from there: a wrong or missing signature, encryption, key or app
├── Stale      401  signed, but of another time
├── Malformed  400  not what the platform sends
└── TooLarge   413  more than it ever sends
"""

from __future__ import annotations

from typing import ClassVar


class WireError(Exception):
    """A request that did not pass. The text is for our log; the sender only ever sees the status."""

    status: ClassVar[int]


class Forged(WireError):
    """Nothing proves that the platform sent this for our app: compare its keys with those in platforms.yaml."""

    status = 401


class Stale(WireError):
    """A genuine request of another time: replayed, or this machine's clock is wrong (check NTP)."""

    status = 401


class Malformed(WireError):
    """Not what the platform sends."""

    status = 400


class TooLarge(WireError):
    """A body beyond what any event needs."""

    status = 413
