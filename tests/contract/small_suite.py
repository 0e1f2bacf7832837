"""What the small stores promise."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from uuid import uuid4

import pytest

from schemas.ids import PhotoId, UserId
from streams.core.delivery import Mode
from streams.core.photos import ParkedPhoto
from streams.ports.coordination import Stop
from streams.ports.groups import Stores
from tests.contract.limits import REBUILDS_PER_S_MAX, SHARDS
from tests.contract.passing_time import PassingTime

NewId = Callable[[], int]
# A lease lives for a minute; two are long past.
LEASE_PAST_MS = 120_000


@pytest.mark.anyio
class AuthorsSuite:
    async def test_the_last_mode_is_remembered(self, stores: Stores, new_id: NewId) -> None:
        """Push for an author never seen."""
        author, other = UserId(new_id()), UserId(new_id())

        assert await stores.authors.mode_by_size(author) is Mode.PUSH
        for mode in (Mode.PULL, Mode.PULL, Mode.PUSH, Mode.PULL):
            await stores.authors.remember_mode(author, mode)

            assert await stores.authors.mode_by_size(author) is mode
        assert await stores.authors.mode_by_size(other) is Mode.PUSH


@pytest.mark.anyio
class PulledAuthorsSuite:
    async def test_a_new_author_is_in_the_set_and_changes_the_mark(
        self, stores: Stores, new_id: NewId
    ) -> None:
        """So a reader that polls the mark misses nobody; adding twice is once."""
        marks = [await stores.pulled_authors.version()]
        for _ in range(3):
            author = UserId(new_id())
            assert author not in await stores.pulled_authors.all()
            for _ in range(2):
                await stores.pulled_authors.add(author)
            marks.append(await stores.pulled_authors.version())

            assert author in await stores.pulled_authors.all()
        assert len(set(marks)) == 4

    async def test_authors_added_at_once_are_all_there(self, stores: Stores, new_id: NewId) -> None:
        """None overwrites another."""
        authors = {UserId(new_id()) for _ in range(20)}
        await asyncio.gather(*(stores.pulled_authors.add(author) for author in authors))

        assert authors <= await stores.pulled_authors.all()


@pytest.mark.anyio
class ParkedPhotosSuite:
    def parked(self, new_id: NewId, due_ms: int) -> ParkedPhoto:
        return ParkedPhoto(
            photo_id=PhotoId(new_id()),
            author_id=UserId(new_id()),
            object_key="originals/1.jpg",
            parked_ms=due_ms - 2_000,
            due_ms=due_ms,
        )

    async def test_a_photo_is_due_from_its_time_on(
        self, stores: Stores, new_id: NewId, passing: PassingTime
    ) -> None:
        """Not before; parking it twice is once."""
        photo = self.parked(new_id, passing.now_ms())
        for _ in range(2):
            await stores.parked.park(photo)
        early = await stores.parked.due(photo.due_ms - 1, 1_000)
        due = await stores.parked.due(photo.due_ms, 1_000)
        await stores.parked.unpark(photo)

        assert photo not in early
        assert due.count(photo) == 1

    async def test_an_unparked_photo_is_not_due(
        self, stores: Stores, new_id: NewId, passing: PassingTime
    ) -> None:
        """It may be unparked again; another of the same time stays."""
        photo, other = (self.parked(new_id, passing.now_ms()) for _ in range(2))
        await stores.parked.park(photo)
        await stores.parked.park(other)
        for _ in range(2):
            await stores.parked.unpark(photo)
        due = await stores.parked.due(other.due_ms, 1_000)
        await stores.parked.unpark(other)

        assert photo not in due
        assert other in due

    async def test_a_photo_may_be_parked_anew_before_its_old_place_is_cleared(
        self, stores: Stores, new_id: NewId, passing: PassingTime
    ) -> None:
        """A kill between the two leaves it in both places, never in none."""
        photo = self.parked(new_id, passing.now_ms())
        later = replace(photo, due_ms=photo.due_ms + 2_000)
        await stores.parked.park(photo)
        await stores.parked.park(later)
        await stores.parked.unpark(photo)
        due = await stores.parked.due(later.due_ms, 1_000)
        await stores.parked.unpark(later)

        assert photo not in due
        assert later in due

    async def test_no_more_than_asked_for_are_answered(
        self, stores: Stores, new_id: NewId, passing: PassingTime
    ) -> None:
        """The rest is due the next time."""
        now_ms = passing.now_ms()
        photos = [self.parked(new_id, now_ms) for _ in range(5)]
        for photo in photos:
            await stores.parked.park(photo)
        due = await stores.parked.due(now_ms, 3)
        for photo in photos:
            await stores.parked.unpark(photo)

        assert len(due) == 3


@pytest.mark.anyio
class StopsSuite:
    def stop(self, group: str, partition: int) -> Stop:
        return Stop(
            group=group,
            topic="likes",
            partition=partition,
            position=77,
            reason="100 dead letters in a row",
            since_ms=1_790_000_000_123,
        )

    async def test_a_stop_stands_until_its_group_is_resumed(self, stores: Stores, new_id: NewId) -> None:
        """Resuming answers how many there were, and touches no other group."""
        group, other = f"check-{new_id()}", f"edges-{new_id()}"
        stops = [self.stop(group, 0), self.stop(group, 3), self.stop(other, 0)]
        for stop in stops:
            await stores.stopped_partitions.stop(stop)

        assert await stores.stopped_partitions.stops(group) == stops[:2]
        assert await stores.stopped_partitions.resume(group) == 2
        assert await stores.stopped_partitions.stops(group) == []
        assert await stores.stopped_partitions.resume(group) == 0
        assert await stores.stopped_partitions.stops(other) == stops[2:]

    async def test_a_partition_stops_once(self, stores: Stores, new_id: NewId) -> None:
        """Stopped again, the last position and reason count; other topics have their own."""
        group = f"check-{new_id()}"
        stop = self.stop(group, 0)
        again = replace(stop, position=99, reason="501 of the last 1,000")
        elsewhere = replace(stop, topic="uploads")
        for each in (stop, again, elsewhere):
            await stores.stopped_partitions.stop(each)

        assert await stores.stopped_partitions.stops(group) == [again, elsewhere]


@pytest.mark.anyio
class OriginalsSuite:
    async def test_an_original_is_there_once_it_was_put(
        self, stores: Stores, new_id: NewId, put_original: Callable[[str], None]
    ) -> None:
        """And not before; another key is another object."""
        key = f"originals/{new_id()}.jpg"

        assert await stores.media_objects.size(key) is None
        put_original(key)
        assert await stores.media_objects.size(key) == len(b"original")
        assert await stores.media_objects.size(f"{key}2") is None


@pytest.mark.anyio
class RebuildBudgetSuite:
    async def test_no_more_than_the_limit_begin_in_a_second(
        self, stores: Stores, passing: PassingTime
    ) -> None:
        """Of 50 who ask at once some may; later others may."""

        async def one_more() -> bool:
            return await stores.rebuild_budget.take()

        await passing.until(one_more, "the budget has one to take")
        begun_ms = passing.now_ms()
        granted = sum(await asyncio.gather(*(stores.rebuild_budget.take() for _ in range(50))))
        took_s = (passing.now_ms() - begun_ms) / 1_000

        assert granted <= REBUILDS_PER_S_MAX * (1 + took_s)
        await passing.until(one_more, "the budget is refilled")


@pytest.mark.anyio
class ShardLeasesSuite:
    """`shard_now_ms` is a time at which all of the few shards are free."""

    async def test_holders_have_different_shards(self, stores: Stores, shard_now_ms: int) -> None:
        """When all are held the next is told so."""
        leases = [await stores.shard_leases.acquire(str(uuid4()), shard_now_ms) for _ in range(SHARDS)]

        assert {lease.shard for lease in leases} == set(range(SHARDS))
        with pytest.raises(LookupError):
            await stores.shard_leases.acquire(str(uuid4()), shard_now_ms + 1)

    async def test_a_new_holder_starts_after_all_that_was_reserved(
        self, stores: Stores, shard_now_ms: int
    ) -> None:
        """Law of ids: the same is never minted twice, whatever the clocks say."""
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
        """Its lease ran out and another took over: it must stop minting."""
        holder = str(uuid4())
        lease = await stores.shard_leases.acquire(holder, shard_now_ms)
        await stores.shard_leases.reserve(holder, lease.shard, shard_now_ms + 1_000, shard_now_ms)
        later_ms = shard_now_ms + LEASE_PAST_MS
        for _ in range(SHARDS):
            await stores.shard_leases.acquire(str(uuid4()), later_ms)

        with pytest.raises(PermissionError, match=f"shard {lease.shard}"):
            await stores.shard_leases.reserve(holder, lease.shard, later_ms + 5_000, later_ms)

    async def test_reserving_renews_the_lease(self, stores: Stores, shard_now_ms: int) -> None:
        """Whoever goes on minting keeps its shard, and the others get the rest."""
        holder = str(uuid4())
        lease = await stores.shard_leases.acquire(holder, shard_now_ms)
        later_ms = shard_now_ms + LEASE_PAST_MS
        await stores.shard_leases.reserve(holder, lease.shard, later_ms - 1_000, later_ms - 1_000)
        others = [await stores.shard_leases.acquire(str(uuid4()), later_ms) for _ in range(SHARDS - 1)]

        assert lease.shard not in {other.shard for other in others}
        with pytest.raises(LookupError):
            await stores.shard_leases.acquire(str(uuid4()), later_ms)

    async def test_a_released_shard_is_free_at_once(self, stores: Stores, shard_now_ms: int) -> None:
        """But only its holder can release it, and what was reserved stays reserved."""
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

    async def test_a_shard_whose_ids_run_ahead_of_the_clock_is_left(
        self, stores: Stores, shard_now_ms: int
    ) -> None:
        """Minting with it would have to wait."""
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

    async def test_of_racing_holders_each_gets_another_shard(self, stores: Stores, shard_now_ms: int) -> None:
        """Taken at once, no shard is given twice."""
        leases = await asyncio.gather(
            *(stores.shard_leases.acquire(str(uuid4()), shard_now_ms) for _ in range(SHARDS + 2)),
            return_exceptions=True,
        )
        shards = [lease.shard for lease in leases if not isinstance(lease, BaseException)]
        refused = [each for each in leases if isinstance(each, BaseException)]

        assert len(shards) == len(set(shards))
        assert all(isinstance(each, LookupError) for each in refused)
