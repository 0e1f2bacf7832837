"""What the roles of one process share, over stores in memory and without Kafka."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from streams.jobs.clocks import Clocks
from streams.kafka.consuming.progress import Progress
from streams.kafka.consuming.throttle import BackgroundThrottle
from streams.kafka.producing.outbox import KafkaOutbox
from streams.kafka.producing.producer import Outgoing
from streams.kafka.stages.decode_slots import DecodeSlots
from streams.ports.groups import Stores
from streams.settings import ClockSettings, Settings
from streams.stores.memory.stores import memory_stores
from streams.worker.parts import SharedParts
from tests.worlds.deliveries import OverloadWorld
from tests.worlds.kafka import LOCAL, FakeOffsets

NOW_MS = 1_800_000_000_000


@dataclass(slots=True)
class FakeProducer:
    """Remembers the records, in the order in which they were sent."""

    sent: list[Outgoing] = field(default_factory=list)

    async def send(self, records: list[Outgoing]) -> None:
        self.sent += records

    async def ends_of(self, records: list[Outgoing]) -> dict[tuple[str, int], int]:
        self.sent += records
        return {(record.topic, record.partition): len(self.sent) for record in records}


def shared_parts(run_dir: Path, stores: Stores | None = None, **settings: Any) -> SharedParts:
    """Return the shared parts; `fatal` raises the error that it gets, so a bug fails the test."""
    producer: Any = FakeProducer()
    offsets: Any = FakeOffsets()

    def fatal(error: BaseException) -> None:
        raise error

    all_settings = Settings(run_dir=run_dir, namespace="t.", **settings)
    stores = stores or memory_stores(clock_ms=lambda: NOW_MS)
    return SharedParts(
        settings=all_settings,
        stores=stores,
        producer=producer,
        sizes=LOCAL,
        outbox=KafkaOutbox(producer, "t.", LOCAL),
        offsets=offsets,
        progress=Progress(),
        clocks=Clocks(ClockSettings(), {}),
        overload=OverloadWorld(all_settings, stores).watch,
        throttle=BackgroundThrottle(rest_ratio=3, rest_s_max=0.0),
        decode_slots=DecodeSlots(thumbnails_max=3, fulls_max=3),
        large_turn=asyncio.Lock(),
        fatal=fatal,
    )
