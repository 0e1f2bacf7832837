"""What `ParkedPhotos` promises."""

from collections.abc import Callable
from dataclasses import replace

from schemas.ids import PhotoId, UserId
from streams.core.photos import ParkedPhoto
from streams.ports.groups import Stores
from tests.contract.passing_time import PassingTime

NewId = Callable[[], int]


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
