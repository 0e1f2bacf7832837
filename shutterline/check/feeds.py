"""Compare a feed as it is served with one computed from Cassandra's rows alone.

The computation is as simple as can be, so that it shares nothing with what it judges:
every followee's ready photos, sorted.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import nlargest

from schemas.ids import ID_MAX, PhotoId, UserId
from shutterline.check.report import Finding, Kind
from shutterline.client.feed import Walk
from streams.core.photos import Status
from streams.core.slices import slices
from streams.ports.groups import Stores

AUTHORS_A_CALL = 64
PHOTOS_A_CALL = 100
END = 0


@dataclass(frozen=True, slots=True)
class Expected:
    """The ids that a feed shows at or above `floor`, descending."""

    ids: Sequence[int]
    floor: int


async def expected_feed(stores: Stores, user: UserId, depth: int) -> Expected:
    """The newest `depth` ready photos of those whom the user follows, and the user's own.

    Raises:
        StoreUnavailable: The database did not answer.
    """
    authors = {each.followee_id for each in await stores.outgoing_edges.following(user)} | {user}
    newest: list[int] = []
    for some in slices(sorted(authors), AUTHORS_A_CALL):
        lists = await stores.author_photos.newest(some, below=ID_MAX, each_max=depth)
        ready = (photo.photo_id for photos in lists.values() for photo in photos if photo.ready)
        newest = nlargest(depth, [*newest, *ready])
    floor = newest[-1] if len(newest) == depth else END
    shown: list[int] = []
    for slice_ in slices(newest, PHOTOS_A_CALL):
        rows = await stores.photos.get([PhotoId(photo) for photo in slice_])
        shown += [
            photo
            for photo in slice_
            if (row := rows.get(PhotoId(photo))) is not None
            and row.status is Status.READY
            and not row.deleted
        ]
    return Expected(shown, floor)


def compare_feed(user: UserId, walk: Walk, expected: Expected) -> Iterator[Finding]:
    """What is wrong with the feed, as far down as both it and the expectation reach.

    The reader's own photos that are not ready are theirs alone, and left out.
    """
    if not walk.complete:
        yield Finding(Kind.INCOMPLETE, user, user)
    bottom = END if walk.ended or not walk.items else walk.ids[-1]
    floor = max(bottom, expected.floor)
    shown = [photo for photo in _ready_ids(user, walk) if photo >= floor]
    wanted = {photo for photo in expected.ids if photo >= floor}
    yield from _order(user, shown)
    for photo in sorted(wanted - set(shown), reverse=True):
        yield Finding(Kind.MISSING, user, photo)
    for photo in sorted(set(shown) - wanted, reverse=True):
        yield Finding(Kind.EXTRA, user, photo)


def _ready_ids(user: UserId, walk: Walk) -> Iterator[int]:
    for item in walk.items:
        if item["status"] == "ready" or item["author_id"] != str(user):
            yield int(item["photo_id"])


def _order(user: UserId, shown: Sequence[int]) -> Iterator[Finding]:
    seen: set[int] = set()
    lowest = ID_MAX
    for photo in shown:
        if photo in seen:
            yield Finding(Kind.DUPLICATE, user, photo)
        elif photo > lowest:
            yield Finding(Kind.ORDER, user, photo, f"after {lowest}")
        seen.add(photo)
        lowest = min(lowest, photo)
