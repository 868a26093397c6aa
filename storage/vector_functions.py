"""How SQLite compares two vectors: the functions of sqlite-vec, or the same in Python and numpy.

sqlite-vec is one small library that SQLite loads. Where it does not load (no wheel for the platform, a driver built
without extensions) the same names are given slower functions, so that the statements stay the same.
"""

from __future__ import annotations

import logging
from functools import cache
from typing import Any

log = logging.getLogger(__name__)


def install(connection: Any) -> None:
    """Teach a fresh SQLite connection to compare vectors; every connection needs it."""
    if not _loaded(connection):
        connection.create_function("vec_distance_cosine", 2, _cosine, deterministic=True)
        connection.create_function("vec_distance_hamming", 2, _hamming, deterministic=True)
        connection.create_function("vec_bit", 1, bytes, deterministic=True)


def _loaded(connection: Any) -> bool:
    from sqlcipher3 import dbapi2

    try:
        import sqlite_vec

        connection.enable_load_extension(True)
        try:
            connection.load_extension(sqlite_vec.loadable_path())
        finally:
            connection.enable_load_extension(False)  # no statement may load anything
    except (ImportError, AttributeError, dbapi2.Error) as error:
        _say(str(error))
        return False
    return True


@cache
def _say(why: str) -> None:
    log.info("sqlite-vec does not load (%s): vectors are compared by numpy", why)


def _cosine(one: bytes, other: bytes) -> float:
    """1 - cosine of two vectors of length 1."""
    import numpy as np

    return 1.0 - float(np.dot(np.frombuffer(one, "<f4"), np.frombuffer(other, "<f4")))


def _hamming(one: bytes, other: bytes) -> int:
    """How many bits differ."""
    return (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).bit_count()
