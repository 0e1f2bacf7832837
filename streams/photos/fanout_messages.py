"""The records of `fanout` that deliver a batch of ready photos.

A record has work for about a thousand timelines: it is what the worker finishes before it looks at
others. So photos of small authors share records, and a large author's photo needs several.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from more_itertools import constrained_batches

from schemas.ids import PhotoId, UserId
from schemas.internal import FanoutPage, FanoutPosts, OwnPost
from streams.core.counted import BUCKETS, RECORD_MEMBERS, bucket_ranges
from streams.core.delivery import Delivery, Mode
from streams.core.sets import SetSummary
from streams.ports.publishing import FanoutMessage
from topics.catalogue import FANOUT, Lane
from topics.sizes import Sizes


def fanout_messages(
    photos: Sequence[tuple[PhotoId, UserId]],
    deliveries: Mapping[UserId, Delivery],
    followers: Mapping[int, SetSummary],
    ready_ms: int,
    sizes: Sizes,
) -> list[FanoutMessage]:
    """Return what puts the photos on their authors' timelines, and those that are pushed on others'.

    It is for the normal lane, and every record belongs to one partition.
    """
    messages: list[FanoutMessage] = []
    shared: list[tuple[PhotoId, UserId]] = []
    for photo, author in photos:
        is_pushed = deliveries[author].mode is Mode.PUSH
        if is_pushed and is_one_record(followers[author]):
            shared.append((photo, author))
            continue
        messages.append(FanoutMessage(OwnPost(photo, author, ready_ms), 1))
        if is_pushed:
            messages += pages_of(photo, author, followers[author], ready_ms)
    return messages + shared_messages(shared, followers, ready_ms, sizes, Lane.NORMAL)


def is_one_record(followers: SetSummary) -> bool:
    """Whether a post to all followers of the set fits one record, so that it can share it with others."""
    return len(bucket_ranges(followers.total, followers.level)) == 1


def partitions_of(author: UserId, followers: SetSummary, sizes: Sizes) -> Sequence[int]:
    """Return the partitions of the normal lane to which a post's records go; many pages go to all."""
    if is_one_record(followers):
        return [sizes.partition_of(FANOUT, author, Lane.NORMAL)]
    return sizes.range_of(FANOUT, Lane.NORMAL)


def pages_of(
    photo: PhotoId, author: UserId, followers: SetSummary, ready_ms: int, *, first_bucket: int = 0
) -> list[FanoutMessage]:
    """Return a page for about every thousand followers in the buckets from `first_bucket` on."""
    buckets = BUCKETS[followers.level]
    pages = [
        range(max(page.start, first_bucket), page.stop)
        for page in bucket_ranges(followers.total, followers.level)
        if page.stop > first_bucket
    ]
    return [
        FanoutMessage(
            FanoutPage(photo, author, followers.level, page[0], ready_ms, len(page), followers.stamp),
            -(-followers.total * len(page) // buckets),
        )
        for page in pages
    ]


def shared_messages(
    photos: Sequence[tuple[PhotoId, UserId]],
    followers: Mapping[int, SetSummary],
    ready_ms: int,
    sizes: Sizes,
    lane: Lane,
) -> list[FanoutMessage]:
    """Return records with several photos each, of authors whose followers fit one record."""

    def deliveries(post: tuple[PhotoId, UserId]) -> int:
        return followers[post[1]].total + 1

    by_partition: dict[int, list[tuple[PhotoId, UserId]]] = defaultdict(list)
    for photo, author in photos:
        by_partition[sizes.partition_of(FANOUT, author, lane)].append((photo, author))
    messages = []
    for of_partition in by_partition.values():
        for some in constrained_batches(of_partition, RECORD_MEMBERS, get_len=deliveries, strict=False):
            posts = tuple((*post, followers[post[1]].level, followers[post[1]].stamp) for post in some)
            messages.append(FanoutMessage(FanoutPosts(ready_ms, posts), sum(map(deliveries, some))))
    return messages
