"""Assign to a group's members only the partitions of the group's own range.

Each lane of `fanout` is a group and a Faust app of its own, and owns only the partitions [lo, hi)
of the topic. Faust's own assignor does not know these ranges. It could assign the whole bulk lane
to one of two workers.
"""

from collections.abc import Mapping
from typing import Any

from faust.assignor.client_assignment import ClientAssignment
from faust.assignor.partition_assignor import PartitionAssignor


def deal(members: list[str], partitions: Mapping[str, range]) -> dict[str, dict[str, list[int]]]:
    """Assign the partitions of all topics, by topic name, to the members in one round-robin."""
    dealt: dict[str, dict[str, list[int]]] = {member: {} for member in members}
    turn = 0
    for topic in sorted(partitions):
        for partition in partitions[topic]:
            dealt[members[turn % len(members)]].setdefault(topic, []).append(partition)
            turn += 1
    return dealt


def range_assignor(partitions: Mapping[str, range]) -> type[PartitionAssignor]:
    """Return an assignor class for `faust.App` that assigns only `partitions`, by topic."""

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
