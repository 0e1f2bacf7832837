"""The heat map of partitions and time, of the lanes where something waited."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from api.ops.drawing.charts import heat_strip
from api.ops.facts import Facts, Json
from api.ops.tables import lane_address
from api.ops.view import OpsView
from schemas.printable import printable

# Of the largest profile a lane has some hundred partitions; those where most waited are shown.
ROWS_MAX = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatRow:
    """A partition: what waits now and waited at most, and who reads it now. `now` of None is unknown."""

    partition: int
    address: str
    now: int | None
    most: int
    owner: str | None
    strip: Markup


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneHeat:
    """The partitions of a lane where most waited, in their order; `left_out` counts the others."""

    lane: Json
    name: str
    address: str
    hottest: HeatRow
    rows: Sequence[HeatRow]
    left_out: int


def heat_maps(facts: Facts, view: OpsView) -> list[LaneHeat]:
    """Return the lanes where something waited in the time that the monitor remembers, the worst first."""
    maps = (heat_map(facts, lane) for lane in facts.lanes(view))
    return [found for found in maps if found is not None]


def heat_map(facts: Facts, lane: Json) -> LaneHeat | None:
    """Return the lane's map; None if nothing waited."""
    past = facts.past(lane["group"], lane["topic"])
    if past is None:
        return None
    most = [_most(messages) for messages in past["partitions"]]
    numbers = range(min(len(most), len(lane["partitions"])))
    by_most = sorted(numbers, key=lambda number: -most[number])
    if not by_most or not most[by_most[0]]:
        return None
    rows = {number: _row(lane, past, number, most[number]) for number in sorted(by_most[:ROWS_MAX])}
    return LaneHeat(
        lane=lane,
        name=lane["name"],
        address=lane_address(lane),
        hottest=rows[by_most[0]],
        rows=list(rows.values()),
        left_out=len(numbers) - len(rows),
    )


def partition_strip(facts: Facts, lane: Json, partition: int) -> Markup | None:
    """Return the strip of a partition, which need not be among the hottest; None if its past is not known."""
    past = facts.past(lane["group"], lane["topic"])
    numbers = [row["partition"] for row in lane["partitions"]]
    if past is None or partition not in numbers[: len(past["partitions"])]:
        return None
    number = numbers.index(partition)
    return _row(lane, past, number, _most(past["partitions"][number])).strip


def _most(messages: Sequence[int | None]) -> int:
    return max((value for value in messages if value), default=0)


def _row(lane: Json, past: Json, number: int, most: int) -> HeatRow:
    row = lane["partitions"][number]
    return HeatRow(
        partition=row["partition"],
        address=f"{lane_address(lane)}/{row['partition']}",
        now=row["lag_messages"],
        most=most,
        owner=None if row["owner"] is None else printable(row["owner"]),
        strip=heat_strip(
            past["partitions"][number], f"Partition {row['partition']}: at most {most:,} waited"
        ),
    )
