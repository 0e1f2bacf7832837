"""Edges are published in records of many, each in the partition of its owner, in order."""

from collections import Counter
from collections.abc import Sequence
from typing import cast

import pytest

from schemas.ids import PhotoId, UserId
from schemas.internal import (
    DELIVERIES,
    EDGES_A_RECORD_MAX,
    Backfill,
    EdgeRecord,
    FanoutPosts,
    SetKind,
    decode_edges,
    encode_edges,
)
from streams.kafka.producing.outbox import KafkaOutbox
from streams.kafka.producing.producer import Outgoing, Producer
from streams.ports.publishing import FanoutMessage
from tests.worlds.kafka import LOCAL
from topics.catalogue import EDGES, FANOUT, Lane


class Sent:
    """A producer that keeps what it is given."""

    def __init__(self) -> None:
        self.records: list[Outgoing] = []

    async def send(self, records: Sequence[Outgoing]) -> None:
        self.records += records

    async def ends_of(self, records: Sequence[Outgoing]) -> dict[tuple[str, int], int]:
        await self.send(records)
        return Counter((record.topic, record.partition) for record in self.records)


def like(owner: int, member: int) -> EdgeRecord:
    return EdgeRecord(SetKind.LIKERS, member, owner, time_us=member, removed=member % 2 == 0)


async def test_each_edge_is_published_once_with_its_owners_others_in_order() -> None:
    """The writer of an owner's set owns one partition, and finds the changes in their order."""
    sent = Sent()
    edges = [like(number % 7 + 1, number) for number in range(1, 4 * EDGES_A_RECORD_MAX)]

    await KafkaOutbox(cast(Producer, sent), "n.", LOCAL).edges(edges)

    by_owner: dict[int, list[EdgeRecord]] = {}
    for record in sent.records:
        assert record.value is not None
        decoded = decode_edges(record.value)
        assert len(decoded) <= EDGES_A_RECORD_MAX
        assert {record.partition} == {LOCAL.partition_of(EDGES, edge.owner) for edge in decoded}
        for edge in decoded:
            by_owner.setdefault(edge.owner, []).append(edge)
    assert by_owner == {owner: [edge for edge in edges if edge.owner == owner] for owner in range(1, 8)}
    assert {"n.edges"} == {record.topic for record in sent.records}


async def test_the_edges_of_one_owner_share_records() -> None:
    sent = Sent()
    await KafkaOutbox(cast(Producer, sent), "", LOCAL).edges(
        [like(1, number + 1) for number in range(EDGES_A_RECORD_MAX + 1)]
    )

    assert [EDGES_A_RECORD_MAX, 1] == [len(decode_edges(record.value or b"")) for record in sent.records]


async def test_posts_go_to_the_partition_of_their_authors() -> None:
    sent = Sent()
    ends = await KafkaOutbox(cast(Producer, sent), "n.", LOCAL).fanout(
        [
            FanoutMessage(FanoutPosts(1, ((PhotoId(20), UserId(author), 0, 0),)), author)
            for author in range(1, 30)
        ],
        Lane.NORMAL,
    )

    partitions = [LOCAL.partition_of(FANOUT, author, Lane.NORMAL) for author in range(1, 30)]
    assert partitions == [record.partition for record in sent.records]
    assert [[(DELIVERIES, b"%d" % author)] for author in range(1, 30)] == [
        record.headers for record in sent.records
    ]
    assert {partition: partitions.count(partition) for partition in set(partitions)} == ends


async def test_backfills_of_one_account_are_spread_over_the_lane() -> None:
    """So that 100,000 new followers do not hold up one partition."""
    sent = Sent()
    follows = [FanoutMessage(Backfill(((UserId(reader), UserId(7)),)), 0) for reader in range(1, 200)]
    await KafkaOutbox(cast(Producer, sent), "", LOCAL).fanout(follows, Lane.BULK)

    assert {record.partition for record in sent.records} == set(LOCAL.range_of(FANOUT, Lane.BULK))


@pytest.mark.parametrize(
    "value",
    [
        b"",
        encode_edges([like(1, 1)])[:-1],
        encode_edges([like(1, 1)]) + b"\x01",
        encode_edges([like(1, 1)]) + b"\x02" + encode_edges([like(1, 1)])[1:],
        b"\x01\x09" + encode_edges([like(1, 1)])[2:],
    ],
    ids=["nothing", "cut off", "more", "a later version", "an unknown set"],
)
def test_what_is_no_edge_is_refused(value: bytes) -> None:
    with pytest.raises(ValueError, match="edge"):
        decode_edges(value)
