"""What one run of the cleaning found, and how much of it was removed or repaired."""

from collections import defaultdict
from dataclasses import dataclass, field
from enum import StrEnum

EXAMPLES_MAX = 20


class Inconsistency(StrEnum):
    """The ways in which the media bucket and the database can disagree."""

    UNFINISHED_UPLOAD = "unfinished_upload"
    COMPLETED_UPLOAD = "completed_upload"  # Its process died before the photo was in the pipeline.
    PARTS_WITHOUT_UPLOAD = "parts_without_upload"
    OBJECT_WITHOUT_ROW = "object_without_row"
    OBJECT_OF_DELETED = "object_of_deleted"
    UNNAMED_OBJECT = "unnamed_object"  # Its photo's row names other objects.
    REJECTED_ORIGINAL = "rejected_original"
    UNKNOWN_OBJECT = "unknown_object"  # Under our prefix, but not one of our keys: never touched.
    LOST_RENDITION = "lost_rendition"  # The original is there, so the rendition is made again.
    PHOTO_WITHOUT_OBJECTS = "photo_without_objects"  # Nothing can make its renditions again.


@dataclass(slots=True)
class CleaningTally:
    """`settled` of those `found` were removed or repaired. The others wait, or need a person."""

    found: int = 0
    settled: int = 0
    removed_bytes: int = 0


@dataclass(slots=True)
class CleaningReport:
    """One run: how many objects and photos it scanned, and what was wrong.

    `examples` names at most `EXAMPLES_MAX` of what was left. `held` says which pages were not
    touched because too much of them looked lost.
    """

    objects: int = 0
    photos: int = 0
    photos_without_objects: int = 0
    tallies: defaultdict[Inconsistency, CleaningTally] = field(
        default_factory=lambda: defaultdict(CleaningTally)
    )
    examples: list[str] = field(default_factory=list)
    held: list[str] = field(default_factory=list)

    def settled(self, kind: Inconsistency, count: int = 1, *, removed_bytes: int = 0) -> None:
        """Count what was found and removed or repaired."""
        tally = self.tallies[kind]
        tally.found += count
        tally.settled += count
        tally.removed_bytes += removed_bytes

    def left(self, kind: Inconsistency, name: str) -> None:
        """Count what was found and left as it is; `name` is the example."""
        self.tallies[kind].found += 1
        if len(self.examples) < EXAMPLES_MAX:
            self.examples.append(f"{kind.replace('_', ' ')}: {name}")


# If more than half of a page looks lost, the bucket or keyspace is probably the wrong one, or was
# restored: a person should look before thousands of photos are removed. Fewer than this many may be chance.
SUSPICIOUS_MIN = 20


def is_suspicious(lost: int, of: int) -> bool:
    """Whether so much of a page looks lost that nothing of it may be touched."""
    return lost >= SUSPICIOUS_MIN and lost * 2 > of
