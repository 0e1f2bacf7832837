"""Each partition of a range is assigned to one member of the group, and all of them evenly."""

from hypothesis import given
from hypothesis import strategies as st

from streams.kafka.consuming.assignor import deal

members = st.lists(st.text("abc", min_size=1), min_size=1, max_size=5, unique=True)
ranges = st.builds(lambda low, length: range(low, low + length), st.integers(0, 6), st.integers(0, 6))
topics = st.dictionaries(st.sampled_from(["uploads", "follows", "likes"]), ranges)


@given(members, topics)
def test_every_partition_of_the_range_has_one_owner(members: list[str], partitions: dict[str, range]) -> None:
    """Nothing is left out, dealt twice, or dealt from outside the range."""
    dealt = [
        (topic, partition)
        for owned in deal(members, partitions).values()
        for topic, numbers in owned.items()
        for partition in numbers
    ]

    assert sorted((topic, number) for topic, numbers in partitions.items() for number in numbers) == sorted(
        dealt
    )


@given(members, topics)
def test_no_member_has_two_partitions_more_than_another(
    members: list[str], partitions: dict[str, range]
) -> None:
    """This holds over all topics together: the second topic continues where the first one ended."""
    dealt = deal(members, partitions)
    counts = [sum(map(len, owned.values())) for owned in dealt.values()]

    assert members == list(dealt)
    assert max(counts) - min(counts) <= 1


@given(members, topics)
def test_the_order_of_the_topics_does_not_matter(members: list[str], partitions: dict[str, range]) -> None:
    """Otherwise members that list their topics in different orders would assign differently."""
    assert deal(members, partitions) == deal(members, dict(reversed(partitions.items())))
