"""Ask the broker for committed offsets, and for the first and the end offset of logs.

This module uses clients of its own and never asks a running consumer, because a consumer that has
stopped silently reports outdated offsets.
"""

from collections.abc import Iterable, Mapping
from time import monotonic
from typing import Any

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    TIMESTAMP_NOT_AVAILABLE,
    Consumer,
    KafkaError,
    KafkaException,
    TopicPartition,
)

from streams.errors import StoreUnavailable
from streams.kafka.clients import STORE, librdkafka_consumer
from streams.kafka.offsets.gaps import Gaps, NextRecord
from streams.kafka.offsets.queued import BrokerOffsets, Log, Span
from streams.settings import KafkaSettings
from streams.threads import in_thread

TIMEOUT_S = 10.0
FETCHED_BYTES = 65_536  # The broker returns a larger batch whole.
READ_UNCOMMITTED = "read_uncommitted"
LOGS = "shutterline-logs"  # A client must have a group id; no consumer group uses this one.
ALL_LOGS = "shutterline-all-logs"  # Of the client that also sees what open transactions hold back.


class Offsets(BrokerOffsets):
    """Reads offsets. `topic` is always the topic's name on the broker.

    `new_consumer` makes a client from librdkafka's configuration. No client ever joins a group.
    """

    def __init__(
        self, settings: KafkaSettings, *, timeout_s: float = TIMEOUT_S, new_consumer: Any = Consumer
    ) -> None:
        self._settings = settings
        self._new_consumer = new_consumer
        self._consumers: dict[str, Any] = {}
        self._timeout_s = timeout_s
        self._gaps = Gaps(self._all_next_records)

    async def committed(self, group: str, topic: str, partitions: Iterable[int]) -> dict[int, int]:
        """Return the group's committed offsets by partition; partitions without one are left out.

        Raises:
            StoreUnavailable: The broker did not answer.
        """
        commits = await self.commits(group, [(topic, partition) for partition in partitions])
        return {partition: offset for (_, partition), offset in commits.items()}

    async def commits(self, group: str, logs: Iterable[Log]) -> dict[Log, int]:
        """Like `committed`, for partitions of several topics in one request.

        Raises:
            StoreUnavailable: The broker did not answer.
        """
        wanted = [TopicPartition(topic, partition) for topic, partition in logs]
        consumer = self._consumer(group)
        try:
            commits = await in_thread(consumer.committed, wanted, self._timeout_s)
        except KafkaException as error:
            self._forget_if_late(group, error)
            raise StoreUnavailable(STORE, "committed", str(error)) from error
        return {(commit.topic, commit.partition): commit.offset for commit in commits if commit.offset >= 0}

    async def begins(self, partitions: Iterable[Log]) -> dict[Log, int]:
        """Return the first offset that each log still holds.

        Raises:
            StoreUnavailable: The broker did not answer.
        """
        return await self._list(partitions, OFFSET_BEGINNING)

    async def ends(self, partitions: Iterable[Log]) -> dict[Log, int]:
        """Return where each log ends for a consumer: at its last stable offset.

        That is the offset of the next record, or of the first record of an open transaction.

        Raises:
            StoreUnavailable: The broker did not answer.
        """
        return await self._list(partitions, OFFSET_END)

    async def all_ends(self, partitions: Iterable[Log]) -> dict[Log, int]:
        """Return where each log ends, with what open transactions hold back from consumers.

        Raises:
            StoreUnavailable: The broker did not answer.
        """
        return await self._list(partitions, OFFSET_END, client=ALL_LOGS)

    async def held_back(self, partitions: Iterable[Log]) -> dict[Log, int]:
        """Return how many offsets of each log open transactions hold back from consumers.

        Raises:
            StoreUnavailable: The broker did not answer.
        """
        logs = list(partitions)
        stable = await self.ends(logs)
        ends = await self.all_ends(logs)
        return {log: max(0, ends[log] - stable[log]) for log in logs}

    async def skip_gaps(self, group: str, topic: str, spans: Mapping[int, Span]) -> dict[int, int]:
        """Return for each partition the first offset of its span that holds a record, or the span's end.

        `Gaps.skip` says when the log is read for it.

        Raises:
            StoreUnavailable: The broker did not answer.
        """
        return await self._gaps.skip(group, topic, spans)

    async def next_records(self, offsets: Mapping[Log, int]) -> dict[Log, NextRecord]:
        """Read for each log the first record at or after its offset, all with one client.

        Logs that cannot be read within the time limit are left out.

        Raises:
            StoreUnavailable: No client could be made.
        """
        following, _ = await self._next_records(offsets)
        return following

    async def _all_next_records(self, offsets: Mapping[Log, int]) -> dict[Log, NextRecord]:
        following, failure = await self._next_records(offsets)
        if len(following) < len(offsets):
            raise StoreUnavailable(STORE, "read", failure)
        return following

    async def _next_records(self, offsets: Mapping[Log, int]) -> tuple[dict[Log, NextRecord], str]:
        try:
            return await in_thread(self._read_next_records, offsets)
        except KafkaException as error:
            raise StoreUnavailable(STORE, "read", str(error)) from error

    def _read_next_records(self, offsets: Mapping[Log, int]) -> tuple[dict[Log, NextRecord], str]:
        """Return what follows each offset that could be read, and why the others could not."""
        consumer = self._new_consumer(
            {
                **librdkafka_consumer(self._settings, LOGS),
                "enable.partition.eof": True,
                # Where the log begins after the offset, what was between is gone.
                "auto.offset.reset": "earliest",
                # One record of each log is wanted, and not all that fits the buffers of a consumer.
                "queued.min.messages": 1,
                "fetch.message.max.bytes": FETCHED_BYTES,
            }
        )
        try:
            consumer.assign([TopicPartition(*log, offset) for log, offset in offsets.items()])
            following: dict[Log, NextRecord] = {}
            failed: dict[Log, KafkaError] = {}
            until_s = monotonic() + self._timeout_s
            down: KafkaError | None = None
            while len(following.keys() | failed.keys()) < len(offsets):
                message = consumer.poll(max(0.0, until_s - monotonic()))
                if message is None:
                    why = "" if down is None else f": {down}"
                    return following, f"no answer within {self._timeout_s:g} s{why}"
                error = message.error()
                log = (message.topic(), message.partition())
                if error is not None and message.topic() is None:
                    down = error  # One broker is away; the others may lead all of these logs.
                elif error is not None and error.code() != KafkaError._PARTITION_EOF:
                    failed[log] = error
                else:
                    following.setdefault(log, _next_record(message, offsets[log]))
            return following, "; ".join(
                f"{topic}/{number}: {error}" for (topic, number), error in failed.items()
            )
        finally:
            consumer.close()

    async def _list(self, partitions: Iterable[Log], offset: int, *, client: str = LOGS) -> dict[Log, int]:
        request = [TopicPartition(topic, partition, offset) for topic, partition in partitions]
        if not request:
            return {}
        try:
            return await self._ask(request, client)
        except KafkaException as error:
            self._forget_if_late(client, error)
            if not _is_stale(error):
                raise StoreUnavailable(STORE, "offsets", str(error)) from error
        # A client caches the partition leaders for minutes. After a change of leader, the brokers
        # reject its requests. A new client fetches the current leaders first.
        self._consumers.pop(client, None)
        try:
            return await self._ask(request, client)
        except KafkaException as error:
            raise StoreUnavailable(STORE, "offsets", str(error)) from error

    async def _ask(self, request: list[TopicPartition], client: str) -> dict[Log, int]:
        # For the timestamps OFFSET_BEGINNING and OFFSET_END, this call returns the bounds of a log.
        # The admin client has a call for that, too, but after a change of leader two concurrent
        # calls hang or crash the process (SIGSEGV).
        consumer = self._consumer(client)
        bounds = await in_thread(consumer.offsets_for_times, request, self._timeout_s)
        for bound in bounds:
            if bound.error is not None:
                raise KafkaException(bound.error)
        return {(bound.topic, bound.partition): bound.offset for bound in bounds}

    def _forget_if_late(self, client: str, error: KafkaException) -> None:
        """Use a new client for the next call after this one has not answered in time.

        It goes on asking the broker that led the log when it was killed, and hears of the next leader only
        minutes later.
        """
        if error.args[0].code() == KafkaError._TIMED_OUT:
            self._consumers.pop(client, None)

    def _consumer(self, group: str) -> Any:
        # The admin client's list_consumer_group_offsets also returns commits, but it crashes the
        # process (SIGSEGV, librdkafka 5040) if the group's coordinator has just moved.
        if group not in self._consumers:
            configuration = librdkafka_consumer(self._settings, group)
            if group == ALL_LOGS:
                configuration["isolation.level"] = READ_UNCOMMITTED
            self._consumers[group] = self._new_consumer(configuration)
        return self._consumers[group]


def _next_record(message: Any, asked: int) -> NextRecord:
    if message.error() is not None:  # The end of the log.
        return NextRecord(max(message.offset(), asked), exists=False)
    kind, time_ms = message.timestamp()
    return NextRecord(
        message.offset(), exists=True, time_ms=None if kind == TIMESTAMP_NOT_AVAILABLE else time_ms
    )


def _is_stale(error: KafkaException) -> bool:
    """Return whether the client knows only an earlier leader, or none.

    The codes are those after which Kafka's own clients look for leaders again (`InvalidMetadataException`),
    and what librdkafka says after a broken connection. It repeats for minutes what it has heard once.
    """
    return error.args[0].code() in (
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.KAFKA_STORAGE_ERROR,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.LISTENER_NOT_FOUND,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.REPLICA_NOT_AVAILABLE,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_PARTITION,
    )
