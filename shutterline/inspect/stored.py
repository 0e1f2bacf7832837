"""What is stored of one user, author or photo, and where: for people who look into the stores.

Nothing is changed, renewed or leased by looking.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from streams.ports.groups import Stores
from streams.settings import Settings
from streams.stores.cassandra.inspect import CassandraInspect
from streams.stores.connect import connect_clients, stores_of
from streams.stores.redis.inspect import RedisInspect
from topics.catalogue import Lane, Topic
from topics.partitioning import partition_of


@dataclass(frozen=True, slots=True)
class Section:
    """One place and its facts, in the order to show them."""

    title: str
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Looking:
    """Every way to look at what is stored."""

    stores: Stores
    cassandra: CassandraInspect
    redis: RedisInspect
    settings: Settings


@asynccontextmanager
async def looking(settings: Settings) -> AsyncIterator[Looking]:
    """Connect to every store.

    Raises:
        StoreUnavailable: A store did not answer.
    """
    async with connect_clients(settings, timeout_ms=settings.worker_store_timeout_ms) as clients:
        yield Looking(
            stores_of(clients, settings),
            CassandraInspect(clients.cassandra),
            RedisInspect(clients.redis, namespace=settings.namespace),
            settings,
        )


def partitions(settings: Settings, *places: tuple[Topic, int, Lane | None]) -> Section:
    """In which partition of each topic the records about an id are."""
    facts = [
        (
            topic.named(settings.namespace) + (f" ({lane})" if lane else ""),
            str(partition_of(topic, key, lane)),
        )
        for topic, key, lane in places
    ]
    return Section("Partitions", tuple(facts))
