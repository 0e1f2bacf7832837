"""What `Cache` promises: no cached value outlives a write that its reader did not see; and `PageStarts`."""

import asyncio
from collections.abc import Callable, Iterator

import pytest

from schemas.ids import PackedIds, PhotoId, UserId, pack_id, pack_ids
from streams.core import ring
from streams.ports.groups import Stores
from streams.ports.timelines import PhotosForOwners
from streams.stores.cache.tails import TAIL_RECORDS_MAX
from tests.contract.passing_time import PassingTime

NewId = Callable[[], int]
TTL_S = 60


def keys_of(new_id: NewId, count: int) -> list[bytes]:
    return [b"p" + pack_id(new_id()) for _ in range(count)]


def interleavings(*lengths: int) -> Iterator[tuple[int, ...]]:
    """Return every interleaving of the steps of programs of these lengths."""
    if not any(lengths):
        yield ()
    for at, left in enumerate(lengths):
        if left:
            shorter = (*lengths[:at], left - 1, *lengths[at + 1 :])
            for rest in interleavings(*shorter):
                yield (at, *rest)


class CacheSuite:
    async def test_reachable_keys_are_invalidated_as_others_are(self, stores: Stores, new_id: NewId) -> None:
        """While all servers respond, no older value can be read afterwards, and no key is returned."""
        filled, leased = keys_of(new_id, 2)
        token = await stores.cache.lease([filled, leased])
        await stores.cache.fill(token, {filled: b"old"}, TTL_S)

        assert await stores.cache.invalidate_reachable([filled, leased]) == frozenset()
        await stores.cache.fill(token, {filled: b"old", leased: b"old"}, TTL_S)
        assert await stores.cache.get([filled, leased]) == [None, None]

    async def test_what_was_filled_under_a_lease_is_read(self, stores: Stores, new_id: NewId) -> None:
        """`get` returns values in the order of the keys, and None for a key that has no value. A
        key that is only leased has no value."""
        filled, leased, empty = keys_of(new_id, 3)
        token = await stores.cache.lease([filled, leased])
        await stores.cache.fill(token, {filled: b"value\x00\xff"}, TTL_S)

        assert await stores.cache.get([empty, filled, leased]) == [None, b"value\x00\xff", None]

    async def test_without_keys_nothing_is_waited_for(self, stores: Stores) -> None:
        """A caller need not look whether its list is empty."""
        token = await stores.cache.lease([])
        await stores.cache.fill(token, {}, TTL_S)
        await stores.cache.invalidate([])

        assert await stores.cache.get([]) == []

    async def test_an_empty_value_is_a_value(self, stores: Stores, new_id: NewId) -> None:
        """A user who follows nobody has a cached value of zero bytes, and `get` must not return
        None for it."""
        [key] = keys_of(new_id, 1)
        await stores.cache.fill(await stores.cache.lease([key]), {key: b""}, TTL_S)

        assert await stores.cache.get([key]) == [b""]

    async def test_without_a_lease_nothing_is_filled(self, stores: Stores, new_id: NewId) -> None:
        """A token of other keys and an unknown token are both refused. Filling no keys does
        nothing."""
        leased, other = keys_of(new_id, 2)
        token = await stores.cache.lease([leased])
        await stores.cache.fill(token, {other: b"old"}, TTL_S)
        await stores.cache.fill(b"\x00" * 8, {leased: b"old", other: b"old"}, TTL_S)
        await stores.cache.fill(token, {}, TTL_S)

        assert await stores.cache.get([leased, other]) == [None, None]

    async def test_only_the_first_lease_counts(self, stores: Stores, new_id: NewId) -> None:
        """While a key is leased, a second reader reads the database but its fill is ignored."""
        [key] = keys_of(new_id, 1)
        first = await stores.cache.lease([key])
        second = await stores.cache.lease([key])
        await stores.cache.fill(second, {key: b"second"}, TTL_S)

        assert await stores.cache.get([key]) == [None]

        await stores.cache.fill(first, {key: b"first"}, TTL_S)

        assert await stores.cache.get([key]) == [b"first"]

    async def test_a_copy_is_not_leased(self, stores: Stores, new_id: NewId) -> None:
        """A cached value cannot be leased, so it stays until it is invalidated or its TTL ends."""
        [key] = keys_of(new_id, 1)
        await stores.cache.fill(await stores.cache.lease([key]), {key: b"value"}, TTL_S)
        await stores.cache.fill(await stores.cache.lease([key]), {key: b"other"}, TTL_S)

        assert await stores.cache.get([key]) == [b"value"]

    async def test_a_lease_fills_once(self, stores: Stores, new_id: NewId) -> None:
        """The first fill uses up the lease, so a second fill with the same token is ignored."""
        [key] = keys_of(new_id, 1)
        token = await stores.cache.lease([key])
        await stores.cache.fill(token, {key: b"first"}, TTL_S)
        await stores.cache.fill(token, {key: b"second"}, TTL_S)

        assert await stores.cache.get([key]) == [b"first"]

    async def test_dropping_takes_copies_and_leases(self, stores: Stores, new_id: NewId) -> None:
        """Invalidating a key removes its value and its lease. A reader that leased the key before
        cannot fill it afterwards with the old value. Invalidating may be repeated."""
        filled, leased, empty = keys_of(new_id, 3)
        await stores.cache.fill(await stores.cache.lease([filled]), {filled: b"old"}, TTL_S)
        token = await stores.cache.lease([leased])
        for _ in range(2):
            await stores.cache.invalidate([filled, leased, empty])
        await stores.cache.invalidate([])
        await stores.cache.fill(token, {leased: b"old"}, TTL_S)

        assert await stores.cache.get([filled, leased]) == [None, None]

    async def test_an_old_token_does_not_fill_a_new_lease(self, stores: Stores, new_id: NewId) -> None:
        """If a key was invalidated and leased again, only the second reader can fill it."""
        [key] = keys_of(new_id, 1)
        old = await stores.cache.lease([key])
        await stores.cache.invalidate([key])
        new = await stores.cache.lease([key])
        await stores.cache.fill(old, {key: b"old"}, TTL_S)
        await stores.cache.fill(new, {key: b"new"}, TTL_S)

        assert await stores.cache.get([key]) == [b"new"]

    async def test_each_key_is_filled_by_its_own_lease(self, stores: Stores, new_id: NewId) -> None:
        """Of the keys of one call, only those are filled whose lease belongs to the token and still
        exists."""
        mine, dropped, anothers = keys_of(new_id, 3)
        await stores.cache.lease([anothers])
        token = await stores.cache.lease([mine, dropped, anothers])
        await stores.cache.invalidate([dropped])
        await stores.cache.fill(token, dict.fromkeys([dropped, mine, anothers], b"value"), TTL_S)

        assert await stores.cache.get([mine, dropped, anothers]) == [b"value", None, None]

    @pytest.mark.law("L2")
    async def test_no_order_of_steps_leaves_an_old_value(self, stores: Stores, new_id: NewId) -> None:
        """Law: no ghost. Two readers lease, read the database and fill while a writer writes and
        invalidates: in none of the 560 orders is the old value cached in the end."""
        for order in interleavings(3, 3, 2):
            [key] = keys_of(new_id, 1)
            database = b"old"
            token, seen = {}, {}
            at = [0, 0, 0]
            for who in order:
                match who, at[who]:
                    case (0 | 1, 0):
                        token[who] = await stores.cache.lease([key])
                    case (0 | 1, 1):
                        seen[who] = database
                    case (0 | 1, 2):
                        await stores.cache.fill(token[who], {key: seen[who]}, TTL_S)
                    case (2, 0):
                        database = b"new"
                    case (2, 1):
                        await stores.cache.invalidate([key])
                at[who] += 1

            assert await stores.cache.get([key]) != [b"old"], order

    async def test_a_copy_goes_when_its_life_ends(
        self, stores: Stores, new_id: NewId, passing: PassingTime
    ) -> None:
        """A cached value disappears when its TTL ends. Then the key may be leased again."""
        brief, lasting = keys_of(new_id, 2)
        token = await stores.cache.lease([brief, lasting])
        await stores.cache.fill(token, {brief: b"value"}, 1)
        await stores.cache.fill(token, {lasting: b"value"}, TTL_S)

        assert await stores.cache.get([brief]) == [b"value"]

        async def gone() -> bool:
            return await stores.cache.get([brief]) == [None]

        await passing.until(gone, "a copy's life ends")
        await stores.cache.fill(await stores.cache.lease([brief]), {brief: b"again"}, TTL_S)

        assert await stores.cache.get([brief, lasting]) == [b"again", b"value"]

    async def test_a_lease_that_is_not_used_goes(
        self, stores: Stores, new_id: NewId, passing: PassingTime
    ) -> None:
        """An unused lease expires, so a reader that died does not prevent other readers from
        filling."""
        [key] = keys_of(new_id, 1)
        old = await stores.cache.lease([key])

        async def taken_by_another() -> bool:
            await stores.cache.fill(await stores.cache.lease([key]), {key: b"new"}, TTL_S)
            return await stores.cache.get([key]) == [b"new"]

        await passing.until(taken_by_another, "an unused lease ends")
        await stores.cache.fill(old, {key: b"old"}, TTL_S)

        assert await stores.cache.get([key]) == [b"new"]


NEWEST = 2**60  # Of the bases below; a double would lose its last bits.
LATER = NEWEST + 1


def record(thing: int, version: int, detail: int = 0) -> bytes:
    return pack_ids([thing, version, detail])


def tailed(base: bytes, *records: bytes, newest: int = NEWEST) -> bytes:
    return pack_ids([newest, len(base)]) + base + b"".join(records)


class CacheTailSuite:
    """`Cache.append`."""

    async def filled(self, stores: Stores, key: bytes, value: bytes, ttl_s: int = TTL_S) -> None:
        await stores.cache.fill(await stores.cache.lease([key]), {key: value}, ttl_s)

    async def test_what_is_newer_than_the_base_is_appended(self, stores: Stores, new_id: NewId) -> None:
        """One call takes several keys, and several records of a key. The tail keeps their order."""
        one, two = keys_of(new_id, 2)
        await self.filled(stores, one, tailed(b"of one thing"))
        await self.filled(stores, two, tailed(b""))
        later = [record(7, LATER + 1), record(6, LATER, 9), record(2**63, 2**64 - 1, 2**64 - 1)]
        await stores.cache.append({})
        await stores.cache.append({one: later[:1], two: later[:1]})
        await stores.cache.append({one: later[1:]})

        assert await stores.cache.get([one, two]) == [
            tailed(b"of one thing", *later),
            tailed(b"", later[0]),
        ]

    @pytest.mark.law("L2")
    @pytest.mark.parametrize("version", [0, NEWEST - 2**32, NEWEST - 1, NEWEST])
    async def test_what_the_base_may_know_better_removes_it(
        self, stores: Stores, new_id: NewId, version: int
    ) -> None:
        """Law: no ghost. Only a version above the newest of the base is certainly newer than what the base
        has of the same thing. Of several records, one is enough."""
        [key] = keys_of(new_id, 1)
        await self.filled(stores, key, tailed(b"base"))
        await stores.cache.append({key: [record(7, LATER), record(8, version)]})

        assert await stores.cache.get([key]) == [None]

    async def test_a_thing_has_one_record(self, stores: Stores, new_id: NewId) -> None:
        """The greatest version stays, also beside versions that a base may know better; of the same version,
        the greatest detail. A worker repeats what the API has appended."""
        [key] = keys_of(new_id, 1)
        await self.filled(stores, key, tailed(b"base"))
        first, second = record(7, LATER, LATER), record(LATER, LATER)  # The latter is also inside the former.
        for details in ([1, 2], [2, 1], [0, 2**33], [2**33 - 1, 2**33]):
            await stores.cache.append({key: [record(6, LATER, detail) for detail in details]})
        for _ in range(2):
            await stores.cache.append({key: [record(6, NEWEST, 2**40), first, second]})
        changes = [record(5, LATER + version, 7 - version) for version in (1, 0, 3, 2)]
        await stores.cache.append({key: changes})

        assert await stores.cache.get([key]) == [
            tailed(b"base", record(6, LATER, 2**33), first, second, changes[2])
        ]

    async def test_a_full_tail_removes_the_value(self, stores: Stores, new_id: NewId) -> None:
        """What is in the tail may still change."""
        [key] = keys_of(new_id, 1)
        await self.filled(stores, key, tailed(b"base"))
        for version in (LATER, LATER + 1):
            records = [record(thing, version) for thing in range(TAIL_RECORDS_MAX)]
            await stores.cache.append({key: records})

        assert await stores.cache.get([key]) == [tailed(b"base", *records)]

        await stores.cache.append({key: [record(TAIL_RECORDS_MAX, LATER)]})

        assert await stores.cache.get([key]) == [None]

    async def test_a_lease_is_removed(self, stores: Stores, new_id: NewId) -> None:
        """A process that leased the key before may have read the database before the change."""
        leased, empty = keys_of(new_id, 2)
        token = await stores.cache.lease([leased])
        await stores.cache.append({leased: [record(7, LATER)], empty: [record(7, LATER)]})
        await stores.cache.fill(token, {leased: tailed(b"old")}, TTL_S)

        assert await stores.cache.get([leased, empty]) == [None, None]

    async def test_an_appended_value_goes_when_its_life_ends(
        self, stores: Stores, new_id: NewId, passing: PassingTime
    ) -> None:
        """Otherwise the base of a user who changes all the time would never be loaded again."""
        [key] = keys_of(new_id, 1)
        await self.filled(stores, key, tailed(b"base"), ttl_s=1)

        async def gone() -> bool:
            cached = await stores.cache.get([key])
            await stores.cache.append({key: [record(7, LATER)]})
            return cached == [None]

        await passing.until(gone, "a copy's life ends")

    @pytest.mark.law("L2")
    async def test_no_order_of_two_changes_and_a_load_leaves_an_old_state(
        self, stores: Stores, new_id: NewId
    ) -> None:
        """Law: no ghost. Two writers write versions of one thing and append them, a reader leases, loads
        and fills, and then the earlier writer repeats its change: in none of the 210 orders is an old
        version read. The base does not say which version it has, as that of whom a user follows."""
        for order in interleavings(3, 2, 2):
            [key] = keys_of(new_id, 1)
            database, loaded, token = 0, 0, b""
            at = [0, 0, 0]
            for who in order:
                match who, at[who]:
                    case (0, 0):
                        token = await stores.cache.lease([key])
                    case (0, 1):
                        loaded = database
                    case (0, 2):
                        value = tailed(b"%d" % loaded, newest=loaded)
                        await stores.cache.fill(token, {key: value}, TTL_S)
                    case (_, 0):
                        database = max(database, who)
                    case (_, 1):
                        await stores.cache.append({key: [record(7, who)]})
                at[who] += 1
            for _ in range(2):
                [cached] = await stores.cache.get([key])
                if cached is not None:
                    tail = [int.from_bytes(cached[at : at + 8]) for at in range(25, len(cached), 24)]
                    assert database == max(tail, default=int(cached[16:17])), order
                await stores.cache.append({key: [record(7, 1)]})


class PageStartsSuite:
    async def test_it_returns_what_the_cache_and_the_timelines_do(
        self, stores: Stores, new_id: NewId
    ) -> None:
        """The values are in the order of the keys; there may be no key, and no timeline."""
        keys, reader = keys_of(new_id, 3), UserId(new_id())
        await stores.cache.fill(await stores.cache.lease(keys[:2]), {keys[1]: b"value"}, TTL_S)
        before = await stores.page_starts.read(keys, reader)
        await stores.timelines.begin_rebuild(reader, b"rebuild1")
        after = await stores.page_starts.read((), reader)

        verified = await stores.timelines.verified()
        assert (before.cached, before.timeline, before.is_verified) == (
            [None, b"value", None],
            None,
            verified,
        )
        assert (after.cached, after.timeline) == ([], await stores.timelines.read(reader))

    async def test_what_moves_from_the_cache_to_the_timeline_is_never_missed(
        self, stores: Stores, new_id: NewId
    ) -> None:
        """A photo is appended to the timeline first, then it leaves the cached list."""
        [key] = keys_of(new_id, 1)
        reader, token = UserId(new_id()), b"rebuild1"
        await stores.timelines.begin_rebuild(reader, token)
        await stores.timelines.finish_rebuild(reader, token, [], 0)
        missed = []
        for photo in range(1, 21):
            await stores.cache.fill(await stores.cache.lease([key]), {key: b"the photo"}, TTL_S)

            async def move(photo: int) -> None:
                put = PhotosForOwners((PhotoId(photo),), PackedIds(pack_id(reader)))
                await stores.timelines.append([put])
                await stores.cache.invalidate([key])

            async def read(photo: int) -> None:
                for _ in range(5):
                    start = await stores.page_starts.read([key], reader)
                    assert start.timeline is not None
                    if start.cached == [None] and photo not in ring.parse(start.timeline).ids:
                        missed.append(photo)

            await asyncio.gather(move(photo), *(read(photo) for _ in range(3)))

        assert not missed

    async def test_reading_keeps_the_timeline(
        self, brief_stores: Stores, new_id: NewId, passing: PassingTime
    ) -> None:
        """It renews the TTL as `Timelines.read` does."""
        reader, token = UserId(new_id()), b"rebuild1"
        await brief_stores.timelines.begin_rebuild(reader, token)
        await brief_stores.timelines.finish_rebuild(reader, token, [PhotoId(7)], 0)
        begun_ms = passing.now_ms()

        async def long_after() -> bool:
            assert (await brief_stores.page_starts.read((), reader)).timeline is not None
            return passing.now_ms() > begun_ms + 6_000

        await passing.until(long_after, "three lives have passed")
