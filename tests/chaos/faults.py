"""What goes wrong, one function each: it makes the fault happen on a running site and returns the proof that it did.

Whoever calls has started the site clean and let it come to rest before; afterwards it is started again where it died,
must come to rest, and is checked. A fault that did not happen is an AssertionError like any other.
"""

from __future__ import annotations

import random
import resource
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from storage.faults import POINTS
from tests.chaos.site import Site
from tests.journeys.moqi import PATIENCE, until

Fault = Callable[[Site], str]

TALKS = 60  # messages after which every call that shall fail should have been made
LOCKED = 4.0  # seconds that somebody else holds the database: longer than a platform waits for its answer


# -- the process ---------------------------------------------------------------------------------------------------


def killed_at(point: str) -> Fault:
    """kill -9 at a named point, met by the traffic at its first, second or third passage."""

    def kill(site: Site) -> str:
        count = site.rng.randint(1, 3)
        site.order(faults=f"{point}:{count}")
        booked = point.startswith("reservation")
        deadline = time.monotonic() + PATIENCE
        while site.alive and time.monotonic() < deadline:
            site.talk(1, booking=0.6 if booked else 0.0)
            time.sleep(0.2 if booked else 0.02)  # what is booked is still to come, what is drawn to be sent
        return _died(site, f"at {point}, passage {count}")

    return kill


def killed_at_random(site: Site) -> str:
    """kill -9 while everything is under way."""
    site.talk(site.rng.randint(2, 6))
    time.sleep(site.rng.random() * 0.6)
    before = site.alive
    site.slay()
    assert before, "it was dead already"
    return _died(site, "at random")


def stopped(site: Site) -> str:
    """SIGTERM with work at hand."""
    site.talk(4)
    status = site.end()
    assert status == 0, f"stopped with exit status {status}"
    return "exit status 0"


def _died(site: Site, where: str) -> str:
    assert site.ended() == -signal.SIGKILL, f"not killed {where}: exit status {site.ended()}"
    return f"SIGKILL {where}"


# -- the machine ---------------------------------------------------------------------------------------------------


def disk_full(site: Site) -> str:
    """No file of the server can grow; then there is space again."""
    site.talk(3)
    before = resource.prlimit(site.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(site.pid, resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        refused = [site.say("/draw 猫 --size 64x64").statuses[-1] for _ in range(3)]
    finally:
        resource.prlimit(site.pid, resource.RLIMIT_FSIZE, before)
    assert any(status >= 500 for status in refused), f"nothing was refused: {refused}"
    site.talk(2)
    return f"refused with {sorted(set(refused))}"


def database_locked(site: Site) -> str:
    """Somebody else writes to the database and does not come to an end."""
    from sqlcipher3 import dbapi2

    site.talk(2)
    other = dbapi2.connect(str(site.data / "moqi.db"), isolation_level=None, timeout=30)
    try:
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        statuses = site.say("/draw 猫 --size 64x64").statuses
        time.sleep(max(0.0, LOCKED - (time.monotonic() - began)))
        other.execute("ROLLBACK")
    finally:
        other.close()
    assert statuses[-1] != 200, "it was acknowledged while nothing could be kept"
    site.talk(2)
    return f"not acknowledged: {statuses[-1]}"


def database_restarted(cluster: Any) -> Fault:
    """PostgreSQL goes down without a word to its clients and comes back."""

    def restart(site: Site) -> str:
        site.talk(3)
        info = cluster.get_postmaster_info()
        assert info is not None
        info.process.send_signal(signal.SIGQUIT)  # pg_ctl calls it immediate
        info.process.wait(60)
        site.talk(2)
        cluster.ensure_postgres_running()
        after = cluster.get_pid()
        assert after != info.pid, "it was never away"
        site.talk(2)
        return f"postmaster {info.pid} went, {after} came"

    return restart


def clock_set(seconds: int) -> Fault:
    """Somebody sets the wall clock of the server, and sets it right again."""

    def step(site: Site) -> str:
        site.talk(4, booking=0.5)
        site.listen()
        clock, before = site.folder / "clock", _set_back(site)
        clock.write_text(str(seconds), encoding="utf-8")
        site.say("/draw 猫 --size 64x64")
        site.talk(3, booking=0.5 if seconds < 0 else 0.0)  # what is booked by a clock ahead is far off afterwards
        time.sleep(3)  # longer than the alarms' sweep
        clock.write_text("0", encoding="utf-8")
        until(lambda: _set_back(site) > before, "somebody to notice that the clock was set back")
        return f"{seconds:+d} s and back"

    return step


def _set_back(site: Site) -> int:
    return site.log.read_text(encoding="utf-8").count("the clock was set back by")


# -- the engine ----------------------------------------------------------------------------------------------------


def engine(mood: str, times: int = 1) -> Fault:
    """The engine runs out of memory, returns garbage, meets a defect or hangs."""

    def suffer(site: Site) -> str:
        before = site.did().count(mood)
        site.order(mood=mood, times=times)
        for _ in range(TALKS):
            site.say("/draw 猫 --size 64x64")
            if site.did().count(mood) >= before + times:
                break
            time.sleep(0.3)
        until(lambda: site.did().count(mood) >= before + times, f"the engine to meet {mood}")
        if mood == "hang":
            time.sleep(1)
            site.order(mood="")
        return f"{mood} x {times}"

    return suffer


def killed_while_the_engine_hangs(site: Site) -> str:
    """Nothing but a restart helps."""
    before = site.did().count("hang")
    site.order(mood="hang")
    site.say("/draw 猫 --size 64x64")
    until(lambda: site.did().count("hang") > before, "the engine to hang")
    site.slay()
    return _died(site, "while the engine hangs")


# -- the platform --------------------------------------------------------------------------------------------------


def platform(kind: str, **more: Any) -> Fault:
    """Some calls of the platform's API fail in one way."""

    def misbehave(site: Site) -> str:
        times = site.rng.randint(2, 4)
        site.feishu.fail(kind, times=times, **more)
        fault = site.feishu._faults[-1]
        for _ in range(TALKS):
            site.talk(1)
            if fault.times == 0:
                break
        until(lambda: fault.times == 0, f"the platform to fail with {kind}")
        return f"{kind} x {times}"

    return misbehave


def tokens_expired(site: Site) -> str:
    """The platform refuses every token it gave out."""
    site.talk(2)
    asked = _token_calls(site)
    site.feishu.expire_tokens()
    site.talk(3)
    until(lambda: _token_calls(site) > asked, "a new token")
    return "a new token was asked for"


def _token_calls(site: Site) -> int:
    return sum("tenant_access_token" in call for call in site.feishu.calls)


def events_repeated(site: Site) -> str:
    """Old events again, in any order, under new event ids."""
    site.talk(3)
    before = site.jobs()
    amount = site.push_again(8)
    assert amount, "there was nothing to repeat"
    time.sleep(0.5)
    site.talk(1)
    assert site.jobs() <= before + 4, f"{amount} repeated events made jobs"
    return f"{amount} pushed again"


def events_late(site: Site) -> str:
    """Sent while nobody listens; pushed again by the platform's ladder, the last time after six hours."""
    site.slay()
    for _ in range(3):
        assert site.say("/draw 猫 --size 64x64").statuses == [0]
    site.feishu.advance(2 * 3600)  # three more tries, still nobody
    late = [pushed for pushed in site.feishu.pushed if len(pushed.statuses) >= 4]
    assert late, "nothing is that late"
    return f"{len(late)} six hours late"


# -- the lists -----------------------------------------------------------------------------------------------------

#: Points that the stand-in's traffic passes: all of them.
KILLS: dict[str, Fault] = {f"kill {point}": killed_at(point) for point in POINTS} | {"kill at random": killed_at_random}

OTHERS: dict[str, Fault] = {
    "stop": stopped,
    "disk full": disk_full,
    "engine out of memory": engine("oom", 2),
    "engine returns garbage": engine("garbage", 2),
    "engine meets a defect": engine("crash"),
    "engine hangs": engine("hang"),
    "kill while the engine hangs": killed_while_the_engine_hangs,
    "platform 500": platform("500"),
    "platform 429": platform("429"),
    "platform garbage": platform("garbage"),
    "platform html": platform("html"),
    "platform cuts": platform("cut"),
    "platform closes": platform("close"),
    "platform slow": platform("slow", seconds=2.0),
    "tokens expired": tokens_expired,
    "events repeated": events_repeated,
    "events six hours late": events_late,
    "clock an hour ahead": clock_set(3600),
    "clock an hour back": clock_set(-3600),
}


def faults_for(database: str, cluster: Any = None, *, clock: bool = True) -> dict[str, Fault]:
    """Everything but kills that can be done to a site on this database."""
    found = dict(OTHERS)
    if not clock:
        found = {name: fault for name, fault in found.items() if not name.startswith("clock")}
    if database == "sqlite":
        return found | {"database locked": database_locked}
    del found["disk full"]  # the limit is on the server's own files, and PostgreSQL's are another process's
    return found | {"database restarted": database_restarted(cluster)}


def in_turn(names: Sequence[str], rng: random.Random) -> Iterator[str]:
    """Each of these once in any order, then again, for ever."""
    while names:
        yield from rng.sample(names, len(names))


@contextmanager
def whatever_happens(site: Site) -> Iterator[None]:
    """No process is left behind."""
    try:
        yield
    finally:
        site.slay()
