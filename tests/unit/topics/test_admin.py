"""Creating topics while brokers are not there yet, and what does not grow.

The rest needs a broker: `tests/integration/kafka`.
"""

from concurrent.futures import Future
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic

from topics import admin
from topics.admin import CannotGrow, add_partitions

NO_BROKERS = KafkaError.INVALID_REPLICATION_FACTOR


class _Broker:
    """Answers each attempt to create a topic with the next error of its list; None is success."""

    def __init__(self, **answers: list[int | None]) -> None:
        self._answers = answers
        self.asked: list[list[str]] = []

    def create_topics(self, topics: list[NewTopic], **options: Any) -> dict[str, Future[None]]:
        self.asked.append([topic.topic for topic in topics])
        return {topic.topic: self._answer(topic.topic) for topic in topics}

    def describe_configs(self, resources: list[ConfigResource], **options: Any) -> dict[Any, Future[Any]]:
        return {resource: self._answer(resource.name, {}) for resource in resources}

    def _answer(self, name: str, result: Any = None) -> Future[Any]:
        answer: Future[Any] = Future()
        code = self._answers[name].pop(0)
        if code is None:
            answer.set_result(result)
        else:
            answer.set_exception(KafkaException(KafkaError(code)))
        return answer


def _create(broker: _Broker, *names: str) -> tuple[str, ...]:
    topics = [NewTopic(name, num_partitions=1, replication_factor=1) for name in names]
    return admin._create(cast(AdminClient, broker), topics)


def test_the_client_writes_nothing_to_stderr_itself(capfd: pytest.CaptureFixture[str]) -> None:
    """librdkafka logs each try to connect, and at its end what it drops: no lines of a command's output."""
    with pytest.raises(KafkaException):
        admin._client("127.0.0.1:9", {}).list_topics(timeout=0.2)

    assert ("", "") == capfd.readouterr()


def test_a_broker_that_is_fenced_is_waited_for() -> None:
    """What was created meanwhile is not asked for again; what another process created is not ours."""
    broker = _Broker(a=[NO_BROKERS, None], b=[None], c=[NO_BROKERS, KafkaError.TOPIC_ALREADY_EXISTS])

    assert set(_create(broker, "a", "b", "c")) == {"a", "b"}
    assert broker.asked == [["a", "b", "c"], ["a", "c"]]


def test_brokers_that_never_come_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """After `BROKERS_S_MAX`."""
    monkeypatch.setattr(admin, "BROKERS_S_MAX", -1.0)

    with pytest.raises(KafkaException):
        _create(_Broker(a=[NO_BROKERS]), "a")


def test_another_refusal_is_an_error_at_once() -> None:
    with pytest.raises(KafkaException):
        _create(_Broker(a=[KafkaError.TOPIC_AUTHORIZATION_FAILED]), "a")


def test_a_broker_that_has_not_heard_of_a_new_topic_is_asked_again() -> None:
    """Another one has shown it already."""
    broker = _Broker(a=[KafkaError.UNKNOWN_TOPIC_OR_PART, None], b=[None, None])

    assert admin._configs(cast(AdminClient, broker), ["a", "b"]) == {"a": {}, "b": {}}


@pytest.mark.parametrize(("name", "partitions"), [("likes", 6), ("likes", 5), ("absent", 9)])
def test_what_cannot_grow_is_refused_before_the_broker_is_asked(
    name: str, partitions: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kafka removes no partitions, and a topic that is missing is created with those of the profile."""
    monkeypatch.setattr(admin, "AdminClient", lambda _: object())
    monkeypatch.setattr(admin, "_partition_counts", lambda _: {"likes": 6})

    with pytest.raises(CannotGrow, match=name):
        add_partitions("", name, partitions, is_dry_run=False)
