"""The groups of timelines in a cluster."""

from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot

from streams.core.checkpoints import GROUPS_LEVEL
from streams.core.counted import BUCKETS, bucket_of
from streams.stores.redis.groups import groups_of

IDS = st.integers(0, 2**63 - 1)


def test_their_slots_are_evenly_apart() -> None:
    """So servers with as many slots have as many groups, and half the slots have half the timelines."""
    groups = groups_of(is_cluster=True)

    assert [key_slot(b"t." + tag + b"anything}") for tag in groups.tags] == list(range(0, 16_384, 64))
    assert {len(text) for text in groups.texts} == {3}


@given(
    st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1), st.sampled_from(range(GROUPS_LEVEL, len(BUCKETS)))
)
def test_a_large_accounts_page_is_in_one_group(first: int, second: int, level: int) -> None:
    """Followers who are in the same bucket of this level or a higher one are in the same group."""
    of = groups_of(is_cluster=True).of

    if bucket_of(first, level) == bucket_of(second, level):
        assert of(first) == of(second)
    assert of(first) == bucket_of(first, level) % len(groups_of(is_cluster=True).texts)


def test_without_a_cluster_there_is_one_group_without_a_tag() -> None:
    """Keys have the names that they had before there were groups."""
    groups = groups_of(is_cluster=False)

    assert (groups.texts, groups.tags, groups.of(123_456_789)) == ((b"",), (b"",), 0)
