"""The record that shows whether Kafka takes writes, and the clock of Kafka's brokers.

Both are small records of the topic `clock`, which nobody handles as events.

No response of Kafka has the broker's time, except that of a produce request to a topic whose records
get the broker's time when they are appended. So the topic is one of those.
"""

from streams.kafka.producing.producer import Outgoing, Producer
from streams.ports.health import StoreClock, StoreProbe
from topics.catalogue import CLOCK


class KafkaStoreProbe(StoreProbe):
    """One record of the topic `clock`; the topic keeps them for an hour."""

    def __init__(self, producer: Producer, *, namespace: str) -> None:
        self._producer = producer
        self._record = _record(namespace)

    async def check(self) -> None:
        """Write the record. Reads are a consumer's matter, and this process consumes nothing."""
        await self._producer.send([self._record])


class KafkaClock(StoreClock):
    """The clock of the leader of the topic `clock`."""

    def __init__(self, producer: Producer, *, namespace: str) -> None:
        self._producer = producer
        self._record = _record(namespace)

    async def now_us(self) -> int:
        """Return the broker's time, in whole milliseconds."""
        return await self._producer.appended_ms(self._record) * 1_000


def _record(namespace: str) -> Outgoing:
    return Outgoing(CLOCK.named(namespace), 0, None, None)
