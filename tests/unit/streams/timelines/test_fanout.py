"""Records of `fanout` become calls: every owner gets every photo, and as few writes as possible."""

from collections import Counter
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from schemas.ids import ID_BYTES, PackedIds, PhotoId, UserId, first_id_at, pack_ids, unpack_ids
from schemas.internal import Deliverable, FanoutPage, FanoutPosts, OwnPost, SetKind
from streams.core import ring
from streams.core.counted import Membership
from streams.core.sets import BucketKey, BucketWrite
from streams.ports.groups import Stores
from streams.ports.timelines import PhotosForOwners
from streams.stores.memory.stores import memory_stores
from streams.timelines.fanout import calls_of, photos_for_owners, put_photos

AUTHOR, OTHER_AUTHOR = UserId(7), UserId(8)
PHOTO, LATER_PHOTO = PhotoId(20), PhotoId(30)
NOW_MS = 1_800_000_000_000


def stores() -> Stores:
    return memory_stores(clock_ms=lambda: NOW_MS)


async def add_followers(stores: Stores, level: int, followers: dict[int, Sequence[int]]) -> None:
    """Give the author these followers by bucket."""
    await stores.counted_sets.write(
        [
            BucketWrite(
                key=BucketKey(SetKind.FOLLOWERS, AUTHOR, level, bucket),
                rows={member: Membership(time_us=1, removed=False) for member in members},
                count=len(members),
                summary=None,
                stamp=1,
            )
            for bucket, members in followers.items()
        ]
    )


def as_pairs(puts: Sequence[PhotosForOwners]) -> Counter[tuple[int, int]]:
    """How often each (photo, owner) is put."""
    return Counter((photo, owner) for put in puts for photo in put.photos for owner in unpack_ids(put.owners))


async def test_a_page_covers_all_of_its_buckets() -> None:
    """A page with a bucket less would lose the post for a sixteenth of the followers."""
    world = stores()
    await add_followers(world, 1, {2: [101], 3: [102], 4: [103, 104], 5: [105]})

    puts = await photos_for_owners(
        world, [FanoutPage(PHOTO, AUTHOR, 1, 3, NOW_MS, buckets=2)], page_copy_s=60
    )

    assert as_pairs(puts) == Counter({(PHOTO, 102): 1, (PHOTO, 103): 1, (PHOTO, 104): 1})


async def test_a_record_of_posts_covers_all_buckets_and_the_authors() -> None:
    """Each post reaches every bucket of its author's followers, at the level that it names."""
    world = stores()
    await add_followers(world, 1, {0: [101], 15: [102]})

    puts = await photos_for_owners(
        world,
        [FanoutPosts(NOW_MS, ((PHOTO, AUTHOR, 1, 0), (LATER_PHOTO, OTHER_AUTHOR, 0, 0)))],
        page_copy_s=60,
    )

    assert as_pairs(puts) == Counter(
        {(PHOTO, 101): 1, (PHOTO, 102): 1, (PHOTO, AUTHOR): 1, (LATER_PHOTO, OTHER_AUTHOR): 1}
    )


async def test_photos_for_the_same_owners_are_put_together() -> None:
    """Two posts of one author, one of them repeated, are one write of each follower's timeline."""
    world = stores()
    await add_followers(world, 0, {0: [101, 102]})
    posts: list[Deliverable] = [
        FanoutPage(LATER_PHOTO, AUTHOR, 0, 0, NOW_MS),
        FanoutPage(PHOTO, AUTHOR, 0, 0, NOW_MS),
        FanoutPage(PHOTO, AUTHOR, 0, 0, NOW_MS),
        OwnPost(PHOTO, AUTHOR, NOW_MS),
        OwnPost(LATER_PHOTO, OTHER_AUTHOR, NOW_MS),
    ]

    puts = await photos_for_owners(world, posts, page_copy_s=60)

    assert {put.photos: set(unpack_ids(put.owners)) for put in puts} == {
        (PHOTO, LATER_PHOTO): {101, 102},
        (PHOTO,): {AUTHOR},
        (LATER_PHOTO,): {OTHER_AUTHOR},
    }


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 9)), max_size=6), st.integers(1, 8))
def test_calls_have_every_put_once(sizes: list[tuple[int, int]], owners_max: int) -> None:
    """No call has more than `owners_max` owners, and all but the last have exactly as many."""
    puts = [
        PhotosForOwners(
            tuple(PhotoId(100 * number + photo) for photo in range(photos)),
            PackedIds(pack_ids(range(1_000 * number + 1, 1_000 * number + 1 + owners))),
        )
        for number, (photos, owners) in enumerate(sizes)
    ]
    calls = calls_of(puts, owners_max)
    counts = [sum(len(put.owners) for put in call) // ID_BYTES for call in calls]

    assert as_pairs([put for call in calls for put in call]) == as_pairs(puts)
    assert all(count == owners_max for count in counts[:-1])
    assert all(0 < count <= owners_max for count in counts)


async def test_late_photos_are_inserted_and_fresh_ones_appended() -> None:
    """A late photo takes its place by its id, below photos that came before it."""
    world = stores()
    owner = UserId(101)
    fresh, newer = PhotoId(first_id_at(NOW_MS - 500)), PhotoId(first_id_at(NOW_MS))
    late = PhotoId(first_id_at(NOW_MS - 90_000))
    await world.timelines.begin_rebuild(owner, b"12345678")
    owners = PackedIds(pack_ids([owner, 102]))
    puts = [PhotosForOwners((late, fresh), owners), PhotosForOwners((newer,), owners)]

    assert await put_photos(world, puts, fresh_since_ms=NOW_MS - 60_000) == 3

    stored = await world.timelines.read(owner)
    assert stored is not None
    assert list(ring.parse(stored).slots[:4]) == [late, fresh, newer, 0]
