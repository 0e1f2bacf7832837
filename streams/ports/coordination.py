"""Ports for what processes agree on: stopped and stuck partitions, handled dead letters, switches, shards
for minting ids, and what workers say of themselves.

Implemented by the real store and by its in-memory twin. Every method raises
`StoreUnavailable` when nothing is known about what it was asked for; every method may be
repeated.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from streams.core.overload.switches import Switch, SwitchState
from streams.core.workers.report import WorkerReport

STUCK_LIFE_S = 86_400
LETTERS_A_BLOCK = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """A partition that is paused at the offset `position` until an operator resumes its group."""

    group: str
    topic: str
    partition: int
    position: int
    reason: str
    since_ms: int


class StoppedPartitions(Protocol):
    """The paused partitions of every consumer group; at most one stop a partition."""

    async def stop(self, stop: Stop) -> None:
        """Store the stop; it replaces an earlier one of the same partition."""

    async def stops(self, group: str) -> list[Stop]:
        """Return the group's stops by topic and partition, ascending."""

    async def resume(self, group: str) -> int:
        """Remove the group's stops; returns how many there were."""


class StuckPartitions(Protocol):
    """How often workers ended because a partition did not move although records wait.

    A count is forgotten `STUCK_LIFE_S` after it last grew.
    """

    async def ended_at(self, group: str, topic: str, partition: int, position: int) -> int:
        """Count one more worker that ends for the partition at the offset `position`.

        Returns the count with this one. At another offset it begins at 1 again. Only the partition's
        owner calls it, so two calls at once are not counted exactly.
        """

    async def ended(self, group: str, topic: str, partition: int, position: int) -> int:
        """Return how often workers have ended for the partition at the offset `position`."""


class Outcome(StrEnum):
    """What an operator has done to a dead letter."""

    REPLAYED = "replayed"
    DISCARDED = "discarded"


@dataclass(frozen=True, slots=True)
class HandledLetter:
    """A dead letter that was replayed or discarded. `timestamp_ms` is Kafka's of the letter.

    If somebody creates the topic again, another letter has the offset, and another time.
    """

    offset: int
    timestamp_ms: int
    outcome: Outcome


class HandledDeadLetters(Protocol):
    """Which dead letters were replayed or discarded. `topic` is the dead-letter topic's catalogue name."""

    async def of_block(self, topic: str, partition: int, block: int) -> Mapping[int, HandledLetter]:
        """Return by offset what was handled of a block of `LETTERS_A_BLOCK` offsets, numbered from 0."""

    async def mark(
        self, topic: str, partition: int, letters: Sequence[HandledLetter], *, run: str, life_s: int
    ) -> None:
        """Store the letters as handled by the run, a UUID, for `life_s` seconds; a later mark replaces it.

        After an error some may be stored.
        """


class Switches(Protocol):
    """The switches that protect the pipeline from overload; all processes see one order of their moves."""

    async def states(self) -> Mapping[Switch, SwitchState]:
        """Return every switch; one that never moved is off, and its version is 0."""

    async def move(self, state: SwitchState) -> bool:
        """Store the next state of a switch, whose version is one more than the stored one.

        Returns whether it was stored: another process may have moved the switch before. After an error it
        may have been stored.
        """

    async def announced(self, state: SwitchState) -> None:
        """Store that this move is on the topic `operations`; nothing happens if it is not the last one."""


class WorkerReports(Protocol):
    """What each worker has said last, by its name."""

    async def put(self, report: WorkerReport, *, life_s: int) -> None:
        """Store the report for `life_s` seconds; it replaces the worker's last one."""

    async def of(self, worker: str) -> WorkerReport | None:
        """Return the worker's last report; None if there is none, or it has expired."""

    async def last(self, *, reports_max: int) -> Sequence[WorkerReport]:
        """Return the last reports by the names of their workers, ascending, at most `reports_max`."""

    async def forget(self, worker: str) -> None:
        """Remove the worker's report; nothing happens if there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardLease:
    """A shard with which only this process mints ids; its first id has a time after `last_ms`."""

    shard: int
    last_ms: int


class ShardLeases(Protocol):
    """Leases of a minute. No id is minted twice, even if clocks are wrong."""

    async def acquire(self, holder: str, now_ms: int) -> ShardLease:
        """Lease a shard that nobody holds.

        Raises:
            LookupError: Every shard is held.
        """

    async def reserve(self, holder: str, shard: int, until_ms: int, now_ms: int) -> None:
        """Allow the holder to mint ids up to `until_ms`, and renew its lease.

        Raises:
            PermissionError: Another process holds the shard.
        """

    async def release(self, holder: str, shard: int) -> None:
        """Give the shard back; nothing happens if another process holds it."""
