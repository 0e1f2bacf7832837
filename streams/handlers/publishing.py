"""What the handlers ask of Kafka: the internal topics, each send acknowledged."""

from collections.abc import Sequence
from typing import Protocol

from schemas.internal import EdgeRecord, FanoutRecord, RenditionTask
from topics.catalogue import Lane


class Outbox(Protocol):
    """Returns when all in-sync replicas have the records; `StoreUnavailable` when that is not known."""

    async def edges(self, records: Sequence[EdgeRecord]) -> None: ...

    async def fanout(self, records: Sequence[FanoutRecord], lane: Lane) -> None: ...

    async def renditions(self, tasks: Sequence[RenditionTask], lane: Lane) -> None: ...
