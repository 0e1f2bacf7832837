"""Ask the broker for offsets, outside any consumer: what is committed, and where logs begin and end.

A consumer's own idea of these is what goes wrong when it stops silently.
"""

import asyncio
from collections.abc import Iterable
from concurrent.futures import Future
from typing import Any

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from streams.errors import StoreUnavailable
from streams.kafka.producer import STORE
from streams.settings import Settings

TIMEOUT_S = 10.0


class Offsets:
    """Offsets by (topic, partition), the topic's name as the broker knows it."""

    def __init__(self, settings: Settings) -> None:
        self._admin = AdminClient(
            {"bootstrap.servers": settings.kafka, "log_level": 3, **settings.kafka_security}
        )

    async def committed(self, group: str, topic: str, partitions: Iterable[int]) -> dict[int, int]:
        """The group's committed positions, by partition; those without a commit are left out."""
        wanted = [TopicPartition(topic, partition) for partition in partitions]
        request = [ConsumerGroupTopicPartitions(group, wanted)]
        futures = await asyncio.to_thread(
            self._admin.list_consumer_group_offsets, request, request_timeout=TIMEOUT_S
        )
        asked = await _answer(futures[group])
        return {each.partition: each.offset for each in asked.topic_partitions if each.offset >= 0}

    async def begins(self, places: Iterable[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """The first offset that each log still holds."""
        return await self._list(places, OffsetSpec.earliest())

    async def ends(self, places: Iterable[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """The next offset that each log will give."""
        return await self._list(places, OffsetSpec.latest())

    async def _list(self, places: Iterable[tuple[str, int]], spec: OffsetSpec) -> dict[tuple[str, int], int]:
        request = {TopicPartition(topic, partition): spec for topic, partition in places}
        if not request:
            return {}
        futures = await asyncio.to_thread(self._admin.list_offsets, request, request_timeout=TIMEOUT_S)
        return {
            (place.topic, place.partition): (await _answer(future)).offset
            for place, future in futures.items()
        }


async def _answer(future: Future[Any]) -> Any:
    try:
        async with asyncio.timeout(TIMEOUT_S):
            return await asyncio.wrap_future(future)
    except (KafkaException, TimeoutError) as error:
        raise StoreUnavailable(STORE, "offsets", str(error)) from error
