"""The catalogue of topics, their lanes, the partition of an id, and topics.json."""

import re
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.dead_letter_headers import DEAD_LETTER_HEADERS_BYTES_MAX
from schemas.events import EventType
from schemas.ids import EPOCH_MS, ID_MAX, compose_id
from topics.catalogue import (
    CATALOGUE,
    DEAD_LETTER_BYTES_MAX,
    EDGES,
    FANOUT,
    FOLLOWS,
    LIKES,
    MESSAGE_BYTES_MAX,
    OUTSIDE,
    RENDITIONS,
    UPLOADS,
    Lane,
    LaneRange,
    Topic,
    dead_letter_of,
)
from topics.partitioning import partition_of, partition_of_page
from topics.terraform import TOPICS_JSON, topics_json

DAY_MS = 86_400_000
ids = st.integers(1, ID_MAX)
OWN = (EDGES, FANOUT, RENDITIONS)
PLACES = [
    *((topic, None) for topic in CATALOGUE.values() if not topic.lanes),
    *((topic, lane_range.lane) for topic in CATALOGUE.values() for lane_range in topic.lanes),
]


def test_the_catalogue_has_the_topics_of_the_contract() -> None:
    """There are three public topics with their dead-letter topics, three internal topics, and the clock."""
    expected = {
        "uploads": (6, 7 * DAY_MS),
        "follows": (6, 7 * DAY_MS),
        "likes": (6, 7 * DAY_MS),
        "edges": (8, 7 * DAY_MS),
        "fanout": (8, 2 * DAY_MS),
        "renditions": (6, 7 * DAY_MS),
        "clock": (1, 3_600_000),
        "uploads-dlq": (1, 30 * DAY_MS),
        "follows-dlq": (1, 30 * DAY_MS),
        "likes-dlq": (1, 30 * DAY_MS),
    }

    assert expected == {name: (topic.partitions, topic.retention_ms) for name, topic in CATALOGUE.items()}
    assert all(name == topic.name for name, topic in CATALOGUE.items())


def test_the_lanes_are_where_everybody_expects_them() -> None:
    """The partition range of a lane must never change, because producers and consumers depend on
    it."""
    assert FANOUT.range_of(Lane.NORMAL) == range(6)
    assert FANOUT.range_of(Lane.BULK) == range(6, 8)
    assert RENDITIONS.range_of(Lane.THUMBNAIL) == range(2)
    assert RENDITIONS.range_of(Lane.FULL) == range(2, 6)
    assert UPLOADS.range_of(None) == range(6)


@pytest.mark.parametrize(("topic", "lane"), [(FANOUT, None), (FANOUT, Lane.FULL), (UPLOADS, Lane.NORMAL)])
def test_a_lane_that_the_topic_has_not_is_refused(topic: Topic, lane: Lane | None) -> None:
    """If a topic has lanes, a call without a lane is also refused. Otherwise bulk records could get
    into the normal lane."""
    with pytest.raises(ValueError, match=f"{topic.name} has"):
        partition_of(topic, 1, lane)


@pytest.mark.parametrize(
    "lanes",
    [
        (LaneRange(Lane.NORMAL, 0, 2), LaneRange(Lane.BULK, 3, 4)),
        (LaneRange(Lane.NORMAL, 0, 3), LaneRange(Lane.BULK, 2, 4)),
        (LaneRange(Lane.NORMAL, 0, 2), LaneRange(Lane.BULK, 2, 3)),
        (LaneRange(Lane.NORMAL, 1, 4),),
        (LaneRange(Lane.NORMAL, 0, 4), LaneRange(Lane.BULK, 4, 4)),
    ],
)
def test_lanes_that_do_not_cut_all_partitions_are_refused(lanes: tuple[LaneRange, ...]) -> None:
    """A partition in a gap would have no consumer, and one in an overlap would be read by two
    groups."""
    with pytest.raises(ValueError, match="without a gap"):
        Topic(
            name="x",
            key="id",
            partitions=4,
            retention_ms=1,
            owner="o",
            producers=(),
            consumers=(),
            lanes=lanes,
        )


def test_every_topic_has_producers_and_consumers() -> None:
    """A topic also has an owner, and its name is in kebab case."""
    for topic in CATALOGUE.values():
        assert topic.owner
        assert topic.producers
        assert topic.consumers
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", topic.name)


def test_every_event_type_travels_on_exactly_one_outside_topic() -> None:
    """Every public topic has at least one event type."""
    carried = [event_type for topic in OUTSIDE for event_type in topic.event_types]

    assert Counter(carried) == Counter(EventType)
    assert all(topic.event_types for topic in OUTSIDE)


@pytest.mark.parametrize("topic", OUTSIDE, ids=lambda topic: topic.name)
def test_a_dead_letter_fits_where_its_record_fitted(topic: Topic) -> None:
    """A dead letter has the whole record, which may have the largest size, and additional
    headers."""
    room = int(dead_letter_of(topic).config["max.message.bytes"])

    assert room - int(topic.config["max.message.bytes"]) >= DEAD_LETTER_HEADERS_BYTES_MAX
    assert int(topic.config["max.message.bytes"]) > 1_048_576
    assert (room, topic.message_bytes_max) == (DEAD_LETTER_BYTES_MAX, MESSAGE_BYTES_MAX)


@pytest.mark.parametrize("topic", [*OWN, dead_letter_of(LIKES)], ids=lambda topic: topic.name)
def test_only_outside_topics_have_dead_letters(topic: Topic) -> None:
    """A record that the pipeline itself wrote can only be bad because of a bug, and a bug stops the
    worker."""
    with pytest.raises(ValueError, match="has no dead-letter topic"):
        dead_letter_of(topic)


def test_a_namespace_stands_before_the_name() -> None:
    """Production has no namespace. Each test has its own."""
    assert FOLLOWS.named("") == "follows"
    assert FOLLOWS.named("t1.") == "t1.follows"


@pytest.mark.parametrize(("topic", "lane"), PLACES, ids=str)
@given(key_id=ids)
def test_an_id_goes_to_a_partition_of_its_lane(topic: Topic, lane: Lane | None, key_id: int) -> None:
    """The partition is never in the range of another lane and never beyond the topic."""
    assert partition_of(topic, key_id, lane) in topic.range_of(lane)


def test_the_partition_of_an_id_never_changes() -> None:
    """All processes of all versions must compute the same partition, so these values may never
    change."""
    assert [partition_of(EDGES, key_id) for key_id in (1, 2, 3, 1_001, ID_MAX)] == [7, 5, 3, 6, 6]
    assert [partition_of(FANOUT, key_id, Lane.BULK) for key_id in (1, 2, 3, 1_001, ID_MAX)] == [7, 7, 7, 6, 6]
    assert [partition_of_page(FANOUT, 1_001, page, Lane.NORMAL) for page in range(4)] == [4, 5, 0, 1]


@pytest.mark.parametrize(
    ("topic", "lane"), [place for place in PLACES if len(place[0].range_of(place[1])) > 1]
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
def test_ids_as_they_come_spread_evenly(topic: Topic, lane: Lane | None, key_ids: range | list[int]) -> None:
    """The number of ids of each partition is within a tenth of its share."""
    counts = Counter(partition_of(topic, key_id, lane) for key_id in key_ids)
    share = len(key_ids) / len(topic.range_of(lane))

    assert len(counts) == len(topic.range_of(lane))
    assert max(counts.values()) < 1.1 * share
    assert min(counts.values()) > 0.9 * share


@given(ids, st.sampled_from([Lane.NORMAL, Lane.BULK]), st.integers(1, 100))
def test_an_authors_pages_take_turns_around_the_lane(author_id: int, lane: Lane, pages: int) -> None:
    """Consecutive pages go to different partitions, and the numbers of pages differ by at most
    one."""
    places = [partition_of_page(FANOUT, author_id, page, lane) for page in range(pages)]
    counts = Counter(dict.fromkeys(FANOUT.range_of(lane), 0))
    counts.update(places)

    assert set(places) <= set(FANOUT.range_of(lane))
    assert all(left != right for left, right in pairwise(places))
    assert max(counts.values()) - min(counts.values()) <= 1


def test_small_authors_spread_over_the_lane() -> None:
    """Authors with only one page must not all use the lane's first partition."""
    counts = Counter(partition_of_page(FANOUT, author_id, 0, Lane.NORMAL) for author_id in range(1, 6_001))

    assert set(counts) == set(FANOUT.range_of(Lane.NORMAL))
    assert max(counts.values()) < 1_100


def test_topics_json_is_fresh() -> None:
    """Terraform reads the file. `python -m topics` generates it."""
    assert topics_json() == TOPICS_JSON.read_bytes()
