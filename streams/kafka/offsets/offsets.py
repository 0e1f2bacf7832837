"""Ask the broker for committed offsets, and for the first and the end offset of logs.

This module uses clients of its own and never asks a running consumer, because a consumer that has
stopped silently reports outdated offsets.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    Consumer,
    KafkaError,
    KafkaException,
    TopicPartition,
)

from streams.errors import StoreUnavailable
from streams.kafka.producing.producer import STORE
from streams.settings import KafkaSettings

TIMEOUT_S = 10.0
LOGS = "shutterline-logs"  # A client must have a group id; no consumer group uses this one.


class Offsets:
    """Reads offsets. `topic` is always the topic's name on the broker.

    `new_consumer` makes a client from librdkafka's configuration. No client ever joins a group.
    """

    def __init__(
        self, settings: KafkaSettings, *, timeout_s: float = TIMEOUT_S, new_consumer: Any = Consumer
    ) -> None:
        self._client = {"bootstrap.servers": settings.kafka, "log_level": 3, **settings.kafka_security}
        self._new_consumer = new_consumer
        self._consumers: dict[str, Any] = {}
        self._timeout_s = timeout_s

    async def committed(self, group: str, topic: str, partitions: Iterable[int]) -> dict[int, int]:
        """Return the group's committed offsets by partition; partitions without one are left out.

        Raises:
            StoreUnavailable: The broker did not answer.
        """
        wanted = [TopicPartition(topic, partition) for partition in partitions]
        consumer = self._consumer(group)
        try:
            commits = await asyncio.to_thread(consumer.committed, wanted, self._timeout_s)
        except KafkaException as error:
            raise StoreUnavailable(STORE, "committed", str(error)) from error
        return {commit.partition: commit.offset for commit in commits if commit.offset >= 0}

    async def begins(self, partitions: Iterable[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """Return the first offset that each log still holds.

        Raises:
            StoreUnavailable: The broker did not answer.
        """
        return await self._list(partitions, OFFSET_BEGINNING)

    async def ends(self, partitions: Iterable[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """Return the offset that the next record of each log gets.

        Raises:
            StoreUnavailable: The broker did not answer.
        """
        return await self._list(partitions, OFFSET_END)

    async def _list(self, partitions: Iterable[tuple[str, int]], offset: int) -> dict[tuple[str, int], int]:
        request = [TopicPartition(topic, partition, offset) for topic, partition in partitions]
        if not request:
            return {}
        try:
            return await self._ask(request)
        except KafkaException as error:
            if not _is_stale(error):
                raise StoreUnavailable(STORE, "offsets", str(error)) from error
        # A client caches the partition leaders for minutes. After a change of leader, the brokers
        # reject its requests. A new client fetches the current leaders first.
        self._consumers.pop(LOGS, None)
        try:
            return await self._ask(request)
        except KafkaException as error:
            raise StoreUnavailable(STORE, "offsets", str(error)) from error

    async def _ask(self, request: list[TopicPartition]) -> dict[tuple[str, int], int]:
        # For the timestamps OFFSET_BEGINNING and OFFSET_END, this call returns the bounds of a log.
        # The admin client has a call for that, too, but after a change of leader two concurrent
        # calls hang or crash the process (SIGSEGV).
        consumer = self._consumer(LOGS)
        bounds = await asyncio.to_thread(consumer.offsets_for_times, request, self._timeout_s)
        for bound in bounds:
            if bound.error is not None:
                raise KafkaException(bound.error)
        return {(bound.topic, bound.partition): bound.offset for bound in bounds}

    def _consumer(self, group: str) -> Any:
        # The admin client's list_consumer_group_offsets also returns commits, but it crashes the
        # process (SIGSEGV, librdkafka 5040) if the group's coordinator has just moved.
        if group not in self._consumers:
            self._consumers[group] = self._new_consumer(
                {**self._client, "group.id": group, "enable.auto.commit": False}
            )
        return self._consumers[group]


def _is_stale(error: KafkaException) -> bool:
    """Return whether the client knows only an earlier leader, or none after a broken connection."""
    return error.args[0].code() in (
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError._UNKNOWN_PARTITION,
    )
