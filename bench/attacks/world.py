"""The users of the bench, and when each of them is attacked."""

import time
from dataclasses import dataclass
from typing import Self

from bench.traffic.events import fresh_photo_ids, upload
from infra.local.deployment import Deployment
from schemas.facts import UserFollowed, UserUnfollowed
from schemas.ids import PhotoId, UserId

AUTHORS = [UserId(number) for number in range(1, 21)]
OTHERS = [UserId(number) for number in range(1_000, 1_040)]
CROWD = [UserId(number) for number in range(2_000, 2_020)]
ATTACKER = UserId(3_000)
HOT_USER = UserId(3_001)
REMOVER = UserId(3_002)
ATTACKER_ADDRESS = "127.0.8.1"
HOT_FOLLOWEE = UserId(4_000_000)
HOT_FOLLOWEES = 9_900
REMOVED = 15_000
PHOTOS_EACH = 10
DRAIN_S_MAX = 240.0
START_S = 1.0
# What an attack leaves behind counts as the attack.
AFTER_S = 2.0


@dataclass(frozen=True, slots=True)
class Plan:
    """Quiet and attacked slices of `slice_s` in turn, quiet first, from `begin_s` of the monotonic clock.

    `photo` is the photo that attackers like.
    """

    begin_s: float
    slice_s: float
    rounds: int
    photo: PhotoId

    @classmethod
    def starting_now(cls, seconds: float, slice_s: float, photo: PhotoId) -> Self:
        return cls(time.monotonic() + START_S, slice_s, max(1, round(seconds / slice_s)), photo)

    @property
    def _round_s(self) -> float:
        return 2 * self.slice_s + AFTER_S

    @property
    def attacked(self) -> list[tuple[float, float]]:
        """When each attack begins and ends."""
        begins = [self.begin_s + number * self._round_s + self.slice_s for number in range(self.rounds)]
        return [(begin_s, begin_s + self.slice_s) for begin_s in begins]

    @property
    def end_s(self) -> float:
        return self.begin_s + self.rounds * self._round_s

    def is_attacked(self, at_s: float) -> bool:
        return (at_s - self.begin_s) % self._round_s >= self.slice_s


async def make_network(deployment: Deployment) -> PhotoId:
    """Make follows, photos and former followees; returns a photo of the first author."""
    edges = [(reader, author) for reader in (*OTHERS, *CROWD) for author in AUTHORS]
    edges += [(HOT_USER, UserId(HOT_FOLLOWEE + number)) for number in range(HOT_FOLLOWEES)]
    removed = [UserId(HOT_FOLLOWEE + number) for number in range(REMOVED)]
    await deployment.publish(
        deployment.outgoing(UserFollowed(follower_id=follower, followee_id=followee))
        for follower, followee in edges
    )
    await deployment.publish(
        deployment.outgoing(UserUnfollowed(follower_id=REMOVER, followee_id=followee)) for followee in removed
    )
    await deployment.drained(DRAIN_S_MAX)
    photos = fresh_photo_ids(len(AUTHORS) * PHOTOS_EACH)
    await deployment.publish(
        upload(deployment, photo, AUTHORS[number % len(AUTHORS)]) for number, photo in enumerate(photos)
    )
    await deployment.drained(DRAIN_S_MAX)
    return photos[0]
