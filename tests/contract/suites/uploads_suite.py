"""What `Uploads` promises about rows and idempotency keys, and what `UploadLimit` promises."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from schemas.ids import PhotoId, UserId
from schemas.times import utc_datetime
from streams.core.uploads import KeyClaim, Upload, UploadState
from streams.ports.groups import Stores
from tests.contract.passing_time import PassingTime

NewId = Callable[[], int]
LIFE_S = 60
PER_MINUTE = 5
UPLOADING, COMPLETED, ABORTED = UploadState.UPLOADING, UploadState.COMPLETED, UploadState.ABORTED


def an_upload(new_id: NewId) -> Upload:
    photo = PhotoId(new_id())
    return Upload(
        photo_id=photo,
        author_id=UserId(new_id()),
        object_key=f"originals/{photo}",
        content_type="image/png",
        size_bytes=5,
        caption="a caption with \x00 and \U0001f4f7",
        created_at=utc_datetime(1_800_000_000_123_000),
    )


class UploadsSuite:
    async def test_a_row_is_read_as_it_was_written(self, stores: Stores, new_id: NewId) -> None:
        """Size and caption may be missing. A second insert of the same photo changes nothing."""
        first = an_upload(new_id)
        second = replace(an_upload(new_id), size_bytes=None, caption="")
        for upload in (first, second):
            await stores.uploads.insert(upload)
            await stores.uploads.insert(replace(upload, caption="another"))

        assert [await stores.uploads.get(upload.photo_id) for upload in (first, second)] == [first, second]
        assert await stores.uploads.get(PhotoId(new_id())) is None

    async def test_the_first_parts_id_is_stored(self, stores: Stores, new_id: NewId) -> None:
        """All concurrent calls return the same id. If the upload does not exist or has ended, the
        call returns None."""
        upload = an_upload(new_id)
        await stores.uploads.insert(upload)
        results = await asyncio.gather(
            *(stores.uploads.set_parts_id(upload.photo_id, f"parts-{number}") for number in range(4))
        )
        (stored,) = set(results)

        assert await stores.uploads.get(upload.photo_id) == replace(upload, parts_id=stored)
        assert await stores.uploads.set_parts_id(PhotoId(new_id()), "parts") is None
        await stores.uploads.complete(upload.photo_id)
        assert await stores.uploads.set_parts_id(upload.photo_id, "parts") is None

    async def test_states_only_move_forward(self, stores: Stores, new_id: NewId) -> None:
        """Each call returns the stored state. A call that does not apply to the stored state
        changes nothing."""
        rows = stores.uploads
        completed, aborted = an_upload(new_id), an_upload(new_id)
        for upload in (completed, aborted):
            await rows.insert(upload)
        moves = [
            await rows.take_back(completed.photo_id),
            await rows.enter(completed.photo_id),
            await rows.complete(completed.photo_id),
            await rows.complete(completed.photo_id),
            await rows.abort(completed.photo_id),
            await rows.abort(aborted.photo_id),
            await rows.abort(aborted.photo_id),
            await rows.complete(aborted.photo_id),
            await rows.take_back(aborted.photo_id),
            await rows.enter(aborted.photo_id),
        ]

        assert moves == [UPLOADING] * 2 + [COMPLETED] * 3 + [ABORTED] * 5
        assert await rows.get(completed.photo_id) == replace(completed, state=COMPLETED)
        assert await rows.get(aborted.photo_id) == replace(aborted, state=ABORTED)

    async def test_a_completed_upload_can_be_taken_back(self, stores: Stores, new_id: NewId) -> None:
        """An upload that was taken back is aborted, so it cannot enter the pipeline."""
        upload, rows = an_upload(new_id), stores.uploads
        await rows.insert(upload)
        await rows.complete(upload.photo_id)

        assert await rows.take_back(upload.photo_id) is ABORTED
        assert await rows.enter(upload.photo_id) is ABORTED
        assert await rows.get(upload.photo_id) == replace(upload, state=ABORTED)

    async def test_entering_removes_the_row_once(self, stores: Stores, new_id: NewId) -> None:
        """The first `enter` removes the row. After that there is nothing to enter or to take
        back."""
        upload, rows = an_upload(new_id), stores.uploads
        await rows.insert(upload)
        await rows.complete(upload.photo_id)

        assert [await rows.enter(upload.photo_id) for _ in range(2)] == [COMPLETED, None]
        assert await rows.take_back(upload.photo_id) is None
        assert await rows.get(upload.photo_id) is None

    async def test_without_a_row_nothing_changes(self, stores: Stores, new_id: NewId) -> None:
        """Every call on an unknown photo returns None and creates no row."""
        photo, rows = PhotoId(new_id()), stores.uploads
        moves = [rows.complete, rows.abort, rows.take_back, rows.enter]

        assert [await move(photo) for move in moves] == [None] * 4
        await rows.remove(photo)
        assert await rows.get(photo) is None

    async def test_of_completing_and_aborting_at_once_one_wins(self, stores: Stores, new_id: NewId) -> None:
        """Law: a completed upload's bytes are never removed as if it had been aborted."""
        for _ in range(5):
            upload, rows = an_upload(new_id), stores.uploads
            await rows.insert(upload)
            results = await asyncio.gather(
                rows.complete(upload.photo_id), rows.abort(upload.photo_id), rows.complete(upload.photo_id)
            )

            stored = await rows.get(upload.photo_id)
            assert stored is not None
            assert set(results) == {stored.state}
            assert stored.state in (COMPLETED, ABORTED)

    async def test_of_entering_and_taking_back_at_once_one_wins(self, stores: Stores, new_id: NewId) -> None:
        """Law: an upload that is taken back was never acknowledged."""
        upload, rows = an_upload(new_id), stores.uploads
        await rows.insert(upload)
        await rows.complete(upload.photo_id)
        entered, taken = await asyncio.gather(rows.enter(upload.photo_id), rows.take_back(upload.photo_id))

        assert (entered, taken) in ((COMPLETED, None), (ABORTED, ABORTED))

    async def test_a_removed_row_is_gone(self, stores: Stores, new_id: NewId) -> None:
        """A row can be removed in every state. Removing may be repeated."""
        for move in (None, stores.uploads.complete, stores.uploads.abort):
            upload = an_upload(new_id)
            await stores.uploads.insert(upload)
            if move is not None:
                await move(upload.photo_id)
            for _ in range(2):
                await stores.uploads.remove(upload.photo_id)

            assert await stores.uploads.get(upload.photo_id) is None

    async def test_all_rows_are_returned_once(self, stores: Stores, new_id: NewId) -> None:
        """`all` returns rows of every state."""
        uploads = [an_upload(new_id) for _ in range(7)]
        for upload in uploads:
            await stores.uploads.insert(upload)
        await stores.uploads.complete(uploads[0].photo_id)
        walked = Counter([upload.photo_id async for upload in stores.uploads.all()])

        assert {photo: walked[photo] for photo in (upload.photo_id for upload in uploads)} == {
            upload.photo_id: 1 for upload in uploads
        }


def a_claim(new_id: NewId) -> KeyClaim:
    return KeyClaim(PhotoId(new_id()), new_id().to_bytes(32, "big"))


class UploadKeysSuite:
    async def test_the_first_claim_is_stored(self, stores: Stores, new_id: NewId) -> None:
        """A claim belongs to one user and one key. Another user, or a key with another case, has
        its own claim."""
        user, other = UserId(new_id()), UserId(new_id())
        first, second = a_claim(new_id), a_claim(new_id)
        rows = stores.uploads

        assert await rows.claimed(user, "key") is None
        assert await rows.claim_key(user, "key", first, life_s=LIFE_S) == first
        assert await rows.claim_key(user, "key", second, life_s=LIFE_S) == first
        assert await rows.claimed(user, "key") == first
        assert await rows.claim_key(user, "Key", second, life_s=LIFE_S) == second
        assert await rows.claimed(other, "key") is None

    async def test_racing_claims_agree(self, stores: Stores, new_id: NewId) -> None:
        """All concurrent calls return the claim that is stored."""
        user = UserId(new_id())
        claims = [a_claim(new_id) for _ in range(6)]
        results = await asyncio.gather(
            *(stores.uploads.claim_key(user, "key", claim, life_s=LIFE_S) for claim in claims)
        )

        assert len(set(results)) == 1
        assert await stores.uploads.claimed(user, "key") == results[0]

    async def test_a_key_is_released_only_by_its_own_photo(self, stores: Stores, new_id: NewId) -> None:
        """After the release, the key may be claimed for another photo. Releasing an unclaimed key
        does nothing."""
        user, first, second = UserId(new_id()), a_claim(new_id), a_claim(new_id)
        rows = stores.uploads
        await rows.release_key(user, "key", first.photo_id)
        await rows.claim_key(user, "key", first, life_s=LIFE_S)
        await rows.release_key(user, "key", second.photo_id)
        assert await rows.claimed(user, "key") == first
        for _ in range(2):
            await rows.release_key(user, "key", first.photo_id)

        assert await rows.claimed(user, "key") is None
        assert await rows.claim_key(user, "key", second, life_s=LIFE_S) == second

    async def test_a_claim_expires(self, stores: Stores, new_id: NewId, passing: PassingTime) -> None:
        """After its TTL, the key may be claimed for another photo."""
        user, claim = UserId(new_id()), a_claim(new_id)
        await stores.uploads.claim_key(user, "key", claim, life_s=1)

        async def forgotten() -> bool:
            return await stores.uploads.claimed(user, "key") is None

        await passing.until(forgotten, "the key to be forgotten")
        again = a_claim(new_id)

        assert await stores.uploads.claim_key(user, "key", again, life_s=LIFE_S) == again


class UploadLimitSuite:
    async def test_so_many_a_minute_and_no_more(self, stores: Stores, new_id: NewId) -> None:
        """If the limit is reached, the call returns the time to wait. Every user has a separate
        limit."""
        user, other = UserId(new_id()), UserId(new_id())
        results = [await stores.upload_limit.take(user, str(new_id())) for _ in range(PER_MINUTE)]
        wait_ms = await stores.upload_limit.take(user, str(new_id()))

        assert results == [None] * PER_MINUTE
        assert wait_ms is not None
        assert 50_000 < wait_ms <= 60_000
        assert await stores.upload_limit.take(other, str(new_id())) is None

    async def test_one_upload_counts_once(self, stores: Stores, new_id: NewId) -> None:
        """The same upload is granted again without being counted, even if the limit is reached."""
        user, names = UserId(new_id()), [str(new_id()) for _ in range(PER_MINUTE)]
        results = [await stores.upload_limit.take(user, name) for name in names * 2]

        assert results == [None] * PER_MINUTE * 2
        assert await stores.upload_limit.take(user, str(new_id())) is not None

    async def test_what_is_given_back_is_not_counted(self, stores: Stores, new_id: NewId) -> None:
        """Giving back an upload that was not counted makes no room."""
        user, names = UserId(new_id()), [str(new_id()) for _ in range(PER_MINUTE)]
        for name in names:
            await stores.upload_limit.take(user, name)
        for _ in range(2):
            await stores.upload_limit.give_back(user, names[2])
        await stores.upload_limit.give_back(user, str(new_id()))

        assert await stores.upload_limit.take(user, str(new_id())) is None
        assert await stores.upload_limit.take(user, str(new_id())) is not None

    async def test_of_racing_uploads_so_many_pass(self, stores: Stores, new_id: NewId) -> None:
        """The check and the count are one atomic step. Otherwise two concurrent calls could both
        use the last free slot."""
        user = UserId(new_id())
        results = await asyncio.gather(
            *(stores.upload_limit.take(user, str(new_id())) for _ in range(4 * PER_MINUTE))
        )

        assert sum(result is None for result in results) == PER_MINUTE
