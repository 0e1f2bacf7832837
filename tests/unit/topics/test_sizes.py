"""The partitions of every profile, the partition of an id, and what a process refuses."""

from collections import Counter
from collections.abc import Mapping
from itertools import combinations, pairwise
from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.ids import EPOCH_MS, ID_MAX, compose_id
from tests.worlds.kafka import LOCAL
from topics.catalogue import CATALOGUE, EDGES, FANOUT, LIKES, OUTSIDE, RENDITIONS, UPLOADS, Lane, Topic
from topics.sizes import SIZES, LaneCounts, Profile, Sizes, TopicMismatch

ids = st.integers(1, ID_MAX)
LANES: list[tuple[Topic, Lane | None]] = [
    (topic, lane) for topic in CATALOGUE.values() for lane in topic.lanes or (None,)
]
EVERY_SIZE = [(sizes, topic, lane) for sizes in SIZES.values() for topic, lane in LANES]


def on_broker(sizes: Sizes, namespace: str = "t.") -> dict[str, int]:
    """The partitions on a broker whose topics were made with these sizes."""
    return {topic.named(namespace): sizes.partitions(topic) for topic in CATALOGUE.values()}


def test_the_sizes_of_a_profile_never_change() -> None:
    """Another number moves ids to other partitions, where topics of the profile exist already."""
    expected = {
        "local": {"uploads": 6, "follows": 6, "likes": 6, "edges": 8, "fanout": 8, "renditions": 6},
        "small": {"uploads": 12, "follows": 12, "likes": 12, "edges": 24, "fanout": 16, "renditions": 24},
        "large": {"uploads": 24, "follows": 24, "likes": 48, "edges": 192, "fanout": 64, "renditions": 256},
    }
    single = {"clock": 1, "operations": 1, "uploads-dlq": 1, "follows-dlq": 1, "likes-dlq": 1}

    assert {profile: counts | single for profile, counts in expected.items()} == {
        profile.value: {topic.name: sizes.partitions(topic) for topic in CATALOGUE.values()}
        for profile, sizes in SIZES.items()
    }


def test_the_lanes_are_where_everybody_expects_them() -> None:
    """The partition range of a lane must never change, because producers and consumers depend on it."""
    assert LOCAL.range_of(FANOUT, Lane.NORMAL) == range(6)
    assert LOCAL.range_of(FANOUT, Lane.BULK) == range(6, 8)
    assert LOCAL.range_of(RENDITIONS, Lane.THUMBNAIL) == range(2)
    assert LOCAL.range_of(RENDITIONS, Lane.FULL) == range(2, 6)
    assert LOCAL.range_of(UPLOADS) == range(6)
    assert SIZES[Profile.LARGE].range_of(FANOUT, Lane.BULK) == range(48, 64)


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("topic", CATALOGUE.values(), ids=CATALOGUE)
def test_lanes_cut_all_partitions(topic: Topic, sizes: Sizes) -> None:
    """A partition in a gap would have no consumer, and one in an overlap would be read by two groups."""
    lanes = [sizes.range_of(topic, lane) for lane in topic.lanes or (None,)]

    assert [partition for lane in lanes for partition in lane] == list(range(sizes.partitions(topic)))


@pytest.mark.parametrize("counts", [{}, {Lane.NORMAL: 2}, {Lane.NORMAL: 2, Lane.BULK: 0}, {None: 4}], ids=str)
def test_a_lane_without_partitions_is_refused(counts: LaneCounts) -> None:
    with pytest.raises(ValueError, match="fanout"):
        Sizes(Profile.LOCAL, {**LOCAL.counts, "fanout": counts})


@pytest.mark.parametrize(("topic", "lane"), [(FANOUT, None), (FANOUT, Lane.FULL), (UPLOADS, Lane.NORMAL)])
def test_a_lane_that_the_topic_has_not_is_refused(topic: Topic, lane: Lane | None) -> None:
    """If a topic has lanes, a call without a lane is also refused. Otherwise bulk records could get
    into the normal lane."""
    with pytest.raises(ValueError, match=f"{topic.name} has"):
        LOCAL.partition_of(topic, 1, lane)


@given(key_id=ids)
def test_an_id_goes_to_a_partition_of_its_lane(key_id: int) -> None:
    """The partition is never in the range of another lane and never beyond the topic."""
    assert all(
        sizes.partition_of(topic, key_id, lane) in sizes.range_of(topic, lane)
        for sizes, topic, lane in EVERY_SIZE
    )


def test_the_partition_of_an_id_never_changes() -> None:
    """All processes of all versions must compute the same partition, so these values may never
    change."""
    some = (1, 2, 3, 1_001, ID_MAX)

    assert [LOCAL.partition_of(EDGES, key_id) for key_id in some] == [7, 5, 3, 6, 6]
    assert [LOCAL.partition_of(FANOUT, key_id, Lane.BULK) for key_id in some] == [7, 7, 7, 6, 6]
    assert [LOCAL.partition_of_page(FANOUT, 1_001, page, Lane.NORMAL) for page in range(4)] == [4, 5, 0, 1]


@pytest.mark.parametrize(
    ("sizes", "topic", "lane"),
    [size for size in EVERY_SIZE if len(size[0].range_of(*size[1:])) > 1],
    ids=lambda value: value.profile if isinstance(value, Sizes) else getattr(value, "name", value),
)
@pytest.mark.parametrize(
    "key_ids",
    [
        range(1, 12_001),
        [compose_id(EPOCH_MS + 10_000_000 + 7 * step, 12, 0) for step in range(12_000)],
        [compose_id(EPOCH_MS + 10_000_000 + step, step % 16, 0) for step in range(12_000)],
        range(1_000, 12_000_001, 1_000),
        range(2**20, 2**20 * 12_001, 2**20),
    ],
    ids=["in a row", "minted", "minted by 16 shards", "thousands", "powers of two"],
)
def test_ids_as_they_come_spread_evenly(
    sizes: Sizes, topic: Topic, lane: Lane | None, key_ids: range | list[int]
) -> None:
    """Each partition has its share of the ids, within what chance would leave."""
    counts = Counter(sizes.partition_of(topic, key_id, lane) for key_id in key_ids)
    share = len(key_ids) / len(sizes.range_of(topic, lane))

    assert len(counts) == len(sizes.range_of(topic, lane))
    assert max(counts.values()) < share + 4 * sqrt(share)
    assert min(counts.values()) > share - 4 * sqrt(share)


@given(ids, st.sampled_from([Lane.NORMAL, Lane.BULK]), st.integers(1, 100), st.sampled_from(list(SIZES)))
def test_an_authors_pages_take_turns_around_the_lane(
    author_id: int, lane: Lane, pages: int, profile: Profile
) -> None:
    """Consecutive pages go to different partitions, and the numbers of pages differ by at most
    one."""
    sizes = SIZES[profile]
    partitions = [sizes.partition_of_page(FANOUT, author_id, page, lane) for page in range(pages)]
    counts = Counter(dict.fromkeys(sizes.range_of(FANOUT, lane), 0))
    counts.update(partitions)

    assert set(partitions) <= set(sizes.range_of(FANOUT, lane))
    assert all(left != right for left, right in pairwise(partitions))
    assert max(counts.values()) - min(counts.values()) <= 1


def test_small_authors_spread_over_the_lane() -> None:
    """Authors with only one page must not all use the lane's first partition."""
    counts = Counter(
        LOCAL.partition_of_page(FANOUT, author_id, 0, Lane.NORMAL) for author_id in range(1, 6_001)
    )

    assert set(counts) == set(LOCAL.range_of(FANOUT, Lane.NORMAL))
    assert max(counts.values()) < 1_100


@pytest.mark.parametrize(("made_with", "started_with"), list(combinations(SIZES, 2)), ids=str)
def test_topics_of_another_profile_are_refused_by_name(made_with: Profile, started_with: Profile) -> None:
    """Whichever is larger. The sentence has the topic, both numbers, the setting, and where to read on."""
    for made, ours in ((made_with, started_with), (started_with, made_with)):
        with pytest.raises(TopicMismatch) as caught:
            SIZES[ours].on_broker("t.", on_broker(SIZES[made]))

        sentence = str(caught.value)
        for topic in (EDGES, FANOUT, RENDITIONS):
            is_there, wanted = (SIZES[profile].partitions(topic) for profile in (made, ours))
            assert (
                f'topic t.{topic.name} has {is_there} partitions, the profile "{ours}" says {wanted}'
                in sentence
            )
        assert 1 == sentence.count("SHUTTERLINE_SIZES") == sentence.count("docs/operations.md")
        assert "clock" not in sentence


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
def test_topics_of_the_profile_are_what_it_says(sizes: Sizes) -> None:
    """Topics of other namespaces and of others do not matter."""
    counts = {**on_broker(sizes), **on_broker(LOCAL, ""), "theirs": 3}

    assert sizes == sizes.on_broker("t.", counts)


def test_upstream_topics_may_have_more_partitions_and_all_are_used() -> None:
    """They grow by adding partitions. What is smaller than the profile says is refused."""
    counts = on_broker(LOCAL)
    grown = LOCAL.on_broker("t.", counts | {"t.likes": 32})

    assert grown.range_of(LIKES) == range(32)
    assert {grown.partition_of(LIKES, photo) for photo in range(1, 2_000)} == set(range(32))
    assert all(
        grown.range_of(topic, lane) == LOCAL.range_of(topic, lane) for topic, lane in LANES if topic != LIKES
    )
    with pytest.raises(TopicMismatch, match='likes has 5 partitions, the profile "local" says at least 6'):
        LOCAL.on_broker("t.", counts | {"t.likes": 5})


@pytest.mark.parametrize("topic", [topic for topic in CATALOGUE.values() if topic not in OUTSIDE])
def test_no_other_topic_may_have_more_partitions(topic: Topic) -> None:
    """An id would be in two partitions, or a lane would be where nobody looks for it."""
    counts: Mapping[str, int] = on_broker(LOCAL)
    name = topic.named("t.")

    with pytest.raises(TopicMismatch, match=f"^topic {name} has"):
        LOCAL.on_broker("t.", {**counts, name: counts[name] + 1})
