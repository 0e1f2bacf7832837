"""Up to which moment the deliveries are known to be applied."""

from hypothesis import given
from hypothesis import strategies as st

from schemas.ids import UserId
from streams.core.delivery_age import DeliveryAge, Moment

NOBODY: frozenset[UserId] = frozenset()
ONLY = 0  # The group of a single server.


def observe(
    age: DeliveryAge,
    now_s: float,
    undelivered: frozenset[UserId],
    ends: dict[int, int],
    checkpoints: dict[int, int] | None,
    *others: tuple[list[int], dict[int, int] | None],
) -> None:
    """Observe the checkpoints of the first group, and those of others."""
    age.observe(Moment(now_s, undelivered, ends), [([ONLY], checkpoints), *others])


def applied_s(age: DeliveryAge, group: int = ONLY) -> float | None:
    applied = age.applied(group)
    return None if applied is None else applied.at_s


def undelivered(age: DeliveryAge, group: int = ONLY) -> frozenset[UserId]:
    applied = age.applied(group)
    assert applied is not None
    return applied.undelivered


def test_nothing_is_known_before_the_first_look() -> None:
    """A process that has just started does not say that all is applied."""
    assert applied_s(DeliveryAge()) is None


def test_a_lane_that_stands_still_holds_the_moment() -> None:
    """The other partitions' checkpoints do not matter: one record that waits may be on any page."""
    age = DeliveryAge()
    observe(age, 10.0, NOBODY, {0: 5, 1: 7}, {0: 5, 1: 7})
    for second in range(11, 40):
        observe(age, float(second), NOBODY, {0: 6, 1: second}, {0: 5, 1: second})
    assert applied_s(age) == 10.0

    observe(age, 40.0, NOBODY, {0: 6, 1: 40}, {0: 6, 1: 40})
    assert applied_s(age) == 40.0


def test_a_lane_that_is_a_little_behind_is_current_up_to_a_little_ago() -> None:
    """Under load a record is always under way, and that is no lag."""
    age = DeliveryAge()
    for second in range(60):
        observe(age, float(second), NOBODY, {0: 100 * second}, {0: 100 * max(0, second - 2)})

    assert applied_s(age) == 57.0


def test_authors_of_the_moment_stay_undelivered_until_a_later_moment_is_applied() -> None:
    """Their photos were published after the moment, so the logs' ends of that moment do not cover them."""
    age, author = DeliveryAge(), UserId(7)
    observe(age, 10.0, frozenset([author]), {0: 5}, {0: 5})
    observe(age, 11.0, NOBODY, {0: 6}, {0: 5})  # Its photo is published, and not applied.

    assert (10.0, frozenset([author])) == (applied_s(age), undelivered(age))
    observe(age, 12.0, NOBODY, {0: 6}, {0: 6})
    assert (12.0, NOBODY) == (applied_s(age), undelivered(age))


def test_a_group_that_is_behind_holds_its_own_moment_alone() -> None:
    """Its readers' pages are not complete; those of the others are, as if it was not there."""
    age = DeliveryAge()
    observe(age, 10.0, NOBODY, {0: 5}, {0: 5}, ([1, 2], {0: 5}))
    author = UserId(7)
    observe(age, 11.0, frozenset([author]), {0: 6}, {0: 6}, ([1, 2], {0: 5}))
    observe(age, 12.0, NOBODY, {0: 7}, {0: 7}, ([1, 2], None))  # Its server does not respond.

    assert [applied_s(age, group) for group in range(4)] == [12.0, 10.0, 10.0, None]
    observe(age, 13.0, NOBODY, {0: 7}, {0: 7}, ([1, 2], {0: 6}))
    assert (11.0, frozenset([author])) == (applied_s(age, 1), undelivered(age, 1))


def test_a_group_that_came_back_older_does_not_move_the_moment_back() -> None:
    """Pages know by the mark of its server that it is not verified."""
    age = DeliveryAge()
    observe(age, 10.0, NOBODY, {0: 5}, {0: 5})
    observe(age, 11.0, NOBODY, {0: 8}, {0: 8})
    observe(age, 12.0, NOBODY, {0: 8}, {0: 6})

    assert applied_s(age) == 11.0


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
        observe(
            age,
            now_s,
            NOBODY,
            {partition: len(records) for partition, records in published.items()},
            dict(applied),
        )
        moment_s = applied_s(age)
        if moment_s is not None:
            for partition, records in published.items():
                assert all(at_s > moment_s for at_s in records[applied[partition] :])
    everything = {partition: len(records) for partition, records in published.items()}
    observe(age, 1_000.0, NOBODY, everything, everything)
    assert applied_s(age) == 1_000.0
