"""Which groups of timelines have the same checkpoint."""

import pytest

from streams.core.checkpoints import groups_by_checkpoint


@pytest.mark.parametrize(
    ("by_group", "expected"),
    [
        ([{0: 5, 1: 7}], [(5, [0])]),
        ([{}], [(None, [0])]),
        ([{0: 5}, {0: 5}, {0: 5}], [(5, [0, 1, 2])]),
        ([{0: 5}, {0: 6}, {1: 5}, {0: 5}], [(6, [1]), (None, [2]), (5, [0, 3])]),
    ],
)
def test_the_first_groups_checkpoint_is_last(
    by_group: list[dict[int, int]], expected: list[tuple[int | None, list[int]]]
) -> None:
    """It is saved last, because it says what all groups have."""
    assert groups_by_checkpoint(by_group, 0) == expected
