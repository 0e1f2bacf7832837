"""The report of one cleaning run: what it found, and what it removed or repaired."""

from collections import defaultdict
from dataclasses import dataclass, field
from enum import StrEnum

EXAMPLES_MAX = 20


class Inconsistency(StrEnum):
    """The ways in which the media bucket and the database can disagree."""

    UNFINISHED_UPLOAD = "unfinished_upload"
    COMPLETED_UPLOAD = "completed_upload"  # Its process died before the photo entered the pipeline.
    PARTS_WITHOUT_UPLOAD = "parts_without_upload"
    OBJECT_WITHOUT_ROW = "object_without_row"
    OBJECT_OF_DELETED = "object_of_deleted"
    UNNAMED_OBJECT = "unnamed_object"  # Its photo's row names other objects.
    REJECTED_ORIGINAL = "rejected_original"
    UNKNOWN_OBJECT = "unknown_object"  # Under our prefix, but not a key of ours: never removed.
    LOST_RENDITION = "lost_rendition"  # The original exists, so the rendition is made again.
    PHOTO_WITHOUT_OBJECTS = "photo_without_objects"  # Nothing can make its renditions again.


@dataclass(slots=True)
class CleaningTally:
    """Of `found` inconsistencies, `settled` are removed or repaired.

    The others wait for a later run, or need an operator.
    """

    found: int = 0
    settled: int = 0
    removed_bytes: int = 0


@dataclass(slots=True)
class CleaningReport:
    """One run: how many objects and photos it scanned, and what was wrong.

    `examples` names at most `EXAMPLES_MAX` of the objects and photos that were left unchanged.
    `held` describes the pages that were not changed because too much of them looked lost.
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
        """Count `count` inconsistencies that were found, and removed or repaired."""
        tally = self.tallies[kind]
        tally.found += count
        tally.settled += count
        tally.removed_bytes += removed_bytes

    def left(self, kind: Inconsistency, name: str) -> None:
        """Count an inconsistency that was found and left unchanged; `name` is the example."""
        self.tallies[kind].found += 1
        if len(self.examples) < EXAMPLES_MAX:
            self.examples.append(f"{kind.replace('_', ' ')}: {name}")


# If more than half of a page looks lost, the bucket or the keyspace is probably the wrong one, or
# was restored. An operator should check this before thousands of photos are removed. Fewer losses
# than this minimum may be chance.
SUSPICIOUS_MIN = 20


def is_suspicious(lost: int, of: int) -> bool:
    """Return whether so much of a page looks lost that the page must not be changed."""
    return lost >= SUSPICIOUS_MIN and lost * 2 > of
