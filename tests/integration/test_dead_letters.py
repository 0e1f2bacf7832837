"""Events that can never succeed become one unchanged dead letter each. The events around them are
handled."""

import asyncio
import signal
import time
from random import Random
from typing import Any

import orjson
import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.default_records import DefaultRecordBatch
from confluent_kafka import Consumer, Message, TopicPartition
from typer.testing import CliRunner

from bench.traffic.events import follows, fresh_photo_ids, upload
from bench.traffic.readers import client_of, feed_of
from bench.traffic.waiting import eventually
from infra.local.deployment import Deployment
from schemas.events import FUTURE_MS_MAX
from schemas.facts import PhotoDeleted, PhotoLiked, UserFollowed
from schemas.ids import PhotoId, UserId, first_id_at
from schemas.internal import SetKind
from shutterline import app as command_line
from streams.kafka.producing.producer import Outgoing
from streams.stopping import STOP_SIGNALS
from streams.stores.connect import connect
from tests.integration.conftest import DeploymentFactory
from tests.worlds.kafka_batches import packed_batch

READER, AUTHOR, OTHER = UserId(1), UserId(2), UserId(3)
Header = tuple[str, bytes | None]
DEADLINE_S = 30.0
VALID_AFTER_S = 5


def read_all(deployment: Deployment, topic: str, count: int) -> list[Message]:
    """Read the first `count` records of a topic that has one partition, and check that there are no
    more."""
    consumer = Consumer({"bootstrap.servers": deployment.settings.kafka, "group.id": "test", "log_level": 0})
    consumer.assign([TopicPartition(f"{deployment.namespace}{topic}", 0, 0)])
    found: list[Message] = []
    deadline = time.monotonic() + DEADLINE_S
    while len(found) < count and time.monotonic() < deadline:
        message = consumer.poll(1.0)
        if message is not None and message.error() is None:
            found.append(message)
    _, end = consumer.get_watermark_offsets(TopicPartition(f"{deployment.namespace}{topic}", 0))
    consumer.close()
    assert end == len(found)
    return found


def broken(good: Outgoing, **changes: object) -> Outgoing:
    """Return `good` with another `key`, `value` or headers (`ce_…`; None removes the header)."""
    headers: dict[str, bytes | None] = dict(good.headers)
    for name, value in changes.items():
        if name.startswith("ce_"):
            if value is None:
                headers.pop(name)
            else:
                headers[name] = value  # type: ignore[assignment]
    return Outgoing(
        good.topic,
        good.partition,
        changes.get("key", good.key),  # type: ignore[arg-type]
        changes.get("value", good.value),  # type: ignore[arg-type]
        list(headers.items()),
    )


def each_kind(good: Outgoing, other_type: bytes) -> list[tuple[str, Outgoing]]:
    """Every kind of bad input that any topic can have, each with its expected reason."""
    return [
        ("not_cloudevent", broken(good, ce_specversion=b"0.3")),
        ("not_cloudevent", broken(good, ce_specversion=None, ce_id=None, ce_type=None)),
        ("missing_attribute", broken(good, ce_id=None)),
        ("missing_attribute", broken(good, ce_source=b"")),
        ("missing_attribute", broken(good, ce_time=b"yesterday")),
        ("unknown_type", broken(good, ce_type=b"photo.uploaded.v9")),
        ("unknown_type", broken(good, ce_type=other_type)),
        ("not_json", broken(good, value=None)),
        ("not_json", broken(good, value=b"")),
        ("not_json", broken(good, value=b"\xff\xfe")),
        ("not_json", broken(good, value=b"[1]")),
        ("invalid_data", broken(good, value=b"{}")),
        ("key_mismatch", broken(good, key=None)),
        ("key_mismatch", broken(good, key=b"999")),
        ("from_the_future", broken(good, ce_time=b"2099-01-01T00:00:00Z")),
    ]


@pytest.mark.law("L7")
async def test_each_kind_of_bad_input_is_one_dead_letter(system: DeploymentFactory) -> None:
    """Key, value and headers byte for byte, the reason added; good events before and behind are handled."""
    deployment = system()
    known, good, future = *fresh_photo_ids(2), PhotoId(first_id_at(4_000_000_000_000 // 2))
    like = deployment.outgoing(PhotoLiked(photo_id=known, user_id=READER))
    follow = follows(deployment, [(READER, AUTHOR)])[0]
    stolen = deployment.outgoing(PhotoDeleted(photo_id=known, author_id=OTHER))
    itself = UserFollowed(follower_id=READER, followee_id=READER)
    bad = {
        "uploads": [
            *each_kind(upload(deployment, good, AUTHOR), b"photo.liked.v1"),
            ("author_conflict", upload(deployment, known, OTHER)),
            ("author_conflict", stolen),
            ("from_the_future", upload(deployment, future, AUTHOR)),
        ],
        "follows": [
            *each_kind(follow, b"photo.liked.v1"),
            ("self_follow", deployment.outgoing(itself)),
        ],
        "likes": each_kind(like, b"user.followed.v1"),
    }
    await deployment.publish([upload(deployment, known, AUTHOR)])
    await deployment.drained()
    for letters in bad.values():
        await deployment.publish(record for _, record in letters)
    await deployment.publish([upload(deployment, good, AUTHOR), follow, like])
    await deployment.drained()

    for topic, letters in bad.items():
        found = read_all(deployment, f"{topic}-dlq", len(letters))
        assert sorted(reason for reason, _ in letters) == sorted(
            dict(message.headers() or [])["shutterline_reason"].decode() for message in found
        )
        for _, record in letters:
            [match] = [letter for letter in found if is_letter_of(letter, record)]
            added = dict(match.headers() or [])
            assert added["shutterline_topic"] == record.topic.encode()
            assert len(added["shutterline_error"]) > 10
    async with client_of(deployment) as client, connect(deployment.settings, timeout_ms=5_000) as stores:
        assert sorted([known, good], reverse=True) == await feed_of(client, READER)
        assert (await stores.counted_sets.summaries(SetKind.LIKERS, [known]))[known].total == 1


def is_letter_of(message: Message, record: Outgoing) -> bool:
    """Return whether the dead letter has this record's key, value and headers, the headers in the
    same order."""
    own = list(record.headers)
    return (message.key(), message.value(), (message.headers() or [])[: len(own)]) == (
        record.key,
        record.value,
        own,
    )


async def append(deployment: Deployment, topic: str, batch: bytes) -> None:
    """Append a batch to partition 0 as it is: no client library would write it."""
    name = f"{deployment.namespace}{topic}"
    client = AIOKafkaClient(bootstrap_servers=deployment.settings.kafka)
    await client.bootstrap()
    try:
        await client.set_topics([name])
        leader = client.cluster.leader_for_partition(TopicPartition(name, 0))
        response = await client.send(leader, ProduceRequest(None, -1, 10_000, [(name, [(0, batch)])]))
    finally:
        await client.close()
    [(_, [(_, error_code, *_)])] = response.topics
    assert error_code == 0


@pytest.mark.law("L7")
async def test_records_that_no_client_library_writes_stop_nothing(system: DeploymentFactory) -> None:
    """Names of headers that are not UTF-8, and values that unpack to more than a dead letter holds."""
    deployment = system()
    large = b'{"a":"%s"}' % (b"a" * 2_100_000)
    await append(deployment, "follows", packed_batch([b"{}"], name=b"\xff\xfe\0a"))
    await append(deployment, "follows", packed_batch([large], codec=DefaultRecordBatch.CODEC_GZIP))
    await append(deployment, "follows", packed_batch([noise(1_900_000)], codec=DefaultRecordBatch.CODEC_GZIP))
    good = deployment.outgoing(UserFollowed(follower_id=OTHER, followee_id=AUTHOR), partition=0)
    await deployment.publish([good])
    await deployment.drained()

    named, *too_large = read_all(deployment, "follows-dlq", 3)
    assert (named.headers() or [])[0] == ("\\xff\\xfe\\x00a", b"x")
    assert named.value() == b"{}"
    for offset, letter in enumerate(too_large, 1):
        headers = dict(letter.headers() or [])
        assert (letter.key(), letter.value()) == (b"7", None)
        assert headers["shutterline_left_out"] == b"value"
        assert headers["shutterline_offset"] == b"%d" % offset
    async with connect(deployment.settings, timeout_ms=5_000) as stores:
        assert (await stores.counted_sets.summaries(SetKind.FOLLOWERS, [AUTHOR]))[AUTHOR].total == 1


def noise(count: int) -> bytes:
    """Bytes of which gzip saves nearly half, and lz4 nothing."""
    return Random(7).randbytes(count // 2).hex().encode()


@pytest.mark.law("L7")
async def test_a_partition_stops_at_the_limit_and_goes_on_when_resumed(
    system: DeploymentFactory,
) -> None:
    """Exactly as many dead letters as the limit; other partitions go on; a restart does not resume it."""
    deployment = system(dead_letters_in_a_row_max=5)
    group = f"{deployment.namespace}check"
    bad = [
        Outgoing(f"{deployment.namespace}follows", 0, b"1", orjson.dumps({"n": number}), [])
        for number in range(8)
    ]
    elsewhere = deployment.outgoing(UserFollowed(follower_id=OTHER, followee_id=AUTHOR), partition=1)
    await deployment.publish(bad)
    async with connect(deployment.settings, timeout_ms=5_000) as stores:

        async def positions() -> list[tuple[int, int]]:
            return [(stop.partition, stop.position) for stop in await stores.stopped_partitions.stops(group)]

        async def followers() -> int:
            return (await stores.counted_sets.summaries(SetKind.FOLLOWERS, [AUTHOR]))[AUTHOR].total

        async def has_stopped() -> bool:
            return await positions() == [(0, 5)]

        async def has_a_follower() -> bool:
            return await followers() == 1

        await eventually("the partition has stopped", has_stopped)
        await deployment.publish([elsewhere])
        await eventually("the other partition goes on", has_a_follower)
        deployment.stack.stop_process(f"{deployment.namespace}worker-1")
        deployment.start_worker()
        assert 5 == len(read_all(deployment, "follows-dlq", 5))
        assert await positions() == [(0, 5)]
        assert (await deployment.lag())[group] == 3

        assert 1 == await stores.stopped_partitions.resume(group)

        await deployment.drained()
        assert 8 == len(read_all(deployment, "follows-dlq", 8))


@pytest.mark.law("L7")
async def test_one_bad_source_does_not_stop_the_others(system: DeploymentFactory) -> None:
    """More bad records of one app than the limit, in both modes, then a good event of the API in the
    same partition: it is handled, and every bad record is a dead letter."""
    deployment = system(dead_letters_in_a_row_max=5)
    topic = f"{deployment.namespace}follows"
    structured = orjson.dumps({"specversion": "1.0", "source": "/bad/app"})
    bad = [
        *(Outgoing(topic, 0, b"1", b"{", [("ce_source", b"/bad/app")]) for _ in range(8)),
        *(
            Outgoing(topic, 0, b"1", structured, [("content-type", b"application/cloudevents+json")])
            for _ in range(8)
        ),
    ]
    good = deployment.outgoing(UserFollowed(follower_id=OTHER, followee_id=AUTHOR), partition=0)

    await deployment.publish([*bad, good])
    await deployment.drained()

    assert 16 == len(read_all(deployment, "follows-dlq", 16))
    async with connect(deployment.settings, timeout_ms=5_000) as stores:
        assert (await stores.counted_sets.summaries(SetKind.FOLLOWERS, [AUTHOR]))[AUTHOR].total == 1
        assert await stores.stopped_partitions.stops(f"{deployment.namespace}check") == []


def dead_letters(deployment: Deployment, *arguments: str) -> str:
    """Run the command as an operator does, but in this process; returns what it shows."""
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    try:
        result = CliRunner().invoke(
            command_line.app, ["dead-letters", *arguments], env={**deployment.environment, "COLUMNS": "300"}
        )
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert result.exit_code == 0, result.output
    return result.stdout


def groups(deployment: Deployment) -> dict[str, tuple[int, int, int]]:
    """Return how many dead letters of each reason wait, were replayed and were discarded."""
    listing = orjson.loads(dead_letters(deployment, "list", "--topic", "follows", "--json"))
    return {
        group["reason"]: (group["waiting"], group["replayed"], group["discarded"])
        for group in listing["groups"]
    }


@pytest.mark.law("L7")
def test_dead_letters_are_replayed_once_their_cause_is_gone(system: DeploymentFactory) -> None:
    """Three follows from the future, which comes; a record that always fails; and one to discard."""
    deployment = system(dead_letter_attempts_max=2)
    valid_s = time.time() + VALID_AFTER_S
    time_us = int(valid_s * 1_000_000) + FUTURE_MS_MAX * 1_000
    good = deployment.outgoing(UserFollowed(follower_id=READER, followee_id=AUTHOR), partition=0)
    early = [
        deployment.outgoing(
            UserFollowed(follower_id=UserId(10 + number), followee_id=AUTHOR), time_us=time_us, partition=0
        )
        for number in range(3)
    ]
    bad = [broken(good, value=b"\x1b[2J"), broken(good, value=b'{"follower_id": "1"}')]
    asyncio.run(published(deployment, [bad[0], *early, bad[1], good]))

    assert groups(deployment) == {
        "not_json": (1, 0, 0),
        "from_the_future": (3, 0, 0),
        "invalid_data": (1, 0, 0),
    }
    shown = dead_letters(deployment, "show", "follows", "0", "0")
    assert "1b 5b 32 4a" in shown
    assert "\x1b" not in shown
    rehearsed = dead_letters(deployment, "replay", "--topic", "follows", "--reason", "from_the_future")
    assert "3 of follows with from_the_future would be replayed" in rehearsed
    assert [] == operations(deployment)
    assert 6 == len(records_of(deployment, "follows"))

    async def are_valid() -> bool:
        return time.time() >= valid_s

    asyncio.run(eventually("the events are valid", are_valid))
    dead_letters(deployment, "discard", "--reason", "not_json", "--by", "ada", "--execute")
    dead_letters(deployment, "replay", "--by", "ada", "--execute")
    asyncio.run(published(deployment, []))
    again = dead_letters(deployment, "replay", "--by", "ada", "--execute")

    assert "0 replayed" in again
    assert "1 left: all attempts used" in again
    assert groups(deployment) == {
        "not_json": (0, 0, 1),
        "from_the_future": (0, 3, 0),
        "invalid_data": (1, 1, 0),
    }
    assert 4 == asyncio.run(followers(deployment))
    replayed = records_of(deployment, "follows")[6:]
    assert [
        (sent.key, sent.value, [*sent.headers, ("shutterline_attempt", b"2")]) for sent in (*early, bad[1])
    ] == [(record.key(), record.value(), record.headers()) for record in replayed]
    assert [
        *[("discard", "started", 0), ("discard", "finished", 1)],
        *[("replay", "started", 0), ("replay", "finished", 4)],
        *[("replay", "started", 0), ("replay", "finished", 0)],
    ] == operations(deployment)


async def published(deployment: Deployment, records: list[Outgoing]) -> None:
    await deployment.publish(records)
    await deployment.drained()


async def followers(deployment: Deployment) -> int:
    async with connect(deployment.settings, timeout_ms=5_000) as stores:
        return (await stores.counted_sets.summaries(SetKind.FOLLOWERS, [AUTHOR]))[AUTHOR].total


def operations(deployment: Deployment) -> list[tuple[str, str, int]]:
    """Return what the topic `operations` says of dead letters: the action, its state, how many."""
    said = [orjson.loads(record.value()) for record in records_of(deployment, "operations")]
    return [
        (
            record["action"],
            record["state"],
            record["counts"].get("replayed", 0) + record["counts"].get("discarded", 0),
        )
        for record in said
        if record["type"] == "dead_letters_run"
    ]


def records_of(deployment: Deployment, topic: str) -> list[Any]:
    """Return every record of partition 0."""
    name = f"{deployment.namespace}{topic}"
    consumer = Consumer({"bootstrap.servers": deployment.settings.kafka, "group.id": "test", "log_level": 0})
    _, end = consumer.get_watermark_offsets(TopicPartition(name, 0), timeout=DEADLINE_S)
    consumer.assign([TopicPartition(name, 0, 0)])
    records: list[Any] = []
    while len(records) < end:
        message = consumer.poll(DEADLINE_S)
        assert message is not None, f"{len(records)} of {end} records after {DEADLINE_S} s"
        records += [message] if message.error() is None else []
    consumer.close()
    return records
