"""What is stored of one user, author or photo, and where.

An inspection reads only: it changes, renews and leases nothing.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from shutterline.failures import load_settings
from streams.ports.edges import CountedSets, OutgoingEdges
from streams.ports.photos import AuthorPhotos, Photos, PulledAuthors
from streams.stores.cassandra.inspect import CassandraInspect
from streams.stores.connect import connect_clients, stores_of
from streams.stores.redis.inspect import RedisInspect
from topics.catalogue import Lane, Topic
from topics.sizes import SIZES, Sizes


@dataclass(frozen=True, slots=True)
class Section:
    """What one store has of the id: a title, and facts in the order to show them."""

    title: str
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Inspection:
    """What an inspection reads: ports, and the columns and keys that no port has."""

    photos: Photos
    author_photos: AuthorPhotos
    pulled_authors: PulledAuthors
    outgoing_edges: OutgoingEdges
    counted_sets: CountedSets
    cassandra: CassandraInspect
    redis: RedisInspect
    namespace: str
    sizes: Sizes


@asynccontextmanager
async def inspection() -> AsyncIterator[Inspection]:
    """Connect to the stores that the settings name.

    Raises:
        StoreUnavailable: A store did not answer.
    """
    settings = load_settings()
    async with connect_clients(settings, timeout_ms=settings.worker_store_timeout_ms) as clients:
        stores = stores_of(clients, settings)
        yield Inspection(
            photos=stores.photos,
            author_photos=stores.author_photos,
            pulled_authors=stores.pulled_authors,
            outgoing_edges=stores.outgoing_edges,
            counted_sets=stores.counted_sets,
            cassandra=CassandraInspect(clients.cassandra),
            redis=RedisInspect(clients.redis, namespace=settings.namespace),
            namespace=settings.namespace,
            sizes=SIZES[settings.sizes],
        )


def partitions(namespace: str, sizes: Sizes, *keys: tuple[Topic, int, Lane | None]) -> Section:
    """In which partition of each topic the records about an id are."""
    facts = [
        (topic.named(namespace) + (f" ({lane})" if lane else ""), str(sizes.partition_of(topic, key, lane)))
        for topic, key, lane in keys
    ]
    return Section("Partitions", tuple(facts))
