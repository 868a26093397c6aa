"""Every benchmark, one after another: `python -m benchmarks [--quick] [--json] [name …]`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from importlib import import_module

from benchmarks.common import Figure, machine, report, table

#: In the order in which they run. The slowest to be disturbed come first, while the machine is still cool.
PARTS = (
    "start",
    "webhook",
    "feishu",
    "wecom",
    "picture",
    "studio",
    "labels",
    "queueing",
    "depth",
    "fairness",
    "reservations",
    "storage",
    "reading",
    "ingest",
    "retrieval",
    "vectors",
    "passages",
    "answers",
)


def main(arguments: list[str] | None = None) -> int:
    """Run the parts that are named, else all; 1 when a goal was missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny numbers: only shows that everything runs")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument("names", nargs="*", choices=[*PARTS, []], metavar="name", help=", ".join(PARTS))
    options = parser.parse_args(arguments)
    began = time.monotonic()
    found: dict[str, list[Figure]] = {}
    if not options.json:
        print(machine())
    for name in options.names or PARTS:
        title, figures = one(name, quick=options.quick)
        found[title] = figures
        if not options.json:
            print(table(title, figures), flush=True)
    if options.json:
        report(found, as_json=True)
    else:
        print(f"\n{time.monotonic() - began:.0f} s; {machine()}")
    missed = any(item.met is False for figures in found.values() for item in figures)
    return 1 if missed and not options.quick else 0


def one(name: str, *, quick: bool) -> tuple[str, list[Figure]]:
    """The title and figures of one part."""
    module = import_module(f"benchmarks.{name}")
    run: Callable[[bool], list[Figure]] = module.run
    return module.TITLE, run(quick)


if __name__ == "__main__":
    sys.exit(main())
