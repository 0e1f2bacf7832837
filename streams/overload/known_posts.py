"""The deferred posts as this process knows them, read again as they change."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from schemas.ids import PhotoId, UserId
from streams.clock import unix_ms
from streams.core.delivery import POSTPONED_REASONS, DeliveryReason
from streams.core.overload.deferral import DeferredPost
from streams.ports.photos import DeferredPosts

# Versions are write times. A writer whose clock is behind does not change the version, so a period is read
# again until its version is older than clocks may differ.
STEADY_MS = 15_000


@dataclass(slots=True)
class KnownDeferredPosts:
    """Posts by what is to be done with them; all mappings are in the order in which they became ready.

    Only the settler changes posts; it tells its own process with `put` and `drop`, and others read it.
    """

    deferred: DeferredPosts
    clock_ms: Callable[[], int] = unix_ms
    # Whose push begins at once, whose push waits for a switch, and whose push was published.
    due: dict[PhotoId, DeferredPost] = field(default_factory=dict, init=False)
    postponed: dict[PhotoId, DeferredPost] = field(default_factory=dict, init=False)
    sent: dict[PhotoId, DeferredPost] = field(default_factory=dict, init=False)
    # Followers of the posts whose push took too long; they are backlog as much as what is published.
    slow_deliveries: int = field(default=0, init=False)
    _by_author: defaultdict[UserId, set[PhotoId]] = field(
        default_factory=lambda: defaultdict(set), init=False
    )
    _periods: dict[int, set[PhotoId]] = field(default_factory=dict, init=False)
    _versions: dict[int, int] = field(default_factory=dict, init=False)

    async def refresh(self) -> None:
        """Read the periods that have changed.

        Raises:
            StoreUnavailable: The database did not respond; some periods may be as they were.
        """
        versions = await self.deferred.periods()
        for period in self._periods.keys() - versions.keys():
            self._replace(period, ())
            del self._periods[period], self._versions[period]
        changed = sorted(period for period, version in versions.items() if self._must_read(period, version))
        for period, posts in zip(
            changed, await asyncio.gather(*map(self.deferred.of_period, changed)), strict=True
        ):
            self._replace(period, posts)
            self._versions[period] = versions[period]

    def photos_of(self, authors: Collection[UserId]) -> list[PhotoId]:
        """Return the deferred photos of these authors, newest first."""
        by_author = self._by_author
        photos = [photo for author in by_author.keys() & authors for photo in by_author[author]]
        return sorted(photos, reverse=True)

    def put(self, post: DeferredPost) -> None:
        """Know how far the push of a post has come; a post that is not known any more stays so."""
        if self._known(post) is not None:
            self.drop(post)
            self._add(post)

    def drop(self, post: DeferredPost) -> None:
        """Forget a post."""
        for posts in (self.due, self.postponed, self.sent):
            if (known := posts.pop(post.photo_id, None)) is not None:
                self.slow_deliveries -= _slow_deliveries(known)
                self._periods[known.period].discard(known.photo_id)
                self._by_author[known.author_id].discard(known.photo_id)
                if not self._by_author[known.author_id]:
                    del self._by_author[known.author_id]

    def empty_periods(self) -> Mapping[int, int]:
        """Return the periods of which no post is left and which nobody adds to, with their versions."""
        return {
            period: self._versions[period]
            for period, photos in self._periods.items()
            if not photos and not self._must_read(period, self._versions[period])
        }

    def _must_read(self, period: int, version: int) -> bool:
        return self._versions.get(period) != version or version // 1_000 > self.clock_ms() - STEADY_MS

    def _replace(self, period: int, posts: Sequence[DeferredPost]) -> None:
        gone = self._periods.setdefault(period, set()) - {post.photo_id for post in posts}
        for photo in gone:
            for some in (self.due, self.postponed, self.sent):
                if photo in some:
                    self.drop(some[photo])
        for post in posts:
            known = self._known(post)
            # A push never goes back, but the settler of this process may have gone on since the read.
            if known is None or known.progress < post.progress:
                self.drop(post)
                self._add(post)

    def _known(self, post: DeferredPost) -> DeferredPost | None:
        for posts in (self.due, self.postponed, self.sent):
            if post.photo_id in posts:
                return posts[post.photo_id]
        return None

    def _add(self, post: DeferredPost) -> None:
        if post.is_sent:
            self.sent[post.photo_id] = post
        elif post.reason in POSTPONED_REASONS:
            self.postponed[post.photo_id] = post
        else:
            self.due[post.photo_id] = post
        self.slow_deliveries += _slow_deliveries(post)
        self._periods.setdefault(post.period, set()).add(post.photo_id)
        self._by_author[post.author_id].add(post.photo_id)


def _slow_deliveries(post: DeferredPost) -> int:
    return post.followers if post.reason is DeliveryReason.SLOW_PUSH and not post.is_sent else 0
