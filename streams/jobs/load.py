"""Load follow edges from a file: each becomes a `user.followed` event on `follows`."""

import gzip
from collections.abc import Callable, Iterator
from pathlib import Path
from time import time_ns
from uuid import uuid4

from confluent_kafka import KafkaError, KafkaException, Message
from confluent_kafka import Producer as LibrdkafkaProducer

from schemas.events import EventType, encode_event
from schemas.facts import UserFollowed
from schemas.ids import parse_id
from streams.settings import Settings
from topics.catalogue import FOLLOWS
from topics.partitioning import partition_of

QUEUE_RECORDS_MAX = 50_000
POLL_EVERY = 1_000
SOURCE = "/shutterline/load"


class BadEdge(ValueError):
    """A line of the file is no edge; nothing after it was published."""


def read_edges(path: Path) -> Iterator[tuple[int, int]]:
    """(follower, followee) of each line of a TSV file, gzipped or not, with or without a header.

    Raises:
        BadEdge: Names the line and what is wrong with it.
    """
    opened = gzip.open(path, "rt") if path.suffix == ".gz" else path.open()
    with opened as lines:
        for number, line in enumerate(lines, 1):
            fields = line.rstrip("\n").split("\t")
            if number == 1 and fields == ["follower", "followee"]:
                continue
            try:
                if len(fields) != 2:
                    raise ValueError(f"{len(fields)} fields, but must be follower and followee")
                follower, followee = parse_id(fields[0], "follower"), parse_id(fields[1], "followee")
                if follower == followee:
                    raise ValueError(f"{follower} follows itself")
            except ValueError as error:
                raise BadEdge(f"{path}, line {number}: {error}") from error
            yield follower, followee


def load_edges(path: Path, settings: Settings, advance: Callable[[int], None]) -> int:
    """Publish every edge, in the file's order; returns how many, when all are acknowledged.

    Loading a file again changes nothing but the edges' times.

    Raises:
        BadEdge: See `read_edges`; the edges before it are published.
        KafkaException: A record was not acknowledged.
    """
    failed: list[KafkaError] = []

    def delivered(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failed.append(error)

    producer = LibrdkafkaProducer(
        {
            "bootstrap.servers": settings.kafka,
            "enable.idempotence": True,
            "linger.ms": 20,
            "compression.type": "lz4",
            "queue.buffering.max.messages": QUEUE_RECORDS_MAX,
            **settings.kafka_security,
        }
    )
    topic, count = FOLLOWS.named(settings.namespace), 0
    try:
        for follower, followee in read_edges(path):
            data = UserFollowed(follower_id=follower, followee_id=followee)
            key, value, headers = encode_event(
                EventType.USER_FOLLOWED, data, id=str(uuid4()), source=SOURCE, time_us=time_ns() // 1_000
            )
            partition = partition_of(FOLLOWS, follower)
            while True:
                try:
                    producer.produce(
                        topic, value, key, partition=partition, headers=headers, on_delivery=delivered
                    )
                    break
                except BufferError:
                    producer.poll(0.1)
            count += 1
            if count % POLL_EVERY == 0:
                producer.poll(0)
                advance(POLL_EVERY)
    finally:
        producer.flush()
    if failed:
        raise KafkaException(failed[0])
    advance(count % POLL_EVERY)
    return count
