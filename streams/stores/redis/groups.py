"""Timelines in groups: those of a group are in one slot of a cluster, with the checkpoints of what they have.

So whatever happens to a slot happens to both alike: it moves to another server, or its server is lost, or a
replica takes over that is older. Without a cluster there is one group.

A reader's group is the bucket of followers that the reader is in at level 2. An author with more than 16,000
followers has them in buckets of this level or higher ones, so each of these buckets is on one server.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from string import ascii_lowercase, ascii_uppercase, digits

from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from streams.core.checkpoints import GROUPS_LEVEL, group_of
from streams.core.counted import BUCKETS

_LETTERS = (digits + ascii_lowercase + ascii_uppercase).encode()


@dataclass(frozen=True, slots=True)
class Groups:
    """`texts` are what the keys of each group have in braces, and `tags` the same with the braces."""

    texts: Sequence[bytes]
    tags: Sequence[bytes]

    def of(self, owner: int) -> int:
        """Return the group of a reader's timeline."""
        return group_of(owner, len(self.texts))


@lru_cache(2)
def groups_of(*, is_cluster: bool) -> Groups:
    """Return one group, or those of a cluster.

    Their slots are evenly apart, so that servers with as many slots have as many groups.
    """
    if not is_cluster:
        return Groups((b"",), (b"",))
    count = BUCKETS[GROUPS_LEVEL]
    apart = REDIS_CLUSTER_HASH_SLOTS // count
    text_of: dict[int, bytes] = {}
    for letters in product(_LETTERS, repeat=3):
        slot = key_slot(text := bytes(letters))
        if slot % apart == 0:
            text_of.setdefault(slot // apart, text)
            if len(text_of) == count:
                break
    texts = tuple(text_of[group] for group in range(count))
    return Groups(texts, tuple(b"{%b}" % text for text in texts))
