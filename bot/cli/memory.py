"""`moqi models memory`: who gets how much of a graphics card, and how the models fit."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bot.cli import common
from bot.cli.common import Exit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bot.settings import Settings
    from inference.gpu.card import Card
    from inference.gpu.shares import Shares

COLUMNS = ("what", "memory", "share", "how")


def memory(
    card: Annotated[
        list[float] | None,
        typer.Option("--card", help="Plan for a card of so many GB instead of those that are there; may be repeated."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result for a program.")] = False,
) -> None:
    """Show who gets how much of the graphics card's memory, and how the configured models fit.

    Exit code 1 when the language model does not fit.
    """
    from bot.sharing import rows

    settings = common.settings()
    found = _found(settings, card)
    if found is None:
        _nothing(as_json)
        return
    if as_json:
        common.show_json(_told(found))
    else:
        common.show_table(COLUMNS, list(rows(found)), "")
        if found.problem:
            print(f"{found.problem}\n→ {found.next_step}")
    if found.problem:
        raise typer.Exit(Exit.BROKEN)


def _found(settings: Settings, wanted: Sequence[float] | None) -> Shares | None:
    from bot.doctor import server
    from bot.opening import image_choice
    from bot.sharing import computes, present, shares

    choice = image_choice(settings)
    if not wanted:
        ours = server(common.environment().data) is not None
        return present(settings, choice, os.environ, ours=ours)
    cards = [_card(index, size) for index, size in enumerate(wanted)]
    return shares(settings, choice, cards, answers=computes(settings, supposed=True))


def _card(index: int, size: float) -> Card:
    """A card as it is sold: 24 GB are 24 GiB, less what its driver keeps."""
    from inference.gpu.card import UNRESERVED, Card

    return Card(index=index, name=f"a card of {size:g} GB", total=int(size * 2**30 * UNRESERVED))


def _nothing(as_json: bool) -> None:
    if as_json:
        common.show_json({"ok": True, "cards": []})
    else:
        print("no NVIDIA card seen: nothing is shared. --card 24 plans for one of 24 GB")


def _told(found: Shares) -> dict[str, Any]:
    image, text = found.image, found.text
    cards = [{"index": one.index, "name": one.name, "bytes": one.total, "used": one.used} for one in found.cards]
    answering = (
        {
            "bytes": round(text.budget),
            "gpu_memory_utilization": text.utilization,
            "tokens": text.tokens,
            "sleeps": text.sleeps,
            "card": text.card.index,
        }
        if text
        else None
    )
    drawing = {
        "bytes": round(image.limit),
        "memory_fraction": image.fraction,
        "offload": image.offload,
        "card": image.card.index,
    }
    return {
        "ok": not found.problem,
        "way": found.way.value,
        "cards": cards,
        "image": drawing,
        "text": answering,
        "main_memory": round(found.host),
        "problem": found.problem,
        "next_step": found.next_step,
    }
