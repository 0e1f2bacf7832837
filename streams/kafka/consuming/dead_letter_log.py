"""Read dead-letter topics from their begin, for operators and for the gauges of what waits."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from threading import Lock
from time import monotonic
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from schemas.dead_letter_headers import failure_of
from streams.core.dead_letters import DeadLetter
from streams.errors import StoreUnavailable
from streams.jobs.dead_letters.ports import DeadLetterLog
from streams.kafka.clients import STORE, librdkafka_consumer
from streams.kafka.offsets.queued import BrokerOffsets
from streams.settings import KafkaSettings
from streams.threads import in_thread
from topics.catalogue import Topic, dead_letter_of
from topics.sizes import Sizes

GROUP = "shutterline-dead-letters"  # A client must have a group id; nothing joins or commits.
LETTERS_MAX = 1_000
# What is fetched and not read yet. With what is being read, a reader takes about twice as much.
FETCHED_KB_MAX = 16_384
POLL_S = 0.1
SILENT_S_MAX = 10.0


class KafkaDeadLetterLog(DeadLetterLog):
    """Reads with a client of its own for each partition."""

    def __init__(
        self,
        settings: KafkaSettings,
        offsets: BrokerOffsets,
        sizes: Sizes,
        *,
        silent_s_max: float = SILENT_S_MAX,
        clock_s: Callable[[], float] = monotonic,
        new_consumer: Any = Consumer,
    ) -> None:
        """`new_consumer` makes a client from librdkafka's configuration; `clock_s` is monotonic."""
        self._settings = settings
        self._offsets = offsets
        self._sizes = sizes
        self._silent_s_max = silent_s_max
        self._clock_s = clock_s
        self._new_consumer = new_consumer

    async def offsets(self, topic: Topic) -> Mapping[int, range]:
        dead_letters = dead_letter_of(topic)
        name = dead_letters.named(self._settings.namespace)
        logs = [(name, partition) for partition in range(self._sizes.partitions(dead_letters))]
        begins, ends = await self._offsets.begins(logs), await self._offsets.ends(logs)
        return {log[1]: range(begins[log], ends[log]) for log in logs}

    async def read(
        self, topic: Topic, partition: int, offsets: range
    ) -> AsyncGenerator[Sequence[DeadLetter], None]:
        if not offsets:
            return
        name = dead_letter_of(topic).named(self._settings.namespace)
        consumer = self._new_consumer(
            {
                **librdkafka_consumer(self._settings, GROUP),
                "enable.partition.eof": True,
                # What retention has removed meanwhile is gone.
                "auto.offset.reset": "earliest",
                "queued.max.messages.kbytes": FETCHED_KB_MAX,
            }
        )
        consumer.assign([TopicPartition(name, partition, offsets.start)])
        reader = _Reader(consumer, offsets.stop, self._silent_s_max, self._clock_s)
        try:
            while not reader.is_done:
                if letters := await in_thread(reader.read):
                    yield [_dead_letter(topic, message) for message in letters]
        finally:
            await in_thread(reader.close)


class _Reader:
    """Reads one partition up to the offset `stop`. `read` and `close` block, and are called in threads.

    A thread may still read when its caller was cancelled, so the two exclude each other.
    """

    def __init__(self, consumer: Any, stop: int, silent_s_max: float, clock_s: Callable[[], float]) -> None:
        self._consumer = consumer
        self._stop = stop
        self._silent_s_max = silent_s_max
        self._clock_s = clock_s
        # Since when nothing came; None after a record: the time in which nobody reads is no silence.
        self._silent_since_s: float | None = None
        self._lock = Lock()
        self.is_done = False

    def read(self) -> list[Message]:
        """Return the next records, at most those of `POLL_S`.

        Raises:
            StoreUnavailable: The broker failed, or has not answered for `silent_s_max`.
        """
        if self._silent_since_s is None:
            self._silent_since_s = self._clock_s()
        with self._lock:
            records = [message for message in self._consume() if self._take(message)]
        if records:
            self._silent_since_s = None
        elif not self.is_done and self._clock_s() - self._silent_since_s > self._silent_s_max:
            raise StoreUnavailable(STORE, "read", f"no dead letters within {self._silent_s_max:g} s")
        return records

    def _consume(self) -> list[Message]:
        try:
            messages: list[Message] = self._consumer.consume(LETTERS_MAX, POLL_S)
        except KafkaException as error:
            raise StoreUnavailable(STORE, "read", str(error)) from error
        return messages

    def _take(self, message: Message) -> bool:
        """Whether this is a record to read; note where the offsets end."""
        error = message.error()
        if error is None:
            # The last offsets may have no record; then the end of the log follows.
            self.is_done = self.is_done or message.offset() >= self._stop - 1
            return bool(message.offset() < self._stop)
        if error.code() == KafkaError._PARTITION_EOF:
            self.is_done = True
        elif message.topic() is not None:
            raise StoreUnavailable(STORE, "read", str(error)) from KafkaException(error)
        return False  # Otherwise one broker is away, and another may lead the partition.

    def close(self) -> None:
        """Close the client once nobody reads any more."""
        with self._lock:
            self._consumer.close()


def _dead_letter(topic: Topic, message: Message) -> DeadLetter:
    headers = tuple(message.headers() or ())
    return DeadLetter(
        topic=topic,
        partition=message.partition(),
        offset=message.offset(),
        timestamp_ms=message.timestamp()[1],
        key=message.key(),
        value=message.value(),
        headers=headers,
        failure=failure_of(headers),
    )
