"""Records of `fanout`: put photos on timelines. Nothing else writes them, besides a rebuild.

A fresh photo is appended by one script call a page; a late one is merged by id, so that
an old photo never pushes out a newer one. Repeatable: entries are unique by id once read.
"""

from collections import defaultdict

from schemas.ids import ID_MAX, PhotoId, UserId, id_ms, pack_ids, unpack_ids
from schemas.internal import Backfill, FanoutPage, FanoutRecord, OwnPost
from streams.stores.ports import BucketKey, PackedIds, SetKind, Stores


async def apply_fanout(
    stores: Stores, record: FanoutRecord, *, now_ms: int, fresh_ms_max: int, backfill_photos_max: int
) -> int:
    """Apply one record; answers how many timelines have the photo now.

    Raises:
        StoreUnavailable: Nothing is known about the writes; apply it again.
    """
    match record:
        case FanoutPage():
            key = BucketKey(SetKind.FOLLOWERS, record.author_id, record.level, record.bucket)
            owners = (await stores.counted.members([key]))[key]
            return await _put(stores, record.photo_id, owners, now_ms - fresh_ms_max)
        case OwnPost():
            owners = PackedIds(pack_ids([record.author_id]))
            return await _put(stores, record.photo_id, owners, now_ms - fresh_ms_max)
        case Backfill():
            return await _backfill(stores, record, backfill_photos_max)


async def _put(stores: Stores, photo: PhotoId, owners: PackedIds, fresh_since_ms: int) -> int:
    if not owners:
        return 0
    if id_ms(photo) > fresh_since_ms:
        return await stores.timelines.append(photo, owners)
    return await stores.timelines.merge([UserId(owner) for owner in unpack_ids(owners)], [photo])


async def _backfill(stores: Stores, record: Backfill, photos_max: int) -> int:
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
