"""Which errors of Kafka count as an outage, tested with librdkafka's own errors; topics of a wrong size."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from schemas.facts import PhotoLiked
from streams.errors import StoreUnavailable
from streams.kafka.producing import load as loading
from streams.kafka.producing import producer as producing
from streams.kafka.producing.producer import Outgoing, Producer
from streams.kafka.producing.publisher import KafkaPublisher
from streams.settings import KafkaSettings
from tests.worlds.kafka import LOCAL
from topics.catalogue import CATALOGUE, LIKES
from topics.sizes import Profile, TopicMismatch

RECORD = Outgoing("uploads", 0, b"key", b"value")


class Broker:
    """Makes fake producers; each record gets the next of `errors`, or success if none is left."""

    def __init__(self, *errors: KafkaError) -> None:
        self.errors = list(errors)
        self.topics: dict[str, int] | None = {
            topic.named("t."): LOCAL.partitions(topic) for topic in CATALOGUE.values()
        }
        self.made = self.polls = 0

    def __call__(self, _: object) -> "FakeProducer":
        self.made += 1
        return FakeProducer(self)


class FakeProducer:
    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._fatal: KafkaError | None = None
        self._due: list[Callable[[], None]] = []

    def produce(
        self, *_: object, on_delivery: Callable[[KafkaError | None, object], None], **__: Any
    ) -> None:
        error = self._fatal or (self._broker.errors.pop(0) if self._broker.errors else None)
        if error is not None and error.fatal():
            self._fatal = error
        self._due.append(lambda: on_delivery(error, None))

    def list_topics(self, *, timeout: float) -> SimpleNamespace:
        if self._broker.topics is None:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))
        return SimpleNamespace(
            topics={
                name: SimpleNamespace(error=None, partitions=dict.fromkeys(range(partitions)))
                for name, partitions in self._broker.topics.items()
            }
        )

    def poll(self, _: float) -> int:
        self._broker.polls += 1
        due, self._due = self._due, []
        for report in due:
            report()
        return len(due)

    def flush(self, _: float) -> int:
        return 0

    def __len__(self) -> int:
        return len(self._due)


async def send(broker: Broker, monkeypatch: pytest.MonkeyPatch, times: int = 1) -> list[Exception | None]:
    """Send a record `times` times; return what each send raised, or None."""
    monkeypatch.setattr(producing, "LibrdkafkaProducer", broker)
    raised: list[Exception | None] = []
    async with Producer(KafkaSettings(), timeout_ms=1_000) as producer:
        for _ in range(times):
            try:
                await producer.send([RECORD])
            except (StoreUnavailable, KafkaException) as error:
                raised.append(error)
            else:
                raised.append(None)
    return raised


@pytest.mark.parametrize(
    "code",
    [
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.KAFKA_STORAGE_ERROR,
        KafkaError.THROTTLING_QUOTA_EXCEEDED,
        KafkaError.NOT_ENOUGH_REPLICAS,
        KafkaError.POLICY_VIOLATION,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._MSG_TIMED_OUT,
        KafkaError._QUEUE_FULL,
    ],
)
async def test_what_a_running_broker_refuses_is_an_outage(code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as a quota, a missing permission, a full disk; the caller sends the record again."""
    [error] = await send(Broker(KafkaError(code)), monkeypatch)

    assert isinstance(error, StoreUnavailable)


async def test_a_record_that_is_too_large_is_our_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    """No retry can make a broker accept it."""
    [error] = await send(Broker(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE)), monkeypatch)

    assert isinstance(error, KafkaException)


async def test_a_producer_that_failed_fatally_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a fatal error, such as a denied idempotent write, a producer never sends again."""
    broker = Broker(KafkaError(KafkaError.CLUSTER_AUTHORIZATION_FAILED, "denied", fatal=True))

    first, second = await send(broker, monkeypatch, times=2)

    assert isinstance(first, StoreUnavailable)
    assert (second, broker.made) == (None, 2)


async def test_a_producer_is_polled_only_while_records_are_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its thread sleeps until the next record, so a process that publishes nothing is not woken."""
    broker = Broker()

    assert await send(broker, monkeypatch, times=3) == [None] * 3
    assert broker.polls == 3


SMALL = KafkaSettings(namespace="t.", sizes=Profile.SMALL)
LIKE = PhotoLiked(photo_id=20, user_id=1)


def publisher_of(producer: Producer) -> KafkaPublisher:
    return KafkaPublisher(producer, namespace="t.", source="/test")


async def test_nothing_is_published_before_the_sizes_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """An API process starts without Kafka, and must not use the partitions of another profile."""
    broker = Broker()
    broker.topics = None
    monkeypatch.setattr(producing, "LibrdkafkaProducer", broker)
    async with Producer(KafkaSettings(namespace="t."), timeout_ms=1_000) as producer:
        publisher = publisher_of(producer)
        for refused in (publisher.publish(LIKE, time_us=1), publisher.ping(), producer.compare_sizes()):
            with pytest.raises(StoreUnavailable):
                await refused
        assert broker.polls == 0

        broker.topics = Broker().topics
        assert LOCAL == await producer.compare_sizes()
        await publisher.publish(LIKE, time_us=1)

    assert broker.polls > 0


async def test_topics_of_another_profile_are_refused_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error ends the process: it is none of those that are waited for."""
    broker = Broker()
    monkeypatch.setattr(producing, "LibrdkafkaProducer", broker)
    async with Producer(SMALL, timeout_ms=1_000) as producer:
        with pytest.raises(
            TopicMismatch, match=r'topic t\.fanout has 8 partitions, the profile "small" says 16'
        ):
            await producer.compare_sizes()
        with pytest.raises(StoreUnavailable):
            await publisher_of(producer).publish(LIKE, time_us=1)

    assert broker.polls == 0


async def test_a_topic_that_does_not_exist_yet_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be on its way; the line of log names it and the command that makes it."""
    broker = Broker()
    assert broker.topics is not None
    del broker.topics["t.edges"]
    monkeypatch.setattr(producing, "LibrdkafkaProducer", broker)
    async with Producer(KafkaSettings(namespace="t."), timeout_ms=1_000) as producer:
        with pytest.raises(StoreUnavailable, match=r"t\.edges: run `shutterline topics`"):
            await producer.compare_sizes()


async def test_events_use_all_partitions_of_an_upstream_topic_that_has_grown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broker = Broker()
    assert broker.topics is not None
    broker.topics[LIKES.named("t.")] = 40
    monkeypatch.setattr(producing, "LibrdkafkaProducer", broker)
    async with Producer(KafkaSettings(namespace="t."), timeout_ms=1_000) as producer:
        sizes = await producer.compare_sizes()

    assert (range(40), sizes) == (sizes.range_of(LIKES), producer.sizes())


def test_a_load_into_topics_of_another_profile_publishes_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broker, file = Broker(), tmp_path / "edges.tsv"
    file.write_text("1\t2\n")
    monkeypatch.setattr(loading, "LibrdkafkaProducer", broker)

    with pytest.raises(TopicMismatch, match=r"t\.fanout"):
        loading.load_edges(file, SMALL, lambda _: None)
    assert broker.polls == 0
