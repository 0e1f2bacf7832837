"""The broker's offsets: after a change of leader a new client asks; other errors are outages."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest
from confluent_kafka import OFFSET_END, TIMESTAMP_CREATE_TIME, KafkaError, KafkaException, TopicPartition

from streams.errors import StoreUnavailable
from streams.kafka.offsets.offsets import Offsets
from streams.kafka.offsets.queued import Span
from streams.settings import KafkaSettings

LOG = ("edges", 3)


@dataclass
class Answered:
    """What librdkafka returns for one partition."""

    topic: str
    partition: int
    offset: int
    error: KafkaError | None = None


@dataclass
class FakeClients:
    """Makes clients; the first client gives the first of `results` to every call, and so on."""

    results: list[Callable[[Sequence[TopicPartition]], list[Answered]]]
    made: list[dict[str, object]] = field(default_factory=list)

    def __call__(self, configuration: dict[str, object]) -> "FakeClient":
        self.made.append(configuration)
        return FakeClient(self.results[len(self.made) - 1])


@dataclass
class FakeClient:
    result: Callable[[Sequence[TopicPartition]], list[Answered]]

    def offsets_for_times(self, partitions: list[TopicPartition], _: float) -> list[Answered]:
        return self.result(partitions)

    def committed(self, partitions: list[TopicPartition], _: float) -> list[Answered]:
        return self.result(partitions)


def ends_at(offset: int) -> Callable[[Sequence[TopicPartition]], list[Answered]]:
    def result(partitions: Sequence[TopicPartition]) -> list[Answered]:
        assert all(partition.offset == OFFSET_END for partition in partitions)
        return [Answered(partition.topic, partition.partition, offset) for partition in partitions]

    return result


def refused(code: int) -> Callable[[Sequence[TopicPartition]], list[Answered]]:
    def result(partitions: Sequence[TopicPartition]) -> list[Answered]:
        return [Answered(log.topic, log.partition, -1, KafkaError(code)) for log in partitions]

    return result


def failing(code: int) -> Callable[[Sequence[TopicPartition]], list[Answered]]:
    def result(_: Sequence[TopicPartition]) -> list[Answered]:
        raise KafkaException(KafkaError(code))

    return result


def offsets(clients: FakeClients) -> Offsets:
    return Offsets(KafkaSettings(), new_consumer=clients)


async def test_the_ends_of_logs_are_asked_in_one_request() -> None:
    """If no log is given, no request is sent."""
    clients = FakeClients([ends_at(7)])

    assert {LOG: 7, ("likes", 0): 7} == await offsets(clients).ends([LOG, ("likes", 0)])
    assert {} == await offsets(clients).ends([])
    assert len(clients.made) == 1


@pytest.mark.parametrize(
    "stale",
    [
        refused(KafkaError.NOT_LEADER_FOR_PARTITION),
        refused(KafkaError.LEADER_NOT_AVAILABLE),
        failing(KafkaError._UNKNOWN_PARTITION),
    ],
)
async def test_after_a_change_of_leader_a_new_client_is_asked(
    stale: Callable[[Sequence[TopicPartition]], list[Answered]],
) -> None:
    """A client caches the leaders; after a restart of the broker its cache may be old or empty."""
    assert {LOG: 7} == await offsets(FakeClients([stale, ends_at(7)])).ends([LOG])


@pytest.mark.parametrize(
    "results",
    [
        [failing(KafkaError._TIMED_OUT)],
        [refused(KafkaError.TOPIC_AUTHORIZATION_FAILED)],
        [failing(KafkaError._UNKNOWN_PARTITION), failing(KafkaError._TIMED_OUT)],
    ],
)
async def test_a_broker_that_does_not_say_is_unavailable(
    results: list[Callable[[Sequence[TopicPartition]], list[Answered]]],
) -> None:
    """An offset of -1 comes with an error, so it is not returned as the end of a log."""
    with pytest.raises(StoreUnavailable):
        await offsets(FakeClients(results)).ends([LOG])


async def test_partitions_without_a_commit_are_left_out() -> None:
    """If a group has committed nothing, no position is made up for the partition."""
    commits = [Answered("edges", 0, 5), Answered("edges", 1, -1_001)]

    assert {0: 5} == await offsets(FakeClients([lambda _: commits])).committed("edges", "edges", [0, 1])


@dataclass
class Polled:
    """A message or an event that a poll returns; those about no partition have no topic."""

    code: int | None
    at: int = -1
    log: tuple[str | None, int] = LOG

    def topic(self) -> str | None:
        return self.log[0]

    def partition(self) -> int:
        return self.log[1]

    def offset(self) -> int:
        return self.at

    def timestamp(self) -> tuple[int, int]:
        return TIMESTAMP_CREATE_TIME, 1_000 + self.at

    def error(self) -> KafkaError | None:
        return None if self.code is None else KafkaError(self.code)


class Reader:
    """A client that returns `polled`, and then nothing."""

    def __init__(self, *polled: Polled) -> None:
        self._polled = list(polled)
        self.is_open = True

    def assign(self, _: list[TopicPartition]) -> None:
        pass

    def poll(self, _: float) -> Polled | None:
        return self._polled.pop(0) if self._polled else None

    def close(self) -> None:
        self.is_open = False


AWAY = (Polled(KafkaError._TRANSPORT, log=(None, -1)), Polled(KafkaError._ALL_BROKERS_DOWN, log=(None, -1)))


async def skipped(*polled: Polled) -> dict[int, int]:
    """Ask twice with the same span, which reads the log."""
    reader = Reader(*polled)
    asked = Offsets(KafkaSettings(), new_consumer=lambda _: reader)
    await asked.skip_gaps("edges", "edges", {3: Span(5, 9)})
    try:
        return await asked.skip_gaps("edges", "edges", {3: Span(5, 9)})
    finally:
        assert not reader.is_open


@pytest.mark.parametrize(
    ("following", "begin"), [(Polled(None, 8), 8), (Polled(KafkaError._PARTITION_EOF, 9), 9)]
)
async def test_a_broker_that_is_away_does_not_matter_if_another_leads(following: Polled, begin: int) -> None:
    """Otherwise nothing would be watched while one of three brokers is down."""
    assert {3: begin} == await skipped(*AWAY, following)


async def test_an_error_of_the_log_is_not_waited_for() -> None:
    with pytest.raises(StoreUnavailable, match="authorization"):
        await skipped(Polled(KafkaError.TOPIC_AUTHORIZATION_FAILED))


async def test_without_an_answer_the_broker_that_is_away_is_named() -> None:
    with pytest.raises(StoreUnavailable, match=r"no answer within 10 s: .*_ALL_BROKERS_DOWN"):
        await skipped(*AWAY)


async def test_what_cannot_be_read_is_left_out_of_the_next_records() -> None:
    """The lag of the other logs is known, with the time of their records; where a log ends there is none."""
    other, ended = ("likes", 0), ("likes", 1)
    reader = Reader(
        Polled(KafkaError.TOPIC_AUTHORIZATION_FAILED),
        Polled(None, 8, other),
        Polled(KafkaError._PARTITION_EOF, 4, ended),
    )
    offsets = Offsets(KafkaSettings(), new_consumer=lambda _: reader)
    found = await offsets.next_records({LOG: 5, other: 7, ended: 2})

    assert {other: (8, True, 1_008), ended: (4, False, None)} == found
    assert not reader.is_open


async def test_logs_that_do_not_answer_in_time_are_left_out() -> None:
    offsets = Offsets(KafkaSettings(), new_consumer=lambda _: Reader(Polled(None, 8)))

    assert {LOG: (8, True, 1_008)} == await offsets.next_records({LOG: 5, ("likes", 0): 7})


async def test_commits_of_several_topics_are_one_request() -> None:
    """Partitions without a commit are left out."""
    asked: list[list[TopicPartition]] = []

    class Committed:
        def committed(self, partitions: list[TopicPartition], timeout: float) -> list[Answered]:
            asked.append(partitions)
            return [Answered("likes", 0, 7), Answered("edges", 3, 9), Answered("edges", 4, -1_001)]

    offsets = Offsets(KafkaSettings(), new_consumer=lambda _: Committed())
    commits = await offsets.commits("check", [("likes", 0), LOG, ("edges", 4)])

    assert {("likes", 0): 7, LOG: 9} == commits
    assert 1 == len(asked)
    assert 3 == len(asked[0])


async def test_a_client_that_was_too_late_is_not_asked_again() -> None:
    """It goes on asking a broker that was killed although another one leads the log by now."""
    clients = FakeClients([failing(KafkaError._TIMED_OUT), ends_at(7)])
    asked = offsets(clients)
    with pytest.raises(StoreUnavailable):
        await asked.ends([LOG])
    assert 1 == len(clients.made)

    assert {LOG: 7} == await asked.ends([LOG])


async def test_a_client_whose_coordinator_was_too_late_is_not_asked_again() -> None:
    clients = FakeClients([failing(KafkaError._TIMED_OUT), lambda _: [Answered(*LOG, 5)]])
    asked = offsets(clients)
    with pytest.raises(StoreUnavailable):
        await asked.commits("edges", [LOG])

    assert {LOG: 5} == await asked.commits("edges", [LOG])
