"""Topics on a real broker: created as in the catalogue, and refused if their settings differ."""

from uuid import uuid4

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from bench.traffic.waiting import wait_until
from tests.worlds.kafka import LOCAL
from topics.admin import ensure_topics
from topics.catalogue import CATALOGUE, FANOUT, LIKES, RECORD_BYTES_MAX, UPLOADS
from topics.sizes import TopicMismatch


@pytest.fixture
def namespace() -> str:
    """A namespace that no other test uses, so that tests can run at the same time."""
    return f"t{uuid4().hex[:8]}."


def make(bootstrap: str, topic: NewTopic) -> None:
    """Create a topic with settings that are not the catalogue's; returns when the broker shows it."""
    # In a variable, because the client must exist until the result has arrived.
    admin = AdminClient({"bootstrap.servers": bootstrap})
    (answer,) = admin.create_topics([topic]).values()
    answer.result()
    # The controller has it. A broker's metadata may be without it for a moment.
    wait_until("the broker shows it", lambda: topic.topic in admin.list_topics(timeout=30).topics)


def test_missing_topics_are_made_and_found_again(kafka_bootstrap: str, namespace: str) -> None:
    """The first call creates all topics. The second call creates none and verifies all."""
    names = {topic.named(namespace) for topic in CATALOGUE.values()}

    first = ensure_topics(kafka_bootstrap, namespace, LOCAL)
    second = ensure_topics(kafka_bootstrap, namespace, LOCAL)

    assert (set(first.created), first.verified) == (names, ())
    assert (second.created, set(second.verified)) == ((), names)


def test_partitions_on_the_broker_are_those_of_the_profile(kafka_bootstrap: str, namespace: str) -> None:
    """Producers compute a record's partition from the number in the profile."""
    ensure_topics(kafka_bootstrap, namespace, LOCAL)

    metadata = AdminClient({"bootstrap.servers": kafka_bootstrap}).list_topics(timeout=30).topics

    for topic in CATALOGUE.values():
        assert len(metadata[topic.named(namespace)].partitions) == LOCAL.partitions(topic)


def test_a_topic_with_other_partitions_is_refused(kafka_bootstrap: str, namespace: str) -> None:
    """With 4 partitions the bulk lane would have no partition. The topic is not changed, no other is
    created, and the error says what to do."""
    name = FANOUT.named(namespace)
    make(kafka_bootstrap, NewTopic(name, num_partitions=4, config=dict(FANOUT.config)))

    with pytest.raises(TopicMismatch, match=r'has 4 partitions, the profile "local" says 8: set'):
        ensure_topics(kafka_bootstrap, namespace, LOCAL)

    topics = AdminClient({"bootstrap.servers": kafka_bootstrap}).list_topics(timeout=30).topics
    assert [name] == [each for each in topics if each.startswith(namespace)]


def test_a_topic_with_other_settings_is_refused_with_all_its_differences(
    kafka_bootstrap: str, namespace: str
) -> None:
    """With a retention of one day, records that wait longer would be lost. With a limit of 1 MB,
    the largest records would be refused."""
    config = {"retention.ms": "86400000", "max.message.bytes": "1000000"}
    make(
        kafka_bootstrap,
        NewTopic(LIKES.named(namespace), num_partitions=LOCAL.partitions(LIKES), config=config),
    )

    with pytest.raises(TopicMismatch) as caught:
        ensure_topics(kafka_bootstrap, namespace, LOCAL)

    assert "has retention.ms=86400000, the catalogue says 604800000" in str(caught.value)
    assert "has max.message.bytes=1000000, the catalogue says 1114112" in str(caught.value)


def test_a_record_of_one_mebibyte_with_headers_is_taken(kafka_bootstrap: str, namespace: str) -> None:
    """The record is uncompressed and as large as the contract allows."""
    ensure_topics(kafka_bootstrap, namespace, LOCAL)
    failures: list[object] = []
    producer = Producer({"bootstrap.servers": kafka_bootstrap, "message.max.bytes": 2 * RECORD_BYTES_MAX})

    producer.produce(
        UPLOADS.named(namespace),
        key=b"1001",
        value=b"x" * RECORD_BYTES_MAX,
        headers=[("ce_id", b"x" * 30_000)],
        on_delivery=lambda error, _: failures.append(error),
    )

    assert producer.flush(30) == 0
    assert failures == [None]
