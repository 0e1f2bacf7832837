"""Publish to Kafka from asyncio, each record acknowledged by all in-sync replicas.

librdkafka reports deliveries on the thread that polls it. The reports are collected, and each burst
of them wakes the event loop once.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Event, Thread
from time import monotonic
from types import TracebackType
from typing import Self

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, KafkaError, KafkaException, Message
from confluent_kafka import Producer as LibrdkafkaProducer

from streams.errors import StoreUnavailable
from streams.handover import LoopHandover
from streams.kafka.clients import STORE, librdkafka_client
from streams.kafka.producing.access import require_access
from streams.settings import KafkaSettings
from streams.stores.guard import StoreGuard, breaker_of
from streams.threads import in_thread
from topics.catalogue import CATALOGUE, DEAD_LETTER_BYTES_MAX
from topics.sizes import SIZES, Sizes

log = logging.getLogger(__name__)
POLL_S = 0.05
FLUSH_S = 5.0
PING_S_MAX = 1.0
PING_AGE_S_MAX = 1.0


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One record for one partition; `topic` is the name on the broker."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()


class Producer:
    """An idempotent producer; an async context manager, whose exit flushes the queue."""

    def __init__(self, settings: KafkaSettings, *, timeout_ms: int) -> None:
        self._configuration = {
            **librdkafka_client(settings),
            "enable.idempotence": True,
            "acks": "all",
            "linger.ms": 2,
            "compression.type": "lz4",
            # Of the largest records, which are dead letters. librdkafka measures before it compresses.
            "message.max.bytes": DEAD_LETTER_BYTES_MAX,
            "message.timeout.ms": timeout_ms,
            "request.timeout.ms": min(timeout_ms, 10_000),
            "socket.timeout.ms": max(1_000, timeout_ms),
            "topic.metadata.propagation.max.ms": 5_000,
        }
        self._producer = LibrdkafkaProducer(self._configuration)
        self._settings = settings
        self._sizes: Sizes | None = None
        # Replaced producers that still have deliveries to report.
        self._replaced: list[LibrdkafkaProducer] = []
        # No timeout here, because librdkafka has its own deadline: message.timeout.ms.
        self._guard = StoreGuard(
            STORE,
            breaker_of(settings),
            timeout_s=None,
            errors=(BufferError, KafkaException),
            is_final=_is_malformed,
            kind_of=_kind_of,
        )
        self._reports: LoopHandover[tuple[_Sending, KafkaError | None]] = LoopHandover(_report)
        self._closing = Event()
        self._produced = Event()  # Since the poller last looked.
        self._pinging = asyncio.Lock()
        self._pinged_s = float("-inf")
        self._ping_failure = ""
        self._poller = Thread(target=self._poll, name="kafka-deliveries", daemon=True)

    async def __aenter__(self) -> Self:
        self._poller.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await in_thread(self._producer.flush, FLUSH_S)
        self._closing.set()
        self._produced.set()
        await in_thread(self._poller.join)

    async def send(self, records: Sequence[Outgoing]) -> None:
        """Publish all records; returns when every record is acknowledged.

        Raises:
            StoreUnavailable: Some were not acknowledged in time, but may have been written.
        """
        if records:
            await self._guard.run("produce", self._send, records)

    async def ends_of(self, records: Sequence[Outgoing]) -> dict[tuple[str, int], int]:
        """Publish as `send` does; return for each topic and partition the offset after the last record.

        Raises:
            StoreUnavailable: See `send`; also if a broker does not say where a record is.
        """
        acknowledged: list[Message] = []
        if records:
            await self._guard.run("produce", self._send, records, acknowledged)
        ends: dict[tuple[str, int], int] = {}
        for message in acknowledged:
            offset = message.offset()
            if offset is None or offset < 0:  # Acknowledged as a repetition of a record that was written.
                raise StoreUnavailable(STORE, "produce", "a record was acknowledged without its offset")
            log_name = message.topic(), message.partition()
            ends[log_name] = max(ends.get(log_name, 0), offset + 1)
        return ends

    async def _send(self, records: Sequence[Outgoing], acknowledged: list[Message] | None = None) -> None:
        """Publish; `acknowledged` gets what the brokers say of each record."""
        sending = _Sending(asyncio.get_running_loop().create_future(), len(records), acknowledged)
        producer = self._producer
        for record in records:
            self._produce(record, sending)
        self._produced.set()
        error = await sending.done
        if error is not None:
            self._replace_if_fatal(producer, error)
            raise error

    async def appended_ms(self, record: Outgoing) -> int:
        """Publish a record to a topic with `broker_time`; return the broker's time in it.

        Raises:
            StoreUnavailable: It was not acknowledged in time, or the topic has no `broker_time`.
        """
        acknowledged: list[Message] = []
        await self._guard.run("produce", self._send, [record], acknowledged)
        kind: int
        unix_ms: int
        kind, unix_ms = acknowledged[0].timestamp()
        if kind != TIMESTAMP_LOG_APPEND_TIME:
            raise StoreUnavailable(
                STORE, "clock", f"the records of {record.topic} have their producer's time"
            )
        return unix_ms

    def _replace_if_fatal(self, producer: LibrdkafkaProducer, error: Exception) -> None:
        """Replace `producer` after a fatal error, because librdkafka never sends with it again."""
        code = _code(error)
        if code is None or not (code.fatal() or code.code() == KafkaError._FATAL):
            return
        # Several sends fail with the same producer, and only the first of them replaces it.
        if producer is self._producer:
            log.warning("Kafka's producer is replaced after a fatal error: %s", code)
            self._producer = LibrdkafkaProducer(self._configuration)
            self._replaced.append(producer)
            self._produced.set()

    def sizes(self) -> Sizes:
        """Return the sizes that the topics really have.

        Raises:
            StoreUnavailable: `compare_sizes` has not returned yet, so nothing may be published.
        """
        if self._sizes is None:
            raise StoreUnavailable(STORE, "sizes", "the topics are not compared with the profile yet")
        return self._sizes

    async def compare_sizes(self) -> Sizes:
        """Compare the topics on the broker with the profile; return what `sizes` returns from now on.

        Raises:
            StoreUnavailable: The brokers did not answer, or a topic does not exist yet.
            TopicMismatch: Some topics have other partitions; the message names all of them.
        """
        self._sizes = await in_thread(sizes_on_broker, self._producer, self._settings)
        return self._sizes

    async def require_access(self) -> None:
        """Return if Kafka lets this process in, or may do so later; for after a failure of the start.

        Raises:
            StoreMisconfigured: It never will with these settings.
        """
        await in_thread(require_access, self._settings)

    async def ping(self, topic: str) -> None:
        """Check that every partition of the topic has a leader.

        The result, also a failure, is reused for `PING_AGE_S_MAX` seconds.

        Raises:
            StoreUnavailable: The brokers did not answer, or a partition has no leader.
        """
        async with self._pinging:
            if monotonic() - self._pinged_s > PING_AGE_S_MAX:
                # A success dates from the request, because the result does not show a broker that
                # failed after it.
                asked_s = monotonic()
                self._ping_failure = await in_thread(self._ask_for_leaders, topic)
                self._pinged_s = monotonic() if self._ping_failure else asked_s
        if self._ping_failure:
            raise StoreUnavailable(STORE, "ping", self._ping_failure)

    def _ask_for_leaders(self, topic: str) -> str:
        """Return what is wrong with the topic; empty if every partition has a leader."""
        try:
            found = self._producer.list_topics(topic, timeout=PING_S_MAX).topics[topic]
        except KafkaException as error:
            return str(error)
        errors = [found.error, *(partition.error for partition in found.partitions.values())]
        return "; ".join(str(error) for error in errors if error is not None)

    def _produce(self, record: Outgoing, sending: "_Sending") -> None:
        try:
            self._producer.produce(
                record.topic,
                value=record.value,
                key=record.key,
                partition=record.partition,
                headers=list(record.headers),
                on_delivery=lambda error, message: self._delivered(sending, error, message),
            )
        except (BufferError, KafkaException) as error:
            sending.delivered(error)

    def _delivered(self, sending: "_Sending", error: KafkaError | None, message: Message) -> None:
        """Runs in the polling thread."""
        if sending.acknowledged is not None and error is None:
            sending.acknowledged.append(message)
        self._reports.put((sending, error))

    def _poll(self) -> None:
        """Report deliveries; sleep while nothing is under way."""
        while not self._closing.is_set():
            self._produced.wait()
            self._produced.clear()  # Before the look at what is under way, which then shows all before.
            while (len(self._producer) or self._replaced) and not self._closing.is_set():
                self._producer.poll(POLL_S)
                for producer in tuple(self._replaced):
                    producer.poll(0)
                    if not len(producer):
                        self._replaced.remove(producer)


def sizes_on_broker(client: LibrdkafkaProducer, settings: KafkaSettings) -> Sizes:
    """Compare the topics on the broker with the profile; return the sizes that they really have. Blocks.

    Raises:
        StoreUnavailable: The brokers did not answer, or a topic does not exist yet.
        TopicMismatch: Some topics have other partitions; the message names all of them.
    """
    try:
        # Of all topics: a request that names one lets a broker create it.
        topics = client.list_topics(timeout=PING_S_MAX).topics
    except KafkaException as error:
        raise StoreUnavailable(STORE, "sizes", str(error)) from error
    counts = {name: len(topic.partitions) for name, topic in topics.items() if topic.error is None}
    names = [topic.named(settings.namespace) for topic in CATALOGUE.values()]
    missing = [name for name in names if name not in counts]
    if missing:
        raise StoreUnavailable(STORE, "sizes", f"without {', '.join(missing)}: run `shutterline topics`")
    return SIZES[settings.sizes].on_broker(settings.namespace, counts)


@dataclass(slots=True)
class _Sending:
    """The records of one `send`: `missing` of them are not reported yet.

    `done` gets its result when all are reported: the first error, or None.
    """

    done: asyncio.Future[Exception | None]
    missing: int
    acknowledged: list[Message] | None = None
    error: Exception | None = None

    def delivered(self, error: Exception | None) -> None:
        self.missing -= 1
        self.error = self.error or error
        if self.missing == 0 and not self.done.done():
            self.done.set_result(self.error)


def _code(error: Exception) -> KafkaError | None:
    cause = error.args[0] if isinstance(error, KafkaException) and error.args else None
    return cause if isinstance(cause, KafkaError) else None


def _is_malformed(error: Exception) -> bool:
    """Return whether our own code built a record that is too large; no retry can change that.

    Every other error is an outage: a quota, a missing permission, a full disk, or a topic without a
    leader.
    """
    code = _code(error)
    return code is not None and code.code() == KafkaError.MSG_SIZE_TOO_LARGE


def _kind_of(error: Exception) -> str:
    code = _code(error)
    return type(error).__name__ if code is None else str(code.name())


def _report(delivery: tuple[_Sending, KafkaError | None]) -> None:
    sending, error = delivery
    sending.delivered(None if error is None else KafkaException(error))
