"""Choose the objects to refresh in the CDN edges: those that clients requested most often."""

from collections import Counter
from collections.abc import Iterable, Sequence


def views_of(lines: Iterable[str]) -> Counter[str]:
    """Count the views of each object path in an edge's log.

    A line has three fields: time, cache status, path. Other lines are ignored, because a crash can
    cut a line short.
    """
    fields = (line.split() for line in lines)
    return Counter(columns[2] for columns in fields if len(columns) == 3)


def most_viewed(views: Counter[str], share: float) -> Sequence[str]:
    """Return the most viewed `share` (0 to 1) of the objects, at least one; descending by views.

    Objects with equal views are ordered by path, so that the result is deterministic.
    """
    count = max(1, int(len(views) * share))
    return sorted(views, key=lambda path: (-views[path], path))[:count]
