"""Decide how a ready photo reaches its author's followers.

A photo is *pushed* (its id is appended to every follower's stored timeline) or
*pulled* (readers merge the author's newest photos). The decision is stored with the
photo. So when an author crosses a threshold, no photo is lost or shown twice.

Pure: `photos/ready.py` reads the conditions and executes the decision.
"""

from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryLimits:
    """Thresholds between push and pull, in followers."""

    pull_followers_min: int = 10_000
    push_again_followers_max: int = 8_999
    celebrity_push_followers_max: int = 0  # 0: no celebrity is pushed

    def __post_init__(self) -> None:
        # Without a gap, the mode of an author at the threshold would change all the time.
        if not self.push_again_followers_max < self.pull_followers_min:
            raise ValueError(f"{self.push_again_followers_max=} must be below {self.pull_followers_min=}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What is known when the photo becomes ready; `mode_by_size` is from the previous decision."""

    followers: int | None  # None: not known at this time
    mode_by_size: Mode


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


def decide(now: Conditions, limits: DeliveryLimits) -> Delivery:
    """Choose push or pull, and the lane, for a photo that has just become ready.

    The lane depends only on the number of followers, so that a forced or mistaken push of a huge
    account never fills the normal lane. An unknown number selects the bulk lane.
    """
    if now.followers is None:
        return Delivery(
            mode=Mode.PULL, lane=Lane.BULK, reason=DeliveryReason.FOLLOWERS_UNKNOWN, mode_by_size=None
        )
    lane = Lane.NORMAL if now.followers < limits.pull_followers_min else Lane.BULK
    by_size = Mode.PULL if _is_celebrity(now.followers, now.mode_by_size, limits) else Mode.PUSH
    mode, reason = by_size, DeliveryReason.FEW_FOLLOWERS
    if by_size is Mode.PULL:
        reason = DeliveryReason.CELEBRITY
        if now.followers <= limits.celebrity_push_followers_max:
            mode, reason = Mode.PUSH, DeliveryReason.CELEBRITY_PUSHED
    return Delivery(mode=mode, lane=lane, reason=reason, mode_by_size=by_size)


def _is_celebrity(followers: int, mode_by_size: Mode, limits: DeliveryLimits) -> bool:
    if mode_by_size is Mode.PULL:
        return followers > limits.push_again_followers_max
    return followers >= limits.pull_followers_min
