"""The partition of an id: every producer computes it here, so that all of them agree.

The default partitioners of Kafka's clients differ (murmur2 in Java and Faust, CRC32 in
librdkafka), and none of them knows lanes.
"""

from zlib import crc32

from schemas.ids import pack_id
from topics.catalogue import Lane, Topic


def partition_of(topic: Topic, key_id: int, lane: Lane | None = None) -> int:
    """The partition of the topic, or of the lane, to which the id belongs; it never changes.

    CRC32 of the id's 8 bytes is the same in every process, version and language. It spreads
    consecutive ids as evenly as ids that were minted milliseconds apart.

    Raises:
        ValueError: `lane` is not a lane of the topic, or is None although the topic has lanes.
    """
    partitions = topic.range_of(lane)
    return partitions[crc32(pack_id(key_id)) % len(partitions)]


def partition_of_page(topic: Topic, author_id: int, page: int, lane: Lane) -> int:
    """The partition of one page of an author's followers; pages are numbered from 0.

    An author's pages go round-robin over the lane's partitions, starting at a partition that
    depends on the author. A large author therefore loads all partitions equally, and small
    authors do not all share the first one.
    """
    partitions = topic.range_of(lane)
    return partitions[(crc32(pack_id(author_id)) + page) % len(partitions)]
