"""A consumer like those of the workers: it commits what it has handled, and the next offset of nothing else.

    python -m bench.lag.consuming KAFKA TOPIC GROUP

As a process it prints each commit when it is sent and when it is acknowledged, so that it can be killed.
"""

import argparse
import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from streams.clock import unix_ms
from streams.kafka.clients import aiokafka_consumer
from streams.settings import KafkaSettings

# As the workers have them: `session_timeout_s` and `heartbeat_ms`.
SESSION_MS, HEARTBEAT_MS = 6_000, 1_000
POLL_MS = 200
RETRY_S = 0.2

# Called with the partition and the offset, before a commit is sent; what it returns, when it is acknowledged.
OnCommit = Callable[[int, int], Callable[[], None]]


@dataclass(slots=True)
class Consumer:
    """Consumes until it is told to leave its group. `records_per_s_max` of 0 is as fast as they come.

    A partition is not committed beyond its offset in `stuck_at`.
    """

    kafka: KafkaSettings
    topic: str
    group: str
    on_commit: OnCommit
    records_per_s_max: int = 0
    stuck_at: dict[int, int] = field(default_factory=dict)
    _is_leaving: bool = field(default=False, init=False)
    _has_left: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    async def leave(self) -> None:
        """Leave the group; returns when that is done."""
        self._is_leaving = True
        await self._has_left.wait()

    async def run(self) -> None:
        """Consume until `leave` is called."""
        client = AIOKafkaConsumer(
            self.topic,
            **aiokafka_consumer(self.kafka),
            client_id="worker-1",
            group_id=self.group,
            auto_offset_reset="earliest",
            session_timeout_ms=SESSION_MS,
            heartbeat_interval_ms=HEARTBEAT_MS,
        )
        try:
            await client.start()
            while not self._is_leaving:
                try:
                    await self._poll(client)
                except KafkaError:  # The broker is away, or the group is in a rebalance.
                    await asyncio.sleep(RETRY_S)
        finally:
            await client.stop()
            self._has_left.set()

    async def _poll(self, client: AIOKafkaConsumer) -> None:
        most = max(1, self.records_per_s_max * POLL_MS // 1_000) if self.records_per_s_max else None
        fetched = await client.getmany(timeout_ms=POLL_MS, max_records=most)
        for partition, records in fetched.items():
            end = records[-1].offset + 1
            stuck_at = self.stuck_at.get(partition.partition)
            if stuck_at is not None and end > stuck_at:
                client.seek(partition, stuck_at)
                await asyncio.sleep(POLL_MS / 1_000)
                end = stuck_at
                if end <= records[0].offset:
                    continue
            await self._commit(client, partition, end)
        if most is not None and fetched:
            await asyncio.sleep(POLL_MS / 1_000)

    async def _commit(self, client: AIOKafkaConsumer, partition: TopicPartition, end: int) -> None:
        acknowledged = self.on_commit(partition.partition, end)
        await client.commit({partition: end})
        acknowledged()


def _say(partition: int, offset: int) -> Callable[[], None]:
    print("sent", partition, offset, unix_ms(), flush=True)
    return lambda: print("acked", partition, offset, unix_ms(), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("kafka", "topic", "group"):
        parser.add_argument(name)
    arguments = parser.parse_args()
    kafka = KafkaSettings(kafka=arguments.kafka)
    asyncio.run(Consumer(kafka, arguments.topic, arguments.group, _say).run())


if __name__ == "__main__":
    main()
