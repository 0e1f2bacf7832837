"""What workers and operators stored in Cassandra of the groups: stops, stuck partitions, switches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from streams.core.lag.samples import GroupLogs, Log, StoredFacts, StoredStop
from streams.core.overload.switches import Switch, SwitchState
from streams.gathering import gather_bounded
from streams.ports.coordination import Stop
from streams.ports.groups import CoordinationStores

READS_AT_ONCE = 8
# Reads of stuck partitions a look, each of one row; more than these stand still only if everything does.
STUCK_READS_MAX = 64


@dataclass(frozen=True, slots=True)
class Stored:
    """The facts of each group, and the switches."""

    facts: Mapping[str, StoredFacts]
    switches: Mapping[Switch, SwitchState]


async def read_stored(
    stores: CoordinationStores, groups: Sequence[GroupLogs], still: Mapping[str, Mapping[Log, int]]
) -> Stored:
    """Read the stops of each group, and the counts of the partitions that are `still`, by their commits.

    Raises:
        StoreUnavailable: Cassandra did not respond.
    """
    switches = await stores.switches.states()

    async def stops(group: GroupLogs) -> Sequence[Stop]:
        return await stores.stopped_partitions.stops(group.group)

    async def ended(at: tuple[str, Log, int]) -> int:
        group, (topic, partition), commit = at
        return await stores.stuck_partitions.ended(group, topic, partition, commit)

    asked = [(group, log, commit) for group, commits in still.items() for log, commit in commits.items()]
    asked = asked[:STUCK_READS_MAX]
    found = await gather_bounded(groups, stops, at_once=READS_AT_ONCE)
    counts = await gather_bounded(asked, ended, at_once=READS_AT_ONCE)
    return Stored(
        {
            group.group: StoredFacts(
                stops={
                    (stop.topic, stop.partition): StoredStop(
                        reason=f"{stop.reason}; when the cause is removed: shutterline resume {group.group}",
                        since_ms=stop.since_ms,
                    )
                    for stop in group_stops
                },
                ended={
                    log: (commit, count)
                    for (name, log, commit), count in zip(asked, counts, strict=True)
                    if name == group.group
                },
            )
            for group, group_stops in zip(groups, found, strict=True)
        },
        switches,
    )
