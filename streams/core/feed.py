"""What a page of photos may show, and in which order.

A page is a walk down the ids of several sources at once. Each source states the id down
to which it is complete; the union is complete above the greatest of those, and shows
nothing below it. The walker then asks the database for what lies deeper.

Pure. `api/reading/fill.py` fetches, `api/reading/skeleton.py` knows the sources.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from heapq import nlargest
from operator import neg

from schemas.ids import ID_MAX

# Where a walk begins: below this are all ids that can be minted before 2058.
TOP = ID_MAX
END = 0


class Completeness(StrEnum):
    """What a page promises about itself; see the README's guarantees."""

    COMPLETE = "complete"
    PARTIAL = "partial"
    REBUILDING = "rebuilding"
    STALE = "stale"


@dataclass(frozen=True, slots=True)
class Gaps:
    """What a page lacks. Every step of making a page returns its gaps; `|` joins them."""

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
        """The worst of the gaps, as the reader is told."""
        if self.rebuilding:
            return Completeness.REBUILDING
        if self.missing:
            return Completeness.PARTIAL
        return Completeness.STALE if self.stale else Completeness.COMPLETE


@dataclass(frozen=True, slots=True)
class Source:
    """Photo ids from one place, descending, perhaps repeated: all that it has to say above `floor`."""

    ids: Sequence[int]
    floor: int


@dataclass(frozen=True, slots=True)
class Skeleton:
    """Unique ids, descending, all above `bound`; nothing above `bound` is missing. Bound 0 is the end."""

    ids: tuple[int, ...]
    bound: int


def union(sources: Iterable[Source], below: int, count: int | None = None) -> Skeleton:
    """The ids below `below` for which every source vouches; of no sources, nothing is known.

    With `count` only the newest of them, where there are more: about as many, and no
    fewer, an id counted as often as it is there. Sorting all would cost ten times as much.
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


def _span(ids: Sequence[int], below: int, bound: int) -> Sequence[int]:
    """Those between the two, which both stay outside."""
    # Most often it is all of them, and a comparison of ids costs more than a look at the ends.
    start = bisect_right(ids, -below, key=neg) if ids and ids[0] >= below else 0
    stop = _first_up_to(ids, bound)
    return ids if start == 0 and stop == len(ids) else ids[start:stop]


def _first_up_to(ids: Sequence[int], bound: int) -> int:
    """Where in descending ids the first stands that is not above `bound`."""
    if not ids or ids[-1] > bound:
        return len(ids)
    return bisect_left(ids, -bound, key=neg)


def _cut(spans: Sequence[Sequence[int]], count: int) -> int:
    """An id such that the spans hold at least `count` ids at or above it; 0 when none is found.

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
    """The same ids, saying nothing about what lies below the last of them."""
    return Skeleton(skeleton.ids, skeleton.ids[-1] - 1 if skeleton.ids else below - 1)
