"""`make chaos`: kill it, starve it, lie to it, and show that nothing was lost, doubled or charged wrongly.

Everything follows from the seed that is printed, but for the moments at which threads and processes meet.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos import faults, ringing
from tests.chaos.faults import Fault
from tests.chaos.site import Site
from tests.conftest import pytest_configure as plain_environment
from tests.simulators.feishu import FeishuSimulator

SPAN, RINGING_KILLS = 60.0, 30  # seconds in which many reservations fall due, and kills meanwhile
FRESH = 40  # faults on one installation: the sums take longer the more there is to add


@dataclass
class Tally:
    """What was done, and what came of it."""

    done: Counter[str] = field(default_factory=Counter)
    proofs: dict[str, str] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def kills(self) -> int:
        return sum(count for name, count in self.done.items() if name.startswith("kill"))


def main(given: Sequence[str] | None = None) -> int:
    """Run; 0 when everything held."""
    options = _options(given)
    plain_environment()
    seed = secrets.randbelow(2**32) if options.seed is None else options.seed
    databases = ["sqlite", "postgresql"] if options.database == "both" else [options.database]
    tallies = {}
    for database in databases:
        print(f"\n{database}: seed {seed}", flush=True)
        tallies[database] = rounds(database, seed, options.minutes * 60 / len(databases), options.kills, options.only)
        if tallies[database].broken:
            break
        if options.reservations:
            _ringing(database, options.reservations, seed, tallies[database])
    machine_held = options.machine == 0 or _machine(options.machine, seed)
    _report(tallies, seed)
    return 0 if machine_held and not any(tally.broken for tally in tallies.values()) else 1


def _options(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=20, help="at most, both databases together")
    parser.add_argument("--kills", type=int, default=100, help="kill -9 on each database")
    parser.add_argument("--database", choices=["sqlite", "postgresql", "both"], default="both")
    parser.add_argument("--seed", type=int, help="of an earlier run, to repeat it")
    parser.add_argument("--only", default="", help="only faults whose name contains this")
    parser.add_argument("--machine", type=int, default=300, help="lives of the state machine; 0 = none")
    parser.add_argument("--reservations", type=int, default=10_000, help="due within one minute of 30 kills; 0 = none")
    return parser.parse_args(given)


def rounds(database: str, seed: int, seconds: float, kills: int, only: str = "") -> Tally:
    """Faults one after the other on fresh installations, until all were met, time is up or something broke."""
    rng, tally, began = random.Random(seed), Tally(), time.monotonic()
    with servers(database) as (cluster, url):
        plan = _plan(database, cluster, rng, kills, only)
        while plan and time.monotonic() - began < seconds and not tally.broken:
            here, plan = plan[:FRESH], plan[FRESH:]
            with tempfile.TemporaryDirectory(prefix="moqi-chaos-") as folder, FeishuSimulator(limits=False) as feishu:
                site = Site(Path(folder), feishu, rng, database_url=fresh(url), environment=wall(Path(folder)))
                with faults.whatever_happens(site):
                    _serve(site, here, tally, began + seconds)
    tally.seconds = time.monotonic() - began
    return tally


def _plan(database: str, cluster: Any, rng: random.Random, kills: int, only: str) -> list[tuple[str, Fault]]:
    """Every fault once, and the kills, in any order."""
    names = [name for name in faults.KILLS if only in name]
    plan = [(name, faults.KILLS[name]) for name, _ in zip(faults.in_turn(names, rng), range(kills), strict=False)]
    others = faults.faults_for(database, cluster, clock=compiler() is not None)
    plan += [(name, fault) for name, fault in others.items() if only in name]
    rng.shuffle(plan)
    return plan


def _serve(site: Site, plan: Sequence[tuple[str, Fault]], tally: Tally, until: float) -> None:
    for name, fault in plan:
        if time.monotonic() >= until:
            break
        try:
            suffer(site, fault, name, tally)
        except Exception as error:  # noqa: BLE001 - whatever it was, it is what this program is for
            tally.broken.append(f"{name}: {error!r}")
            print(f"  BROKEN {name}: {error}", flush=True)
            _keep(site)
            return
    finish(site, tally)


def suffer(site: Site, fault: Fault, name: str, tally: Tally) -> None:
    """Start clean, let one thing go wrong, start clean again, come to rest, add up."""
    site.begin()
    proof = fault(site)
    site.begin()
    site.settle()
    tally.done[name] += 1
    tally.proofs[name] = proof
    print(f"  ok {name}: {proof}", flush=True)


def finish(site: Site, tally: Tally) -> None:
    """Stop in order; then the command line says the same."""
    site.begin()
    status = site.end()
    told = site.command("verify", "--json")
    if status or told.returncode or not json.loads(told.stdout)["ok"]:
        tally.broken.append(f"at the end: exit status {status}, moqi verify: {told.stdout}{told.stderr}")


def _keep(site: Site) -> None:
    """What broke stays for whoever looks at it."""
    site.slay()
    kept = Path(tempfile.mkdtemp(prefix="moqi-broken-"))
    shutil.copytree(site.folder, kept, dirs_exist_ok=True, symlinks=True)
    print(f"  kept in {kept}", flush=True)


def _ringing(database: str, amount: int, seed: int, tally: Tally) -> None:
    """Many reservations at once, under kills."""
    with servers(database) as (_, url), tempfile.TemporaryDirectory() as folder:
        where = fresh(url) or f"sqlite:///{Path(folder) / 'moqi.db'}"
        rang = ringing.run(where, amount, SPAN, RINGING_KILLS, random.Random(seed))
    print(f"  {'ok' if rang.held else 'BROKEN'} {rang}", flush=True)
    tally.done["killed while reservations fire"] += rang.kills
    tally.proofs["killed while reservations fire"] = str(rang)
    if not rang.held:
        tally.broken.append(str(rang))


# -- what it runs on -----------------------------------------------------------------------------------------------


@contextmanager
def servers(database: str) -> Iterator[tuple[Any, str]]:
    """The PostgreSQL server and its URL, or nothing for SQLite."""
    if database == "sqlite":
        yield None, ""
        return
    from benchmarks.postgres import cluster

    with cluster() as running:
        yield running, running.get_uri(driver="psycopg")


def fresh(url: str) -> str:
    """An empty database beside the one of this URL."""
    if not url:
        return ""
    from sqlalchemy import create_engine, make_url

    name = f"chaos_{secrets.token_hex(4)}"
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    engine.dispose()
    return make_url(url).set(database=name).render_as_string(hide_password=False)


def compiler() -> str | None:
    """A C compiler for the clock that can be set; without one it stays as it is."""
    return shutil.which("cc") if sys.platform == "linux" else None


def wall(folder: Path) -> dict[str, str]:
    """The environment of a process whose wall clock can be set by a file; empty where there is no compiler."""
    cc = compiler()
    if cc is None:
        return {}
    library, clock = folder / "wall.so", folder / "clock"
    clock.write_text("0", encoding="utf-8")
    source = Path(__file__).with_name("wall.c")
    subprocess.run([cc, "-shared", "-fPIC", "-O2", "-o", library, source, "-ldl"], check=True)
    return {"LD_PRELOAD": str(library), "CHAOS_CLOCK": str(clock)}


# -- the state machine and the end ---------------------------------------------------------------------------------


def _machine(lives: int, seed: int) -> bool:
    """More and longer lives of the state machine."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout", "0"]
    command += [f"--hypothesis-seed={seed}", "tests/chaos/test_machine.py"]
    print(f"\nstate machine: {lives} lives", flush=True)
    return subprocess.run(command, env={**os.environ, "CHAOS_LIVES": str(lives)}, check=False).returncode == 0


def _report(tallies: dict[str, Tally], seed: int) -> None:
    for database, tally in tallies.items():
        amount, took = sum(tally.done.values()), f"{tally.seconds:.0f} s"
        print(f"\n{database}: {amount} faults, {tally.kills} kills in {took}, seed {seed}")
        for name, count in sorted(tally.done.items()):
            print(f"  {name:38}{count:>5}   {tally.proofs[name]}")
        for what in tally.broken:
            print(f"  BROKEN {what}")
    broken = any(tally.broken for tally in tallies.values())
    print(f"\n{'BROKEN' if broken else 'everything held'}; repeat it with --seed {seed}")


if __name__ == "__main__":
    sys.exit(main())
