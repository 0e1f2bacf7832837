"""Checkpoints: whether they are at given ends, and which groups of timelines have the same ones."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

# A reader's timeline is in the group of the bucket of followers that the reader is in at this level.
GROUPS_LEVEL = 2


def groups_by_checkpoint(
    by_group: Sequence[Mapping[int, int]], partition: int
) -> list[tuple[int | None, list[int]]]:
    """Return each checkpoint of the partition with the groups that have it; that of the first group is last.

    None is no checkpoint.
    """
    groups: dict[int | None, list[int]] = defaultdict(list)
    for group, checkpoints in enumerate(by_group):
        groups[checkpoints.get(partition)].append(group)
    first = by_group[0].get(partition)
    return sorted(groups.items(), key=lambda item: item[0] == first)


def reached(ends: Mapping[int, int], positions: Mapping[int, int]) -> bool:
    """Whether the position of each partition, 0 if it has none, is at its end or beyond it."""
    return all(positions.get(partition, 0) >= end for partition, end in ends.items())
