"""What `bench.costs` lets each side do: the same network for all, and the same events in each round."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count, islice

from bench.traffic.events import fresh_photo_ids, photo_of
from infra.local.deployment import Deployment
from schemas.facts import EventData, PhotoLiked, UserFollowed
from schemas.ids import PhotoId, UserId

GIANT = UserId(1)
# All have timelines.
FOLLOWERS = [UserId(number) for number in range(10_000, 30_000)]
POST_AUTHORS = [UserId(number) for number in range(101, 121)]
POST_FOLLOWERS = 200
PAGE_AUTHORS = [UserId(number) for number in range(201, 211)]
PAGE_PHOTOS_EACH = 20
WARM_READERS = [UserId(number) for number in range(40_000, 40_100)]
COLD_FROM = 50_000

FOLLOW, LIKE, HOT_LIKE, POST, BULK = "follow", "like", "hot-like", "post", "bulk"
WARM, COLD = "warm", "cold"
LINES = (FOLLOW, LIKE, HOT_LIKE, POST, BULK, WARM, COLD)
# Pieces of work a round: some seconds of each, so that five rounds of all lines end in ten minutes.
EVENTS: Mapping[str, int] = {FOLLOW: 4_000, LIKE: 4_000, HOT_LIKE: 4_000, POST: 300, BULK: 10}
WARM_PAGES, COLD_PAGES = 2_000, 80
CONNECTIONS = 8

_EDGE_USERS = 2_000


def followers_of(author_number: int) -> Sequence[UserId]:
    """The followers of a posting author, who has `POST_FOLLOWERS` of her own."""
    return FOLLOWERS[author_number * POST_FOLLOWERS :][:POST_FOLLOWERS]


def cold_readers(rounds: int) -> list[list[UserId]]:
    """The readers of each round who have no timeline yet."""
    return [
        [UserId(COLD_FROM + number * COLD_PAGES + place) for place in range(COLD_PAGES)]
        for number in range(rounds)
    ]


@dataclass(slots=True)
class Workload:
    """The events of one side; no edge and no photo comes twice."""

    deployment: Deployment
    hot_likes: int = 0
    page_photos: list[PhotoId] = field(default_factory=list)
    _edges: Mapping[str, Iterator[int]] = field(
        default_factory=lambda: {line: count() for line in (FOLLOW, LIKE, HOT_LIKE)}
    )
    _liked: list[PhotoId] = field(default_factory=lambda: fresh_photo_ids(_EDGE_USERS))

    def photos(self) -> list[EventData]:
        """The photos of all pages, of which the first gets the hot likes."""
        self.page_photos = fresh_photo_ids(len(PAGE_AUTHORS) * PAGE_PHOTOS_EACH)
        return [
            photo_of(photo, PAGE_AUTHORS[number % len(PAGE_AUTHORS)])
            for number, photo in enumerate(self.page_photos)
        ]

    def follows(self, lines: Sequence[str], rounds: int) -> list[EventData]:
        """The network that these lines need."""
        readers = WARM_READERS if WARM in lines else []
        if COLD in lines:
            readers = readers + [reader for some in cold_readers(rounds) for reader in some]
        edges = [(reader, author) for reader in readers for author in PAGE_AUTHORS]
        if POST in lines:
            edges += [
                (follower, author)
                for number, author in enumerate(POST_AUTHORS)
                for follower in followers_of(number)
            ]
        if BULK in lines:
            edges += [(follower, GIANT) for follower in FOLLOWERS]
        return [UserFollowed(follower_id=follower, followee_id=followee) for follower, followee in edges]

    def events(self, line: str) -> list[EventData]:
        """The events of the next round of a line."""
        number_of_events = EVENTS[line]
        if line in (POST, BULK):
            authors = POST_AUTHORS if line == POST else [GIANT]
            return [
                photo_of(photo, authors[number % len(authors)])
                for number, photo in enumerate(fresh_photo_ids(number_of_events))
            ]
        make: Mapping[str, Callable[[int], EventData]] = {
            FOLLOW: _follow,
            LIKE: self._like,
            HOT_LIKE: self._hot_like,
        }
        return [make[line](number) for number in islice(self._edges[line], number_of_events)]

    def _like(self, number: int) -> EventData:
        user, photo = _pair(number)
        return PhotoLiked(user_id=UserId(3_000_000 + user), photo_id=self._liked[photo])

    def _hot_like(self, number: int) -> EventData:
        if number % 5 == 0:
            user, photo = _pair(number)
            return PhotoLiked(user_id=UserId(4_000_000 + user), photo_id=self._liked[photo])
        self.hot_likes += 1
        return PhotoLiked(user_id=UserId(5_000_000 + number), photo_id=self.page_photos[0])


def _follow(number: int) -> EventData:
    follower, followee = _pair(number)
    return UserFollowed(follower_id=UserId(1_000_000 + follower), followee_id=UserId(2_000_000 + followee))


def _pair(number: int) -> tuple[int, int]:
    """Two numbers below `_EDGE_USERS`; no pair comes twice among the first 500,000."""
    turn, one = divmod(number, _EDGE_USERS)
    return one, (one + 7 * turn) % _EDGE_USERS
