"""What the stores of authors, pulled authors, undelivered and deferred photos, and active readers promise."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from schemas.ids import PhotoId, UserId, compose_id, id_ms
from streams.core.delivery import DeliveryReason, Mode
from streams.core.overload.deferral import PERIOD_MS, DeferredPost
from streams.ports.groups import Stores

NewId = Callable[[], int]


class AuthorsSuite:
    async def test_the_last_mode_is_remembered(self, stores: Stores, new_id: NewId) -> None:
        """After each write, a read returns the new mode. An author without a stored mode has
        push."""
        author, other = UserId(new_id()), UserId(new_id())

        assert await stores.authors.modes_by_size([author]) == {author: Mode.PUSH}
        for mode in (Mode.PULL, Mode.PULL, Mode.PUSH, Mode.PULL):
            await stores.authors.remember_modes({author: mode})

            assert await stores.authors.modes_by_size([author, other]) == {author: mode, other: Mode.PUSH}
        assert await stores.authors.modes_by_size([]) == {}


class PulledAuthorsSuite:
    async def test_a_new_author_is_in_the_set_and_changes_the_version(
        self, stores: Stores, new_id: NewId
    ) -> None:
        """A reader that polls the version sees every change of the set. Adding an author twice has
        the same effect as adding it once."""
        versions = [await stores.pulled_authors.version()]
        for _ in range(3):
            author = UserId(new_id())
            assert author not in await stores.pulled_authors.all()
            for _ in range(2):
                await stores.pulled_authors.add([author])
            versions.append(await stores.pulled_authors.version())

            assert author in await stores.pulled_authors.all()
        assert len(set(versions)) == 4

    async def test_authors_added_at_once_are_all_there(self, stores: Stores, new_id: NewId) -> None:
        """Concurrent calls do not overwrite each other."""
        authors = {UserId(new_id()) for _ in range(20)}
        await asyncio.gather(*(stores.pulled_authors.add([author]) for author in authors))

        assert authors <= await stores.pulled_authors.all()


class UndeliveredPhotosSuite:
    async def test_a_photo_is_undelivered_until_its_delivery_ends(
        self, stores: Stores, new_id: NewId
    ) -> None:
        """Each call may be repeated, and photos of one author do not affect each other."""
        author, other = UserId(new_id()), UserId(new_id())
        one, two, three = (PhotoId(new_id()) for _ in range(3))
        for _ in range(2):
            await stores.undelivered.begin([(one, author), (two, author)])
            await stores.undelivered.begin([(three, other)])

        assert {one: author, two: author, three: other}.items() <= (await stores.undelivered.all()).items()
        for _ in range(2):
            await stores.undelivered.end([(one, author)])

        undelivered = await stores.undelivered.all()
        assert one not in undelivered
        assert {two: author, three: other}.items() <= undelivered.items()


class DeferredPostsSuite:
    def posts(self, new_id: NewId, *counts: int) -> list[list[DeferredPost]]:
        """Make so many posts in each of successive periods that no other test uses."""
        some_ms = id_ms(PhotoId(new_id())) // PERIOD_MS * PERIOD_MS
        return [
            [
                DeferredPost(
                    photo_id=PhotoId(compose_id(some_ms + number * PERIOD_MS, 1, place)),
                    author_id=UserId(new_id()),
                    reason=DeliveryReason.BREAKER,
                    followers=3_000_000_000,
                    ready_ms=some_ms + 3_600_000,
                )
                for place in range(count)
            ]
            for number, count in enumerate(counts)
        ]

    async def test_posts_are_read_by_their_period_in_order(self, stores: Stores, new_id: NewId) -> None:
        """As they were stored, however often; a period without posts is not listed."""
        posts, [later] = self.posts(new_id, 5, 1)
        period = posts[0].period
        for some in (posts[3:], posts[:2], posts):
            await stores.deferred.add(some)
        await stores.deferred.add([later])
        await stores.deferred.add([])

        assert await stores.deferred.of_period(period) == posts
        assert await stores.deferred.of_period(period + 1) == [later]
        assert await stores.deferred.of_period(period + 2) == []
        assert (await stores.deferred.periods()).keys() & {period, period + 1, period + 2} == {
            period,
            period + 1,
        }

    async def test_the_version_changes_with_new_posts_and_with_sent_ones(
        self, stores: Stores, new_id: NewId
    ) -> None:
        """It does not while a push is under way, so nobody reads the period again for that."""
        [[one, two]] = self.posts(new_id, 2)
        period = one.period
        versions = []
        await stores.deferred.add([one])
        versions.append((await stores.deferred.periods())[period])
        await stores.deferred.add([two])
        versions.append((await stores.deferred.periods())[period])
        await stores.deferred.save_progress([replace(one, level=2, next_bucket=7, ends={6: 5})])
        assert (await stores.deferred.periods())[period] == versions[-1]
        await stores.deferred.save_progress([replace(two, is_sent=True)])
        versions.append((await stores.deferred.periods())[period])

        assert versions == sorted(set(versions))

    async def test_progress_is_kept_when_a_post_is_deferred_again(
        self, stores: Stores, new_id: NewId
    ) -> None:
        """Its event may come twice; what was published need not be published again."""
        [[post]] = self.posts(new_id, 1)
        await stores.deferred.add([post])
        pushed = replace(post, level=1, next_bucket=16, ends={6: 2**40, 7: 1}, is_sent=True)
        await stores.deferred.save_progress([pushed])
        await stores.deferred.add([replace(post, reason=DeliveryReason.SHED, ready_ms=post.ready_ms + 5)])

        expected = replace(pushed, reason=DeliveryReason.SHED, ready_ms=post.ready_ms + 5)
        assert await stores.deferred.of_period(post.period) == [expected]

    async def test_a_removed_post_is_gone_and_its_period_can_be_forgotten(
        self, stores: Stores, new_id: NewId
    ) -> None:
        """Progress that is stored late brings the whole post back, so it is settled again. Each call may be
        repeated."""
        [[post, other]] = self.posts(new_id, 2)
        period = post.period
        await stores.deferred.add([post, other])
        for _ in range(2):
            await stores.deferred.remove([post])
        assert await stores.deferred.of_period(period) == [other]
        late = replace(post, next_bucket=3)
        await stores.deferred.save_progress([late])
        assert await stores.deferred.of_period(period) == [late, other]
        await stores.deferred.remove([late, other])
        version = (await stores.deferred.periods())[period]
        for _ in range(2):
            await stores.deferred.forget(period, version)

        assert period not in await stores.deferred.periods()
        assert await stores.deferred.of_period(period) == []

    async def test_a_period_that_was_added_to_is_not_forgotten(self, stores: Stores, new_id: NewId) -> None:
        """Who forgets it has read it before; what came since is listed."""
        [[first, second]] = self.posts(new_id, 2)
        period = first.period
        await stores.deferred.add([first])
        version = (await stores.deferred.periods())[period]
        await stores.deferred.remove([first])
        await stores.deferred.add([second])
        await stores.deferred.forget(period, version)

        assert period in await stores.deferred.periods()
        assert await stores.deferred.of_period(period) == [second]


class ActiveReadersSuite:
    async def test_an_hour_has_each_reader_once(self, stores: Stores, new_id: NewId) -> None:
        """Pages of any size have all readers of the hour, each once, however often they are recorded."""
        hour = new_id() % 2**30
        readers = {UserId(new_id()) for _ in range(40)}
        for some in (sorted(readers)[:25], readers):
            await stores.active_readers.record(hour, some)
        await stores.active_readers.record(hour + 1, [UserId(new_id())])

        for count in (1, 7, 40, 1_000):
            found: list[UserId] = []
            while page := await stores.active_readers.page(hour, found[-1] if found else None, count):
                assert len(page) == min(count, 40 - len(found))
                found += page
            assert sorted(readers) == sorted(found)

    async def test_an_hour_without_readers_is_empty(self, stores: Stores, new_id: NewId) -> None:
        """Recording nobody changes nothing."""
        hour = new_id() % 2**30
        await stores.active_readers.record(hour, [])

        assert await stores.active_readers.page(hour, None, 10) == []
