"""The agent of one partition: gather the records that have arrived, and handle them as a batch.

Law: commit never passes work. If an agent raises, Faust commits its record, so an agent never
raises because of an event. Faust can also commit an offset above records that are still in
progress. So a batch is acknowledged in the order of its offsets, and the next batch begins only
after it is done.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import faust
from faust.types import EventT, StreamT

from schemas.envelope import Record


@dataclass(frozen=True, slots=True)
class Delivered:
    """Records of one partition in the order of their offsets.

    `is_assigned` returns False once the partition may have gone to another worker. `ack(n)`
    acknowledges the first `n` records. `generation` changes with every assignment of partitions.
    """

    records: Sequence[Record]
    generation: int
    is_assigned: Callable[[], bool]
    ack: Callable[[int], None]


BatchHandler = Callable[[Delivered], Awaitable[None]]
# Ends the process because of an exception that is a bug of this program.
Fatal = Callable[[BaseException], None]


def add_agent(
    app: faust.App, name: str, topic: str, handle: BatchHandler, *, batch_records_max: int, fatal: Fatal
) -> None:
    """Pass all records of `topic` to `handle`, with one agent for each partition."""

    @app.agent(
        app.topic(topic, value_type=bytes, value_serializer="raw"), name=name, isolated_partitions=True
    )  # type: ignore[untyped-decorator]
    async def agent(stream: StreamT[bytes]) -> None:
        stream.enable_acks = False  # Faust must not acknowledge; the handler does, after the batch.
        batch: list[EventT[bytes]] = []
        try:
            async for event in stream.events():
                batch.append(event)
                if len(batch) >= batch_records_max or stream.channel.empty():
                    await _handle(app, handle, batch)
                    batch = []
        except Exception as error:  # noqa: BLE001 - if it is raised, Faust commits the record.
            fatal(error)


async def _handle(app: faust.App, handle: BatchHandler, gathered: Sequence[EventT[bytes]]) -> None:
    generation = gathered[-1].message.generation_id
    # Records from before a rebalance are left out, because they are delivered again after it.
    batch = [event for event in gathered if event.message.generation_id == generation]

    def is_assigned() -> bool:
        return bool(generation == app.consumer_generation_id and not app.should_stop)

    def ack(count: int) -> None:
        for event in batch[:count]:
            event.ack()

    await handle(Delivered([_record(event) for event in batch], generation, is_assigned, ack))


def _record(event: EventT[bytes]) -> Record:
    message = event.message
    headers = message.headers or ()
    return Record(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        timestamp_ms=int(message.timestamp * 1_000),
        key=message.key,
        value=message.value,
        headers=tuple(headers.items() if isinstance(headers, dict) else headers),
    )
