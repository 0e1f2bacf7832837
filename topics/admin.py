"""Create the catalogue's topics on a broker, and refuse those that are there but differ.

Blocking; run at deployment and by the local stack, not by the workers.
"""

import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AdminClient,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from topics.catalogue import CATALOGUE, Topic

ANSWER_S_MAX = 30.0
VISIBLE_S_MAX = 30.0
_LOOK_AGAIN_S = 0.1


class TopicMismatch(Exception):
    """Topics exist but are not as the catalogue says; nothing about them was changed."""


@dataclass(frozen=True, slots=True)
class Report:
    """The names on the broker: those created by this call, and those that were there and are right."""

    created: tuple[str, ...]
    verified: tuple[str, ...]


def ensure_topics(
    bootstrap: str,
    namespace: str,
    *,
    client_config: Mapping[str, str | int | float | bool] | None = None,
    replication_factor: int = 1,
) -> Report:
    """Make every topic of the catalogue exist under the namespace, as the catalogue says.

    Returns once the broker's metadata shows all of them. May be repeated, and run by several
    processes at once. `client_config` holds TLS and credentials, in librdkafka's names.

    Raises:
        TopicMismatch: Topics exist with other partitions or settings; names all of them.
        KafkaException: The broker did not answer in time, or refused.
        TimeoutError: A topic did not show in the metadata in time.
    """
    admin = AdminClient({**(client_config or {}), "bootstrap.servers": bootstrap})
    wanted = {topic.named(namespace): topic for topic in CATALOGUE.values()}
    there = _partition_counts(admin)
    missing = [
        _new_topic(name, topic, replication_factor) for name, topic in wanted.items() if name not in there
    ]
    created = _create(admin, missing)
    _verify(wanted, _wait_for(admin, wanted), _configs(admin, wanted))
    return Report(created=created, verified=tuple(name for name in wanted if name not in created))


def _new_topic(name: str, topic: Topic, replication_factor: int) -> NewTopic:
    # One replica may be down: an acknowledged record is then still on two of three.
    in_sync = max(1, replication_factor - 1)
    return NewTopic(
        name,
        num_partitions=topic.partitions,
        replication_factor=replication_factor,
        config={**topic.config, "min.insync.replicas": str(in_sync)},
    )


def _create(admin: AdminClient, missing: list[NewTopic]) -> tuple[str, ...]:
    """Create the topics; the names of those that this call created, and not another process."""
    if not missing:
        return ()
    answers = admin.create_topics(missing, request_timeout=ANSWER_S_MAX)
    return tuple(name for name, answer in answers.items() if _was_created(answer))


def _was_created(answer: Future[None]) -> bool:
    try:
        answer.result()
    except KafkaException as error:
        if error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:
            return False
        raise
    return True


def _partition_counts(admin: AdminClient) -> dict[str, int]:
    topics = admin.list_topics(timeout=ANSWER_S_MAX).topics
    return {name: len(topic.partitions) for name, topic in topics.items() if topic.error is None}


def _wait_for(admin: AdminClient, names: Iterable[str]) -> dict[str, int]:
    """The partition counts once every name is there."""
    deadline_s = time.monotonic() + VISIBLE_S_MAX
    while True:
        counts = _partition_counts(admin)
        absent = [name for name in names if name not in counts]
        if not absent:
            return counts
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"waited {VISIBLE_S_MAX} s for {absent} to show in the broker's metadata")
        time.sleep(_LOOK_AGAIN_S)


def _configs(admin: AdminClient, names: Iterable[str]) -> dict[str, dict[str, str | None]]:
    """Every setting of every topic, as the broker states it."""
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    answers = admin.describe_configs(resources, request_timeout=ANSWER_S_MAX)
    return {
        resource.name: {key: entry.value for key, entry in answer.result().items()}
        for resource, answer in answers.items()
    }


def _verify(
    wanted: Mapping[str, Topic], counts: Mapping[str, int], configs: Mapping[str, Mapping[str, str | None]]
) -> None:
    wrong = [
        difference
        for name, topic in wanted.items()
        for difference in _differences(name, topic, counts[name], configs[name])
    ]
    if wrong:
        raise TopicMismatch("; ".join(wrong))


def _differences(name: str, topic: Topic, partitions: int, config: Mapping[str, str | None]) -> Iterable[str]:
    if partitions != topic.partitions:
        yield (
            f"topic {name} has {partitions} partitions, the catalogue says {topic.partitions}: "
            f"drain it and make it anew, because its records' places depend on the number"
        )
    for key, value in topic.config.items():
        if config.get(key) != value:
            yield (
                f"topic {name} has {key}={config.get(key)}, the catalogue says {value}: "
                f"set it on the broker (Terraform, from topics.json) or change the catalogue"
            )
