"""What a pass of the cleaning found, and what became of it."""

from collections import defaultdict
from dataclasses import dataclass, field
from enum import StrEnum

EXAMPLES_MAX = 20


class Kind(StrEnum):
    """What should not be there."""

    UNFINISHED_UPLOAD = "unfinished_upload"
    COMPLETED_UPLOAD = "completed_upload"  # Whoever put it into the pipeline died over it.
    PARTS_WITHOUT_UPLOAD = "parts_without_upload"
    OBJECT_WITHOUT_ROW = "object_without_row"
    OBJECT_OF_DELETED = "object_of_deleted"
    UNNAMED_OBJECT = "unnamed_object"  # Its photo's row names others.
    REJECTED_ORIGINAL = "rejected_original"
    UNKNOWN_OBJECT = "unknown_object"  # Under our prefix, but named as none of ours: never touched.
    LOST_RENDITION = "lost_rendition"  # Its original is there: made again.
    PHOTO_WITHOUT_OBJECTS = "photo_without_objects"  # Nothing can make them again.


@dataclass(slots=True)
class Tally:
    """`settled` of those `found` were removed or mended; the others wait, or are for a person."""

    found: int = 0
    settled: int = 0
    removed_bytes: int = 0


@dataclass(slots=True)
class Report:
    """One pass. `examples` names some of what was left, `held` is what looked too bad to be true."""

    objects: int = 0
    photos: int = 0
    photos_without_objects: int = 0
    tallies: defaultdict[Kind, Tally] = field(default_factory=lambda: defaultdict(Tally))
    examples: list[str] = field(default_factory=list)
    held: list[str] = field(default_factory=list)

    def settled(self, kind: Kind, count: int = 1, *, removed_bytes: int = 0) -> None:
        tally = self.tallies[kind]
        tally.found += count
        tally.settled += count
        tally.removed_bytes += removed_bytes

    def left(self, kind: Kind, name: str) -> None:
        self.tallies[kind].found += 1
        if len(self.examples) < EXAMPLES_MAX:
            self.examples.append(f"{kind.replace('_', ' ')}: {name}")


# A page of which more than half looks lost speaks of a wrong bucket or keyspace, or of one that was
# restored; a person should look before thousands of photos go. Below so many it may be chance.
SUSPICIOUS_MIN = 20


def is_suspicious(lost: int, of: int) -> bool:
    """Whether so much of a page looks lost that nothing of it may be touched."""
    return lost >= SUSPICIOUS_MIN and lost * 2 > of
