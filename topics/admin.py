"""Create the catalogue's topics on a broker, refuse topics that exist but differ, and add partitions.

The calls block. Deployments and the local stack make them; workers do not.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeVar

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AdminClient,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)

from topics.catalogue import CATALOGUE, Topic
from topics.sizes import Sizes, TopicMismatch

T = TypeVar("T")
RESPONSE_S_MAX = 30.0
VISIBLE_S_MAX = 30.0
BROKERS_S_MAX = 30.0
_POLL_S = 0.1
# What Kafka says while a broker that starts, or that was held up, has not reported to the controller yet.
_NOT_YET = {
    KafkaError.INVALID_REPLICATION_FACTOR,
    KafkaError.NOT_CONTROLLER,
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError._TIMED_OUT,
}


class CannotGrow(Exception):
    """A topic cannot get so many partitions; nothing about it was changed."""


class GroupsInUse(Exception):
    """Consumer groups have members, so they are not deleted."""


@dataclass(frozen=True, slots=True)
class TopicsReport:
    """The names on the broker: those that this call created, and those that existed as the catalogue says."""

    created: tuple[str, ...]
    verified: tuple[str, ...]


class _Outcome(Enum):
    CREATED = auto()
    EXISTS = auto()
    NOT_YET = auto()


def ensure_topics(
    bootstrap: str,
    namespace: str,
    sizes: Sizes,
    *,
    client_config: Mapping[str, str | int | float | bool] | None = None,
    replication_factor: int = 1,
) -> TopicsReport:
    """Create every topic of the catalogue that is missing under the namespace, and verify the others.

    New topics get the partitions of `sizes`.

    Returns once the broker's metadata shows all of them. The call may be repeated, and several
    processes may make it at once. `client_config` holds TLS and credentials, in librdkafka's names.

    Raises:
        TopicMismatch: Topics exist with other partitions or settings; the message names all of them.
        KafkaException: The broker did not respond in time, or refused; for want of brokers only after
            `BROKERS_S_MAX`.
        TimeoutError: A topic did not appear in the metadata in time.
    """
    admin = _client(bootstrap, client_config or {})
    wanted = {topic.named(namespace): topic for topic in CATALOGUE.values()}
    existing = _partition_counts(admin)
    # Before anything is created: topics of two profiles side by side would be worse than none.
    sizes.on_broker(namespace, existing)
    missing = [
        _new_topic(name, topic, sizes.partitions(topic), replication_factor)
        for name, topic in wanted.items()
        if name not in existing
    ]
    created = _create(admin, missing)
    sizes.on_broker(namespace, _wait_for(admin, wanted))  # Another process may have created some.
    _verify(wanted, _configs(admin, wanted))
    return TopicsReport(created=created, verified=tuple(name for name in wanted if name not in created))


def add_partitions(
    bootstrap: str,
    name: str,
    partitions: int,
    *,
    client_config: Mapping[str, str | int | float | bool] | None = None,
    is_dry_run: bool,
) -> int:
    """Let a topic, by its name on the broker, have `partitions`; returns how many it had.

    In a dry run the broker checks everything and changes nothing. Otherwise the call returns once the
    broker's metadata shows the new partitions.

    Raises:
        CannotGrow: There is no such topic, or it has as many already: Kafka never removes partitions.
        KafkaException: The broker did not respond in time, or refused.
        TimeoutError: The partitions did not appear in the metadata in time.
    """
    admin = _client(bootstrap, client_config or {})
    before = _partition_counts(admin).get(name)
    if before is None:
        raise CannotGrow(f"there is no topic {name}: `shutterline topics` creates it")
    if before >= partitions:
        raise CannotGrow(f"topic {name} has {before} partitions; give more than that")
    growing = admin.create_partitions(
        [NewPartitions(name, partitions)], request_timeout=RESPONSE_S_MAX, validate_only=is_dry_run
    )
    growing[name].result()
    if not is_dry_run:
        _wait_for(admin, [name], partitions_min=partitions)
    return before


def partition_counts(bootstrap: str, client_config: Mapping[str, str | int | float | bool]) -> dict[str, int]:
    """Return the partitions of every topic on the broker, by name.

    Raises:
        KafkaException: The broker did not respond in time.
    """
    return _partition_counts(_client(bootstrap, client_config))


def require_unused(
    bootstrap: str, groups: Iterable[str], client_config: Mapping[str, str | int | float | bool]
) -> None:
    """Check that no consumer group has members.

    Raises:
        GroupsInUse: Some have; the message names them.
        KafkaException: The broker did not respond in time, or refused.
    """
    admin = _client(bootstrap, client_config)
    described = admin.describe_consumer_groups(list(groups), request_timeout=RESPONSE_S_MAX)
    found = {group: _unless_missing(description) for group, description in described.items()}
    in_use = [group for group, description in found.items() if description and description.members]
    if in_use:
        raise GroupsInUse(f"{', '.join(in_use)} have members: stop their workers")


def delete_groups(
    bootstrap: str, groups: Iterable[str], client_config: Mapping[str, str | int | float | bool]
) -> None:
    """Delete consumer groups with their commits; one that does not exist is fine.

    Raises:
        GroupsInUse: One has members, and is not deleted.
        KafkaException: The broker did not respond in time, or refused.
    """
    admin = _client(bootstrap, client_config)
    for deletion in admin.delete_consumer_groups(list(groups), request_timeout=RESPONSE_S_MAX).values():
        _unless_missing(deletion)


def _unless_missing(answer: Future[T]) -> T | None:
    """Return the result of a request about a group; None if there is no such group."""
    try:
        return answer.result()
    except KafkaException as error:
        code = error.args[0].code()
        if code == KafkaError.NON_EMPTY_GROUP:
            raise GroupsInUse(str(error)) from error
        if code != KafkaError.GROUP_ID_NOT_FOUND:
            raise
        return None


def delete_topics(
    bootstrap: str, names: Sequence[str], client_config: Mapping[str, str | int | float | bool]
) -> None:
    """Delete topics; returns once the broker's metadata shows none of them.

    Raises:
        KafkaException: The broker did not respond in time, or refused.
        TimeoutError: The topics did not disappear from the metadata in time.
    """
    if not names:
        return
    admin = _client(bootstrap, client_config)
    for deletion in admin.delete_topics(list(names), request_timeout=RESPONSE_S_MAX).values():
        deletion.result()
    deadline_s = time.monotonic() + VISIBLE_S_MAX
    while left := [name for name in names if name in _partition_counts(admin)]:
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"waited {VISIBLE_S_MAX} s for {left} to disappear from the broker's metadata")
        time.sleep(_POLL_S)


def _new_topic(name: str, topic: Topic, partitions: int, replication_factor: int) -> NewTopic:
    # One replica may be down: an acknowledged record is then still on two of three.
    in_sync = max(1, replication_factor - 1)
    return NewTopic(
        name,
        num_partitions=partitions,
        replication_factor=replication_factor,
        config={**topic.config, "min.insync.replicas": str(in_sync)},
    )


def _client(bootstrap: str, client_config: Mapping[str, str | int | float | bool]) -> AdminClient:
    # Below errors: librdkafka writes to stderr itself, also while it closes. What fails is raised.
    return AdminClient({"log_level": 2, **client_config, "bootstrap.servers": bootstrap})


def _create(admin: AdminClient, missing: list[NewTopic]) -> tuple[str, ...]:
    """Create the topics, as soon as there are brokers for them.

    Returns the names that this call created, without those of another process.
    """
    deadline_s = time.monotonic() + BROKERS_S_MAX
    created: list[str] = []
    while missing:
        creations = admin.create_topics(missing, request_timeout=RESPONSE_S_MAX)
        is_last = time.monotonic() > deadline_s
        outcomes = {name: _outcome(creation, is_last=is_last) for name, creation in creations.items()}
        created += [name for name, outcome in outcomes.items() if outcome is _Outcome.CREATED]
        missing = [topic for topic in missing if outcomes[topic.topic] is _Outcome.NOT_YET]
        if missing:
            time.sleep(_POLL_S)
    return tuple(created)


def _outcome(creation: Future[None], *, is_last: bool) -> _Outcome:
    try:
        creation.result()
    except KafkaException as error:
        code = error.args[0].code()
        if code == KafkaError.TOPIC_ALREADY_EXISTS:
            return _Outcome.EXISTS
        if code in _NOT_YET and not is_last:
            return _Outcome.NOT_YET
        raise
    return _Outcome.CREATED


def _partition_counts(admin: AdminClient) -> dict[str, int]:
    topics = admin.list_topics(timeout=RESPONSE_S_MAX).topics
    return {name: len(topic.partitions) for name, topic in topics.items() if topic.error is None}


def _wait_for(admin: AdminClient, names: Iterable[str], *, partitions_min: int = 1) -> dict[str, int]:
    """Wait until every name is in the metadata, with its partitions. Returns their counts by name."""
    deadline_s = time.monotonic() + VISIBLE_S_MAX
    while True:
        counts = _partition_counts(admin)
        absent = [name for name in names if counts.get(name, 0) < partitions_min]
        if not absent:
            return counts
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"waited {VISIBLE_S_MAX} s for {absent} to appear in the broker's metadata")
        time.sleep(_POLL_S)


def _configs(admin: AdminClient, names: Iterable[str]) -> dict[str, dict[str, str | None]]:
    """Every setting of every topic, as a broker has it; that one may hear of new topics after the others."""
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    deadline_s = time.monotonic() + VISIBLE_S_MAX
    while True:
        descriptions = admin.describe_configs(resources, request_timeout=RESPONSE_S_MAX)
        try:
            return {
                resource.name: {key: entry.value for key, entry in description.result().items()}
                for resource, description in descriptions.items()
            }
        except KafkaException as error:
            is_unknown = error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART
            if not is_unknown or time.monotonic() > deadline_s:
                raise
        time.sleep(_POLL_S)


def _verify(wanted: Mapping[str, Topic], configs: Mapping[str, Mapping[str, str | None]]) -> None:
    wrong = [
        difference
        for name, topic in wanted.items()
        for difference in _differences(name, topic, configs[name])
    ]
    if wrong:
        raise TopicMismatch("; ".join(wrong))


def _differences(name: str, topic: Topic, config: Mapping[str, str | None]) -> Iterable[str]:
    for key, value in topic.config.items():
        if config.get(key) != value:
            yield (
                f"topic {name} has {key}={config.get(key)}, the catalogue says {value}: "
                f"set it on the broker (Terraform, from topics.json) or change the catalogue"
            )
