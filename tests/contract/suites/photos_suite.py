"""What `Photos`, `AuthorPhotos` and `ParkedPhotos` promise."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from schemas.ids import ID_MAX, PhotoId, UserId
from streams.core.photos import AuthorPhoto, ParkedPhoto, Photo, Status, StoredRendition
from streams.ports.groups import Stores
from tests.contract.passing_time import PassingTime
from tests.worlds.deliveries import PUSHED

NewId = Callable[[], int]
THUMBNAIL = {"thumbnail": StoredRendition(object_key="r/1", width=150, height=100)}


def photo_by(new_id: NewId) -> Photo:
    """Make a photo as it is directly after its upload."""
    return Photo(
        photo_id=PhotoId(new_id()),
        author_id=UserId(new_id()),
        created_at=datetime(2026, 3, 1, 12, 30, 15, 123_000, tzinfo=UTC),
        caption="a caption, «naïve» 🌅",
        object_key="originals/1.jpg",
        content_type="image/jpeg",
        renditions={},
    )


async def stored(stores: Stores, photo: Photo) -> Photo:
    return (await stores.photos.get([photo.photo_id]))[photo.photo_id]


class PhotosSuite:
    async def test_an_inserted_photo_is_read_as_it_was(self, stores: Stores, new_id: NewId) -> None:
        """Every field is stored. A new photo is processing, has no renditions, and is not
        deleted."""
        photo = photo_by(new_id)

        await stores.photos.insert([photo])

        assert await stored(stores, photo) == photo

    async def test_times_are_kept_to_the_millisecond(self, stores: Stores, new_id: NewId) -> None:
        """Microseconds are cut off."""
        photo = replace(photo_by(new_id), created_at=datetime(2026, 3, 1, 0, 0, 0, 123_999, tzinfo=UTC))
        await stores.photos.insert([photo])

        assert (await stored(stores, photo)).created_at == datetime(2026, 3, 1, 0, 0, 0, 123_000, tzinfo=UTC)

    @pytest.mark.parametrize("year", [1, 1888, 1969, 9999])
    async def test_a_photo_may_be_of_any_year(self, stores: Stores, new_id: NewId, year: int) -> None:
        """Before 1970, too, microseconds are cut off, and not rounded."""
        photo = replace(photo_by(new_id), created_at=datetime(year, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC))
        await stores.photos.insert([photo])

        expected = datetime(year, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)
        assert (await stored(stores, photo)).created_at == expected

    async def test_insert_takes_the_facts_alone(self, stores: Stores, new_id: NewId) -> None:
        """`insert` ignores the status, because other calls write it. So a repeated upload does not
        reset it. Renditions are facts."""
        photo = replace(photo_by(new_id), renditions=THUMBNAIL)
        await stores.photos.insert([replace(photo, status=Status.READY)])

        assert await stored(stores, photo) == photo

    async def test_renditions_of_another_author_are_not_added(self, stores: Stores, new_id: NewId) -> None:
        """Nor those of a second upload by the same author: the facts of the first stay, all of them."""
        photo = photo_by(new_id)
        await stores.photos.insert([photo])
        for author in (UserId(new_id()), photo.author_id):
            await stores.photos.insert([replace(photo, author_id=author, renditions=THUMBNAIL)])

        assert await stored(stores, photo) == photo

    async def test_renditions_are_added_to_those_of_the_upload(self, stores: Stores, new_id: NewId) -> None:
        """Both are read, an added one replaces one of the same name, and any can be forgotten for good."""
        small = {"small": StoredRendition(object_key="r/2", width=320, height=213)}
        photo = replace(photo_by(new_id), renditions={**THUMBNAIL, "large": small["small"]})
        await stores.photos.insert([photo])
        await stores.photos.mark_ready({photo.photo_id: small}, {photo.photo_id: PUSHED})
        await stores.photos.add_renditions(photo.photo_id, {"large": THUMBNAIL["thumbnail"]})
        ready = replace(photo, status=Status.READY)
        of_all = {**THUMBNAIL, "large": THUMBNAIL["thumbnail"], **small}
        assert await stored(stores, photo) == replace(ready, renditions=of_all)

        await stores.photos.forget_renditions(photo.photo_id, ["thumbnail", "small"])
        await stores.photos.insert([photo])
        assert await stored(stores, photo) == replace(ready, renditions={"large": THUMBNAIL["thumbnail"]})

    async def test_the_first_author_of_an_id_keeps_it(self, stores: Stores, new_id: NewId) -> None:
        """An insert of the same id by another author changes nothing, also in the same call."""
        photo = photo_by(new_id)
        other, another = (replace(photo, author_id=UserId(new_id()), caption="mine") for _ in range(2))
        await stores.photos.insert([photo, other])
        await stores.photos.insert([another])

        assert await stored(stores, photo) == photo

    async def test_of_racing_authors_one_wins(self, stores: Stores, new_id: NewId) -> None:
        """After concurrent inserts the row has the facts of one of them, and it keeps them."""
        photo = photo_by(new_id)
        racing = [
            replace(photo, author_id=UserId(new_id()), caption=f"{number}", object_key=f"originals/{number}")
            for number in range(8)
        ]
        await asyncio.gather(*(stores.photos.insert([photo]) for photo in racing))
        winner = await stored(stores, photo)
        await stores.photos.insert(racing)

        assert winner in racing
        assert await stored(stores, photo) == winner

    async def test_unknown_photos_are_left_out(self, stores: Stores, new_id: NewId) -> None:
        """Of many ids, only existing photos are returned. Without ids nothing is returned."""
        photos = [photo_by(new_id) for _ in range(3)]
        for photo in photos:
            await stores.photos.insert([photo])
        unknown = [PhotoId(new_id()) for _ in range(247)]
        found = await stores.photos.get([*unknown, *(photo.photo_id for photo in photos)])

        assert found == {photo.photo_id: photo for photo in photos}
        assert await stores.photos.get([]) == {}

    async def test_a_ready_photo_has_its_renditions(self, stores: Stores, new_id: NewId) -> None:
        """Added renditions join the stored ones and replace those of the same name. Marking the
        photo ready again removes none."""
        photo = photo_by(new_id)
        await stores.photos.insert([photo])
        small = {"small": StoredRendition(object_key="r/2", width=320, height=213)}
        await stores.photos.mark_ready(
            {photo.photo_id: {"thumbnail": small["small"]}}, {photo.photo_id: PUSHED}
        )
        await stores.photos.add_renditions(photo.photo_id, small)
        await stores.photos.mark_ready({photo.photo_id: THUMBNAIL}, {photo.photo_id: PUSHED})

        expected = replace(photo, status=Status.READY, renditions={**THUMBNAIL, **small})
        assert await stored(stores, photo) == expected

    async def test_a_repeated_upload_leaves_a_ready_photo_ready(self, stores: Stores, new_id: NewId) -> None:
        """An insert never changes a stored photo."""
        photo = photo_by(new_id)
        await stores.photos.insert([photo])
        await stores.photos.mark_ready({photo.photo_id: THUMBNAIL}, {photo.photo_id: PUSHED})
        await stores.photos.insert([photo])

        assert (await stored(stores, photo)).status is Status.READY

    async def test_a_rejected_photo_says_why(self, stores: Stores, new_id: NewId) -> None:
        """The reason is stored with the status."""
        photo = photo_by(new_id)
        await stores.photos.insert([photo])
        await stores.photos.mark_rejected(photo.photo_id, "not an image")

        assert await stored(stores, photo) == replace(photo, status=Status.REJECTED, reason="not an image")

    @pytest.mark.parametrize("order", ["jr", "rj", "jrj"])
    async def test_a_rejection_is_permanent(self, stores: Stores, new_id: NewId, order: str) -> None:
        """The photo stays rejected with its reason, whether it was made ready before or after."""
        photo = photo_by(new_id)
        await stores.photos.insert([photo])
        for step in order:
            if step == "j":
                await stores.photos.mark_rejected(photo.photo_id, "broken")
            else:
                await stores.photos.mark_ready({photo.photo_id: THUMBNAIL}, {photo.photo_id: PUSHED})
        found = await stored(stores, photo)

        assert (Status.REJECTED, "broken") == (found.status, found.reason)

    async def test_a_tombstone_is_for_one_photo_and_author(self, stores: Stores, new_id: NewId) -> None:
        """A tombstone can be written before the photo exists. A tombstone of another user does not
        apply to the author's photo."""
        photo, author = PhotoId(new_id()), UserId(new_id())
        await stores.photos.write_tombstone(photo, author)
        await stores.photos.write_tombstone(photo, author)

        others = [(photo, UserId(new_id())), (PhotoId(new_id()), author)]
        assert await stores.photos.tombstones([*others, (photo, author)]) == {(photo, author)}
        assert await stores.photos.tombstones(others) == set()
        assert await stores.photos.get([photo]) == {}

    async def test_a_tombstone_leaves_the_row(self, stores: Stores, new_id: NewId) -> None:
        """The tombstone is stored separately; only `erase` changes the row."""
        photo = photo_by(new_id)
        await stores.photos.insert([photo])
        await stores.photos.write_tombstone(photo.photo_id, photo.author_id)

        assert await stored(stores, photo) == photo

    async def test_an_erased_photo_stays_deleted(self, stores: Stores, new_id: NewId) -> None:
        """Neither a repeated upload nor a late rendition restores it or its caption."""
        photo = photo_by(new_id)
        await stores.photos.insert([photo])
        await stores.photos.erase(photo.photo_id)
        await stores.photos.erase(photo.photo_id)
        await stores.photos.insert([photo])
        await stores.photos.mark_ready({photo.photo_id: THUMBNAIL}, {photo.photo_id: PUSHED})
        found = await stored(stores, photo)

        assert found.deleted
        assert found.caption == ""


class AuthorPhotosSuite:
    async def test_photos_come_newest_first(self, stores: Stores, new_id: NewId) -> None:
        """The order in which photos were added and repeated additions do not matter."""
        author, first, second, third = UserId(new_id()), *(PhotoId(new_id()) for _ in range(3))
        for photo in (second, third, first, second):
            await stores.author_photos.add([(photo, author)], ready=True)

        assert await self.ids(stores, author) == [third, second, first]

    async def test_a_page_is_below_its_place_and_within_its_limit(
        self, stores: Stores, new_id: NewId
    ) -> None:
        """The page has ids smaller than `below`. If it has fewer photos than the limit, there are
        no more."""
        author, first, second, third = UserId(new_id()), *(PhotoId(new_id()) for _ in range(3))
        for photo in (first, second, third):
            await stores.author_photos.add([(photo, author)], ready=True)

        assert await self.ids(stores, author, below=third, each_max=1) == [second]
        assert await self.ids(stores, author, below=third, each_max=3) == [second, first]
        assert await self.ids(stores, author, below=first) == []

    async def test_the_limit_is_for_each_author(self, stores: Stores, new_id: NewId) -> None:
        """Each of 130 authors has its newest two; an unknown author has none."""
        authors = [UserId(new_id()) for _ in range(130)]
        photos = {author: [PhotoId(new_id()) for _ in range(3)] for author in authors[1:]}
        adds = [(photo, author) for author, some in photos.items() for photo in some]
        await asyncio.gather(*(stores.author_photos.add([entry], ready=True) for entry in adds))
        found = await stores.author_photos.newest(authors, below=ID_MAX, each_max=2)

        assert [entry.photo_id for author in authors[1:] for entry in found[author]] == [
            photo for author in authors[1:] for photo in reversed(photos[author][1:])
        ]
        assert found[authors[0]] == []
        assert len(found) == 130

    @pytest.mark.parametrize("order", [(False, True), (True, False), (True,), (True, True)])
    async def test_ready_stays_ready(self, stores: Stores, new_id: NewId, order: tuple[bool, ...]) -> None:
        """A later addition that says `ready=False`, from a repeated upload, does not change a ready
        photo."""
        author, photo = UserId(new_id()), PhotoId(new_id())
        for ready in order:
            await stores.author_photos.add([(photo, author)], ready=ready)
        found = await stores.author_photos.newest([author], below=ID_MAX, each_max=5)

        assert found == {author: [AuthorPhoto(photo_id=photo, ready=True)]}

    async def test_a_repair_is_later_than_everything(self, stores: Stores, new_id: NewId) -> None:
        """A removed photo is listed, a rejected one is ready, and a listed one is removed, for good."""
        author, removed, rejected, listed = UserId(new_id()), *(PhotoId(new_id()) for _ in range(3))
        await stores.author_photos.add([(listed, author), (rejected, author)], ready=True)
        await stores.author_photos.reject(author, rejected)
        await stores.author_photos.remove(author, removed)
        for photo in (removed, rejected):
            await stores.author_photos.repair(author, photo, is_listed=True)
        await stores.author_photos.repair(author, listed, is_listed=False)
        await stores.author_photos.add([(listed, author)], ready=True)
        await stores.author_photos.remove(author, removed)
        found = await stores.author_photos.newest([author], below=ID_MAX, each_max=5)

        assert found == {author: [AuthorPhoto(rejected, ready=True), AuthorPhoto(removed, ready=True)]}

    async def test_what_is_not_ready_is_listed_as_such(self, stores: Stores, new_id: NewId) -> None:
        """The author sees a photo that is not ready. The callers decide which other users see
        it."""
        author, photo = UserId(new_id()), PhotoId(new_id())
        await stores.author_photos.add([(photo, author)], ready=False)
        found = await stores.author_photos.newest([author], below=ID_MAX, each_max=5)

        assert found == {author: [AuthorPhoto(photo_id=photo, ready=False)]}

    @pytest.mark.parametrize("order", ["rj", "jr", "arj", "rja", "jar"])
    async def test_a_rejected_photo_is_listed_and_never_ready(
        self, stores: Stores, new_id: NewId, order: str
    ) -> None:
        """The order in which the photo is added, made ready and rejected does not matter."""
        author, photo = UserId(new_id()), PhotoId(new_id())
        for step in order:
            if step == "j":
                await stores.author_photos.reject(author, photo)
            else:
                await stores.author_photos.add([(photo, author)], ready=step == "r")
        found = await stores.author_photos.newest([author], below=ID_MAX, each_max=5)

        assert found == {author: [AuthorPhoto(photo_id=photo, ready=False)]}

    @pytest.mark.parametrize("order", ["rjd", "rdj", "djr", "jdr"])
    async def test_a_rejected_photo_can_be_removed(self, stores: Stores, new_id: NewId, order: str) -> None:
        """A removal wins over a rejection, in any order."""
        author, photo = UserId(new_id()), PhotoId(new_id())
        for step in order:
            if step == "r":
                await stores.author_photos.add([(photo, author)], ready=True)
            elif step == "j":
                await stores.author_photos.reject(author, photo)
            else:
                await stores.author_photos.remove(author, photo)

        assert await self.ids(stores, author) == []

    @pytest.mark.parametrize("order", ["ar", "ra", "arar", "rra", "raa"])
    async def test_a_removal_is_permanent(self, stores: Stores, new_id: NewId, order: str) -> None:
        """A removal wins over additions before and after it."""
        author, photo, other = UserId(new_id()), PhotoId(new_id()), PhotoId(new_id())
        await stores.author_photos.add([(other, author)], ready=True)
        for step in order:
            if step == "a":
                await stores.author_photos.add([(photo, author)], ready=True)
            else:
                await stores.author_photos.remove(author, photo)

        assert await self.ids(stores, author) == [other]

    async def test_a_removed_photo_does_not_count_towards_the_limit(
        self, stores: Stores, new_id: NewId
    ) -> None:
        """A page shorter than the limit means that there are no more photos, so removed photos must
        not make it shorter."""
        author, photos = UserId(new_id()), [PhotoId(new_id()) for _ in range(4)]
        for photo in photos:
            await stores.author_photos.add([(photo, author)], ready=True)
        await stores.author_photos.remove(author, photos[3])
        await stores.author_photos.remove(author, photos[2])

        assert await self.ids(stores, author, each_max=2) == [photos[1], photos[0]]

    async def ids(
        self, stores: Stores, author: UserId, *, below: int = ID_MAX, each_max: int = 100
    ) -> list[PhotoId]:
        found = await stores.author_photos.newest([author], below=below, each_max=each_max)
        return [entry.photo_id for entry in found[author]]


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
        """The photo is not due one millisecond before. Parking it twice has the same effect as
        parking it once."""
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
        """Unparking may be repeated; another photo with the same time stays parked."""
        photo, other = (self.parked(new_id, passing.now_ms()) for _ in range(2))
        await stores.parked.park(photo)
        await stores.parked.park(other)
        for _ in range(2):
            await stores.parked.unpark(photo)
        due = await stores.parked.due(other.due_ms, 1_000)
        await stores.parked.unpark(other)

        assert photo not in due
        assert other in due

    async def test_a_photo_may_be_parked_again_before_its_old_row_is_removed(
        self, stores: Stores, new_id: NewId, passing: PassingTime
    ) -> None:
        """If the worker is killed after the second `park` and before `unpark`, there are two rows.
        In the opposite order a kill would leave no row and the photo would be lost."""
        photo = self.parked(new_id, passing.now_ms())
        later = replace(photo, due_ms=photo.due_ms + 2_000)
        await stores.parked.park(photo)
        await stores.parked.park(later)
        await stores.parked.unpark(photo)
        due = await stores.parked.due(later.due_ms, 1_000)
        await stores.parked.unpark(later)

        assert photo not in due
        assert later in due

    async def test_no_more_than_the_limit_are_returned(
        self, stores: Stores, new_id: NewId, passing: PassingTime
    ) -> None:
        """With five photos due and a limit of 3, `due` returns three."""
        now_ms = passing.now_ms()
        photos = [self.parked(new_id, now_ms) for _ in range(5)]
        for photo in photos:
            await stores.parked.park(photo)
        due = await stores.parked.due(now_ms, 3)
        for photo in photos:
            await stores.parked.unpark(photo)

        assert len(due) == 3
