"""Law: no ghost, also where requests share reads. A schedule decides when each call of a store happens.

Requests of two processes read one photo through the cache, while it is changed again and again. A change is
acknowledged once it is in the database and the cached value is removed. Hypothesis looks for a schedule in
which a request shows what was replaced before the request began.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.fairness import Shares
from streams.stores.cache.codecs import decode_total, encode_total
from streams.stores.cache.database_reads import DatabaseReads
from streams.stores.cache.large_reads import LargeReads
from streams.stores.cache.read_through import CachedKind, ReadThrough
from streams.stores.memory.cache import MemoryCache

PHOTO = 1
KEY = b"photo"
PATIENCE_S = 60.0
# More turns of the loop than any request has awaits between two calls.
TURNS = 10
Step = tuple[str, int]


@dataclass
class _Gates:
    """Every call waits twice until the schedule lets it go: before it takes effect, and after."""

    waiting: list[asyncio.Future[None]] = field(default_factory=list)

    async def pass_through(self) -> None:
        gate = asyncio.get_running_loop().create_future()
        self.waiting.append(gate)
        await gate

    def open(self, number: int) -> None:
        waiting = [gate for gate in self.waiting if not gate.done()]
        if waiting:
            waiting[number % len(waiting)].set_result(None)
        self.waiting = waiting


class _SlowCache:
    """A cache whose calls pass the gates."""

    def __init__(self, real: MemoryCache, gates: _Gates) -> None:
        self._real, self._gates = real, gates

    def __getattr__(self, method: str) -> Any:
        async def call(*args: object) -> object:
            await self._gates.pass_through()
            result = await getattr(self._real, method)(*args)
            await self._gates.pass_through()
            return result

        return call


@dataclass
class _World:
    """The database has a version of the photo, and `acknowledged` is what every new request must show."""

    version: int = 0
    acknowledged: int = 0
    gates: _Gates = field(default_factory=_Gates)
    cache: MemoryCache = field(default_factory=lambda: MemoryCache(lambda: 0))
    running: list[asyncio.Task[None]] = field(default_factory=list)
    processes: list[ReadThrough] = field(init=False)

    def __post_init__(self) -> None:
        self.processes = [self._process() for _ in range(2)]
        self.kind = CachedKind(
            name="photos",
            key=lambda _: KEY,
            encode=encode_total,
            decode=decode_total,
            load=self._load,
            ttl_s=60,
        )

    def _process(self) -> ReadThrough:
        cache: Any = _SlowCache(self.cache, self.gates)
        reads = DatabaseReads(4, wait_s=PATIENCE_S, shares=Shares(user=9, address=9))
        return ReadThrough(cache, reads, lambda *_: None, LargeReads(PATIENCE_S))

    async def _load(self, ids: Sequence[int]) -> dict[int, int]:
        await self.gates.pass_through()
        loaded = dict.fromkeys(ids, self.version)
        await self.gates.pass_through()
        return loaded

    async def take(self, step: Step) -> None:
        name, number = step
        match name:
            case "ask":
                self._begin(self._ask(self.processes[number % 2]))
            case "change":
                self._begin(self._change())
            case "cancel" if self.running:
                self.running[number % len(self.running)].cancel()
            case "go on":
                self.gates.open(number)
        for _ in range(TURNS):
            await asyncio.sleep(0)

    async def finish(self) -> None:
        while pending := [task for task in self.running if not task.done()]:
            await self.take(("go on", 0))
            assert self.gates.waiting or all(task.done() for task in pending)
        for task in self.running:
            if not task.cancelled():
                task.result()

    def _begin(self, work: Awaitable[None]) -> None:
        self.running.append(asyncio.ensure_future(work))

    async def _ask(self, process: ReadThrough) -> None:
        least = self.acknowledged
        read = await process.get(self.kind, [PHOTO])
        assert read.values[PHOTO] >= least, f"{read.values[PHOTO]} was replaced by {least} before the request"

    async def _change(self) -> None:
        self.version += 1
        version = self.version
        await self.gates.pass_through()
        await self.cache.invalidate([KEY])
        self.acknowledged = max(self.acknowledged, version)


steps = st.tuples(st.sampled_from(["ask", "ask", "change", "cancel", *(6 * ["go on"])]), st.integers(0, 11))


@pytest.mark.law("L2")
@given(schedule=st.lists(steps, min_size=8, max_size=60))
async def test_no_request_shows_what_was_replaced_before_it_began(schedule: Sequence[Step]) -> None:
    """Nor does a value that was read before a change stay in the cache."""
    world = _World()
    for step in schedule:
        await world.take(step)
    await world.finish()
    await world.take(("ask", 0))
    await world.finish()
