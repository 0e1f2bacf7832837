"""The model of `/ops/lag` for the OpenAPI document. What is unknown is null."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from streams.core.lag.states import LagState
from topics.catalogue import Lane

Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
Figure = Annotated[float | None, Field(ge=0)]
WholeFigure = Annotated[int | None, Field(ge=0)]


class VerdictView(BaseModel):
    """A state, since when it holds, and why."""

    state: LagState
    since: Time
    reason: Annotated[str, Field(description="One sentence.")]
    runbook: Annotated[
        str | None, Field(description="What to do: a page of the repository. Null while the state is OK.")
    ]


class PartitionLagView(VerdictView):
    """A partition of a group. `committed` is null where the group has committed nothing yet."""

    partition: Annotated[int, Field(ge=0)]
    lag_messages: WholeFigure
    lag_seconds: Annotated[Figure, Field(description="Since the timestamp of the record at the commit.")]
    committed: WholeFigure
    start: Annotated[WholeFigure, Field(description="Of the log.")]
    end: Annotated[WholeFigure, Field(description="The last stable offset.")]
    owner: Annotated[str | None, Field(description="The process that reads it.")]
    produced_per_s: Figure
    consumed_per_s: Figure
    drain_s: Annotated[Figure, Field(description="Null unless the lag shrinks.")]
    retention_used: Annotated[Figure, Field(description="The part of the log that waits.")]


class TopicLagView(VerdictView):
    """A topic, or a lane of it: the sum of the messages, the largest of the seconds."""

    topic: str
    lane: Annotated[Lane | None, Field(description="Null for topics without lanes.")]
    lag_messages: WholeFigure
    lag_seconds: Figure
    backlog_deliveries: Annotated[
        WholeFigure, Field(description="Followers of the pages that are not committed; of fanout only.")
    ]
    produced_per_s: Figure
    consumed_per_s: Figure
    drain_s: Figure
    skew: Annotated[Figure, Field(description="The largest partition by the median one.")]
    partitions: list[PartitionLagView]


class GroupLagView(VerdictView):
    """A consumer group; its state is the worst of its topics."""

    group: str
    topics: list[TopicLagView]


class BreakerView(BaseModel):
    """All posts that become ready while it is open are pulled."""

    state: Literal["closed", "open"] | None
    since: Annotated[Time | None, Field(description="Null if it never moved.")]
    reason: str | None
    backlog_deliveries: Annotated[WholeFigure, Field(description="Over both lanes.")]


class SheddingView(BaseModel):
    """Posts of small authors are pulled while it is active."""

    active: bool | None
    since: Time | None
    lag_records: WholeFigure


class OverloadView(BaseModel):
    """What protects the pipeline from too much work."""

    breaker: BreakerView
    shedding: SheddingView


class LagView(BaseModel):
    """What waits for each consumer group. If no sample is fresh, every state is NO-DATA."""

    sampled_at: Time
    overload: OverloadView
    groups: list[GroupLagView]
