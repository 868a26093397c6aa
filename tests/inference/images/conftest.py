"""One loaded built-in model for all tests of pictures: loading costs seconds, a 64x64 picture 45 ms."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from inference.images.registry import BUILTIN
from inference.images.zimage import ZImageModel


@pytest.fixture(scope="session")
def engine() -> Iterator[ZImageModel]:
    model = ZImageModel.load(BUILTIN, name="builtin", builtin=True, device="cpu")
    yield model
    model.close()
