"""How often and how long a consumer was without its partitions."""

from prometheus_client import REGISTRY

from streams.kafka.consuming.rebalances import Rebalances


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def counted(group: str, reason: str) -> float:
    labels = {"group": group, "reason": reason}
    return REGISTRY.get_sample_value("shutterline_consumer_rebalances_total", labels) or 0


def seconds(group: str) -> float:
    return REGISTRY.get_sample_value("shutterline_rebalance_duration_seconds_sum", {"group": group}) or 0


def test_the_first_is_the_start_and_later_ones_are_the_members() -> None:
    clock = Clock()
    rebalances = Rebalances("first-and-later", clock)
    for length_s in (3, 0.5, 0.25):
        rebalances.began()
        clock.now_s += length_s
        rebalances.ended()
        clock.now_s += 60

    assert (1, 2) == (counted("first-and-later", "start"), counted("first-and-later", "members"))
    assert 3.75 == seconds("first-and-later")


def test_tries_to_join_that_fail_belong_to_the_same_rebalance() -> None:
    """The partitions rest from the first of them on."""
    clock = Clock()
    rebalances = Rebalances("tries", clock)
    for _ in range(3):
        rebalances.began()
        clock.now_s += 5
    rebalances.ended()

    assert (1, 15) == (counted("tries", "start"), seconds("tries"))


def test_an_assignment_that_nothing_was_revoked_for_is_no_rebalance() -> None:
    rebalances = Rebalances("alone", Clock())
    rebalances.ended()

    assert (0, 0) == (counted("alone", "start"), seconds("alone"))
