"""What the groups of a namespace have not committed yet, as the broker sees it.

It asks for the groups and what they were given, so it holds for every checkout, whatever its groups.
"""

from collections.abc import Iterable, Sequence

from confluent_kafka import ConsumerGroupState, ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec


def queued_records(admin: AdminClient, namespace: str) -> int:
    """Records of all partitions that some member of a group of `namespace` owns."""
    # First the commits, then the ends: what moves on meanwhile is counted and not missed.
    committed = {group: _committed(admin, group, owned) for group, owned in _owned(admin, namespace).items()}
    positions = [position for of_group in committed.values() for position in of_group]
    ends = _ends(admin, positions)
    return sum(ends[position.topic, position.partition] - max(0, position.offset) for position in positions)


def all_stable(admin: AdminClient, namespace: str) -> bool:
    """Whether every group of `namespace` has members, and has given them its partitions."""
    described = admin.describe_consumer_groups(_groups(admin, namespace))
    groups = [future.result() for future in described.values()]
    return all(group.state == ConsumerGroupState.STABLE and group.members for group in groups)


def _groups(admin: AdminClient, namespace: str) -> list[str]:
    groups = [group.group_id for group in admin.list_consumer_groups().result().valid]
    return [group for group in groups if group.startswith(namespace)]


def _owned(admin: AdminClient, namespace: str) -> dict[str, list[TopicPartition]]:
    described = admin.describe_consumer_groups(_groups(admin, namespace))
    return {
        group: [
            TopicPartition(partition.topic, partition.partition)
            for member in future.result().members
            for partition in member.assignment.topic_partitions
        ]
        for group, future in described.items()
    }


def _committed(admin: AdminClient, group: str, owned: Sequence[TopicPartition]) -> list[TopicPartition]:
    if not owned:
        return []
    asked = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group, list(owned))])
    return list(asked[group].result().topic_partitions)


def _ends(admin: AdminClient, positions: Iterable[TopicPartition]) -> dict[tuple[str, int], int]:
    wanted = {
        TopicPartition(position.topic, position.partition): OffsetSpec.latest() for position in positions
    }
    if not wanted:
        return {}
    return {
        (partition.topic, partition.partition): future.result().offset
        for partition, future in admin.list_offsets(wanted).items()
    }
