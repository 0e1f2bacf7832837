"""What the roles of one process share, and what a role adds to it."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

import faust

from streams.core.delivery import DeliveryLimits, DeliveryRules
from streams.jobs.clocks import Clocks
from streams.kafka.consuming.agent import Fatal
from streams.kafka.consuming.progress import Progress
from streams.kafka.consuming.throttle import BackgroundThrottle
from streams.kafka.offsets.offsets import Offsets
from streams.kafka.producing.outbox import KafkaOutbox
from streams.kafka.producing.producer import Producer
from streams.kafka.stages.decode_slots import DecodeSlots
from streams.overload.watch import OverloadWatch
from streams.ports.groups import Stores
from streams.settings import DeliverySettings, OverloadSettings, Settings
from topics.sizes import Sizes

# Runs until cancelled.
Loop = Callable[[], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedParts:
    """The objects that a process creates once for all its roles.

    `fatal` ends the process because of an exception that is a bug of this program. Only the wiring
    functions get this object. They pass to each stage only the parts that the stage uses.
    """

    settings: Settings
    stores: Stores
    producer: Producer
    sizes: Sizes
    outbox: KafkaOutbox
    offsets: Offsets
    progress: Progress
    clocks: Clocks
    overload: OverloadWatch
    throttle: BackgroundThrottle
    decode_slots: DecodeSlots
    large_turn: asyncio.Lock
    fatal: Fatal


@dataclass(frozen=True, slots=True, kw_only=True)
class Wired:
    """What a role adds: the process enters `resources`, starts `apps`, and runs `loops`.

    The role is ready when `is_ready` returns True and its apps have joined their groups.
    """

    apps: Sequence[faust.App] = ()
    loops: Sequence[Loop] = ()
    resources: Sequence[AbstractAsyncContextManager[object]] = ()
    is_ready: Callable[[], bool] = lambda: True


Wiring = Callable[[SharedParts], Wired]


def delivery_limits(settings: DeliverySettings, overload: OverloadSettings) -> DeliveryLimits:
    """Return the thresholds between push and pull, and what a push may take."""
    return DeliveryLimits(
        pull_followers_min=settings.pull_followers_min,
        push_again_followers_max=settings.push_again_followers_max,
        celebrity_push_followers_max=settings.celebrity_push_followers_max,
        shed_followers_min=overload.shed_followers_min,
        post_deliveries_per_s=overload.post_deliveries_per_s,
        push_s_max=overload.push_s_max,
    )


def delivery_rules(shared: SharedParts) -> DeliveryRules:
    """Return by what this process decides how photos are delivered."""
    return DeliveryRules(delivery_limits(shared.settings, shared.settings), shared.overload.now)
