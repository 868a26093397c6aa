"""`moqi bench`: how many pictures at once pay on this machine. The server batches by it from its next start on."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bot.cli import common
from bot.cli.common import Exit, Failed

if TYPE_CHECKING:
    from inference.images.gauge import Gauged
    from inference.images.model import ModelCard

SECONDS = {True: 45.0, False: 90.0}  # of measuring, beside loading: on a GPU, and without one


def add(app: typer.Typer) -> None:
    """Add the words of this module."""
    app.command("bench")(bench)


def bench(
    seconds: Annotated[
        float | None, typer.Option(help="Most seconds to measure; without it 45 on a GPU, 90 without one.", min=1)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result for a program.")] = False,
) -> None:
    """Measure how many pictures at once pay on this machine, and keep it: the server batches by it when it starts.

    What ran out of memory before may be tried again from then on.
    """
    from storage.database import data_lock
    from storage.errors import Locked, StorageError

    if os.getloadavg()[0] > (os.cpu_count() or 1):
        print("this machine is busy: measure again when it is not, or chance decides", file=sys.stderr)
    try:
        with data_lock(common.environment().data):
            card, found = _measured(seconds, as_json)
    except Locked as error:
        problem = f"{error}. Stop it first: both would measure each other"
        raise Failed(problem, Exit.UNAVAILABLE) from error
    except (StorageError, OSError) as error:
        raise Failed(f"cannot use the data folder: {error}", Exit.UNAVAILABLE) from error
    rows = _rows(card, found)
    if as_json:
        common.show_json({"model": card.name, "device": card.device, "tier": card.tier.value, "sizes": rows})
        return
    sizes = [
        (one["size"], *(one["pictures_per_second"].get(str(n), "") for n in (1, 2, 4, 8)), one["at_once"])
        for one in rows
    ]
    common.show_table(("size", "1", "2", "4", "8", "at once"), sizes, "nothing was measured: give it more --seconds")
    print(f"pictures a second of {card.name} on {card.device}; sizes up to {card.max_pixels:,} pixels ({card.tier})")


def _measured(seconds: float | None, quiet: bool) -> tuple[ModelCard, list[Gauged]]:
    from bot.models import Shelf, UnknownModel
    from bot.opening import chosen_model, load_options
    from bot.sharing import drawing, present
    from inference.errors import InferenceError
    from inference.images import registry

    settings, environment = common.settings(), common.environment()
    try:
        choice = Shelf(settings, environment.data).choice(chosen_model(environment).name)
    except UnknownModel as error:
        raise Failed(f"{error} `moqi models use` takes another.", Exit.UNAVAILABLE) from error
    options = drawing(load_options(settings, environment.data), present(settings, choice, os.environ))

    def budget(card: ModelCard) -> float:
        return seconds or SECONDS[card.device.startswith("cuda")]

    with common.progress("measuring", None, quiet=quiet) as tell:
        try:
            return registry.measure(choice, options, budget, _telling(tell))
        except InferenceError as error:
            raise Failed(str(error), Exit.UNAVAILABLE) from error


def _telling(tell: Callable[[str], None]) -> Callable[[Gauged], None]:
    return lambda one: tell(f"{one.side}x{one.side}, {one.batch} at once: {1 / one.seconds:.3g} a second")


def _rows(card: ModelCard, found: Sequence[Gauged]) -> list[dict[str, Any]]:
    return [
        {
            "size": f"{side}x{side}",
            "pictures_per_second": {str(one.batch): round(1 / one.seconds, 3) for one in found if one.side == side},
            "at_once": card.batches.max_batch(side, side),
        }
        for side in dict.fromkeys(one.side for one in found)
    ]
