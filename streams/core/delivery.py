"""Decide how a ready photo reaches its author's followers.

A photo is *pushed* (its id is appended to every follower's stored timeline) or
*pulled* (readers merge the author's newest photos). The decision is stored with the
photo. So when an author crosses a threshold, no photo is lost or shown twice.

A pulled photo may be *deferred*: readers pull that photo alone, and not its author's list, until it has been
pushed, too. That is so for every push that could not be done in time.

Pure: `photos/ready.py` reads the conditions and executes the decision.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from topics.catalogue import Lane


class Mode(StrEnum):
    PUSH = "push"
    PULL = "pull"


class DeliveryReason(StrEnum):
    """Why a photo is pushed or pulled; stored with it and shown to operators."""

    FEW_FOLLOWERS = "few_followers"
    FOLLOWERS_UNKNOWN = "followers_unknown"
    CELEBRITY = "celebrity"
    CELEBRITY_PUSHED = "celebrity_pushed"
    SLOW_PUSH = "slow_push"
    BREAKER = "breaker"
    SHED = "shed"


# Pushes that wait until there is less to do.
POSTPONED_REASONS = frozenset({DeliveryReason.BREAKER, DeliveryReason.SHED})
# The others begin at once, but take longer than a page may wait for.
DEFERRED_REASONS = POSTPONED_REASONS | {DeliveryReason.CELEBRITY_PUSHED, DeliveryReason.SLOW_PUSH}


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryLimits:
    """Thresholds between push and pull, in followers, and what a push may take.

    `post_deliveries_per_s` is the pace of one post; a push that would end later than `push_s_max` after the
    photo is ready is deferred.
    """

    pull_followers_min: int = 10_000
    push_again_followers_max: int = 8_999
    celebrity_push_followers_max: int = 0  # 0: no celebrity is pushed
    shed_followers_min: int = 10
    post_deliveries_per_s: int = 50_000
    push_s_max: float = 5.0

    def __post_init__(self) -> None:
        # Without a gap, the mode of an author at the threshold would change all the time.
        if not self.push_again_followers_max < self.pull_followers_min:
            raise ValueError(f"{self.push_again_followers_max=} must be below {self.pull_followers_min=}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Overload:
    """How much there is to do when the photo becomes ready.

    `oldest_s` is for how many seconds the oldest record of each partition of the normal lane has waited.
    """

    is_breaker_open: bool = False
    is_shedding: bool = False
    oldest_s: Mapping[int, float] = field(default_factory=dict)


NO_OVERLOAD = Overload()


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What is known when the photo becomes ready; `mode_by_size` is from the previous decision.

    `waits_s` is how long its records would wait for those before them.
    """

    followers: int | None  # None: not known at this time
    mode_by_size: Mode
    is_breaker_open: bool = False
    is_shedding: bool = False
    waits_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """How one photo is delivered.

    `lane` matters only if the photo is pushed, now or later. `mode_by_size` is the mode by the
    number of followers alone; None if the number is not known. It is stored for the author's next
    decision.
    """

    mode: Mode
    lane: Lane
    reason: DeliveryReason
    mode_by_size: Mode | None

    @property
    def is_deferred(self) -> bool:
        """Whether readers pull the photo by itself, until it is pushed."""
        return self.reason in DEFERRED_REASONS


def decide(now: Conditions, limits: DeliveryLimits) -> Delivery:
    """Choose push or pull, and the lane, for a photo that has just become ready.

    The lane depends only on the number of followers, so that a forced or mistaken push of a huge
    account never fills the normal lane. An unknown number selects the bulk lane. Deferred photos are pushed
    later through the bulk lane.
    """
    if now.followers is None:
        return Delivery(
            mode=Mode.PULL, lane=Lane.BULK, reason=DeliveryReason.FOLLOWERS_UNKNOWN, mode_by_size=None
        )
    lane = Lane.NORMAL if now.followers < limits.pull_followers_min else Lane.BULK
    by_size = Mode.PULL if _is_celebrity(now.followers, now.mode_by_size, limits) else Mode.PUSH
    reason = _reason(now.followers, by_size, now, limits)
    delivery = Delivery(mode=Mode.PUSH, lane=lane, reason=reason, mode_by_size=by_size)
    if delivery.is_deferred:
        return replace(delivery, mode=Mode.PULL, lane=Lane.BULK)
    return replace(delivery, mode=by_size)


def _reason(followers: int, by_size: Mode, now: Conditions, limits: DeliveryLimits) -> DeliveryReason:
    if by_size is Mode.PULL and followers > limits.celebrity_push_followers_max:
        return DeliveryReason.CELEBRITY
    if now.is_breaker_open:
        return DeliveryReason.BREAKER
    if by_size is Mode.PULL:
        return DeliveryReason.CELEBRITY_PUSHED
    if now.is_shedding and followers < limits.shed_followers_min:
        return DeliveryReason.SHED
    if now.waits_s + followers / limits.post_deliveries_per_s > limits.push_s_max:
        return DeliveryReason.SLOW_PUSH
    return DeliveryReason.FEW_FOLLOWERS


def _is_celebrity(followers: int, mode_by_size: Mode, limits: DeliveryLimits) -> bool:
    if mode_by_size is Mode.PULL:
        return followers > limits.push_again_followers_max
    return followers >= limits.pull_followers_min


@dataclass(frozen=True, slots=True)
class DeliveryRules:
    """By what a process decides: its limits, and `overload`, which returns how much there is to do."""

    limits: DeliveryLimits
    overload: Callable[[], Overload]

    def decide(self, followers: int | None, mode_by_size: Mode, partitions: Collection[int]) -> Delivery:
        """Choose push or pull as `decide` does; `partitions` are those of the records of a push."""
        overload = self.overload()
        now = Conditions(
            followers=followers,
            mode_by_size=mode_by_size,
            is_breaker_open=overload.is_breaker_open,
            is_shedding=overload.is_shedding,
            waits_s=max((overload.oldest_s.get(partition, 0.0) for partition in partitions), default=0.0),
        )
        return decide(now, self.limits)
