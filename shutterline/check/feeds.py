"""Compare a feed as it is served with one computed from Cassandra's rows alone.

The computation is as simple as possible and shares no code with the feed that it judges:
it sorts every followee's ready photos.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import nlargest

from more_itertools import sliced

from schemas.ids import ID_MAX, PhotoId, UserId
from shutterline.check.report import Finding, FindingKind
from shutterline.check.stores import CheckedStores
from shutterline.client.feed import FeedWalk
from streams.core.photos import Status

AUTHORS_A_CALL = 64
PHOTOS_A_CALL = 100
END = 0


@dataclass(frozen=True, slots=True)
class Expected:
    """The ids that a feed shows at or above `floor`, descending."""

    ids: Sequence[int]
    floor: int


async def expected_feed(stores: CheckedStores, user: UserId, depth: int) -> Expected:
    """The newest `depth` ready photos of those whom the user follows, and the user's own.

    Raises:
        StoreUnavailable: Cassandra did not answer.
    """
    authors = {*await stores.outgoing_edges.following(user), user}
    newest: list[int] = []
    for batch in sliced(sorted(authors), AUTHORS_A_CALL):
        lists = await stores.author_photos.newest(batch, below=ID_MAX, each_max=depth)
        ready = (photo.photo_id for listed in lists.values() for photo in listed if photo.ready)
        newest = nlargest(depth, [*newest, *ready])
    floor = newest[-1] if len(newest) == depth else END
    shown: list[int] = []
    for photos in sliced(newest, PHOTOS_A_CALL):
        rows = await stores.photos.get([PhotoId(photo) for photo in photos])
        shown += [
            photo
            for photo in photos
            if (row := rows.get(PhotoId(photo))) is not None
            and row.status is Status.READY
            and not row.deleted
        ]
    return Expected(shown, floor)


def compare_feed(user: UserId, feed: FeedWalk, expected: Expected) -> Iterator[Finding]:
    """Yield the differences between the feed and the expectation, down to where both are known.

    A photo that is not ready yet is shown to its author only, so such photos are not compared.
    """
    if not feed.complete:
        yield Finding(FindingKind.INCOMPLETE, user, user)
    bottom = END if feed.ended or not feed.items else feed.ids[-1]
    floor = max(bottom, expected.floor)
    shown = [photo for photo in _ready_ids(user, feed) if photo >= floor]
    wanted = {photo for photo in expected.ids if photo >= floor}
    yield from _order(user, shown)
    for photo in sorted(wanted - set(shown), reverse=True):
        yield Finding(FindingKind.MISSING, user, photo)
    for photo in sorted(set(shown) - wanted, reverse=True):
        yield Finding(FindingKind.EXTRA, user, photo)


def _ready_ids(user: UserId, feed: FeedWalk) -> Iterator[int]:
    for item in feed.items:
        if item["status"] == "ready" or item["author_id"] != str(user):
            yield int(item["photo_id"])


def _order(user: UserId, shown: Sequence[int]) -> Iterator[Finding]:
    seen: set[int] = set()
    lowest = ID_MAX
    for photo in shown:
        if photo in seen:
            yield Finding(FindingKind.DUPLICATE, user, photo)
        elif photo > lowest:
            yield Finding(FindingKind.ORDER, user, photo, f"after {lowest}")
        seen.add(photo)
        lowest = min(lowest, photo)
