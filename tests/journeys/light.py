"""A server whose pictures come from a stand-in: for journeys about who is told what."""

from __future__ import annotations

from tests.journeys.moqi import Moqi


class Light(Moqi):
    """The real program with a stand-in for the picture model."""

    program = "tests.chaos.serve"

    def environment(self, **more: str) -> dict[str, str]:
        orders = self.data.parent / "orders"
        orders.touch()
        return super().environment(CHAOS_ORDERS=str(orders), **more)
