"""How many partitions each topic has, and in which of them an id is: by profile, the same in every process.

The default partitioners of Kafka's clients differ (murmur2 in Java and Faust, CRC32 in
librdkafka), and none of them knows lanes. So every producer computes partitions here.

Decision 65 derives the numbers. They are part of a profile's identity: another number moves ids to other
partitions, so it means another profile, and the topics change as docs/operations.md says.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import accumulate, pairwise
from types import MappingProxyType
from typing import Self
from zlib import crc32

from schemas.ids import pack_id
from topics.catalogue import (
    CATALOGUE,
    EDGES,
    FANOUT,
    FOLLOWS,
    LIKES,
    OUTSIDE,
    RENDITIONS,
    UPLOADS,
    Lane,
    Topic,
)

# The partitions of each lane of a topic; of a topic without lanes, those of None.
LaneCounts = Mapping[Lane | None, int]

_REMEDY = (
    "set SHUTTERLINE_SIZES to the profile that the topics were made with, or let them grow "
    '(docs/operations.md, "Topics grow")'
)


class Profile(StrEnum):
    """The size of a system: one machine, about 1 million daily users, about 100 million."""

    LOCAL = "local"
    SMALL = "small"
    LARGE = "large"


class TopicMismatch(Exception):
    """Topics on the broker are not as the catalogue and the profile say; nothing about them was changed."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """The partitions of every topic of the catalogue, by its name; lanes follow each other without a gap.

    Raises:
        ValueError: A topic has a size missing, too many, or less than 1.
    """

    profile: Profile
    counts: Mapping[str, LaneCounts]
    _ranges: Mapping[tuple[str, Lane | None], range] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ranges: dict[tuple[str, Lane | None], range] = {}
        for topic in CATALOGUE.values():
            lanes: tuple[Lane | None, ...] = topic.lanes or (None,)
            counts = self.counts.get(topic.name, {})
            if counts.keys() != set(lanes) or min(counts.values()) < 1:
                raise ValueError(f"{topic.name}: {dict(counts)} must be at least 1 for each of {lanes}")
            bounds = pairwise(accumulate((counts[lane] for lane in lanes), initial=0))
            ranges |= {(topic.name, lane): range(*bound) for lane, bound in zip(lanes, bounds, strict=True)}
        object.__setattr__(self, "_ranges", MappingProxyType(ranges))

    def partitions(self, topic: Topic) -> int:
        """Return the number of partitions of the topic, those of all lanes."""
        return sum(self.counts[topic.name].values())

    def range_of(self, topic: Topic, lane: Lane | None = None) -> range:
        """Return the partitions of a lane; all of them where the topic has no lanes and `lane` is None.

        Raises:
            ValueError: `lane` is not a lane of the topic, or is None although the topic has lanes.
        """
        partitions = self._ranges.get((topic.name, lane))
        if partitions is None:
            lanes = ", ".join(topic.lanes) or "no lanes; give None"
            raise ValueError(f"lane is {lane}, but {topic.name} has {lanes}")
        return partitions

    def partition_of(self, topic: Topic, key_id: int, lane: Lane | None = None) -> int:
        """Return the partition of the topic, or of the lane, to which the id belongs.

        CRC32 of the id's 8 bytes is the same in every process, version and language. It spreads
        consecutive ids as evenly as ids that were minted milliseconds apart.

        Raises:
            ValueError: See `range_of`.
        """
        partitions = self.range_of(topic, lane)
        return partitions[crc32(pack_id(key_id)) % len(partitions)]

    def partition_of_page(self, topic: Topic, author_id: int, page: int, lane: Lane) -> int:
        """Return the partition of one page of an author's followers; pages are numbered from 0.

        An author's pages go round-robin over the lane's partitions, starting at a partition that
        depends on the author. A large author therefore loads all partitions equally, and small
        authors do not all share the first one.
        """
        partitions = self.range_of(topic, lane)
        return partitions[(crc32(pack_id(author_id)) + page) % len(partitions)]

    def on_broker(self, namespace: str, counts: Mapping[str, int]) -> Self:
        """Return the sizes that the topics really have: upstream topics may have more partitions than ours.

        They are written through any partitioner, and in any order. `counts` has the partitions of the
        topics by the name on the broker; of those that are missing, the sizes are ours.

        Raises:
            TopicMismatch: Some topics differ otherwise; the message names all of them.
        """
        found = {
            topic: counts[topic.named(namespace)]
            for topic in CATALOGUE.values()
            if topic.named(namespace) in counts
        }
        wrong = [
            f'topic {topic.named(namespace)} has {partitions} partitions, the profile "{self.profile}" says '
            f"{'at least ' if topic in OUTSIDE else ''}{self.partitions(topic)}"
            for topic, partitions in found.items()
            if partitions < self.partitions(topic)
            or (partitions > self.partitions(topic) and topic not in OUTSIDE)
        ]
        if wrong:
            raise TopicMismatch(f"{'; '.join(wrong)}: {_REMEDY}")
        upstream: dict[str, LaneCounts] = {
            topic.name: {None: found[topic]} for topic in OUTSIDE if topic in found
        }
        return replace(self, counts={**self.counts, **upstream})


def _sizes(
    profile: Profile,
    *,
    uploads: int,
    follows: int,
    likes: int,
    edges: int,
    fanout: tuple[int, int],
    renditions: tuple[int, int],
) -> Sizes:
    """Return the sizes of a profile; `fanout` and `renditions` are by lane, in the order of the catalogue."""
    # The clock, operations and the dead letters: one partition is enough at any size.
    single: dict[str, LaneCounts] = {name: {None: 1} for name in CATALOGUE}
    return Sizes(
        profile,
        single
        | {
            UPLOADS.name: {None: uploads},
            FOLLOWS.name: {None: follows},
            LIKES.name: {None: likes},
            EDGES.name: {None: edges},
            FANOUT.name: dict(zip(FANOUT.lanes, fanout, strict=True)),
            RENDITIONS.name: dict(zip(RENDITIONS.lanes, renditions, strict=True)),
        },
    )


SIZES: Mapping[Profile, Sizes] = MappingProxyType(
    {
        sizes.profile: sizes
        for sizes in (
            _sizes(Profile.LOCAL, uploads=6, follows=6, likes=6, edges=8, fanout=(6, 2), renditions=(2, 4)),
            _sizes(
                Profile.SMALL, uploads=12, follows=12, likes=12, edges=24, fanout=(12, 4), renditions=(8, 16)
            ),
            _sizes(
                Profile.LARGE,
                uploads=24,
                follows=24,
                likes=48,
                edges=192,
                fanout=(48, 16),
                renditions=(64, 192),
            ),
        )
    }
)
