"""The records of a batch put each photo on every timeline that must get it, and are of like size."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.ids import PhotoId, UserId
from schemas.internal import Deliverable, FanoutPage, FanoutPosts, OwnPost, SetKind
from streams.core.counted import BUCKETS, RECORD_MEMBERS
from streams.core.delivery import Conditions, Delivery, DeliveryLimits, Mode, decide
from streams.core.sets import BucketKey, SetSummary
from streams.photos.fanout_messages import fanout_messages
from tests.worlds.kafka import LOCAL
from topics.catalogue import FANOUT, Lane

NOW_MS, STAMP = 1_800_000_000_000, 1 << 48 | 9
EVERYBODY_IS_PUSHED = DeliveryLimits(pull_followers_min=10**9, push_s_max=10**9)

# Where a photo is put: the timeline of its author, or those of a bucket of followers.
Target = UserId | BucketKey


def records_of(
    photos: Sequence[tuple[PhotoId, UserId]],
    followers: Mapping[int, SetSummary],
    limits: DeliveryLimits = EVERYBODY_IS_PUSHED,
) -> tuple[list[Deliverable], dict[UserId, Delivery]]:
    deliveries = {
        UserId(author): decide(Conditions(followers=of_author.total, mode_by_size=Mode.PUSH), limits)
        for author, of_author in followers.items()
    }
    messages = fanout_messages(photos, deliveries, followers, NOW_MS, LOCAL)
    return [cast(Deliverable, message.record) for message in messages], deliveries


def targets_of(record: Deliverable) -> list[tuple[PhotoId, Target, int]]:
    """Each photo of the record with a target and the stamp of the author's followers, 0 for the author."""
    if isinstance(record, OwnPost):
        return [(record.photo_id, record.author_id, 0)]
    if isinstance(record, FanoutPage):
        buckets = range(record.bucket, record.bucket + record.buckets)
        return [(record.photo_id, of(record.author_id, record.level, n), record.stamp) for n in buckets]
    targets: list[tuple[PhotoId, Target, int]] = []
    for photo, author, level, stamp in record.posts:
        targets += [
            (photo, author, 0),
            *((photo, of(author, level, n), stamp) for n in range(BUCKETS[level])),
        ]
    return targets


def of(author: UserId, level: int, bucket: int) -> BucketKey:
    return BucketKey(SetKind.FOLLOWERS, author, level, bucket)


@pytest.mark.law("L1")
@pytest.mark.parametrize(
    ("level", "total", "count"),
    [(0, 200, 1), (1, 1_500, 3), (1, 16 * RECORD_MEMBERS, 17), (2, 20_000, 23), (2, 100 * 16_000, 257)],
)
def test_a_large_author_has_a_record_for_every_thousand_followers(level: int, total: int, count: int) -> None:
    """However full the buckets are. The author's own timeline has a record, too."""
    author, photo = UserId(7), PhotoId(20)
    records, _ = records_of([(photo, author)], {author: SetSummary(level, total, STAMP)})

    wanted = [(photo, author, 0), *((photo, of(author, level, n), STAMP) for n in range(BUCKETS[level]))]
    assert Counter(target for record in records for target in targets_of(record)) == Counter(wanted)
    assert len(records) == count


def test_posts_of_small_authors_share_records() -> None:
    """A hundred posts of authors with 200 followers are about twenty records, not two hundred."""
    authors = [UserId(number) for number in range(101, 121)]
    photos = [(PhotoId(number), authors[number % 20]) for number in range(1, 101)]
    records, _ = records_of(photos, {author: SetSummary(0, 200, STAMP) for author in authors})

    assert 20 <= len(records) <= 30


@pytest.mark.law("L1")
@given(
    st.lists(st.integers(1, 12), max_size=40),
    st.lists(st.integers(0, 1_200) | st.integers(9_000, 30_000), min_size=12, max_size=12),
)
def test_every_photo_is_put_everywhere_once(authors: list[int], totals: list[int]) -> None:
    """Whatever the sizes: pushed photos on all timelines, pulled ones on the author's own."""
    photos = [(PhotoId(100 + number), UserId(author)) for number, author in enumerate(authors)]
    followers = {
        n: SetSummary(0 if total <= RECORD_MEMBERS else 1, total, STAMP + n)
        for n, total in enumerate(totals, 1)
    }
    records, deliveries = records_of(photos, followers, DeliveryLimits())

    found: Counter[tuple[PhotoId, Target, int]] = Counter()
    partitions = defaultdict(list)
    for record in records:
        found.update(targets_of(record))
        if isinstance(record, FanoutPosts):
            owners = [author for _, author, _, _ in record.posts]
            partitions[record] = [LOCAL.partition_of(FANOUT, author, Lane.NORMAL) for author in owners]
            weight = sum(followers[author].total + 1 for author in owners)
            assert weight <= RECORD_MEMBERS or len(owners) == 1
    wanted = [(photo, author, 0) for photo, author in photos]
    for photo, author in photos:
        if deliveries[author].mode is Mode.PUSH:
            level, stamp = followers[author].level, followers[author].stamp
            wanted += [(photo, of(author, level, n), stamp) for n in range(BUCKETS[level])]  # type: ignore[misc]
    assert found == Counter(wanted)
    assert all(len(set(of_record)) == 1 for of_record in partitions.values())
