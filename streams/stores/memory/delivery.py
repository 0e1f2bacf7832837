"""Authors' modes, the authors whose photos are pulled, undelivered and deferred photos, in memory."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import count

from schemas.ids import PhotoId, UserId
from streams.core.delivery import Mode
from streams.core.overload.deferral import DeferredPost
from streams.ports.photos import Authors, DeferredPosts, PulledAuthors, UndeliveredPhotos


class MemoryAuthors(Authors):
    """Modes by author, in a dict."""

    def __init__(self) -> None:
        self._modes: dict[UserId, Mode] = {}

    async def modes_by_size(self, authors: Sequence[UserId]) -> dict[UserId, Mode]:
        return {author: self._modes.get(author, Mode.PUSH) for author in authors}

    async def remember_modes(self, modes: Mapping[UserId, Mode]) -> None:
        self._modes |= modes


class MemoryPulledAuthors(PulledAuthors):
    """A set of authors; its version is the number of calls of `add`."""

    def __init__(self) -> None:
        self._authors: set[UserId] = set()
        self._adds = 0

    async def add(self, authors: Collection[UserId]) -> None:
        self._authors |= set(authors)
        self._adds += 1

    async def version(self) -> str:
        return str(self._adds)

    async def all(self) -> frozenset[UserId]:
        return frozenset(self._authors)


class MemoryUndeliveredPhotos(UndeliveredPhotos):
    """Authors by photo, in a dict."""

    def __init__(self) -> None:
        self._authors: dict[PhotoId, UserId] = {}

    async def begin(self, photos: Collection[tuple[PhotoId, UserId]]) -> None:
        self._authors |= dict(photos)

    async def end(self, photos: Collection[tuple[PhotoId, UserId]]) -> None:
        for photo, _ in photos:
            self._authors.pop(photo, None)

    async def all(self) -> Mapping[PhotoId, UserId]:
        return dict(self._authors)


class MemoryDeferredPosts(DeferredPosts):
    """Posts by period and photo; the version of a period is the number of a change."""

    def __init__(self) -> None:
        self._posts: dict[int, dict[PhotoId, DeferredPost]] = {}
        self._versions: dict[int, int] = {}
        self._changes = count(1)

    async def add(self, posts: Collection[DeferredPost]) -> None:
        for post in posts:
            of_period = self._posts.setdefault(post.period, {})
            if (stored := of_period.get(post.photo_id)) is not None:
                post = replace(
                    post,
                    level=stored.level,
                    next_bucket=stored.next_bucket,
                    ends=stored.ends,
                    is_sent=stored.is_sent,
                )
            of_period[post.photo_id] = post
        self._change({post.period for post in posts})

    async def periods(self) -> Mapping[int, int]:
        return dict(self._versions)

    async def of_period(self, period: int) -> list[DeferredPost]:
        return [post for _, post in sorted(self._posts.get(period, {}).items())]

    async def save_progress(self, posts: Collection[DeferredPost]) -> None:
        for post in posts:
            self._posts.setdefault(post.period, {})[post.photo_id] = post
        self._change({post.period for post in posts if post.is_sent})

    async def remove(self, posts: Collection[DeferredPost]) -> None:
        for post in posts:
            self._posts.get(post.period, {}).pop(post.photo_id, None)

    async def forget(self, period: int, version: int) -> None:
        if self._versions.get(period, version + 1) <= version:
            del self._versions[period]

    def _change(self, periods: Collection[int]) -> None:
        for period in periods:
            self._versions[period] = next(self._changes)
