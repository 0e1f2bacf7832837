"""Stopped partitions in memory."""

from streams.ports.coordination import Stop, StoppedPartitions


class MemoryStoppedPartitions(StoppedPartitions):
    """Stops by partition."""

    def __init__(self) -> None:
        self._stops: dict[tuple[str, str, int], Stop] = {}

    async def stop(self, stop: Stop) -> None:
        self._stops[stop.group, stop.topic, stop.partition] = stop

    async def stops(self, group: str) -> list[Stop]:
        return [self._stops[key] for key in sorted(self._stops) if key[0] == group]

    async def resume(self, group: str) -> int:
        stopped = await self.stops(group)
        for stop in stopped:
            del self._stops[stop.group, stop.topic, stop.partition]
        return len(stopped)
