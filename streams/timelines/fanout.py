"""Apply records of `fanout`: put photos on timelines. Only this and rebuilds write timelines.

Fresh photos are appended with one script call for every 500 owners. Late photos are inserted by id,
so that an old photo never pushes out a newer one. The many photos of a backfill are merged at once.
Every function may be repeated, because readers remove repeated ids. Every function may raise
StoreUnavailable: then it is not known what was written, and the call must be repeated.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence

from schemas.ids import ID_BYTES, ID_MAX, PackedIds, PhotoId, UserId, id_ms, pack_id, pack_ids, unpack_ids
from schemas.internal import Backfill, Deliverable, FanoutPage, FanoutPosts, OwnPost, SetKind
from streams.core.checkpoints import group_of
from streams.core.counted import BUCKETS
from streams.core.sets import BucketKey
from streams.gathering import gather_bounded
from streams.ports.groups import TimelineStores
from streams.ports.timelines import PhotosForOwners
from streams.timelines.follower_pages import follower_pages

# Each is two round trips, so together they wait as long as one.
MERGES_AT_ONCE = 50


async def photos_for_owners(
    stores: TimelineStores,
    records: Sequence[Deliverable],
    *,
    page_copy_s: int,
    cache_wait_s: float | None = None,
) -> list[PhotosForOwners]:
    """Return the photos of `records` with the owners of the timelines that must get them.

    Owners who get the same photos are together, so that each timeline is written once. `cache_wait_s` is
    that of `follower_pages`.

    Law: no lost post. The photos were in their authors' lists before the records were published, and
    the pages are read after that. So if a new follower is not in a page yet, their backfill finds the
    photos there.
    """
    photos_of: dict[BucketKey | UserId, set[PhotoId]] = defaultdict(set)
    stamps: dict[BucketKey, int] = {}

    def add(photo: PhotoId, author: UserId, level: int, buckets: range, stamp: int) -> None:
        for bucket in buckets:
            key = BucketKey(SetKind.FOLLOWERS, author, level, bucket)
            photos_of[key].add(photo)
            # Of a post without a stamp it is not known which cached page has all of its followers.
            known = stamps.get(key, stamp)
            stamps[key] = max(known, stamp) if known and stamp else 0

    for record in records:
        match record:
            case FanoutPosts():
                for photo, author, level, stamp in record.posts:
                    photos_of[author].add(photo)
                    add(photo, author, level, range(BUCKETS[level]), stamp)
            case FanoutPage():
                buckets = range(record.bucket, record.bucket + record.buckets)
                add(record.photo_id, record.author_id, record.level, buckets, record.stamp)
            case OwnPost():
                photos_of[record.author_id].add(record.photo_id)
    pages = await follower_pages(
        stores.cache, stores.counted_sets, stamps, copy_s=page_copy_s, wait_s=cache_wait_s
    )
    owners_of: dict[tuple[PhotoId, ...], list[bytes]] = defaultdict(list)
    for target, photos in photos_of.items():
        owners = pages[target] if isinstance(target, BucketKey) else pack_id(target)
        owners_of[tuple(sorted(photos))].append(owners)
    return [PhotosForOwners(photos, PackedIds(b"".join(owners))) for photos, owners in owners_of.items()]


def owners_of_groups(owners: PackedIds, chosen: Collection[int], groups: int) -> PackedIds:
    """Return those of the owners whose timelines are in the chosen ones of so many groups."""
    return PackedIds(pack_ids([owner for owner in unpack_ids(owners) if group_of(owner, groups) in chosen]))


def puts_of_groups(
    puts: Sequence[PhotosForOwners], chosen: Collection[int], groups: int
) -> list[PhotosForOwners]:
    """Return what of `puts` is for the timelines of the chosen ones of so many groups."""
    return [
        PhotosForOwners(put.photos, owners)
        for put in puts
        if (owners := owners_of_groups(put.owners, chosen, groups))
    ]


def calls_of(puts: Sequence[PhotosForOwners], owners_max: int) -> list[list[PhotosForOwners]]:
    """Divide `puts` into calls of at most `owners_max` owners each, of which none is empty."""
    calls: list[list[PhotosForOwners]] = []
    bytes_left = 0
    for put in puts:
        at = 0
        while at < len(put.owners):
            if not bytes_left:
                calls.append([])
                bytes_left = owners_max * ID_BYTES
            owners = PackedIds(put.owners[at : at + bytes_left])
            calls[-1].append(PhotosForOwners(put.photos, owners))
            at += len(owners)
            bytes_left -= len(owners)
    return calls


async def put_photos(stores: TimelineStores, puts: Sequence[PhotosForOwners], *, fresh_since_ms: int) -> int:
    """Put the photos on those owners' timelines that exist; returns how many deliveries that were."""
    fresh: list[PhotosForOwners] = []
    written = 0
    for put in puts:
        late = [photo for photo in put.photos if id_ms(photo) <= fresh_since_ms]
        if late:
            written += await stores.timelines.insert(put.owners, late)
        if len(late) < len(put.photos):
            photos = tuple(photo for photo in put.photos if id_ms(photo) > fresh_since_ms)
            fresh.append(PhotosForOwners(photos, put.owners))
    return written + (await stores.timelines.append(fresh) if fresh else 0)


async def backfill(stores: TimelineStores, record: Backfill, *, photos_max: int) -> int:
    """Merge the newest photos of newly followed authors into the timelines of their new followers.

    Returns how many timelines were written.
    """
    owners = pack_ids(sorted({owner for owner, _ in record.follows}))
    # Most followers do not read, so they have no timeline, and each costs only one lookup.
    exist = set(unpack_ids(await stores.timelines.existing(PackedIds(owners))))
    wanted = defaultdict(list)
    for owner, author in record.follows:
        if owner in exist:
            wanted[owner].append(author)
    authors = sorted({author for some in wanted.values() for author in some})
    newest = await stores.author_photos.newest(authors, below=ID_MAX, each_max=photos_max)
    photos = {author: [each.photo_id for each in some if each.ready] for author, some in newest.items()}
    merged = {owner: [photo for author in some for photo in photos[author]] for owner, some in wanted.items()}

    async def merge(owner: UserId) -> bool:
        return await stores.timelines.merge(owner, merged[owner])

    to_merge = [owner for owner, some in merged.items() if some]
    return sum(await gather_bounded(to_merge, merge, at_once=MERGES_AT_ONCE))
