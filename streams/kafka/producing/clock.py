"""The clock of Kafka's brokers.

No response of Kafka has the broker's time, except that of a produce request to a topic whose records
get the broker's time when they are appended. So this writes one small record a minute to such a topic.
"""

from streams.kafka.producing.producer import Outgoing, Producer
from streams.ports.health import StoreClock
from topics.catalogue import CLOCK


class KafkaClock(StoreClock):
    """The clock of the leader of the topic `clock`."""

    def __init__(self, producer: Producer, *, namespace: str) -> None:
        self._producer = producer
        self._record = Outgoing(CLOCK.named(namespace), 0, None, None)

    async def now_us(self) -> int:
        """Return the broker's time, in whole milliseconds."""
        return await self._producer.appended_ms(self._record) * 1_000
