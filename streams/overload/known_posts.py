"""The deferred posts as this process knows them, read again as they change."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from more_itertools import batched

from schemas.ids import PhotoId, UserId
from streams.clock import unix_ms
from streams.core.delivery import POSTPONED_REASONS, DeliveryReason
from streams.core.overload.deferral import DeferredPost
from streams.ports.photos import DeferredPosts

# Versions are write times. A writer whose clock is behind does not change the version, so a period is read
# again until its version, when the read begins, is older than clocks may differ.
STEADY_MS = 15_000
PERIODS_AT_ONCE = 4


@dataclass(slots=True)
class KnownDeferredPosts:
    """Posts by what is to be done with them; all mappings are in the order in which their ids were minted.

    Only the settler changes posts; it tells its own process with `put` and `drop`, and others read it. A post
    takes about 470 bytes. Of more than `posts_max` only the oldest are known, and `is_whole` is false.
    """

    deferred: DeferredPosts
    posts_max: int
    clock_ms: Callable[[], int] = unix_ms
    is_whole: bool = field(default=True, init=False)
    # Whose push begins at once, whose push waits for a switch, and whose push was published.
    due: dict[PhotoId, DeferredPost] = field(default_factory=dict, init=False)
    postponed: dict[PhotoId, DeferredPost] = field(default_factory=dict, init=False)
    sent: dict[PhotoId, DeferredPost] = field(default_factory=dict, init=False)
    # Followers of the posts whose push took too long; they are backlog as much as what is published.
    slow_deliveries: int = field(default=0, init=False)
    _by_author: dict[UserId, list[PhotoId]] = field(default_factory=dict, init=False)
    _periods: dict[int, set[PhotoId]] = field(default_factory=dict, init=False)
    # The version of each period, and when its last read began.
    _versions: dict[int, tuple[int, int]] = field(default_factory=dict, init=False)

    def __len__(self) -> int:
        return len(self.due) + len(self.postponed) + len(self.sent)

    async def refresh(self) -> None:
        """Read the periods that have changed, the oldest first.

        Raises:
            StoreUnavailable: The database did not respond; some periods may be as they were.
        """
        began_ms = self.clock_ms()
        versions = await self.deferred.periods()
        for period in self._periods.keys() - versions.keys():
            self._replace(period, ())
            del self._periods[period]
            self._versions.pop(period, None)
        changed = sorted(
            period for period, version in versions.items() if not self._is_steady(period, version)
        )
        self.is_whole = True
        for some in batched(changed, PERIODS_AT_ONCE):
            if len(self) >= self.posts_max:
                self.is_whole = False
                return
            read = await asyncio.gather(*map(self.deferred.of_period, some))
            for period, posts in zip(some, read, strict=True):
                self._replace(period, posts)
                self._versions[period] = versions[period], began_ms

    def photos_of(self, authors: Collection[UserId]) -> list[PhotoId]:
        """Return the deferred photos of these authors, newest first."""
        by_author = self._by_author
        photos = [photo for author in by_author.keys() & authors for photo in by_author[author]]
        return sorted(photos, reverse=True)

    def put(self, post: DeferredPost) -> None:
        """Know how far the push of a post has come; a post that is not known any more stays so."""
        of_same_kind = self._of_kind(post)
        known = of_same_kind.get(post.photo_id)
        if known is not None:
            self.slow_deliveries += _slow_deliveries(post) - _slow_deliveries(known)
            of_same_kind[post.photo_id] = post  # In its place.
        elif self._known(post) is not None:
            self.drop(post)
            self._add(post)

    def drop(self, post: DeferredPost) -> None:
        """Forget a post."""
        for posts in (self.due, self.postponed, self.sent):
            if (known := posts.pop(post.photo_id, None)) is not None:
                self.slow_deliveries -= _slow_deliveries(known)
                self._periods[known.period].discard(known.photo_id)
                self._by_author[known.author_id].remove(known.photo_id)
                if not self._by_author[known.author_id]:
                    del self._by_author[known.author_id]

    def empty_periods(self) -> Mapping[int, int]:
        """Return the periods of which no post is left and which nobody adds to, with their versions."""
        return {
            period: version
            for period, (version, _) in self._versions.items()
            if not self._periods[period] and self._is_steady(period, version)
        }

    def _is_steady(self, period: int, version: int) -> bool:
        """Whether the period was read when nobody could add to it any more under this version."""
        known, read_ms = self._versions.get(period, (None, 0))
        return known == version and version // 1_000 <= read_ms - STEADY_MS

    def _replace(self, period: int, posts: Sequence[DeferredPost]) -> None:
        gone = self._periods.setdefault(period, set()) - {post.photo_id for post in posts}
        for photo in gone:
            for some in (self.due, self.postponed, self.sent):
                if photo in some:
                    self.drop(some[photo])
        for post in posts:
            known = self._known(post)
            if known is None:
                self._add(post)
            # A push never goes back, but the settler of this process may have gone on since the read.
            elif known.progress <= post.progress and known != post:
                self.put(post)

    def _known(self, post: DeferredPost) -> DeferredPost | None:
        for posts in (self.due, self.postponed, self.sent):
            if post.photo_id in posts:
                return posts[post.photo_id]
        return None

    def _of_kind(self, post: DeferredPost) -> dict[PhotoId, DeferredPost]:
        if post.is_sent:
            return self.sent
        return self.postponed if post.reason in POSTPONED_REASONS else self.due

    def _add(self, post: DeferredPost) -> None:
        self._of_kind(post)[post.photo_id] = post
        self.slow_deliveries += _slow_deliveries(post)
        self._periods.setdefault(post.period, set()).add(post.photo_id)
        self._by_author.setdefault(post.author_id, []).append(post.photo_id)


def _slow_deliveries(post: DeferredPost) -> int:
    return post.followers if post.reason is DeliveryReason.SLOW_PUSH and not post.is_sent else 0
