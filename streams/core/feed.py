"""What a page of photos may show, and in which order.

A page is a walk down the ids of several sources at once. Each source states the id down
to which it is complete; the union is complete above the greatest of those, and shows
nothing below it. The walker then asks the database for what lies deeper.

Pure. `api/walk.py` fetches, `api/skeleton.py` knows the sources.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum

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


@dataclass(slots=True)
class Gaps:
    """What was found to be wanting while a page was made."""

    rebuilding: bool = False
    missing: bool = False  # Something that belongs here may not be here.
    copied: bool = False  # The database did not answer; what is here came from copies.

    @property
    def completeness(self) -> Completeness:
        """The worst of them, as the reader should hear it."""
        if self.rebuilding:
            return Completeness.REBUILDING
        if self.missing:
            return Completeness.PARTIAL
        return Completeness.STALE if self.copied else Completeness.COMPLETE


@dataclass(frozen=True, slots=True)
class Source:
    """Photo ids from one place, in any order: all that it has to say above `floor`."""

    ids: Collection[int]
    floor: int


@dataclass(frozen=True, slots=True)
class Skeleton:
    """Unique ids, descending, all above `bound`; nothing above `bound` is missing. Bound 0 is the end."""

    ids: tuple[int, ...]
    bound: int


def union(sources: Iterable[Source], below: int) -> Skeleton:
    """The ids below `below` for which every source vouches; of no sources, nothing is known."""
    sources = tuple(sources)
    bound = max((source.floor for source in sources), default=below - 1)
    seen = {photo for source in sources for photo in source.ids if bound < photo < below}
    return Skeleton(tuple(sorted(seen, reverse=True)), bound)


def open_ended(skeleton: Skeleton, below: int) -> Skeleton:
    """The same ids, saying nothing about what lies below the last of them."""
    return Skeleton(skeleton.ids, skeleton.ids[-1] - 1 if skeleton.ids else below - 1)
