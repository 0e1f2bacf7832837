"""What the stores of the cleaning job promise, and what the job needs from the other stores."""

from collections import Counter
from collections.abc import Callable

import pytest

from schemas.ids import PhotoId, UserId
from streams.core.counted import Membership
from streams.core.edges import OutgoingEdge
from streams.core.photos import StoredRendition
from streams.ports.cleaning import POSITION_MIN, CleaningScan
from streams.ports.edges import ScannedUsers
from streams.ports.groups import Stores
from tests.contract.passing_time import PassingTime
from tests.contract.suites.photos_suite import photo_by
from tests.worlds.deliveries import PUSHED

NewId = Callable[[], int]
NOW_US = 1_790_000_000_000_000
MADE = {
    name: StoredRendition(object_key=f"r/{name}", width=1, height=1)
    for name in ("thumbnail", "small", "large")
}


class PhotoScanSuite:
    async def test_a_walk_meets_every_photo_once(self, stores: Stores, new_id: NewId) -> None:
        """The pages are ordered by position. After the last photo the page is empty."""
        photos = [photo_by(new_id) for _ in range(7)]
        for photo in photos:
            await stores.photos.insert([photo])
        met: list[tuple[int, PhotoId]] = []
        while page := await stores.photo_scan.after(met[-1][0] if met else POSITION_MIN, limit=3):
            assert len(page) <= 3
            met += page

        ids = [photo for _, photo in met]
        assert len(ids) == len(set(ids))
        assert {photo.photo_id for photo in photos} <= set(ids)
        assert sorted(met) == met


class UserScanSuite:
    @pytest.mark.parametrize("users", ScannedUsers)
    async def test_a_walk_meets_every_user_once(
        self, stores: Stores, new_id: NewId, users: ScannedUsers
    ) -> None:
        """Also those with several rows. The pages are ordered by position, and the last one is empty."""
        expected = [UserId(new_id()) for _ in range(7)]
        for user in expected:
            for other in (new_id(), new_id()):
                if users is ScannedUsers.FOLLOWERS:
                    state = Membership(NOW_US, removed=False)
                    await stores.outgoing_edges.write(OutgoingEdge.FOLLOWING, user, other, state)
                else:
                    await stores.author_photos.add([(PhotoId(other), user)], ready=True)
        met: list[tuple[int, UserId]] = []
        while page := await stores.user_scan.after(users, met[-1][0] if met else POSITION_MIN, limit=3):
            assert len(page) <= 3
            met += page

        assert [1] == list({Counter(user for _, user in met)[user] for user in expected})
        assert sorted(met) == met


class ForgottenRenditionsSuite:
    async def test_forgotten_renditions_are_not_named(self, stores: Stores, new_id: NewId) -> None:
        """The row has only the other renditions. Forgetting may be repeated; unknown names do
        nothing."""
        photo = photo_by(new_id)
        await stores.photos.insert([photo])
        await stores.photos.mark_ready({photo.photo_id: MADE}, {photo.photo_id: PUSHED})
        for _ in range(2):
            await stores.photos.forget_renditions(photo.photo_id, ["thumbnail", "large", "medium"])

        row = (await stores.photos.get([photo.photo_id]))[photo.photo_id]
        assert {"small": MADE["small"]} == row.renditions

    async def test_a_forgotten_rendition_is_named_once_it_is_made_again(
        self, stores: Stores, new_id: NewId
    ) -> None:
        """A photo whose renditions were all forgotten gets a rendition back when it is added
        again."""
        photo = photo_by(new_id)
        await stores.photos.insert([photo])
        await stores.photos.mark_ready({photo.photo_id: MADE}, {photo.photo_id: PUSHED})
        await stores.photos.forget_renditions(photo.photo_id, list(MADE))
        before = (await stores.photos.get([photo.photo_id]))[photo.photo_id]
        await stores.photos.add_renditions(photo.photo_id, {"small": MADE["small"]})

        row = (await stores.photos.get([photo.photo_id]))[photo.photo_id]
        assert {} == before.renditions
        assert {"small": MADE["small"]} == row.renditions


class MissingObjectsSuite:
    async def test_the_first_note_is_stored(
        self, stores: Stores, new_id: NewId, passing: PassingTime
    ) -> None:
        """A second `note` of the same photo does not change the time. After `forget`, the next
        `note` sets it."""
        photo, other = PhotoId(new_id()), PhotoId(new_id())
        now_ms = passing.now_ms()
        for later_ms in (0, 1_000):
            await stores.missing_objects.note(photo, now_ms + later_ms)
        await stores.missing_objects.note(other, now_ms)
        noted = await stores.missing_objects.all()
        for _ in range(2):
            await stores.missing_objects.forget(photo)
        forgotten = await stores.missing_objects.all()
        await stores.missing_objects.note(photo, now_ms + 2_000)

        assert (now_ms, now_ms) == (noted[photo], noted[other])
        assert photo not in forgotten
        assert other in forgotten
        assert now_ms + 2_000 == (await stores.missing_objects.all())[photo]


class CleaningPositionsSuite:
    async def test_each_walk_has_its_place(self, stores: Stores) -> None:
        """Each scan has its own position: empty before the first save, and empty again after an
        empty position was saved."""
        begun = {walk: await stores.cleaning_positions.position(walk) for walk in CleaningScan}
        await stores.cleaning_positions.save(CleaningScan.OBJECTS, "a/9")
        await stores.cleaning_positions.save(CleaningScan.PHOTOS, "-5")
        moved = {walk: await stores.cleaning_positions.position(walk) for walk in CleaningScan}
        for walk in CleaningScan:
            await stores.cleaning_positions.save(walk, "")

        assert {CleaningScan.OBJECTS: "", CleaningScan.PHOTOS: ""} == begun
        assert {CleaningScan.OBJECTS: "a/9", CleaningScan.PHOTOS: "-5"} == moved
        assert begun == {walk: await stores.cleaning_positions.position(walk) for walk in CleaningScan}
