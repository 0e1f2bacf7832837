"""The roles `thumbnail` and `full`: each consumes a lane of `renditions` with its own decoders."""

from functools import partial

from streams.kafka.consuming.agent import add_agent
from streams.kafka.consuming.app import make_app
from streams.kafka.stages.renditions_lane import RenditionsLane
from streams.renditions.retrying_decoder import RetryingDecoder
from streams.roles import RENDITION_LANES, Role, group_of
from streams.worker.media import decoders, making_rules
from streams.worker.parts import SharedParts, Wired, delivery_rules
from topics.catalogue import RENDITIONS


def wire_thumbnails(shared: SharedParts) -> Wired:
    """Consume the lane of thumbnails."""
    return _wire_lane(shared, Role.THUMBNAIL)


def wire_fulls(shared: SharedParts) -> Wired:
    """Consume the lane of full renditions."""
    return _wire_lane(shared, Role.FULL)


def _wire_lane(shared: SharedParts, role: Role) -> Wired:
    settings, lane = shared.settings, RENDITION_LANES[role]
    group, topic = group_of(settings.namespace, role), RENDITIONS.named(settings.namespace)
    app = make_app(
        settings,
        group,
        {topic: shared.sizes.range_of(RENDITIONS, lane)},
        poll_records_max=settings.renditions_poll_records_max,
        buffer_records_max=settings.renditions_buffer_records_max,
    )
    children = decoders(settings, settings, lane, shared.large_turn)
    stage = RenditionsLane(
        retry=settings,
        stores=shared.stores,
        cdn=shared.stores.cdn,
        outbox=shared.outbox,
        decoder=RetryingDecoder(children),
        rules=making_rules(settings, settings),
        delivery_rules=delivery_rules(shared),
        sizes=shared.sizes,
        topic=topic,
        group=group,
        lane=lane,
        decode_slots=shared.decode_slots,
        progress=shared.progress,
    )
    add_agent(
        app,
        f"renditions-{lane}",
        topic,
        stage,
        batch_records_max=settings.renditions_batch_records_max,
        fatal=shared.fatal,
    )
    return Wired(apps=[app], loops=[partial(stage.watch, shared.offsets)], resources=[children])
