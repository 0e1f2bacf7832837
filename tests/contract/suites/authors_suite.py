"""What the stores of authors, pulled authors, undelivered photos and active readers promise."""

import asyncio
from collections.abc import Callable

from schemas.ids import PhotoId, UserId
from streams.core.delivery import Mode
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
