"""Apply records of `fanout`: put photos on timelines. Only this and rebuilds write timelines.

A fresh photo is appended with one script call for every 500 owners. A late photo is merged by id,
so that an old photo never pushes out a newer one. Every function may be repeated, because readers
remove repeated ids. Every function may raise StoreUnavailable: then it is not known what was
written, and the call must be repeated.
"""

from collections import defaultdict
from collections.abc import Sequence

from schemas.ids import ID_MAX, PackedIds, PhotoId, UserId, id_ms, pack_ids, unpack_ids
from schemas.internal import Backfill, FanoutPage, OwnPost, SetKind
from streams.core.sets import BucketKey
from streams.ports.groups import TimelineStores


async def owners_by_photo(
    stores: TimelineStores, posts: Sequence[FanoutPage | OwnPost]
) -> dict[PhotoId, PackedIds]:
    """Return for each photo the owners of the timelines that must get the photo.

    Law: no lost post. The photos' rows were written before the records were published, and the
    pages are read after that. So if a new follower is not in a page yet, their backfill finds the
    row.
    """
    keys = {
        post: [
            BucketKey(SetKind.FOLLOWERS, post.author_id, post.level, bucket)
            for bucket in range(post.bucket, post.bucket + post.buckets)
        ]
        for post in posts
        if isinstance(post, FanoutPage)
    }
    pages = await stores.counted_sets.members(list({key for some in keys.values() for key in some}))
    owners: dict[PhotoId, list[bytes]] = defaultdict(list)
    for post in posts:
        if isinstance(post, FanoutPage):
            owners[post.photo_id].extend(pages[key] for key in keys[post])
        else:
            owners[post.photo_id].append(pack_ids([post.author_id]))
    return {photo: PackedIds(b"".join(some)) for photo, some in owners.items()}


async def put_photo(stores: TimelineStores, photo: PhotoId, owners: PackedIds, *, fresh_since_ms: int) -> int:
    """Put the photo on those owners' timelines that exist; returns how many exist."""
    if not owners:
        return 0
    if id_ms(photo) > fresh_since_ms:
        return await stores.timelines.append(photo, owners)
    return await stores.timelines.merge([UserId(owner) for owner in unpack_ids(owners)], [photo])


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
    return sum(
        [
            await stores.timelines.merge([owner], [photo for author in some for photo in photos[author]])
            for owner, some in wanted.items()
        ]
    )
