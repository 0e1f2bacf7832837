"""What a page of photos may show, and in which order.

A page reads the photo ids of several sources together, newest first. Each source has a floor, above
which it lacks no id. So the union of the sources lacks no id above the greatest of their floors. It
leaves out all other ids, and the page asks the database for older photos.

Pure: `api/reading/fill.py` fetches the photos, `api/reading/skeleton.py` provides the sources.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from heapq import nlargest
from operator import neg

from schemas.ids import ID_MAX

# Where the first page begins: all ids that can be minted before 2058 are below.
TOP = ID_MAX
END = 0


class Completeness(StrEnum):
    """What a page says about its own completeness; see the README's guarantees."""

    COMPLETE = "complete"
    PARTIAL = "partial"
    REBUILDING = "rebuilding"
    STALE = "stale"


@dataclass(frozen=True, slots=True)
class Gaps:
    """What may be wrong with a page. Each step of building it returns gaps; `|` combines them."""

    rebuilding: bool = False
    missing: bool = False  # Something that belongs on the page may not be there.
    stale: bool = False  # The database did not answer, so the page may show old cached values.
    retry_after_s: int = 1  # When to retry, if the timeline is being rebuilt.

    def __or__(self, other: "Gaps") -> "Gaps":
        return Gaps(
            self.rebuilding or other.rebuilding,
            self.missing or other.missing,
            self.stale or other.stale,
            max(self.retry_after_s, other.retry_after_s),
        )

    @property
    def completeness(self) -> Completeness:
        """The worst of the gaps, which the response shows to the reader."""
        if self.rebuilding:
            return Completeness.REBUILDING
        if self.missing:
            return Completeness.PARTIAL
        return Completeness.STALE if self.stale else Completeness.COMPLETE


@dataclass(frozen=True, slots=True)
class Source:
    """Photo ids of one store, descending, perhaps repeated. No id above `floor` is missing."""

    ids: Sequence[int]
    floor: int


@dataclass(frozen=True, slots=True)
class Skeleton:
    """Unique ids above `bound`, descending; none is missing. `bound` 0: no older ids exist."""

    ids: tuple[int, ...]
    bound: int


def union(sources: Iterable[Source], below: int, count: int | None = None) -> Skeleton:
    """Return the ids below `below` and above the floors of all sources; without sources, no ids.

    With `count`, only about the newest `count` ids are returned, and at least that many if there
    are more. An id that several sources contain counts several times. Sorting all ids would cost
    ten times as much.
    """
    sources = tuple(sources)
    bound = max((source.floor for source in sources), default=below - 1)
    spans = [_span(source.ids, below, bound) for source in sources]
    if count is not None:
        bound = max(bound, _cut([span for span in spans if span], count) - 1)
    seen: set[int] = set()
    for span in spans:
        seen.update(span[: _first_up_to(span, bound)])
    return Skeleton(tuple(sorted(seen, reverse=True)), bound)


def newest_ids(spans: Iterable[Sequence[int]], count: int) -> list[int]:
    """Return the greatest `count` ids of the spans, descending; each span is descending, too.

    Of spans with many more ids, only about `count` are sorted.
    """
    filled = [span for span in spans if span]
    bound = _cut(filled, count) - 1
    ids: list[int] = []
    for span in filled:
        ids.extend(span[: _first_up_to(span, bound)])
    ids.sort(reverse=True)
    return ids[:count]


def _span(ids: Sequence[int], below: int, bound: int) -> Sequence[int]:
    """Return those of the descending `ids` that are above `bound` and below `below`."""
    # Usually that is all of them. Comparing both ends first is cheaper than a search and a copy.
    start = bisect_right(ids, -below, key=neg) if ids and ids[0] >= below else 0
    stop = _first_up_to(ids, bound)
    return ids if start == 0 and stop == len(ids) else ids[start:stop]


def _first_up_to(ids: Sequence[int], bound: int) -> int:
    """Return the index of the first of the descending `ids` that is not above `bound`."""
    if not ids or ids[-1] > bound:
        return len(ids)
    return bisect_left(ids, -bound, key=neg)


def _cut(spans: Sequence[Sequence[int]], count: int) -> int:
    """Return an id such that the spans have at least `count` ids at or above it; 0 for none found.

    Take from each span its mark: its `share`-th greatest id, so `share` of its ids are at or above
    the mark. The smallest of the ceil(count / share) greatest marks then has at least `count` ids
    at or above it.
    """
    for share in (-(-count // max(1, len(spans))), count):
        marks = [span[share - 1] for span in spans if len(span) >= share]
        wanted = -(-count // share)
        if len(marks) >= wanted:
            return nlargest(wanted, marks)[-1]
    return END


def open_ended(skeleton: Skeleton, below: int) -> Skeleton:
    """Return the same ids, but with a bound that promises nothing below the last of them."""
    return Skeleton(skeleton.ids, skeleton.ids[-1] - 1 if skeleton.ids else below - 1)
