"""Which partition an id goes to: computed here by every producer, so that all agree.

Kafka's clients disagree on their default partitioner (murmur2 in Java and Faust, CRC32 in
librdkafka), and none knows of lanes.
"""

from zlib import crc32

from schemas.ids import pack_id
from topics.catalogue import Lane, Topic


def partition_of(topic: Topic, key_id: int, lane: Lane | None = None) -> int:
    """The partition of the topic, or of the lane, to which the id belongs; never changes.

    CRC32 of the id's 8 bytes: stable over processes, versions and languages, and even over
    ids in a row as over ids that were minted milliseconds apart.

    Raises:
        ValueError: The topic has lanes and `lane` is not one of them, or it has none.
    """
    partitions = topic.range_of(lane)
    return partitions[crc32(pack_id(key_id)) % len(partitions)]


def partition_of_bucket(topic: Topic, author_id: int, bucket: int, lane: Lane) -> int:
    """The partition of one page of an author's followers.

    An author's buckets take turns around the lane's partitions, from a place of the
    author's own: a large author loads all partitions alike, small ones do not meet in one.
    """
    partitions = topic.range_of(lane)
    return partitions[(crc32(pack_id(author_id)) + bucket) % len(partitions)]
