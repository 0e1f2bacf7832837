"""Compare what is stored twice: both sides of an edge, counts and rows, timelines and lists. Pure."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from schemas.ids import PhotoId, UserId
from streams.core.counted import Membership
from streams.core.edges import OutgoingEdge
from streams.core.feed import Source
from streams.core.ring import Ring
from streams.core.sets import BucketKey


class Drift(StrEnum):
    """What is wrong, most often by the table that has it; the last three are about timelines."""

    FOLLOWING = "following"
    FOLLOWERS = "followers"
    LIKES = "likes_by_user"
    LIKERS = "likers"
    READY_PHOTOS = "ready_photos"
    AUTHOR_PHOTOS = "photos_by_author"
    PULLED_AUTHORS = "pulled_authors"
    PHOTOS = "photos"  # A row that others name and that is not there. Nothing can repair it.
    COUNTS = "counts"
    PAGES = "pages"
    MISSING = "missing"
    EXTRA = "extra"
    DOUBLED = "doubled"


TIMELINE_DRIFT = frozenset({Drift.MISSING, Drift.EXTRA, Drift.DOUBLED})
# Readers remove what is doubled, and a record that is applied again doubles its photos.
HARMLESS_DRIFT = frozenset({Drift.DOUBLED})


@dataclass(frozen=True, slots=True)
class StateEdge:
    """Write both sides of an edge as `state` says."""

    kind: OutgoingEdge
    member: UserId
    owner: int
    state: Membership


@dataclass(frozen=True, slots=True)
class StateReady:
    """Let the photo be in the set of its author's ready photos, or not."""

    author: UserId
    photo: PhotoId
    is_ready: bool


@dataclass(frozen=True, slots=True)
class ListPhoto:
    """Let the photo be in its author's list as ready, or not be in it."""

    author: UserId
    photo: PhotoId
    is_listed: bool


@dataclass(frozen=True, slots=True)
class PullAuthor:
    """Let readers pull the author's photos."""

    author: UserId


@dataclass(frozen=True, slots=True)
class RebuildTimeline:
    """Make the timeline again from the database."""

    owner: UserId


Repair: TypeAlias = StateEdge | StateReady | ListPhoto | PullAuthor | RebuildTimeline | BucketKey


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is wrong. `owner` and `member` name it; `repair` is None if nothing can repair it.

    A bucket as the repair is one to count again.
    """

    drift: Drift
    owner: int
    member: int
    repair: Repair | None = field(compare=False)


@dataclass(frozen=True, slots=True)
class Compared:
    """What one look found, in how many comparisons of the graph and of photos in timelines."""

    graph: int = 0
    timelines: int = 0
    differences: tuple[Difference, ...] = ()

    def __add__(self, other: "Compared") -> "Compared":
        return Compared(
            self.graph + other.graph,
            self.timelines + other.timelines,
            self.differences + other.differences,
        )


# The table of each side of an edge.
_OUTGOING = {OutgoingEdge.FOLLOWING: Drift.FOLLOWING, OutgoingEdge.LIKES: Drift.LIKES}
_INCOMING = {OutgoingEdge.FOLLOWING: Drift.FOLLOWERS, OutgoingEdge.LIKES: Drift.LIKERS}


def compare_edge(
    kind: OutgoingEdge,
    member: UserId,
    owner: int,
    outgoing: Membership | None,
    incoming: Membership | None,
) -> Difference | None:
    """Compare both sides of an edge; the side with the later state is right, as for events.

    A side without a row is wrong if the other says that the edge is there. Two sides that say the same
    with different times do not differ.
    """
    if is_in(outgoing) == is_in(incoming):
        return None
    if incoming is not None and incoming.beats(outgoing):
        return Difference(_OUTGOING[kind], owner, member, StateEdge(kind, member, owner, incoming))
    assert outgoing is not None  # One of the two says that the edge is there.
    return Difference(_INCOMING[kind], owner, member, StateEdge(kind, member, owner, outgoing))


def is_in(state: Membership | None) -> bool:
    """Return whether a row is there and does not say removed."""
    return state is not None and not state.removed


def compare_timeline(
    owner: UserId, ring: Ring, newest: Source, *, pulled: Collection[int], unknown: Collection[int]
) -> Compared:
    """Compare a stored timeline with the newest photos of its owner's followees.

    Readers get the photos in `pulled` from elsewhere. `unknown` are photos in the ring that no row explains.
    Below the floors of both nothing is compared.
    """
    floor = max(ring.floor, newest.floor)
    wanted = {photo for photo in newest.ids if photo > floor}
    counts = Counter(photo for photo in ring.held if photo > floor)
    wrong = (
        (Drift.MISSING, wanted - counts.keys() - set(pulled)),
        (Drift.EXTRA, counts.keys() & set(unknown)),
        (Drift.DOUBLED, {photo for photo, times in counts.items() if times > 1}),
    )
    return Compared(
        timelines=len(wanted | counts.keys()),
        differences=tuple(
            Difference(drift, owner, photo, RebuildTimeline(owner))
            for drift, photos in wrong
            for photo in sorted(photos)
        ),
    )
