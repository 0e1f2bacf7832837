"""Deal out to a group's members only the partitions of its own range.

Each lane of `fanout` is a group and a Faust app of its own, and owns only [lo, hi) of
the one topic. Faust's own assignor knows no ranges, and gives one of two workers all
partitions of the bulk lane.
"""

from collections.abc import Mapping
from typing import Any

from faust.assignor.client_assignment import ClientAssignment
from faust.assignor.partition_assignor import PartitionAssignor


def deal(members: list[str], partitions: Mapping[str, range]) -> dict[str, dict[str, list[int]]]:
    """Each topic's partitions in turn around the members, going on where the last topic ended."""
    dealt: dict[str, dict[str, list[int]]] = {member: {} for member in members}
    turn = 0
    for topic in sorted(partitions):
        for partition in partitions[topic]:
            dealt[members[turn % len(members)]].setdefault(topic, []).append(partition)
            turn += 1
    return dealt


def range_assignor(partitions: Mapping[str, range]) -> type[PartitionAssignor]:
    """An assignor for `faust.App(PartitionAssignor=…)` that deals out `partitions`, by topic."""

    class RangeAssignor(PartitionAssignor):  # type: ignore[misc]  # Faust has no types here
        def _perform_assignment(self, cluster: object, member_metadata: Mapping[str, Any]) -> Any:
            metadata = {member: self._get_client_metadata(each) for member, each in member_metadata.items()}
            self._update_member_urls(metadata)
            dealt = deal(sorted(member_metadata), partitions)
            assignments = {
                member: ClientAssignment(actives=topics, standbys={}) for member, topics in dealt.items()
            }
            return self._protocol_assignments(assignments, {}, {}, dict.fromkeys(partitions, 0))

    return RangeAssignor
