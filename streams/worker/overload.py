"""What of a worker protects the pipeline from overload: the watch in every worker, the settler in one."""

import logging
from collections.abc import Callable

from schemas.operations import encode_switch_moved
from streams.core.overload.switches import SwitchState
from streams.errors import StoreUnavailable
from streams.kafka.offsets.fanout_backlog import FanoutBacklog
from streams.kafka.offsets.queued import BrokerOffsets
from streams.kafka.producing.producer import Outgoing, Producer
from streams.overload.known_posts import KnownDeferredPosts
from streams.overload.settling import Settler
from streams.overload.watch import Announce, OverloadWatch, sentence
from streams.ports.coordination import Switches
from streams.ports.photos import DeferredPosts
from streams.retrying import while_starting
from streams.settings import KafkaSettings, OverloadSettings
from streams.worker.parts import SharedParts
from topics.catalogue import FANOUT, OPERATIONS, Lane
from topics.sizes import Sizes

# Of deferred posts, the oldest, which is what the settler needs: 470 MB.
POSTS_MAX = 1_000_000
log = logging.getLogger(__name__)


async def overload_watch(
    settings: OverloadSettings,
    kafka: KafkaSettings,
    deferred: DeferredPosts,
    switches: Switches,
    producer: Producer,
    offsets: BrokerOffsets,
    sizes: Sizes,
) -> OverloadWatch:
    """Return the watch of this process once it knows how much there is to do."""
    watch = OverloadWatch(
        settings,
        FanoutBacklog(kafka, offsets, sizes),
        KnownDeferredPosts(deferred, POSTS_MAX),
        switches,
        _announcing(producer, kafka.namespace),
    )

    @while_starting(on=StoreUnavailable, log=log).wraps
    async def known() -> None:
        await watch.refresh()

    await known()
    return watch


def settler(shared: SharedParts, owned: Callable[[], set[int]]) -> Settler:
    """Return what settles deferred posts while this process owns the first partition of the bulk lane."""
    first = shared.sizes.range_of(FANOUT, Lane.BULK).start
    return Settler(
        shared.settings,
        shared.stores.deferred,
        shared.stores.counted_sets,
        shared.outbox,
        shared.overload,
        shared.stores.redis_probe,
        shared.sizes,
        owns=lambda: first in owned(),
    )


def _announcing(producer: Producer, namespace: str) -> Announce:
    async def announce(state: SwitchState) -> None:
        value = encode_switch_moved(
            switch=state.switch.value,
            is_on=state.is_on,
            at_ms=state.since_ms,
            measured=state.measured,
            version=state.version,
            sentence=sentence(state),
        )
        await producer.send([Outgoing(OPERATIONS.named(namespace), 0, state.switch.value.encode(), value)])

    return announce
