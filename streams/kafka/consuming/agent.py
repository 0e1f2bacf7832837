"""The agent of one partition: gather the records that have arrived, and handle them as a batch.

Law: commit never passes work. A batch is acknowledged in the order of its offsets, and the next batch
begins only after it is done. An agent never raises because of an event: Faust would start it again
with the next fetch.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from time import monotonic

import faust
from faust.types import StreamT
from more_itertools import chunked

from schemas.envelope import Record
from streams.kafka.consuming.fetched import Fetched, HandledOffsets
from streams.metrics import HANDLING


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

    @app.agent(app.topic(topic, value_serializer="raw"), name=name, isolated_partitions=True)  # type: ignore[untyped-decorator]
    async def agent(stream: StreamT[None]) -> None:
        stream.enable_acks = False  # Faust must not acknowledge; the handler does, after the batch.
        gathered: list[Fetched] = []
        try:
            async for event in stream.events():
                gathered.append(event.message)
                count = sum(len(fetched.records) for fetched in gathered)
                if count >= batch_records_max or stream.channel.empty():
                    await _handle(app, handle, gathered, batch_records_max)
                    gathered = []
        except Exception as error:  # noqa: BLE001 - if it is raised, Faust restarts the agent.
            fatal(error)


async def _handle(
    app: faust.App, handle: BatchHandler, gathered: Sequence[Fetched], batch_records_max: int
) -> None:
    generation, tp = gathered[-1].generation_id, gathered[-1].tp
    # Records from before a rebalance are left out, because they are delivered again after it.
    current = [fetched for fetched in gathered if fetched.generation_id == generation]
    offsets: HandledOffsets = app.consumer.handled_offsets

    def is_assigned() -> bool:
        return bool(generation == app.consumer_generation_id and not app.should_stop)

    begin = current[0].begin
    for batch in chunked([record for fetched in current for record in fetched.records], batch_records_max):
        done = begin

        def ack(count: int, batch: Sequence[Record] = batch, begin: int = begin) -> None:
            nonlocal done
            done = batch[count - 1].offset + 1 if count else begin
            offsets.handled(tp, begin, done)

        began_s = monotonic()
        await handle(Delivered(batch, generation, is_assigned, ack))
        if done <= batch[-1].offset:
            return  # The next owner of the partition gets the rest.
        HANDLING.labels(app.conf.id).observe(monotonic() - began_s)
        begin = done
