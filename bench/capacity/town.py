"""The accounts of `bench.capacity.trial`, and what they do in a round."""

import random
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count, islice
from types import MappingProxyType

from bench.capacity.coefficients import POST_FOLLOWERS, Work
from bench.traffic.events import fresh_photo_ids, photo_of
from schemas.facts import EventData, PhotoLiked, PhotoUploaded, UserFollowed
from schemas.ids import PhotoId, UserId

USERS_MAX = 1_000_000  # Ids that a town has for itself.
# What a town of size 1 does in a round.
ROUND: Mapping[Work, int] = MappingProxyType(
    {Work.FOLLOW: 4_000, Work.LIKE: 4_000, Work.POST: 300, Work.PAGE: 1_000, Work.REBUILD: 40}
)
_POST_AUTHORS, _PAGE_AUTHORS, _PAGE_PHOTOS_EACH, _WARM_READERS, _LIKED = 20, 10, 20, 100, 2_000


@dataclass(slots=True)
class Town:
    """`size` times as many accounts, which do `size` times as much. No edge and no photo comes twice.

    Ids are from `first` on. There are cold readers for `rounds` rounds.
    """

    size: int
    first: int
    rounds: int
    _ids: Iterator[int] = field(init=False)
    post_authors: list[UserId] = field(init=False)
    followers: list[UserId] = field(init=False)
    page_authors: list[UserId] = field(init=False)
    warm_readers: list[UserId] = field(init=False)
    cold_readers: list[UserId] = field(init=False)
    _next_cold: Iterator[UserId] = field(init=False)
    _edges: dict[Work, Iterator[int]] = field(init=False)
    _liked: list[PhotoId] = field(init=False)

    def __post_init__(self) -> None:
        self._ids = count(self.first)
        self.post_authors = self._users(_POST_AUTHORS * self.size)
        self.followers = self._users(POST_FOLLOWERS * len(self.post_authors))
        self.page_authors = self._users(_PAGE_AUTHORS)
        self.warm_readers = self._users(_WARM_READERS * self.size)
        self.cold_readers = self._users(ROUND[Work.REBUILD] * self.size * self.rounds)
        self._next_cold = iter(self.cold_readers)
        self._edges = {Work.FOLLOW: count(), Work.LIKE: count()}
        self._liked = fresh_photo_ids(_LIKED * self.size)

    def edges(self) -> list[tuple[UserId, UserId]]:
        """Return who follows whom before the first round: (follower, author)."""
        readers = self.warm_readers + self.cold_readers
        edges = [(reader, author) for reader in readers for author in self.page_authors]
        return edges + [
            (follower, author)
            for number, author in enumerate(self.post_authors)
            for follower in self.followers[number * POST_FOLLOWERS :][:POST_FOLLOWERS]
        ]

    def photos(self) -> list[PhotoUploaded]:
        """Return the photos of the pages."""
        photos = fresh_photo_ids(len(self.page_authors) * _PAGE_PHOTOS_EACH)
        return [
            photo_of(photo, self.page_authors[number % len(self.page_authors)])
            for number, photo in enumerate(photos)
        ]

    def work(self, kinds: Collection[Work]) -> Mapping[Work, int]:
        """Return how much of each kind there is in a round."""
        return {kind: self.size * ROUND[kind] for kind in kinds}

    def events(self, kinds: Collection[Work]) -> list[EventData]:
        """Return the next round's events of these kinds, mixed."""
        events: list[EventData] = []
        for kind, number in self.work(kinds).items():
            match kind:
                case Work.FOLLOW:
                    events += map(self._follow, islice(self._edges[kind], number))
                case Work.LIKE:
                    events += map(self._like, islice(self._edges[kind], number))
                case Work.POST:
                    authors = self.post_authors
                    events += [
                        photo_of(photo, authors[place % len(authors)])
                        for place, photo in enumerate(fresh_photo_ids(number))
                    ]
        random.Random(self.first).shuffle(events)
        return events

    def readers(self, kinds: Collection[Work]) -> list[UserId]:
        """Return who asks for a page in the next round, once for each page, mixed."""
        work = self.work(kinds)
        repeated = -(-work.get(Work.PAGE, 0) // len(self.warm_readers))
        readers = (self.warm_readers * repeated)[: work.get(Work.PAGE, 0)]
        readers += islice(self._next_cold, work.get(Work.REBUILD, 0))
        random.Random(self.first).shuffle(readers)
        return readers

    def _users(self, number: int) -> list[UserId]:
        return [UserId(user) for user in islice(self._ids, number)]

    def _follow(self, number: int) -> UserFollowed:
        turn, member = divmod(number, _LIKED * self.size)
        followee = (member + 7 * turn) % (_LIKED * self.size)
        base = self.first + USERS_MAX // 2
        return UserFollowed(
            follower_id=UserId(base + member), followee_id=UserId(base + _LIKED * self.size + followee)
        )

    def _like(self, number: int) -> PhotoLiked:
        turn, member = divmod(number, len(self._liked))
        photo = self._liked[(member + 7 * turn) % len(self._liked)]
        return PhotoLiked(user_id=UserId(self.first + USERS_MAX // 2 + member), photo_id=photo)
