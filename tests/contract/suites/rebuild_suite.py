"""What `Timelines` promises about rebuilds."""

import asyncio
from secrets import token_bytes

import pytest

from schemas.ids import UserId
from streams.core import ring
from streams.ports.groups import Stores
from tests.contract.limits import SLOTS
from tests.contract.passing_time import PassingTime
from tests.contract.suites.timelines_suite import (
    OTHER_TOKEN,
    TOKEN,
    NewId,
    append,
    packed,
    photos,
    ring_of,
    whole,
)


class RebuildSuite:
    async def test_a_timeline_being_rebuilt_says_so(self, stores: Stores, new_id: NewId) -> None:
        """The stored ring has the token of the rebuild until the rebuild is finished."""
        owner = UserId(new_id())

        assert await stores.timelines.begin_rebuild(owner, TOKEN)
        assert (await ring_of(stores, owner)).token == TOKEN
        assert await stores.timelines.finish_rebuild(owner, TOKEN, photos(9, 7, 8), 5)
        stored = await ring_of(stores, owner)

        assert stored.token == ring.NO_TOKEN
        assert stored.ids == {7, 8, 9}
        assert stored.floor == 5

    async def test_of_racing_rebuilders_one_begins(self, stores: Stores, new_id: NewId) -> None:
        """One call returns True and its token is stored. All other calls return False."""
        owner = UserId(new_id())
        tokens = [token_bytes(8) for _ in range(8)]
        begun = await asyncio.gather(*(stores.timelines.begin_rebuild(owner, token) for token in tokens))

        assert sum(begun) == 1
        assert (await ring_of(stores, owner)).token == tokens[begun.index(True)]

    async def test_a_whole_timeline_is_not_rebuilt(self, stores: Stores, new_id: NewId) -> None:
        """If the owner has a complete timeline, `begin_rebuild` returns False and changes
        nothing."""
        owner = await whole(stores, new_id, loaded=(7,))

        assert not await stores.timelines.begin_rebuild(owner, TOKEN)
        assert (await ring_of(stores, owner)).ids == {7}

    @pytest.mark.law("L5")
    async def test_what_arrives_meanwhile_survives(self, stores: Stores, new_id: NewId) -> None:
        """Law: rebuild loses nothing that arrives meanwhile, appended or merged."""
        owner = UserId(new_id())
        await stores.timelines.begin_rebuild(owner, TOKEN)
        await append(stores, [50], owner)
        await stores.timelines.merge(owner, photos(40))
        await stores.timelines.insert(packed(owner), photos(35))

        assert await stores.timelines.finish_rebuild(owner, TOKEN, photos(30, 20), 10)
        assert (await ring_of(stores, owner)).ids == {20, 30, 35, 40, 50}

    @pytest.mark.law("L5")
    async def test_appends_racing_the_end_of_a_rebuild_survive(self, stores: Stores, new_id: NewId) -> None:
        """Whether they come before, between or after the read and the swap."""
        for _ in range(10):
            owner = UserId(new_id())
            await stores.timelines.begin_rebuild(owner, TOKEN)
            _, _, finished = await asyncio.gather(
                append(stores, [50], owner),
                append(stores, [51], owner),
                stores.timelines.finish_rebuild(owner, TOKEN, photos(30), 10),
            )

            assert finished
            assert (await ring_of(stores, owner)).ids == {30, 50, 51}

    async def test_what_arrived_below_the_depth_read_is_left_out(self, stores: Stores, new_id: NewId) -> None:
        """The rebuild did not read the photos below `floor`, so the ring is not complete there."""
        owner = UserId(new_id())
        await stores.timelines.begin_rebuild(owner, TOKEN)
        await stores.timelines.merge(owner, photos(4))
        await stores.timelines.finish_rebuild(owner, TOKEN, photos(30), 10)
        stored = await ring_of(stores, owner)

        assert stored.ids == {30}
        assert stored.floor == 10

    async def test_what_was_overwritten_meanwhile_raises_the_floor(
        self, stores: Stores, new_id: NewId
    ) -> None:
        """If more photos arrive during the rebuild than there are slots, the floor is at least the
        greatest overwritten id."""
        owner = UserId(new_id())
        await stores.timelines.begin_rebuild(owner, TOKEN)
        for photo in range(50, 51 + SLOTS):
            await append(stores, [photo], owner)
        await stores.timelines.finish_rebuild(owner, TOKEN, photos(30), 10)
        stored = await ring_of(stores, owner)

        assert stored.ids == {30, *range(50 + ring.BLOCK, 51 + SLOTS)}
        assert stored.floor == 49 + ring.BLOCK

    async def test_more_than_fits_raises_the_floor(self, stores: Stores, new_id: NewId) -> None:
        """If the rebuild reads more photos than there are slots, the newest are stored, and the
        floor is the newest photo that was left out."""
        owner = await whole(stores, new_id, loaded=range(10, 12 + SLOTS), floor=3)
        stored = await ring_of(stores, owner)

        assert stored.ids == set(range(12, 12 + SLOTS))
        assert stored.floor == 11

    async def test_anothers_token_is_refused(self, stores: Stores, new_id: NewId) -> None:
        """`finish_rebuild` with another token changes nothing, and the running rebuild can still
        finish."""
        owner = UserId(new_id())
        await stores.timelines.begin_rebuild(owner, TOKEN)

        assert not await stores.timelines.finish_rebuild(owner, OTHER_TOKEN, photos(99), 0)
        assert (await ring_of(stores, owner)).ids == frozenset()
        assert await stores.timelines.finish_rebuild(owner, TOKEN, photos(7), 0)

    async def test_a_rebuild_is_finished_once(self, stores: Stores, new_id: NewId) -> None:
        """The first call removes the token, so a second call is refused. Photos that were appended
        in between stay."""
        owner = UserId(new_id())
        await stores.timelines.begin_rebuild(owner, TOKEN)
        await stores.timelines.finish_rebuild(owner, TOKEN, photos(7), 0)
        await append(stores, [9], owner)

        assert not await stores.timelines.finish_rebuild(owner, TOKEN, photos(1), 0)
        assert (await ring_of(stores, owner)).ids == {7, 9}

    async def test_forgotten_in_the_middle_it_is_not_finished(self, stores: Stores, new_id: NewId) -> None:
        """If the timeline was forgotten during the rebuild, finishing stores nothing, even if
        another rebuild has begun."""
        owner = UserId(new_id())
        await stores.timelines.begin_rebuild(owner, TOKEN)
        await stores.timelines.forget(owner)

        assert not await stores.timelines.finish_rebuild(owner, TOKEN, photos(7), 0)
        assert await stores.timelines.read(owner) is None

        await stores.timelines.begin_rebuild(owner, OTHER_TOKEN)

        assert not await stores.timelines.finish_rebuild(owner, TOKEN, photos(7), 0)
        assert (await ring_of(stores, owner)).ids == frozenset()

    async def test_a_rebuild_that_nobody_finishes_expires(
        self, brief_stores: Stores, new_id: NewId, passing: PassingTime
    ) -> None:
        """If the rebuilder died, another rebuild can begin after the TTL. Neither reads nor appends
        renew the TTL of a rebuild."""
        owner = UserId(new_id())
        await brief_stores.timelines.begin_rebuild(owner, TOKEN)

        async def gone() -> bool:
            await append(brief_stores, [7], owner)
            return await brief_stores.timelines.read(owner) is None

        await passing.until(gone, "a rebuild that nobody finishes goes")

        assert not await brief_stores.timelines.finish_rebuild(owner, TOKEN, photos(7), 0)
        assert await brief_stores.timelines.begin_rebuild(owner, OTHER_TOKEN)

    async def test_a_finished_one_lives_on(
        self, brief_stores: Stores, new_id: NewId, passing: PassingTime
    ) -> None:
        """A finished timeline gets the long TTL. The short TTL is only for the time of the
        rebuild."""
        owner = await whole(brief_stores, new_id)
        begun_ms = passing.now_ms()

        async def after_the_rebuilds_life() -> bool:
            return passing.now_ms() > begun_ms + 1_000

        await passing.until(after_the_rebuilds_life, "the rebuild's life has passed")

        assert await append(brief_stores, [7], owner) == 1
