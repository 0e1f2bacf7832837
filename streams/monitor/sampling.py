"""One sample of all groups: a few requests to the brokers, whatever the number of partitions."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Protocol

from streams.clock import unix_ms
from streams.core.lag.samples import GroupLogs, GroupSample, Log, Members, PartitionSample
from streams.errors import StoreUnavailable
from streams.kafka.offsets.gaps import NextRecord

# A log that could not be read, such as one with a broken batch, would cost every sample its time limit.
UNREADABLE_S = 15.0


class LagOffsets(Protocol):
    """Offsets of the brokers; `offsets.Offsets` implements it. Every method raises StoreUnavailable."""

    async def commits(self, group: str, logs: Iterable[Log]) -> dict[Log, int]: ...

    async def begins(self, partitions: Iterable[Log]) -> dict[Log, int]: ...

    async def ends(self, partitions: Iterable[Log]) -> dict[Log, int]: ...

    async def next_records(self, offsets: Mapping[Log, int]) -> dict[Log, NextRecord]: ...


class MembersOfGroups(Protocol):
    """The members of groups; `members.GroupMembers` implements this port."""

    async def of(self, groups: Iterable[str]) -> dict[str, Members]:
        """Return the members of the groups that are known; raises StoreUnavailable."""


@dataclass(slots=True)
class Sampler:
    """Samples groups, of which no two own the same partition. `clock_s` is monotonic."""

    offsets: LagOffsets
    members: MembersOfGroups
    clock_ms: Callable[[], int] = unix_ms
    clock_s: Callable[[], float] = monotonic
    # What follows an offset of a log. It stays true until the log grows behind a gap.
    _next: dict[Log, tuple[int, NextRecord]] = field(default_factory=dict, init=False)
    _unreadable_s: dict[Log, float] = field(default_factory=dict, init=False)

    async def sample(self, groups: Sequence[GroupLogs]) -> dict[str, GroupSample | StoreUnavailable]:
        """Return each group's sample, or why there is none: its coordinator is away, or a leader of any log.

        Without the members of a group, its owners are not known; without the next record of a log, its
        seconds are not.
        """
        logs = [log for group in groups for log in group.logs()]
        bounds, members, commits = await asyncio.gather(
            self._bounds(logs),
            self._members(groups),
            asyncio.gather(*(self._commits(group) for group in groups)),
        )
        at_s, at_ms = self.clock_s(), self.clock_ms()
        if isinstance(bounds, StoreUnavailable):
            return {group.group: bounds for group in groups}
        samples: dict[Log, PartitionSample] = {}
        failures: dict[str, StoreUnavailable] = {}
        for group, committed in zip(groups, commits, strict=True):
            if isinstance(committed, StoreUnavailable):
                failures[group.group] = committed
                continue
            for log in group.logs():
                start, end = bounds[log]
                samples[log] = PartitionSample(
                    at_s=at_s, at_ms=at_ms, start=start, end=end, committed=committed.get(log)
                )
        following = await self._following(samples)
        found: dict[str, GroupSample | StoreUnavailable] = dict(failures)
        for group in groups:
            if group.group not in failures:
                partitions = {log: _with_next(samples[log], following.get(log)) for log in group.logs()}
                found[group.group] = GroupSample(partitions=partitions, members=members.get(group.group))
        return found

    async def _bounds(self, logs: Sequence[Log]) -> dict[Log, tuple[int, int]] | StoreUnavailable:
        try:
            begins, ends = await asyncio.gather(self.offsets.begins(logs), self.offsets.ends(logs))
        except StoreUnavailable as error:
            return error
        return {log: (begins[log], ends[log]) for log in logs}

    async def _commits(self, group: GroupLogs) -> dict[Log, int] | StoreUnavailable:
        try:
            return await self.offsets.commits(group.group, group.logs())
        except StoreUnavailable as error:
            return error

    async def _members(self, groups: Sequence[GroupLogs]) -> Mapping[str, Members]:
        try:
            return await self.members.of([group.group for group in groups])
        except StoreUnavailable:
            return {}

    async def _following(self, samples: Mapping[Log, PartitionSample]) -> dict[Log, NextRecord]:
        """Return the next record of each log where offsets wait; those known from before are not read."""
        asked: dict[Log, int] = {}
        following: dict[Log, NextRecord] = {}
        for log, sample in samples.items():
            begin = max(sample.start, sample.committed or 0)
            if begin >= sample.end:
                continue
            known = self._known(log, begin, sample.end)
            if known is not None and (
                known.offset < sample.end if known.exists else known.offset == sample.end
            ):
                following[log] = known
            elif self.clock_s() - self._unreadable_s.get(log, float("-inf")) >= UNREADABLE_S:
                # A gap that is known stays one; what comes after the former end is not known.
                asked[log] = begin if known is None else known.offset
        if asked:
            read = await self._read(asked)
            for log, offset in asked.items():
                if log in read:
                    following[log] = read[log]
                    self._next[log] = (offset, read[log])
                else:
                    self._unreadable_s[log] = self.clock_s()
        return following

    def _known(self, log: Log, begin: int, end: int) -> NextRecord | None:
        offset, following = self._next.get(log, (-1, None))
        # Beyond the end it is that of a topic of the same name, which was deleted.
        return following if following is not None and offset <= begin <= following.offset <= end else None

    async def _read(self, offsets: Mapping[Log, int]) -> Mapping[Log, NextRecord]:
        try:
            return await self.offsets.next_records(offsets)
        except StoreUnavailable:
            return {}


def _with_next(sample: PartitionSample, following: NextRecord | None) -> PartitionSample:
    if following is None:
        return sample
    return PartitionSample(
        at_s=sample.at_s,
        at_ms=sample.at_ms,
        start=sample.start,
        end=sample.end,
        committed=sample.committed,
        next_offset=following.offset,
        record_ms=following.time_ms if following.exists else None,
    )
