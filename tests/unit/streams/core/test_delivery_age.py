"""Up to which moment the deliveries are known to be applied."""

from hypothesis import given
from hypothesis import strategies as st

from schemas.ids import UserId
from streams.core.delivery_age import DeliveryAge

NOBODY: frozenset[UserId] = frozenset()


def test_nothing_is_known_before_the_first_look() -> None:
    """A process that has just started does not say that all is applied."""
    assert DeliveryAge().applied_s is None


def test_a_lane_that_stands_still_holds_the_moment() -> None:
    """The other partitions' checkpoints do not matter: one record that waits may be on any page."""
    age = DeliveryAge()
    age.observe(10.0, NOBODY, {0: 5, 1: 7}, {0: 5, 1: 7})
    for second in range(11, 40):
        age.observe(float(second), NOBODY, {0: 6, 1: second}, {0: 5, 1: second})
    assert age.applied_s == 10.0

    age.observe(40.0, NOBODY, {0: 6, 1: 40}, {0: 6, 1: 40})
    assert age.applied_s == 40.0


def test_a_lane_that_is_a_little_behind_is_current_up_to_a_little_ago() -> None:
    """Under load a record is always under way, and that is no lag."""
    age = DeliveryAge()
    for second in range(60):
        age.observe(float(second), NOBODY, {0: 100 * second}, {0: 100 * max(0, second - 2)})

    assert age.applied_s == 57.0


def test_authors_of_the_moment_stay_undelivered_until_a_later_moment_is_applied() -> None:
    """Their photos were published after the moment, so the logs' ends of that moment do not cover them."""
    age, author = DeliveryAge(), UserId(7)
    age.observe(10.0, frozenset([author]), {0: 5}, {0: 5})
    age.observe(11.0, NOBODY, {0: 6}, {0: 5})  # Its photo is published, and not applied.

    assert (10.0, frozenset([author])) == (age.applied_s, age.undelivered)
    age.observe(12.0, NOBODY, {0: 6}, {0: 6})
    assert (12.0, NOBODY) == (age.applied_s, age.undelivered)


# Records published, and records applied, in each second.
steps = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), max_size=60)


@given(st.lists(steps, min_size=1, max_size=3))
def test_what_was_published_before_the_moment_is_applied(
    partitions: list[list[tuple[int, int]]],
) -> None:
    """Whatever is published, applied, or read late, the moment is never too new; at rest it is now."""
    age, published, applied = DeliveryAge(), dict[int, list[float]](), dict[int, int]()
    for second in range(max(map(len, partitions)) + 1):
        now_s = float(second)
        for partition, moves in enumerate(partitions):
            records = published.setdefault(partition, [])
            more, done = moves[second] if second < len(moves) else (0, 0)
            records += [now_s - 0.5] * more
            applied[partition] = min(len(records), applied.get(partition, 0) + done)
        age.observe(
            now_s,
            NOBODY,
            {partition: len(records) for partition, records in published.items()},
            dict(applied),
        )
        if age.applied_s is not None:
            for partition, records in published.items():
                assert all(at_s > age.applied_s for at_s in records[applied[partition] :])
    everything = {partition: len(records) for partition, records in published.items()}
    age.observe(1_000.0, NOBODY, everything, everything)
    assert age.applied_s == 1_000.0
