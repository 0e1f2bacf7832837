"""Ask the broker for offsets, outside any consumer: what is committed, and where logs begin and end.

A consumer that has stopped silently has wrong values for these, so it cannot be asked.
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
LOGS = "shutterline-logs"  # The group name of the client that asks about logs; no group has it.


class Offsets:
    """Offsets by (topic, partition), the topic's name as the broker knows it.

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
        """Return the group's committed positions by partition, without those that have no commit.

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
        # A client caches for minutes who leads a partition, and the brokers refuse its requests after
        # a change of leader. A new client asks for the leaders first.
        self._consumers.pop(LOGS, None)
        try:
            return await self._ask(request)
        except KafkaException as error:
            raise StoreUnavailable(STORE, "offsets", str(error)) from error

    async def _ask(self, request: list[TopicPartition]) -> dict[tuple[str, int], int]:
        # Two special times ask for the ends of a log. The admin client has a call of its own for
        # them, but two of those at once after a change of leader hang, or end the process (SIGSEGV).
        consumer = self._consumer(LOGS)
        bounds = await asyncio.to_thread(consumer.offsets_for_times, request, self._timeout_s)
        for bound in bounds:
            if bound.error is not None:
                raise KafkaException(bound.error)
        return {(bound.topic, bound.partition): bound.offset for bound in bounds}

    def _consumer(self, group: str) -> Any:
        # The admin client's list_consumer_group_offsets would do for commits, but it ends the process
        # (SIGSEGV, librdkafka 5040) if the group's coordinator has just moved.
        if group not in self._consumers:
            self._consumers[group] = self._new_consumer(
                {**self._client, "group.id": group, "enable.auto.commit": False}
            )
        return self._consumers[group]


def _is_stale(error: KafkaException) -> bool:
    """Return whether the client knows an earlier leader, or forgot who leads when a connection broke."""
    return error.args[0].code() in (
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError._UNKNOWN_PARTITION,
    )
