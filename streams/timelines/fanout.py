"""Records of `fanout`: put photos on timelines. Nothing else writes them, besides a rebuild.

A fresh photo is appended by one script call for each 500 of its owners; a late one is merged
by id, so that an old photo never pushes out a newer one. Repeatable: entries are unique by id
once read. Each function may raise StoreUnavailable: nothing is known about the writes then,
call it again.
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
    """On whose timelines each photo belongs by these records.

    Law: no lost post. The pages are read after the records were published, so after the photos' rows.
    """
    keys = {
        post: BucketKey(SetKind.FOLLOWERS, post.author_id, post.level, post.bucket)
        for post in posts
        if isinstance(post, FanoutPage)
    }
    pages = await stores.counted_sets.members(list(set(keys.values())))
    owners: dict[PhotoId, list[bytes]] = defaultdict(list)
    for post in posts:
        owners[post.photo_id].append(pages[keys[post]] if post in keys else pack_ids([post.author_id]))
    return {photo: PackedIds(b"".join(some)) for photo, some in owners.items()}


async def put_photo(stores: TimelineStores, photo: PhotoId, owners: PackedIds, *, fresh_since_ms: int) -> int:
    """Put the photo on those timelines that exist; answers how many there are."""
    if not owners:
        return 0
    if id_ms(photo) > fresh_since_ms:
        return await stores.timelines.append(photo, owners)
    return await stores.timelines.merge([UserId(owner) for owner in unpack_ids(owners)], [photo])


async def backfill(stores: TimelineStores, record: Backfill, *, photos_max: int) -> int:
    """Merge the authors' newest photos into the timelines of those who follow them now."""
    owners = pack_ids(sorted({owner for owner, _ in record.follows}))
    # Most have no timeline, because they do not read; they cost a look.
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
