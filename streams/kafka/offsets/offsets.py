"""Ask the broker for offsets, outside any consumer: what is committed, and where logs begin and end.

A consumer's own idea of these is what goes wrong when it stops silently.
"""

import asyncio
from collections.abc import Iterable
from concurrent.futures import Future
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from streams.errors import StoreUnavailable
from streams.kafka.producing.producer import STORE
from streams.settings import KafkaSettings

TIMEOUT_S = 10.0


class Offsets:
    """Offsets by (topic, partition), the topic's name as the broker knows it."""

    def __init__(self, settings: KafkaSettings, *, timeout_s: float = TIMEOUT_S) -> None:
        self._client = {"bootstrap.servers": settings.kafka, "log_level": 3, **settings.kafka_security}
        self._admin = AdminClient(self._client)
        self._consumers: dict[str, Consumer] = {}
        self._timeout_s = timeout_s

    async def committed(self, group: str, topic: str, partitions: Iterable[int]) -> dict[int, int]:
        """The group's committed positions, by partition; those without a commit are left out."""
        wanted = [TopicPartition(topic, partition) for partition in partitions]
        consumer = self._consumer(group)
        try:
            found = await asyncio.to_thread(consumer.committed, wanted, self._timeout_s)
        except KafkaException as error:
            raise StoreUnavailable(STORE, "committed", str(error)) from error
        return {each.partition: each.offset for each in found if each.offset >= 0}

    def _consumer(self, group: str) -> Consumer:
        # One that never joins, and not the admin client's list_consumer_group_offsets: that ends
        # the process (SIGSEGV, librdkafka 5040) where the group's coordinator has just moved.
        if group not in self._consumers:
            self._consumers[group] = Consumer(
                {**self._client, "group.id": group, "enable.auto.commit": False}
            )
        return self._consumers[group]

    async def begins(self, places: Iterable[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """The first offset that each log still holds."""
        return await self._list(places, OffsetSpec.earliest())

    async def ends(self, places: Iterable[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """The next offset that each log will give."""
        return await self._list(places, OffsetSpec.latest())

    async def _list(self, places: Iterable[tuple[str, int]], spec: OffsetSpec) -> dict[tuple[str, int], int]:
        wanted = list(places)
        try:
            return await self._listed(wanted, spec)
        except StoreUnavailable as error:
            if not _is_stale(error.__cause__):
                raise
        # A client keeps who led a partition for minutes, and is refused for it; a new one asks.
        self._admin = AdminClient(self._client)
        return await self._listed(wanted, spec)

    async def _listed(self, places: list[tuple[str, int]], spec: OffsetSpec) -> dict[tuple[str, int], int]:
        request = {TopicPartition(topic, partition): spec for topic, partition in places}
        if not request:
            return {}
        futures = await asyncio.to_thread(self._admin.list_offsets, request, request_timeout=self._timeout_s)
        return {
            (place.topic, place.partition): (await _answer(future)).offset
            for place, future in futures.items()
        }


def _is_stale(cause: BaseException | None) -> bool:
    """Whether the brokers refused because the client's idea of their leaders is old."""
    return isinstance(cause, KafkaException) and cause.args[0].code() in (
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.NOT_LEADER_FOR_PARTITION,
    )


async def _answer(future: Future[Any]) -> Any:
    try:
        async with asyncio.timeout(TIMEOUT_S):
            return await asyncio.wrap_future(future)
    except (KafkaException, TimeoutError) as error:
        raise StoreUnavailable(STORE, "offsets", str(error)) from error
