"""What waited in the last minutes: for sparklines, and for a heat map of partitions and time."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from schemas.times import rfc3339, utc_datetime_of_ms
from streams.core.lag.report import GroupLag, TopicLag

Json = dict[str, Any]
# The group and the topic.
LaneKey = tuple[str, str]

# A reader's objective: 99.9 % of deliveries within 5 s. A sample is late if the next record waits for longer.
LATE_S = 5.0


@dataclass(slots=True)
class _LaneColumn:
    """One lane in one column: the most that its samples had. None is unknown."""

    messages: int | None = None
    partitions: list[int | None] = field(default_factory=list)
    samples: int = 0
    late: int = 0

    def add(self, topic: TopicLag) -> None:
        waiting = None if topic.lag_messages is None else int(topic.lag_messages)
        self.messages = _most(self.messages, waiting)
        known = [*self.partitions, *[None] * (len(topic.partitions) - len(self.partitions))]
        self.partitions = [
            _most(before, row.lag_messages) for before, row in zip(known, topic.partitions, strict=False)
        ]
        if topic.lag_seconds is not None:
            self.samples += 1
            self.late += topic.lag_seconds > LATE_S


@dataclass(slots=True)
class LagHistory:
    """The last `columns_max` columns of `step_s` seconds each; a column has the most of its samples.

    So a short peak is not lost, and the size is bounded by the number of partitions times `columns_max`. A
    column in which there was no sample is left out.
    """

    step_s: int
    columns_max: int
    _columns: deque[tuple[int, dict[LaneKey, _LaneColumn]]] = field(init=False)

    def __post_init__(self) -> None:
        self._columns = deque(maxlen=self.columns_max)

    def add(self, now_ms: int, groups: Sequence[GroupLag]) -> None:
        """Take a sample of all groups. If the clock is set back, a column with an earlier time begins."""
        step_ms = self.step_s * 1_000
        start_ms = now_ms // step_ms * step_ms
        if not self._columns or start_ms != self._columns[-1][0]:
            self._columns.append((start_ms, {}))
        lanes = self._columns[-1][1]
        for group in groups:
            for topic in group.topics:
                lanes.setdefault((group.group, topic.topic), _LaneColumn()).add(topic)

    def json(self) -> Json:
        """Return the columns, the oldest first: `at`, and by lane lists of as many values.

        `partitions` has a list for each partition, in their order. `samples` are those of all columns of
        which the seconds were known, and `late` those of them above `LATE_S`.
        """
        columns = list(self._columns)
        lanes = list(dict.fromkeys(key for _, lanes in columns for key in lanes))
        return {
            "step_s": self.step_s,
            "at": [rfc3339(utc_datetime_of_ms(start_ms)) for start_ms, _ in columns],
            "lanes": [_lane(key, [lanes.get(key, _LaneColumn()) for _, lanes in columns]) for key in lanes],
        }


def _lane(key: LaneKey, columns: Sequence[_LaneColumn]) -> Json:
    group, topic = key
    width = max(len(column.partitions) for column in columns)
    return {
        "group": group,
        "topic": topic,
        "messages": [column.messages for column in columns],
        "samples": sum(column.samples for column in columns),
        "late": sum(column.late for column in columns),
        "partitions": [
            [column.partitions[at] if at < len(column.partitions) else None for column in columns]
            for at in range(width)
        ],
    }


def _most(one: int | None, other: int | None) -> int | None:
    known = [value for value in (one, other) if value is not None]
    return max(known, default=None)
