"""What is stored of a user as an author: followers, photos, their counts, and how photos are delivered."""

import asyncio

from schemas.ids import ID_MAX, UserId
from schemas.internal import SetKind
from shutterline.inspect.formatting import NONE, listed, minted
from shutterline.inspect.stored import Inspection, Section, partitions
from streams.core.counted import BUCKETS
from streams.core.sets import BucketKey
from streams.stores.cache.codecs import decode_pull_list, decode_total
from streams.stores.cache.keys import count_key, pull_list_key
from topics.catalogue import EDGES, FANOUT, UPLOADS, Lane

PHOTOS_SHOWN_MAX = 5
BUCKETS_SHOWN_MAX = 16


async def inspect_author(inspection: Inspection, author: UserId) -> list[Section]:
    """Raises StoreUnavailable if a store does not answer."""
    return [
        await set_section(inspection, SetKind.FOLLOWERS, author),
        await set_section(inspection, SetKind.READY_PHOTOS, author),
        await _delivery(inspection, author),
        await _cached(inspection, author),
        partitions(
            inspection.namespace,
            inspection.sizes,
            (UPLOADS, author, None),
            (EDGES, author, None),
            (FANOUT, author, Lane.NORMAL),
            (FANOUT, author, Lane.BULK),
        ),
    ]


async def set_section(inspection: Inspection, kind: SetKind, owner: int) -> Section:
    """A counted set: its total, its level, and the count and the rows of each bucket."""
    counted = inspection.counted_sets
    summary = (await counted.summaries(kind, [owner]))[owner]
    bucket_counts = await counted.bucket_counts(kind, owner, summary.level)
    shown = sorted(bucket_counts)[:BUCKETS_SHOWN_MAX]
    states = await asyncio.gather(
        *(counted.bucket(BucketKey(kind, owner, summary.level, bucket)) for bucket in shown)
    )
    facts = [
        ("total", str(summary.total)),
        (
            "level",
            f"{summary.level}, {BUCKETS[summary.level]} buckets, {len(bucket_counts)} of them with a count",
        ),
    ]
    for bucket, state in zip(shown, states, strict=True):
        present = sorted(state.members)
        removed = len(state.rows) - len(present)
        detail = f"count {bucket_counts[bucket]}, rows {len(present)}, removed {removed}: "
        facts.append((f"bucket {bucket}", detail + listed(present, len(present))))
    if len(bucket_counts) > len(shown):
        facts.append(("", f"and {len(bucket_counts) - len(shown)} more buckets"))
    return Section(f"{kind.value.replace('_', ' ').capitalize()} (Cassandra)", tuple(facts))


async def _delivery(inspection: Inspection, author: UserId) -> Section:
    mode = await inspection.cassandra.mode_by_size(author)
    pulled = author in await inspection.pulled_authors.all()
    newest = await inspection.author_photos.newest([author], below=ID_MAX, each_max=PHOTOS_SHOWN_MAX)
    facts = [
        ("last mode by size", mode or "push (none is stored)"),
        ("among the pulled authors", "yes" if pulled else "no"),
    ]
    for index, photo in enumerate(newest[author]):
        state = "ready" if photo.ready else "not ready"
        facts.append(("newest photos" if index == 0 else "", f"{minted(photo.photo_id)}, {state}"))
    return Section("Delivery (Cassandra)", tuple(facts))


async def _cached(inspection: Inspection, author: UserId) -> Section:
    names = {"followers": SetKind.FOLLOWERS, "photos": SetKind.READY_PHOTOS}
    keys = [count_key(kind, author) for kind in names.values()]
    *totals, pull_list = await inspection.redis.cache.get([*keys, pull_list_key(author)])
    facts = [
        (name, NONE if value is None else str(decode_total(value)))
        for name, value in zip(names, totals, strict=True)
    ]
    shown = NONE
    if pull_list is not None:
        photos = decode_pull_list(pull_list)
        shown = f"{len(photos.ready)} ready, {len(photos.unready)} not ready"
    return Section("Cached (Redis)", (*facts, ("pull list", shown)))
