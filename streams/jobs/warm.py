"""Which objects to keep warm: those that the edges were asked for most."""

from collections import Counter
from collections.abc import Iterable, Sequence


def views_of(lines: Iterable[str]) -> Counter[str]:
    """Views by object path, from an edge's log: time, what the cache did, path.

    A line cut short by a crash is left out.
    """
    fields = (line.split() for line in lines)
    return Counter(columns[2] for columns in fields if len(columns) == 3)


def most_viewed(views: Counter[str], share: float) -> Sequence[str]:
    """The most viewed `share` of the objects seen, at least one where any was; the most viewed first.

    Of those with as many views the path decides, so that the answer is always the same.
    """
    count = max(1, int(len(views) * share))
    return sorted(views, key=lambda path: (-views[path], path))[:count]
