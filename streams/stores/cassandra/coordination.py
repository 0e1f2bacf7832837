"""What processes agree on, in Cassandra: shard leases, stopped and stuck partitions, handled dead letters,
switches, and what workers say of themselves."""

import random
from collections.abc import Mapping, Sequence
from uuid import UUID

from schemas.ids import OWN_SHARDS
from schemas.times import as_utc, ms_of, utc_datetime_of_ms
from streams.core.overload.switches import Switch, SwitchState
from streams.core.workers.report import WorkerReport, decode_report, encode_report
from streams.ports.coordination import (
    LETTERS_A_BLOCK,
    STUCK_LIFE_S,
    HandledDeadLetters,
    HandledLetter,
    Outcome,
    ShardLease,
    ShardLeases,
    Stop,
    StoppedPartitions,
    StuckPartitions,
    Switches,
    WorkerReports,
)
from streams.stores.cassandra.session import CassandraSession, Row

LEASE_LIFE_MS = 60_000
LEASE_TRIES = 16


class CassandraShardLeases(ShardLeases):
    """Table `shard_leases`, written only by compare-and-set.

    No id is minted twice even if clocks are wrong. A new holder starts after the last millisecond
    that the old holder reserved, and once the lease is taken over, the old holder cannot reserve
    more.
    """

    def __init__(
        self, session: CassandraSession, *, shards: int = OWN_SHARDS, tries: int = LEASE_TRIES
    ) -> None:
        """The shards are 0 to `shards` - 1; `acquire` tries up to `tries` of them, at random."""
        self._session = session
        self._shards = shards
        self._tries = tries
        self._select = session.prepare(
            "SELECT holder, expires_at, reserved_until_ms FROM shard_leases WHERE shard = ?"
        )
        self._insert = session.prepare(
            "INSERT INTO shard_leases (shard, holder, expires_at, reserved_until_ms)"
            " VALUES (?, ?, ?, ?) IF NOT EXISTS",
            idempotent=False,
        )
        self._take_over = session.prepare(
            "UPDATE shard_leases SET holder = ?, expires_at = ? WHERE shard = ?"
            " IF holder = ? AND expires_at = ? AND reserved_until_ms = ?",
            idempotent=False,
        )
        self._reserve = session.prepare(
            "UPDATE shard_leases SET reserved_until_ms = ?, expires_at = ? WHERE shard = ? IF holder = ?",
            idempotent=False,
        )
        self._release = session.prepare(
            "UPDATE shard_leases SET expires_at = ? WHERE shard = ? IF holder = ?", idempotent=False
        )

    async def acquire(self, holder: str, now_ms: int) -> ShardLease:
        expires_at = utc_datetime_of_ms(now_ms + LEASE_LIFE_MS)
        for shard in random.sample(range(self._shards), self._tries):
            inserted = await self._session.rows(self._insert, shard, UUID(holder), expires_at, now_ms)
            if inserted[0][0]:
                return ShardLease(shard=shard, last_ms=now_ms)
            old_holder, old_expires_at, reserved_ms = (await self._session.rows(self._select, shard))[0]
            # If the reserved time is ahead of our clock, minting would have to wait: try another
            # shard.
            if ms_of(as_utc(old_expires_at)) > now_ms or reserved_ms > now_ms:
                continue
            taken = await self._session.rows(
                self._take_over, UUID(holder), expires_at, shard, old_holder, old_expires_at, reserved_ms
            )
            if taken[0][0]:
                return ShardLease(shard=shard, last_ms=reserved_ms)
        raise LookupError(f"none of the {self._tries} shards tried is free; are that many processes running?")

    async def reserve(self, holder: str, shard: int, until_ms: int, now_ms: int) -> None:
        expires_at = utc_datetime_of_ms(now_ms + LEASE_LIFE_MS)
        rows = await self._session.rows(self._reserve, until_ms, expires_at, shard, UUID(holder))
        if not rows[0][0]:
            raise PermissionError(
                f"shard {shard} is leased to another process; stop minting and acquire a new lease"
            )

    async def release(self, holder: str, shard: int) -> None:
        await self._session.rows(self._release, utc_datetime_of_ms(0), shard, UUID(holder))


class CassandraStoppedPartitions(StoppedPartitions):
    """Table `stops`."""

    def __init__(self, session: CassandraSession) -> None:
        self._session = session
        self._stop = session.prepare(
            "INSERT INTO stops (consumer_group, topic, partition, position, reason, since)"
            " VALUES (?, ?, ?, ?, ?, ?)"
        )
        self._stops = session.prepare(
            "SELECT topic, partition, position, reason, since FROM stops WHERE consumer_group = ?"
        )
        self._resume = session.prepare("DELETE FROM stops WHERE consumer_group = ?")

    async def stop(self, stop: Stop) -> None:
        since = utc_datetime_of_ms(stop.since_ms)
        await self._session.rows(
            self._stop, stop.group, stop.topic, stop.partition, stop.position, stop.reason, since
        )

    async def stops(self, group: str) -> list[Stop]:
        return [
            Stop(
                group=group,
                topic=topic,
                partition=partition,
                position=position,
                reason=reason,
                since_ms=ms_of(as_utc(since)),
            )
            for topic, partition, position, reason, since in await self._session.rows(self._stops, group)
        ]

    async def resume(self, group: str) -> int:
        stopped = await self.stops(group)
        await self._session.rows(self._resume, group)
        return len(stopped)


class CassandraStuckPartitions(StuckPartitions):
    """Table `stuck_partitions`."""

    def __init__(self, session: CassandraSession) -> None:
        self._session = session
        self._read = session.prepare(
            "SELECT position, ended FROM stuck_partitions"
            " WHERE consumer_group = ? AND topic = ? AND partition = ?"
        )
        self._write = session.prepare(
            "INSERT INTO stuck_partitions (consumer_group, topic, partition, position, ended)"
            f" VALUES (?, ?, ?, ?, ?) USING TTL {STUCK_LIFE_S}"
        )

    async def ended_at(self, group: str, topic: str, partition: int, position: int) -> int:
        ended = 1 + await self.ended(group, topic, partition, position)
        await self._session.rows(self._write, group, topic, partition, position, ended)
        return ended

    async def ended(self, group: str, topic: str, partition: int, position: int) -> int:
        rows = await self._session.rows(self._read, group, topic, partition)
        return next((times for stored, times in rows if stored == position), 0)


class CassandraHandledDeadLetters(HandledDeadLetters):
    """Table `handled_dead_letters`. Each row may be written again, in any order."""

    def __init__(self, session: CassandraSession) -> None:
        self._session = session
        self._of_block = session.prepare(
            "SELECT position, letter_at, outcome FROM handled_dead_letters"
            " WHERE topic = ? AND partition = ? AND block = ?"
        )
        self._mark = session.prepare(
            "INSERT INTO handled_dead_letters (topic, partition, block, position, letter_at, outcome, run)"
            " VALUES (?, ?, ?, ?, ?, ?, ?) USING TTL ?"
        )

    async def of_block(self, topic: str, partition: int, block: int) -> Mapping[int, HandledLetter]:
        return {
            position: HandledLetter(position, ms_of(as_utc(letter_at)), Outcome(outcome))
            for position, letter_at, outcome in await self._session.rows(
                self._of_block, topic, partition, block
            )
        }

    async def mark(
        self, topic: str, partition: int, letters: Sequence[HandledLetter], *, run: str, life_s: int
    ) -> None:
        await self._session.batches(
            [
                (
                    self._mark,
                    (
                        topic,
                        partition,
                        letter.offset // LETTERS_A_BLOCK,
                        letter.offset,
                        utc_datetime_of_ms(letter.timestamp_ms),
                        letter.outcome.value,
                        UUID(run),
                        life_s,
                    ),
                )
                for letter in letters
            ]
        )


class CassandraSwitches(Switches):
    """Table `switches`, written only by compare-and-set."""

    def __init__(self, session: CassandraSession) -> None:
        self._session = session
        self._select = session.prepare(
            "SELECT switch, is_on, since, measured, version, is_announced FROM switches WHERE shard = 0"
        )
        self._insert = session.prepare(
            "INSERT INTO switches (shard, switch, is_on, since, measured, version, is_announced)"
            " VALUES (0, ?, ?, ?, ?, ?, ?) IF NOT EXISTS",
            idempotent=False,
        )
        self._move = session.prepare(
            "UPDATE switches SET is_on = ?, since = ?, measured = ?, version = ?, is_announced = ?"
            " WHERE shard = 0 AND switch = ? IF version = ?",
            idempotent=False,
        )
        self._announced = session.prepare(
            "UPDATE switches SET is_announced = true WHERE shard = 0 AND switch = ? IF version = ?",
            idempotent=False,
        )

    async def states(self) -> Mapping[Switch, SwitchState]:
        states = {switch: SwitchState(switch=switch) for switch in Switch}
        for switch, is_on, since, measured, version, is_announced in await self._session.rows(self._select):
            states[Switch(switch)] = SwitchState(
                switch=Switch(switch),
                is_on=is_on,
                since_ms=ms_of(as_utc(since)),
                measured=measured,
                version=version,
                is_announced=is_announced,
            )
        return states

    async def move(self, state: SwitchState) -> bool:
        since = utc_datetime_of_ms(state.since_ms)
        values = (state.is_on, since, state.measured, state.version, state.is_announced)
        if state.version == 1:
            rows = await self._session.rows(self._insert, state.switch.value, *values)
        else:
            rows = await self._session.rows(self._move, *values, state.switch.value, state.version - 1)
        return bool(rows[0][0])

    async def announced(self, state: SwitchState) -> None:
        await self._session.rows(self._announced, state.switch.value, state.version)


class CassandraWorkerReports(WorkerReports):
    """Table `worker_reports`."""

    def __init__(self, session: CassandraSession) -> None:
        self._session = session
        self._put = session.prepare(
            "INSERT INTO worker_reports (shard, worker, reported_at, report) VALUES (0, ?, ?, ?) USING TTL ?"
        )
        self._of = session.prepare(
            "SELECT worker, reported_at, report FROM worker_reports WHERE shard = 0 AND worker = ?"
        )
        self._last = session.prepare(
            "SELECT worker, reported_at, report FROM worker_reports WHERE shard = 0 LIMIT ?"
        )
        self._forget = session.prepare("DELETE FROM worker_reports WHERE shard = 0 AND worker = ?")

    async def put(self, report: WorkerReport, *, life_s: int) -> None:
        reported_at = utc_datetime_of_ms(report.at_ms)
        await self._session.rows(self._put, report.worker, reported_at, encode_report(report), life_s)

    async def of(self, worker: str) -> WorkerReport | None:
        rows = await self._session.rows(self._of, worker)
        return next(map(_report, rows), None)

    async def last(self, *, reports_max: int) -> Sequence[WorkerReport]:
        return list(map(_report, await self._session.rows(self._last, reports_max)))

    async def forget(self, worker: str) -> None:
        await self._session.rows(self._forget, worker)


def _report(row: Row) -> WorkerReport:
    worker, reported_at, text = row
    return decode_report(worker, ms_of(as_utc(reported_at)), text)
