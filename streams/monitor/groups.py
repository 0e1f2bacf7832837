"""The consumer groups of the pipeline, and the partitions that each of them owns."""

from streams.core.lag.samples import GroupLogs, TopicLogs
from streams.roles import LANES, RENDITION_LANES, Role, group_of
from streams.settings import RenditionSettings
from topics.catalogue import CATALOGUE, Participant
from topics.sizes import Sizes


def pipeline_groups(
    namespace: str, sizes: Sizes, *, still_s: int, renditions: RenditionSettings
) -> list[GroupLogs]:
    """Return the group of every role with its topics; the group of a lane owns only that range.

    A record may take `still_s` seconds, and of a rendition lane as much longer as its decoder may.
    """
    decoding_s = {
        Role.THUMBNAIL: renditions.thumbnail_decoder_wall_s_max,
        Role.FULL: renditions.full_decoder_wall_s_max,
    }
    return [
        GroupLogs(
            group=group_of(namespace, role),
            topics=_topics(namespace, sizes, role),
            still_s=still_s + decoding_s.get(role, 0),
        )
        for role in Role
    ]


def _topics(namespace: str, sizes: Sizes, role: Role) -> list[TopicLogs]:
    lane = {**LANES, **RENDITION_LANES}.get(role)
    consumer = Participant(group_of("", role))
    return [
        TopicLogs(
            topic=topic.named(namespace),
            lane=lane,
            partitions=sizes.range_of(topic, lane),
            retention_s=topic.retention_ms / 1_000,
        )
        for topic in CATALOGUE.values()
        if consumer in topic.consumers
    ]
