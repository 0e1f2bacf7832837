"""What `StoppedPartitions`, `StuckPartitions`, `StoreProbe` and `StoreClock` promise."""

from collections.abc import Callable
from dataclasses import replace

from streams.ports.coordination import Stop
from streams.ports.groups import Stores

NewId = Callable[[], int]
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


class StuckPartitionsSuite:
    async def test_ends_at_the_same_offset_are_counted(self, stores: Stores, new_id: NewId) -> None:
        """Each partition has its own count."""
        group, stuck = f"check-{new_id()}", stores.stuck_partitions

        assert [1, 2, 3] == [await stuck.ended_at(group, "likes", 0, 77) for _ in range(3)]
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
