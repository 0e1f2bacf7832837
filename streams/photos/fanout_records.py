"""The records of `fanout` that deliver a batch of ready photos.

A record has work for about a thousand timelines: it is what the worker finishes before it looks at
others. So photos of small authors share records, and a large author's photo needs several.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from more_itertools import constrained_batches

from schemas.ids import PhotoId, UserId
from schemas.internal import Deliverable, FanoutPage, FanoutPosts, OwnPost
from streams.core.counted import RECORD_MEMBERS, bucket_ranges
from streams.core.delivery import Delivery, Mode
from streams.core.sets import SetSummary
from topics.catalogue import FANOUT, Lane
from topics.sizes import Sizes


def fanout_records(
    photos: Sequence[tuple[PhotoId, UserId]],
    deliveries: Mapping[UserId, Delivery],
    followers: Mapping[int, SetSummary],
    ready_ms: int,
    sizes: Sizes,
) -> dict[Lane, list[Deliverable]]:
    """Return for each lane what puts the photos on their authors' timelines, and those pushed on others'.

    Every record belongs to one partition.
    """
    records: dict[Lane, list[Deliverable]] = {Lane.NORMAL: [], Lane.BULK: []}
    shared: dict[int, list[tuple[PhotoId, UserId]]] = defaultdict(list)
    for photo, author in photos:
        of_author, by = followers[author], deliveries[author]
        pages = bucket_ranges(of_author.total, of_author.level) if by.mode is Mode.PUSH else []
        if len(pages) == 1 and by.lane is Lane.NORMAL:
            shared[sizes.partition_of(FANOUT, author, Lane.NORMAL)].append((photo, author))
            continue
        records[Lane.NORMAL].append(OwnPost(photo, author, ready_ms))
        records[by.lane].extend(
            FanoutPage(photo, author, of_author.level, page[0], ready_ms, len(page), of_author.stamp)
            for page in pages
        )
    for of_partition in shared.values():
        for some in constrained_batches(
            of_partition, RECORD_MEMBERS, get_len=lambda post: followers[post[1]].total + 1, strict=False
        ):
            posts = ((*post, followers[post[1]].level, followers[post[1]].stamp) for post in some)
            records[Lane.NORMAL].append(FanoutPosts(ready_ms, tuple(posts)))
    return records
