"""Checkpoints: whether they are at given ends, and which groups of timelines have the same ones."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from streams.core.counted import bucket_of

# A reader's timeline is in the group of the bucket of followers that the reader is in at this level.
GROUPS_LEVEL = 2


def group_of(owner: int, groups: int) -> int:
    """Return the group of a reader's timeline, of so many groups; a power of two, at most 256."""
    return bucket_of(owner, GROUPS_LEVEL) % groups if groups > 1 else 0


def lowest_of(checkpoints: Iterable[Mapping[int, int]]) -> dict[int, int]:
    """Return the lowest checkpoint of each partition; none of a partition that has none somewhere."""
    first, *others = checkpoints
    return {
        partition: min(position, *(other[partition] for other in others)) if others else position
        for partition, position in first.items()
        if all(partition in other for other in others)
    }


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
