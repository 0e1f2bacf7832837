"""What stops, stuck partitions, switches, workers' reports, shard leases, probes and clocks promise."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from uuid import uuid4

import pytest

from streams.core.overload.switches import Switch, SwitchState
from streams.core.workers.report import GroupWork, WorkerReport
from streams.ports.coordination import HandledLetter, Outcome, Stop
from streams.ports.groups import Stores
from tests.contract.limits import SHARDS
from tests.contract.passing_time import PassingTime

NewId = Callable[[], int]
# A lease is valid for one minute, so two minutes later it has expired.
LEASE_PAST_MS = 120_000
# 2024 and 2058, the range of ids: seconds or milliseconds by mistake would be outside of it.
FIRST_US, LAST_US = 1_704_067_200_000_000, 2_803_578_827_775_000


class StoppedPartitionsSuite:
    def stop(self, group: str, partition: int) -> Stop:
        return Stop(
            group=group,
            topic="likes",
            partition=partition,
            position=77,
            reason="100 dead letters in a row",
            since_ms=1_790_000_000_123,
        )

    async def test_a_stop_is_stored_until_its_group_is_resumed(self, stores: Stores, new_id: NewId) -> None:
        """`resume` removes the stops of one group and returns how many there were. Stops of other
        groups stay."""
        group, other = f"check-{new_id()}", f"edges-{new_id()}"
        stops = [self.stop(group, 0), self.stop(group, 3), self.stop(other, 0)]
        for stop in stops:
            await stores.stopped_partitions.stop(stop)

        assert await stores.stopped_partitions.stops(group) == stops[:2]
        assert await stores.stopped_partitions.resume(group) == 2
        assert await stores.stopped_partitions.stops(group) == []
        assert await stores.stopped_partitions.resume(group) == 0
        assert await stores.stopped_partitions.stops(other) == stops[2:]

    async def test_a_later_stop_replaces_the_earlier(self, stores: Stores, new_id: NewId) -> None:
        """For one partition the last position and reason are stored. The same partition of another
        topic has its own stop."""
        group = f"check-{new_id()}"
        stop = self.stop(group, 0)
        again = replace(stop, position=99, reason="501 of the last 1,000")
        elsewhere = replace(stop, topic="uploads")
        for stored in (stop, again, elsewhere):
            await stores.stopped_partitions.stop(stored)

        assert await stores.stopped_partitions.stops(group) == [again, elsewhere]


class HandledDeadLettersSuite:
    RUN = "0b7f5c3e-8a43-4a3e-9a58-3f5f1c2b7d10"

    async def test_what_is_marked_is_found_by_its_offset(self, stores: Stores, new_id: NewId) -> None:
        """In its own block of its own topic and partition, in any number."""
        topic, handled = f"likes-dlq-{new_id()}", stores.handled_dead_letters
        letters = [
            HandledLetter(offset, 1_790_000_000_123 + offset, Outcome.REPLAYED)
            for offset in range(9_900, 10_300)
        ]
        for _ in range(2):
            await handled.mark(topic, 0, letters, run=self.RUN, life_s=60)

        blocks = [await handled.of_block(topic, 0, block) for block in range(3)]
        assert [letters[:100], letters[100:], []] == [list(block.values()) for block in blocks]
        assert all(offset == letter.offset for block in blocks for offset, letter in block.items())
        assert {} == await handled.of_block(topic, 1, 0) == await handled.of_block(f"{topic}-2", 0, 0)

    async def test_a_later_mark_replaces_the_earlier(self, stores: Stores, new_id: NewId) -> None:
        """A letter of another time has the offset, because the topic was created again."""
        topic, handled = f"likes-dlq-{new_id()}", stores.handled_dead_letters
        later = HandledLetter(7, 1_790_000_000_999, Outcome.DISCARDED)
        for letter in (HandledLetter(7, 1_790_000_000_123, Outcome.REPLAYED), later):
            await handled.mark(topic, 0, [letter], run=self.RUN, life_s=60)

        assert {7: later} == await handled.of_block(topic, 0, 0)

    async def test_marks_expire(self, stores: Stores, passing: PassingTime, new_id: NewId) -> None:
        """Their letters have expired before them."""
        topic, handled = f"likes-dlq-{new_id()}", stores.handled_dead_letters
        brief, lasting = (HandledLetter(offset, 1, Outcome.REPLAYED) for offset in (1, 2))
        await handled.mark(topic, 0, [brief], run=self.RUN, life_s=1)
        await handled.mark(topic, 0, [lasting], run=self.RUN, life_s=60)

        async def expired() -> bool:
            return await handled.of_block(topic, 0, 0) == {2: lasting}

        await passing.until(expired, "the mark expires")


class SwitchesSuite:
    async def last(self, stores: Stores, switch: Switch) -> SwitchState:
        return (await stores.switches.states())[switch]

    async def test_one_of_several_moves_at_once_is_stored(self, stores: Stores) -> None:
        """Two workers find that the breaker must open; one of them opens it, and both know."""
        before = await self.last(stores, Switch.BREAKER)
        moves = [
            SwitchState(
                switch=Switch.BREAKER,
                is_on=not before.is_on,
                since_ms=1_790_000_000_123 + number,
                measured=5_000_000_001 + number,
                version=before.version + 1,
                is_announced=False,
            )
            for number in range(5)
        ]
        stored = await asyncio.gather(*map(stores.switches.move, moves))

        [winner] = [move for move, was_stored in zip(moves, stored, strict=True) if was_stored]
        assert await self.last(stores, Switch.BREAKER) == winner
        assert not await stores.switches.move(replace(winner, version=winner.version + 2))
        await stores.switches.announced(winner)
        assert await self.last(stores, Switch.BREAKER) == replace(winner, is_announced=True)

    async def test_only_the_last_move_can_be_announced(self, stores: Stores) -> None:
        """A worker that was away for a while announces an older one; the other switch is as it was."""
        other = await self.last(stores, Switch.BREAKER)
        first = replace(
            await self.last(stores, Switch.SHEDDING), since_ms=1_790_000_000_000, is_announced=False
        )
        for number in (1, 2):
            assert await stores.switches.move(replace(first, version=first.version + number))
        await stores.switches.announced(replace(first, version=first.version + 1))

        assert not (await self.last(stores, Switch.SHEDDING)).is_announced
        assert await self.last(stores, Switch.BREAKER) == other


class WorkerReportsSuite:
    async def test_the_last_report_of_a_worker_is_returned(self, stores: Stores, new_id: NewId) -> None:
        """With all that it says; others keep theirs, and one that ended in order has none."""
        name, reports = f"worker-{new_id()}", stores.worker_reports
        work = GroupWork(
            group="check", batches=3, p50_ms=1.5, p99_ms=20.0, in_flight=7, ms_per_megapixel=None
        )
        first = WorkerReport(worker=f"{name}-1", at_ms=1_790_000_000_123, loop_delay_ms=0.5, groups=(work,))
        later = replace(first, at_ms=1_790_000_005_123, started_ms=1_789_999_999_999, restarts_ms=(1, 2))
        other = replace(first, worker=f"{name}-2")
        for report in (first, other, later, later):
            await reports.put(report, life_s=60)

        assert later == await reports.of(later.worker)
        assert [later, other] == [
            report for report in await reports.last(reports_max=1_000) if report.worker.startswith(name)
        ]
        assert 1 == len(await reports.last(reports_max=1))
        for _ in range(2):
            await reports.forget(later.worker)
        assert (None, other) == (await reports.of(later.worker), await reports.of(other.worker))

    async def test_reports_expire(self, stores: Stores, passing: PassingTime, new_id: NewId) -> None:
        """A worker that nobody starts again is forgotten at some time."""
        worker = f"worker-{new_id()}"
        await stores.worker_reports.put(WorkerReport(worker=worker, at_ms=1_790_000_000_123), life_s=1)

        async def expired() -> bool:
            return await stores.worker_reports.of(worker) is None

        await passing.until(expired, "the report expires")


class StuckPartitionsSuite:
    async def test_ends_at_the_same_offset_are_counted(self, stores: Stores, new_id: NewId) -> None:
        """Each partition has its own count."""
        group, stuck = f"check-{new_id()}", stores.stuck_partitions

        assert [1, 2, 3] == [await stuck.ended_at(group, "likes", 0, 77) for _ in range(3)]
        assert 3 == await stuck.ended(group, "likes", 0, 77)
        assert 0 == await stuck.ended(group, "likes", 0, 78)
        assert 1 == await stuck.ended_at(group, "likes", 1, 77)
        assert 1 == await stuck.ended_at(group, "uploads", 0, 77)

    async def test_a_partition_that_moved_begins_again(self, stores: Stores, new_id: NewId) -> None:
        """What held it at the former offset was cured by a new process."""
        group, stuck = f"check-{new_id()}", stores.stuck_partitions
        await stuck.ended_at(group, "likes", 0, 77)
        await stuck.ended_at(group, "likes", 0, 77)

        assert 1 == await stuck.ended_at(group, "likes", 0, 80)
        assert 1 == await stuck.ended_at(group, "likes", 0, 77)


class StoreProbeSuite:
    async def test_a_store_that_is_well_passes(self, stores: Stores) -> None:
        """The probe of a healthy store raises nothing, also when it is repeated."""
        for probe in (stores.cassandra_probe, stores.redis_probe, stores.s3_probe):
            for _ in range(2):
                await probe.check()


class StoreClockSuite:
    async def test_a_clock_goes_forward_and_is_near_ours(self, stores: Stores) -> None:
        """Servers of a test share this machine's clock; the twin has a clock of its own."""
        for clock in (stores.cassandra_clock, stores.redis_clock):
            first, second = await clock.now_us(), await clock.now_us()
            assert FIRST_US < first <= second < LAST_US


class ShardLeasesSuite:
    """`shard_now_ms` is a time at which no shard is leased. There are only three shards."""

    async def test_holders_have_different_shards(self, stores: Stores, shard_now_ms: int) -> None:
        """When all shards are held, the next acquire fails."""
        leases = [await stores.shard_leases.acquire(str(uuid4()), shard_now_ms) for _ in range(SHARDS)]

        assert {lease.shard for lease in leases} == set(range(SHARDS))
        with pytest.raises(LookupError):
            await stores.shard_leases.acquire(str(uuid4()), shard_now_ms + 1)

    @pytest.mark.law("L13")
    async def test_a_new_holder_starts_after_all_that_was_reserved(
        self, stores: Stores, shard_now_ms: int
    ) -> None:
        """So no id is minted twice, whatever the clocks say."""
        reserved: dict[int, int] = {}
        for at in range(SHARDS):
            holder = str(uuid4())
            lease = await stores.shard_leases.acquire(holder, shard_now_ms)
            reserved[lease.shard] = shard_now_ms + 1_000 + at
            await stores.shard_leases.reserve(holder, lease.shard, reserved[lease.shard], shard_now_ms)
        later_ms = shard_now_ms + LEASE_PAST_MS
        leases = [await stores.shard_leases.acquire(str(uuid4()), later_ms) for _ in range(SHARDS)]

        assert {lease.shard: lease.last_ms for lease in leases} == reserved

    async def test_a_holder_that_lost_its_shard_cannot_reserve(
        self, stores: Stores, shard_now_ms: int
    ) -> None:
        """If the lease has expired and another process took the shard, the old holder gets an error
        and must stop minting."""
        holder = str(uuid4())
        lease = await stores.shard_leases.acquire(holder, shard_now_ms)
        await stores.shard_leases.reserve(holder, lease.shard, shard_now_ms + 1_000, shard_now_ms)
        later_ms = shard_now_ms + LEASE_PAST_MS
        for _ in range(SHARDS):
            await stores.shard_leases.acquire(str(uuid4()), later_ms)

        with pytest.raises(PermissionError, match=f"shard {lease.shard}"):
            await stores.shard_leases.reserve(holder, lease.shard, later_ms + 5_000, later_ms)

    async def test_reserving_renews_the_lease(self, stores: Stores, shard_now_ms: int) -> None:
        """A process that continues to reserve ids continues to hold its shard. Other processes get
        the other shards."""
        holder = str(uuid4())
        lease = await stores.shard_leases.acquire(holder, shard_now_ms)
        later_ms = shard_now_ms + LEASE_PAST_MS
        await stores.shard_leases.reserve(holder, lease.shard, later_ms - 1_000, later_ms - 1_000)
        others = [await stores.shard_leases.acquire(str(uuid4()), later_ms) for _ in range(SHARDS - 1)]

        assert lease.shard not in {other.shard for other in others}
        with pytest.raises(LookupError):
            await stores.shard_leases.acquire(str(uuid4()), later_ms)

    async def test_a_released_shard_is_free_at_once(self, stores: Stores, shard_now_ms: int) -> None:
        """Only the holder can release its shard. The next holder starts after the ids that were
        reserved."""
        held = [
            (holder := str(uuid4()), await stores.shard_leases.acquire(holder, shard_now_ms))
            for _ in range(SHARDS)
        ]
        holder, lease = held[0]
        await stores.shard_leases.reserve(holder, lease.shard, shard_now_ms + 50, shard_now_ms)
        await stores.shard_leases.release(held[1][0], lease.shard)

        with pytest.raises(LookupError):
            await stores.shard_leases.acquire(str(uuid4()), shard_now_ms + 100)

        await stores.shard_leases.release(holder, lease.shard)
        taken = await stores.shard_leases.acquire(str(uuid4()), shard_now_ms + 100)

        assert (taken.shard, taken.last_ms) == (lease.shard, shard_now_ms + 50)

    async def test_a_shard_whose_ids_run_ahead_of_the_clock_is_skipped(
        self, stores: Stores, shard_now_ms: int
    ) -> None:
        """A holder of this shard would have to wait until the clock passes the reserved ids."""
        for _ in range(SHARDS):
            holder = str(uuid4())
            lease = await stores.shard_leases.acquire(holder, shard_now_ms)
            await stores.shard_leases.reserve(holder, lease.shard, shard_now_ms + 500, shard_now_ms)
            await stores.shard_leases.release(holder, lease.shard)

        with pytest.raises(LookupError):
            await stores.shard_leases.acquire(str(uuid4()), shard_now_ms + 499)
        assert (
            await stores.shard_leases.acquire(str(uuid4()), shard_now_ms + 500)
        ).last_ms == shard_now_ms + 500

    async def test_racing_holders_get_different_shards(self, stores: Stores, shard_now_ms: int) -> None:
        """No shard is leased twice when several acquire at once."""
        leases = await asyncio.gather(
            *(stores.shard_leases.acquire(str(uuid4()), shard_now_ms) for _ in range(SHARDS + 2)),
            return_exceptions=True,
        )
        shards = [lease.shard for lease in leases if not isinstance(lease, BaseException)]
        refused = [error for error in leases if isinstance(error, BaseException)]

        assert len(shards) == len(set(shards))
        assert all(isinstance(error, LookupError) for error in refused)
