"""Shard leases, stopped and stuck partitions, handled dead letters, switches, workers' reports in memory."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from streams.core.overload.switches import Switch, SwitchState
from streams.core.workers.report import WorkerReport
from streams.ports.coordination import (
    LETTERS_A_BLOCK,
    STUCK_LIFE_S,
    HandledDeadLetters,
    HandledLetter,
    ShardLease,
    ShardLeases,
    Stop,
    StoppedPartitions,
    StuckPartitions,
    Switches,
    WorkerReports,
)

LEASE_LIFE_MS = 60_000


@dataclass(slots=True)
class _Lease:
    holder: str
    expires_ms: int
    reserved_ms: int


class MemoryShardLeases(ShardLeases):
    """Leases of the shards 0 to `shards` - 1; `acquire` takes the lowest free one."""

    def __init__(self, shards: int) -> None:
        self._shards = shards
        self._leases: dict[int, _Lease] = {}

    async def acquire(self, holder: str, now_ms: int) -> ShardLease:
        for shard in range(self._shards):
            lease = self._leases.get(shard)
            # If the reserved time is ahead of our clock, minting would have to wait: try another
            # shard.
            if lease is not None and max(lease.expires_ms, lease.reserved_ms) > now_ms:
                continue
            last_ms = now_ms if lease is None else lease.reserved_ms
            self._leases[shard] = _Lease(holder, now_ms + LEASE_LIFE_MS, last_ms)
            return ShardLease(shard=shard, last_ms=last_ms)
        raise LookupError(f"all {self._shards} shards are held; end a process or wait for its lease to end")

    async def reserve(self, holder: str, shard: int, until_ms: int, now_ms: int) -> None:
        lease = self._leases.get(shard)
        if lease is None or lease.holder != holder:
            raise PermissionError(
                f"shard {shard} is leased to another process; stop minting and acquire a new lease"
            )
        lease.reserved_ms, lease.expires_ms = until_ms, now_ms + LEASE_LIFE_MS

    async def release(self, holder: str, shard: int) -> None:
        lease = self._leases.get(shard)
        if lease is not None and lease.holder == holder:
            lease.expires_ms = 0


class MemoryStoppedPartitions(StoppedPartitions):
    """Stops by partition."""

    def __init__(self) -> None:
        self._stops: dict[tuple[str, str, int], Stop] = {}

    async def stop(self, stop: Stop) -> None:
        self._stops[stop.group, stop.topic, stop.partition] = stop

    async def stops(self, group: str) -> list[Stop]:
        return [self._stops[key] for key in sorted(self._stops) if key[0] == group]

    async def resume(self, group: str) -> int:
        stopped = await self.stops(group)
        for stop in stopped:
            del self._stops[stop.group, stop.topic, stop.partition]
        return len(stopped)


class MemoryStuckPartitions(StuckPartitions):
    """By partition: the offset, how often a worker ended there, and when it is forgotten."""

    def __init__(self, clock_ms: Callable[[], int]) -> None:
        self._clock_ms = clock_ms
        self._ended: dict[tuple[str, str, int], tuple[int, int, int]] = {}

    async def ended_at(self, group: str, topic: str, partition: int, position: int) -> int:
        ended = 1 + await self.ended(group, topic, partition, position)
        expires_ms = self._clock_ms() + STUCK_LIFE_S * 1_000
        self._ended[group, topic, partition] = (position, ended, expires_ms)
        return ended

    async def ended(self, group: str, topic: str, partition: int, position: int) -> int:
        stored, times, expires_ms = self._ended.get((group, topic, partition), (position, 0, 0))
        return times if stored == position and expires_ms > self._clock_ms() else 0


class MemoryHandledDeadLetters(HandledDeadLetters):
    """By block and offset: the letter, and when it is forgotten."""

    def __init__(self, clock_ms: Callable[[], int]) -> None:
        self._clock_ms = clock_ms
        self._blocks: dict[tuple[str, int, int], dict[int, tuple[HandledLetter, int]]] = {}

    async def of_block(self, topic: str, partition: int, block: int) -> Mapping[int, HandledLetter]:
        now_ms = self._clock_ms()
        stored = self._blocks.get((topic, partition, block), {})
        return {offset: letter for offset, (letter, expires_ms) in stored.items() if expires_ms > now_ms}

    async def mark(
        self, topic: str, partition: int, letters: Sequence[HandledLetter], *, run: str, life_s: int
    ) -> None:
        expires_ms = self._clock_ms() + life_s * 1_000
        for letter in letters:
            block = self._blocks.setdefault((topic, partition, letter.offset // LETTERS_A_BLOCK), {})
            block[letter.offset] = (letter, expires_ms)


class MemorySwitches(Switches):
    """The last state of each switch."""

    def __init__(self) -> None:
        self._states = {switch: SwitchState(switch=switch) for switch in Switch}

    async def states(self) -> Mapping[Switch, SwitchState]:
        return dict(self._states)

    async def move(self, state: SwitchState) -> bool:
        if self._states[state.switch].version != state.version - 1:
            return False
        self._states[state.switch] = state
        return True

    async def announced(self, state: SwitchState) -> None:
        if self._states[state.switch].version == state.version:
            self._states[state.switch] = replace(self._states[state.switch], is_announced=True)


class MemoryWorkerReports(WorkerReports):
    """By worker: the report, and when it is forgotten."""

    def __init__(self, clock_ms: Callable[[], int]) -> None:
        self._clock_ms = clock_ms
        self._reports: dict[str, tuple[WorkerReport, int]] = {}

    async def put(self, report: WorkerReport, *, life_s: int) -> None:
        self._reports[report.worker] = (report, self._clock_ms() + life_s * 1_000)

    async def of(self, worker: str) -> WorkerReport | None:
        report, expires_ms = self._reports.get(worker, (None, 0))
        return report if expires_ms > self._clock_ms() else None

    async def last(self, *, reports_max: int) -> Sequence[WorkerReport]:
        reports = [await self.of(worker) for worker in sorted(self._reports)]
        return [report for report in reports if report is not None][:reports_max]

    async def forget(self, worker: str) -> None:
        self._reports.pop(worker, None)
