"""Watch consumer groups through the broker: when each has all its members and is stable."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from confluent_kafka import ConsumerGroupState
from confluent_kafka.admin import AdminClient

from infra.local.deployment import Deployment
from streams.roles import Role, group_of

LOOK_S = 0.02
WAIT_S_MAX = 30.0


@dataclass(slots=True)
class GroupWatch:
    """Looks every 20 ms. A stable group has given every partition to one of its members."""

    deployment: Deployment
    roles: tuple[Role, ...]
    _admin: AdminClient = field(init=False)

    def __post_init__(self) -> None:
        self._admin = AdminClient({"bootstrap.servers": self.deployment.settings.kafka})

    def members(self) -> Mapping[str, int]:
        """How many members each group has; 0 for one that is not stable."""
        names = [group_of(self.deployment.namespace, role) for role in self.roles]
        groups = self._admin.describe_consumer_groups(names)
        return {name: _members(future.result()) for name, future in groups.items()}

    async def took(self, event: Callable[[], object], *, members: int) -> tuple[float, float]:
        """Call `event`, and wait until all groups are stable with `members` members.

        Returns the seconds from the call until then, and the longest time in seconds for which one
        group was not stable. The second time begins when the group is first seen to change, not at
        the call, because a process that starts joins its groups one after the other.

        Raises:
            TimeoutError: The groups were not stable within `WAIT_S_MAX`.
        """
        before = await asyncio.to_thread(self.members)
        changed_s: dict[str, float] = {}
        ended_s: dict[str, float] = {}
        began = time.monotonic()
        acting = asyncio.create_task(asyncio.to_thread(event))
        while time.monotonic() - began < WAIT_S_MAX:
            seen = await asyncio.to_thread(self.members)
            now = time.monotonic() - began
            for group, count in seen.items():
                if count != before[group]:
                    changed_s.setdefault(group, now)
                if count == members:
                    ended_s.setdefault(group, now)
            if len(ended_s) == len(before):
                await acting
                return max(ended_s.values()), max(ended_s[group] - changed_s[group] for group in before)
            await asyncio.sleep(LOOK_S)
        raise TimeoutError(f"not stable with {members} members after {WAIT_S_MAX} s: {seen}")


def _members(group: object) -> int:
    stable = group.state == ConsumerGroupState.STABLE  # type: ignore[attr-defined]  # The client has no types.
    return len(group.members) if stable else 0  # type: ignore[attr-defined]
