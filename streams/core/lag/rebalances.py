"""The rebalances of consumer groups as samples show them: when, how long, who came and left, what moved."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from schemas.times import rfc3339, utc_datetime_of_ms
from streams.core.lag.samples import Log, Members

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebalance:
    """One change of a group's members. `ended_ms` is None while it is under way.

    The times are those of samples, so each is up to one interval late. `joined` and `left` are the names of
    processes; a process that left and joined again within one interval is in neither. `moved` counts the
    partitions that have another owner than before.
    """

    group: str
    began_ms: int
    ended_ms: int | None = None
    joined: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    moved: int = 0

    def json(self) -> Json:
        """Return the record; times are RFC 3339."""
        ended_ms = self.ended_ms
        return {
            "group": self.group,
            "began_at": rfc3339(utc_datetime_of_ms(self.began_ms)),
            "length_s": None if ended_ms is None else (ended_ms - self.began_ms) / 1_000,
            "joined": list(self.joined),
            "left": list(self.left),
            "moved_partitions": self.moved,
        }


@dataclass(slots=True)
class _Settled:
    """The members and owners of a group between two rebalances."""

    ids: frozenset[str]
    owners: Mapping[Log, str]


@dataclass(slots=True)
class RebalanceLog:
    """The last `rebalances_max` rebalances of all groups."""

    rebalances_max: int
    _ended: deque[Rebalance] = field(init=False)
    _under_way: dict[str, Rebalance] = field(default_factory=dict, init=False)
    _settled: dict[str, _Settled] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._ended = deque(maxlen=self.rebalances_max)

    def observe(self, group: str, members: Members, at_ms: int) -> None:
        """Take a sample of a group's members. The first one only says how the group is."""
        before = self._settled.get(group)
        if before is None:
            if not members.is_rebalancing:
                self._settled[group] = _Settled(members.ids, members.owners)
            return
        if not members.is_rebalancing and members.ids == before.ids and group not in self._under_way:
            before.owners = members.owners
            return
        rebalance = self._under_way.setdefault(group, Rebalance(group=group, began_ms=at_ms))
        if members.is_rebalancing:
            return
        self._ended.append(_ended(rebalance, before.owners, members.owners, at_ms))
        self._settled[group] = _Settled(members.ids, members.owners)
        del self._under_way[group]

    def newest(self) -> list[Rebalance]:
        """Return the rebalances, the newest first."""
        known = [*self._ended, *self._under_way.values()]
        return sorted(known, key=lambda rebalance: rebalance.began_ms, reverse=True)


def _ended(
    rebalance: Rebalance, before: Mapping[Log, str], after: Mapping[Log, str], at_ms: int
) -> Rebalance:
    former, present = set(before.values()), set(after.values())
    return replace(
        rebalance,
        ended_ms=at_ms,
        joined=tuple(sorted(present - former)),
        left=tuple(sorted(former - present)),
        moved=sum(before.get(log) != after.get(log) for log in before.keys() | after.keys()),
    )
