"""Who owns the partitions of a group: read with a client that cannot end the process."""

import asyncio
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import KafkaConnectionError, NotCoordinatorError

from streams.errors import StoreUnavailable
from streams.kafka.offsets.members import GroupMembers
from streams.settings import KafkaSettings

NOT_COORDINATOR = 16


def member(number: int, client: str, *partitions: int) -> tuple[str, str, str, bytes, bytes]:
    assignment = ConsumerProtocolMemberAssignment(0, [("likes", list(partitions))], b"")
    return f"{client}-{number}", client, "/127.0.0.1", b"", assignment.encode() if partitions else b""


@dataclass
class Client:
    """Groups by name: code, state and members. With `down`, nothing responds; with `hangs`, nothing ever."""

    groups: dict[str, tuple[int, str, list[Any]]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    made: int = 0
    closed: int = 0
    down: bool = False
    hangs: bool = False

    def __call__(self, **configuration: Any) -> "Client":
        assert configuration["bootstrap_servers"] == "127.0.0.1:9092"
        self.made += 1
        return self

    async def start(self) -> None:
        if self.down:
            raise KafkaConnectionError("down")

    async def close(self) -> None:
        self.closed += 1

    async def find_coordinator(self, group: str) -> int:
        self.asked.append(group)
        return 1

    async def describe_consumer_groups(self, groups: list[str], node: int) -> list[Any]:
        if self.hangs:
            await asyncio.Event().wait()
        if self.down:
            raise KafkaConnectionError("down")
        [group] = groups
        code, state, members = self.groups.get(group, (0, "Dead", []))
        return [SimpleNamespace(groups=[(code, group, state, "consumer", "range", members)])]


def members_of(client: Client) -> GroupMembers:
    return GroupMembers(KafkaSettings(), timeout_s=0.05, new_client=client)


async def test_members_own_partitions_by_the_name_of_their_client() -> None:
    client = Client(
        {
            "check": (0, "Stable", [member(1, "worker-1", 0, 2), member(2, "worker-2", 1)]),
            "edges": (0, "PreparingRebalance", [member(1, "worker-1")]),
            "bulk": (0, "Empty", []),
        }
    )
    members = await members_of(client).of(["check", "edges", "bulk", "never"])

    owners = {("likes", 0): "worker-1", ("likes", 1): "worker-2", ("likes", 2): "worker-1"}
    assert owners == members["check"].owners
    assert {"worker-1-1", "worker-2-2"} == members["check"].ids
    assert [False, True, False, False] == [each.is_rebalancing for each in members.values()]
    assert [2, 1, 0, 0] == [len(each.ids) for each in members.values()]


async def test_a_coordinator_is_looked_for_once_and_again_when_it_has_moved() -> None:
    """The others are known meanwhile."""
    client = Client({"check": (NOT_COORDINATOR, "", []), "bulk": (0, "Empty", [])})
    members = members_of(client)
    for _ in range(2):
        assert {"bulk"} == (await members.of(["check", "bulk"])).keys()
    client.groups.clear()

    assert {"check", "bulk"} == (await members.of(["check", "bulk"])).keys()
    assert ["check", "bulk", "check", "check"] == client.asked
    assert 1 == client.made
    assert NOT_COORDINATOR == NotCoordinatorError.errno


@pytest.mark.parametrize("trouble", ["down", "hangs"])
async def test_brokers_that_do_not_respond_are_an_outage_and_the_client_connects_again(trouble: str) -> None:
    client = Client()
    members = members_of(client)
    setattr(client, trouble, True)
    if trouble == "down":
        with pytest.raises(StoreUnavailable):
            await members.of(["check"])
        assert client.closed == 1
    else:
        with pytest.raises(StoreUnavailable, match="TimeoutError"):
            await members.of(["check"])
        assert client.closed == 1
    setattr(client, trouble, False)

    assert {"check"} == (await members.of(["check"])).keys()
    assert 2 == client.made
    await members.close()
    assert 2 == client.closed
