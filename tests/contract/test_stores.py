"""The in-memory twins do what the ports promise."""

import pytest

from streams.ports.groups import Stores
from streams.stores.memory.stores import memory_stores
from tests.contract import limits
from tests.contract.passing_time import HandMovedTime
from tests.contract.suites import every_suite
from tests.contract.suites.checkpoints_suite import CheckpointsSuite
from tests.contract.suites.every_suite import *  # noqa: F403  # The list of the suites is there.
from tests.contract.suites.rebuild_suite import RebuildSuite
from tests.contract.suites.timelines_suite import TimelinesSuite


@pytest.fixture
def grouped_stores(passing: HandMovedTime) -> Stores:
    """Timelines are in groups, as in a Redis Cluster."""
    return memory_stores(clock_ms=passing.now_ms, timeline_slots=limits.SLOTS, timeline_groups=4)


def test_every_suite_is_run() -> None:
    """A suite that the list lacks would be run nowhere."""
    assert every_suite.__all__ == sorted(name for name in vars(every_suite) if name.startswith("Test"))


class InGroups:
    @pytest.fixture
    def stores(self, grouped_stores: Stores) -> Stores:
        return grouped_stores


class TestCheckpointsInGroups(InGroups, CheckpointsSuite):
    pass


class TestTimelinesInGroups(InGroups, TimelinesSuite):
    pass


class TestRebuildInGroups(InGroups, RebuildSuite):
    pass
