"""Ask the brokers who is a member of a consumer group, and which partitions each member owns.

librdkafka's admin client could say the same, but its calls about groups end the process (SIGSEGV) if a
coordinator has just moved. aiokafka's is Python, so the worst that it does is to raise an error.
"""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import KafkaError, for_code

from streams.core.lag.samples import Log, Members
from streams.errors import StoreUnavailable
from streams.kafka.clients import STORE, aiokafka_client
from streams.settings import KafkaSettings

REBALANCING = frozenset({"PreparingRebalance", "CompletingRebalance"})


class GroupMembers:
    """One client for all groups, which connects when it is first used; `new_client` makes it."""

    def __init__(
        self,
        settings: KafkaSettings,
        *,
        timeout_s: float,
        new_client: Callable[..., Any] = AIOKafkaAdminClient,
    ) -> None:
        self._settings = settings
        self._timeout_s = timeout_s
        self._new_client = new_client
        self._client: Any = None
        self._coordinators: dict[str, int] = {}

    async def of(self, groups: Iterable[str]) -> dict[str, Members]:
        """Return the members of the groups whose coordinators answered. A group nobody knows has none.

        Raises:
            StoreUnavailable: No broker answered.
        """
        names = list(groups)
        try:
            async with asyncio.timeout(self._timeout_s):
                client = await self._connected()
                found = await asyncio.gather(
                    *(self._describe(client, group) for group in names), return_exceptions=True
                )
        except (KafkaError, OSError, TimeoutError) as error:
            await self.close()
            raise StoreUnavailable(STORE, "members", f"{type(error).__name__} {error}") from error
        members: dict[str, Members] = {}
        for group, outcome in zip(names, found, strict=True):
            if isinstance(outcome, Members):
                members[group] = outcome
            elif isinstance(outcome, KafkaError | OSError):
                self._coordinators.pop(group, None)  # It may have moved: the next call looks for it.
            else:
                raise outcome
        return members

    async def close(self) -> None:
        """Close the client; the next call connects again."""
        client, self._client = self._client, None
        self._coordinators.clear()
        if client is not None:
            with suppress(KafkaError, OSError, TimeoutError):
                async with asyncio.timeout(self._timeout_s):
                    await client.close()

    async def _connected(self) -> Any:
        if self._client is None:
            client = self._new_client(
                **aiokafka_client(self._settings), request_timeout_ms=int(self._timeout_s * 1_000)
            )
            try:
                await client.start()
            except BaseException:
                await client.close()
                raise
            self._client = client
        return self._client

    async def _describe(self, client: Any, group: str) -> Members:
        if group not in self._coordinators:
            self._coordinators[group] = await client.find_coordinator(group)
        # One group a request: aiokafka reads only the first of several right.
        responses = await client.describe_consumer_groups([group], self._coordinators[group])
        (code, _, state, _, _, members, *_), *_ = responses[0].groups
        if code:
            raise for_code(code)
        owners: dict[Log, str] = {}
        for _, client_id, _, _, assignment in members:
            if assignment:  # Empty while the group is in a rebalance.
                for topic, partitions in ConsumerProtocolMemberAssignment.decode(assignment).assignment:
                    owners |= {(topic, partition): client_id for partition in partitions}
        return Members(
            is_rebalancing=state in REBALANCING, ids=frozenset(member[0] for member in members), owners=owners
        )
