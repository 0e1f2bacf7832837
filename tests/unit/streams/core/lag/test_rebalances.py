"""Rebalances as samples show them."""

from streams.core.lag.rebalances import RebalanceLog
from streams.core.lag.samples import Members

GROUP = "check"


def members(*workers: str, is_rebalancing: bool = False) -> Members:
    """Five partitions, dealt to the workers in turn; each has its name as its id."""
    owners = {("likes", number): workers[number % len(workers)] for number in range(5)} if workers else {}
    return Members(is_rebalancing=is_rebalancing, ids=frozenset(workers), owners=owners)


def test_a_rebalance_says_when_how_long_who_and_what_moved() -> None:
    log = RebalanceLog(10)
    log.observe(GROUP, members("a", "b"), 1_000)
    log.observe(GROUP, members("a", "b", is_rebalancing=True), 3_000)
    [under_way] = log.newest()
    assert (3_000, None) == (under_way.began_ms, under_way.ended_ms)
    assert under_way.json()["length_s"] is None
    log.observe(GROUP, members("a", "c"), 7_000)

    [ended] = log.newest()
    assert {
        "group": GROUP,
        "began_at": "1970-01-01T00:00:03.000000Z",
        "length_s": 4.0,
        "joined": ["c"],
        "left": ["b"],
        "moved_partitions": 2,
    } == ended.json()


def test_a_rebalance_between_two_samples_is_seen_by_its_members() -> None:
    log = RebalanceLog(10)
    log.observe(GROUP, members("a", "b"), 1_000)
    log.observe(GROUP, members("a"), 3_000)

    [ended] = log.newest()
    assert ((), ("b",), 2) == (ended.joined, ended.left, ended.moved)


def test_the_first_sample_is_no_rebalance_and_neither_is_an_unchanged_group() -> None:
    log = RebalanceLog(10)
    log.observe(GROUP, members("a", is_rebalancing=True), 1_000)
    for at_ms in (3_000, 5_000):
        log.observe(GROUP, members("a"), at_ms)

    assert [] == log.newest()


def test_the_newest_of_all_groups_are_remembered() -> None:
    log = RebalanceLog(2)
    for group in ("edges", "check"):
        log.observe(group, members("a"), 0)
    for at_ms, group, worker in ((1, "edges", "b"), (2, "check", "b"), (3, "edges", "c")):
        log.observe(group, members(worker), at_ms)

    assert [(3, "edges"), (2, "check")] == [(found.began_ms, found.group) for found in log.newest()]
