"""Look at an author's photos: their rows, the author's list, the set that is counted, and who pulls them."""

from dataclasses import dataclass

from schemas.ids import ID_MAX, PhotoId, UserId
from streams.core.counted import bucket_of
from streams.core.delivery import Mode
from streams.core.photos import AuthorPhoto, Status
from streams.jobs.audit.drift import Compared, Difference, Drift, ListPhoto, PullAuthor, StateReady
from streams.jobs.audit.edges import SetLook
from streams.ports.photos import AuthorPhotos, Authors, Photos, PulledAuthors

PHOTOS_MAX = 500  # The newest of an author.


@dataclass(frozen=True, slots=True)
class PhotosLook:
    """`push_followers_max`: an author with more followers than this whose mode is pull is pulled."""

    photos: Photos
    author_photos: AuthorPhotos
    authors: Authors
    pulled_authors: PulledAuthors
    push_followers_max: int

    async def newest(self, author: UserId) -> list[AuthorPhoto]:
        """Return the author's newest photos, as listed."""
        return (await self.author_photos.newest([author], below=ID_MAX, each_max=PHOTOS_MAX))[author]

    async def photos_of(self, author: UserId, listed: list[AuthorPhoto], counted: SetLook) -> Compared:
        """Compare the newest photos with the list and with the set of ready photos as far as it is known."""
        floor = listed[-1].photo_id if len(listed) == PHOTOS_MAX else 0
        in_list = {photo.photo_id: photo.ready for photo in listed}
        in_set = {
            PhotoId(photo): not state.removed for photo, state in counted.rows.items() if photo >= floor
        }
        ids = sorted({*in_list, *(photo for photo, is_in in in_set.items() if is_in)}, reverse=True)[
            :PHOTOS_MAX
        ]
        photos = await self.photos.get(ids)
        differences = []
        for photo in ids:
            row = photos.get(photo)
            if row is None:
                differences.append(Difference(Drift.PHOTOS, author, photo, None))
                continue
            # A photo in processing may be listed already: its worker, which died, is about to go on. Only
            # what has left for good is taken out, because it could not come back.
            is_ready = row.status is Status.READY and not row.deleted
            has_left = row.status is Status.REJECTED or row.deleted
            if (is_ready and not in_list.get(photo)) or (row.deleted and photo in in_list):
                repair = ListPhoto(author, photo, is_ready)
                differences.append(Difference(Drift.AUTHOR_PHOTOS, author, photo, repair))
            is_known = bucket_of(photo, counted.level) in counted.buckets
            if is_known and ((is_ready and not in_set.get(photo)) or (has_left and in_set.get(photo))):
                ready = StateReady(author, photo, is_ready)
                differences.append(Difference(Drift.READY_PHOTOS, author, photo, ready))
        return Compared(graph=2 * len(ids), differences=tuple(differences))

    async def pulled(self, author: UserId, followers: int, listed: list[AuthorPhoto]) -> Compared:
        """Compare how the author's photos are delivered with the authors whom readers pull."""
        if not listed or followers <= self.push_followers_max:
            return Compared()
        if (await self.authors.modes_by_size([author]))[author] is not Mode.PULL:
            return Compared()
        is_pulled = author in await self.pulled_authors.all()
        difference = Difference(Drift.PULLED_AUTHORS, author, author, PullAuthor(author))
        return Compared(graph=1, differences=() if is_pulled else (difference,))
