"""Ports that write to Kafka. Every write waits until Kafka has acknowledged it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from schemas.facts import EventData
from schemas.internal import EdgeRecord, FanoutRecord, RenditionTask
from streams.core.sets import BucketKey
from topics.catalogue import Lane


@dataclass(frozen=True, slots=True)
class FanoutMessage:
    """A record of `fanout`, and about how many timelines may get something by it."""

    record: FanoutRecord
    deliveries: int


class FanoutLanes(Protocol):
    """Writes the topic `fanout`, with the promises of `Outbox`."""

    async def fanout(self, messages: Sequence[FanoutMessage], lane: Lane) -> Mapping[int, int]:
        """Publish to a lane; returns for each partition the offset after the last of the records."""


class Outbox(FanoutLanes, Protocol):
    """Writes the internal topics.

    Each method returns when all in-sync replicas have the records. It raises `StoreUnavailable`
    when that is not known: the records may have been written, and sending again repeats them.
    """

    async def edges(self, records: Sequence[EdgeRecord]) -> None: ...

    async def renditions(self, tasks: Sequence[RenditionTask], lane: Lane) -> None: ...


class Recounts(Protocol):
    """Writes the topic `edges`, with the promises of `Outbox`."""

    async def recount(self, buckets: Sequence[BucketKey]) -> None:
        """Ask the writer of each set to count the rows of its buckets again."""


class EventPublisher(Protocol):
    """Publishes events to topics to which upstream apps publish, too."""

    async def publish(self, event_data: EventData, *, time_us: int) -> None:
        """Publish one event; all in-sync replicas have acknowledged it when this returns.

        Its type, topic and key follow from the class of `event_data`.

        Raises:
            StoreUnavailable: The event may have been published nevertheless; publishing it again is
                harmless.
        """

    async def ping(self) -> None:
        """Check that Kafka responds; a response of less than a second ago is enough.

        Raises:
            StoreUnavailable: Kafka does not respond.
        """
