"""Ask the broker for offsets, outside any consumer: what is committed, and where logs begin and end.

A consumer that has stopped silently has wrong values for these, so it cannot be asked.
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
    """Offsets by (topic, partition), the topic's name as the broker knows it.

    `new_admin` and `new_consumer` make the clients from librdkafka's configuration.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        *,
        timeout_s: float = TIMEOUT_S,
        new_admin: Any = AdminClient,
        new_consumer: Any = Consumer,
    ) -> None:
        self._client = {"bootstrap.servers": settings.kafka, "log_level": 3, **settings.kafka_security}
        self._new_admin = new_admin
        self._new_consumer = new_consumer
        self._admin = new_admin(self._client)
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

    def _consumer(self, group: str) -> Any:
        # A consumer that never joins the group. The admin client's list_consumer_group_offsets
        # would do, but it ends the process (SIGSEGV, librdkafka 5040) if the group's coordinator
        # has just moved.
        if group not in self._consumers:
            self._consumers[group] = self._new_consumer(
                {**self._client, "group.id": group, "enable.auto.commit": False}
            )
        return self._consumers[group]

    async def begins(self, partitions: Iterable[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """Return the first offset that each log still holds.

        Raises:
            StoreUnavailable: The broker did not answer.
        """
        return await self._list(partitions, OffsetSpec.earliest())

    async def ends(self, partitions: Iterable[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """Return the offset that the next record of each log gets.

        Raises:
            StoreUnavailable: The broker did not answer.
        """
        return await self._list(partitions, OffsetSpec.latest())

    async def _list(
        self, partitions: Iterable[tuple[str, int]], spec: OffsetSpec
    ) -> dict[tuple[str, int], int]:
        request = {TopicPartition(topic, partition): spec for topic, partition in partitions}
        if not request:
            return {}
        try:
            return await self._ask(request)
        except StoreUnavailable as error:
            if not _is_stale(error.__cause__):
                raise
        # A client caches for minutes who leads a partition, and the brokers refuse its requests after
        # a change of leader. A new client asks for the leaders first.
        self._admin = self._new_admin(self._client)
        return await self._ask(request)

    async def _ask(self, request: dict[TopicPartition, OffsetSpec]) -> dict[tuple[str, int], int]:
        futures = await asyncio.to_thread(self._admin.list_offsets, request, request_timeout=self._timeout_s)
        return {
            (partition.topic, partition.partition): (await _result(future)).offset
            for partition, future in futures.items()
        }


def _is_stale(cause: BaseException | None) -> bool:
    """Return whether the brokers refused a request because the client knows an earlier leader."""
    return isinstance(cause, KafkaException) and cause.args[0].code() in (
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.NOT_LEADER_FOR_PARTITION,
    )


async def _result(future: Future[Any]) -> Any:
    try:
        async with asyncio.timeout(TIMEOUT_S):
            return await asyncio.wrap_future(future)
    except (KafkaException, TimeoutError) as error:
        raise StoreUnavailable(STORE, "offsets", str(error)) from error
