"""Who follows whom in the demo, and what they do: the same each time for the same seed.

Pure. Users are 1 to `users`. The first is the celebrity, whom all others follow; if those are fewer
than `CELEBRITY_FOLLOWERS`, users with higher ids follow the celebrity as well. Photos are numbered
in the order in which they are posted; the play gives them their ids.
"""

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

CELEBRITY = 1
CELEBRITY_FOLLOWERS = 11_000  # Above 10,000, from which on an account is a celebrity.
# How many a user follows: a Pareto tail with a mean of about 7.
FOLLOWS_SCALE, FOLLOWS_SHAPE, FOLLOWS_MAX = 2.0, 1.2, 300
# Three of four follows choose the followee by popularity, the others evenly. So a few users get
# very many followers.
BY_POPULARITY = 0.75


class Deed(StrEnum):
    POST = "post"
    DELETE = "delete"
    LIKE = "like"
    UNLIKE = "unlike"
    FOLLOW = "follow"
    UNFOLLOW = "unfollow"


WEIGHTS = {
    Deed.LIKE: 72,
    Deed.POST: 7,
    Deed.FOLLOW: 10,
    Deed.UNFOLLOW: 5,
    Deed.UNLIKE: 4,
    Deed.DELETE: 2,
}


@dataclass(frozen=True, slots=True)
class Action:
    """`user` does the deed to `target`: another user, or the number of a photo."""

    deed: Deed
    user: int
    target: int


@dataclass(slots=True)
class World:
    """The network, which changes with each action that is drawn."""

    users: int
    seed: int
    _random: random.Random = field(init=False)
    # One entry for each follow, so that drawing one evenly draws a user by popularity.
    _followed: list[int] = field(default_factory=list, init=False)
    _following: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set), init=False)
    _authors: dict[int, int] = field(default_factory=dict, init=False)
    _likes: list[tuple[int, int]] = field(default_factory=list, init=False)
    _posted: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def network(self) -> list[tuple[int, int]]:
        """Every (follower, followee) before the play; call it once, before `actions`."""
        edges = []
        for user in range(CELEBRITY + 1, self.users + 1):
            wanted = min(int(FOLLOWS_SCALE * self._random.paretovariate(FOLLOWS_SHAPE)), FOLLOWS_MAX)
            for _ in range(max(1, wanted)):
                edges += self._follow(user, self._anybody())
        fans = range(CELEBRITY + 1, CELEBRITY + 1 + max(CELEBRITY_FOLLOWERS, self.users - 1))
        for fan in fans:
            self._following[fan].add(CELEBRITY)
            edges.append((fan, CELEBRITY))
        self._random.shuffle(edges)
        return edges

    def actions(self, count: int) -> Iterator[Action]:
        """The play: `count` actions, the celebrity's post in the middle of them."""
        deeds = self._random.choices(list(WEIGHTS), list(WEIGHTS.values()), k=count)
        for number, deed in enumerate(deeds):
            if number == count // 2:
                yield self._post(CELEBRITY)
            else:
                yield self._action(deed)

    def readers(self, count: int) -> Sequence[int]:
        """`count` users who read, without the celebrity."""
        everybody = range(CELEBRITY + 1, self.users + 1)
        return random.Random(self.seed).sample(everybody, min(count, len(everybody)))

    def followees(self, user: int) -> Sequence[int]:
        """Whom the user follows now, without the celebrity."""
        return sorted(self._following[user] - {CELEBRITY})

    def _action(self, deed: Deed) -> Action:
        """Return the action for the deed, or a post if the deed has no possible target."""
        user = self._somebody()
        match deed:
            case Deed.LIKE if self._authors:
                photo = self._random.choice(list(self._authors)[-200:])
                self._likes.append((user, photo))
                return Action(deed, user, photo)
            case Deed.UNLIKE if self._likes:
                liker, photo = self._likes.pop(self._random.randrange(len(self._likes)))
                return Action(deed, liker, photo)
            case Deed.DELETE if self._authors:
                photo = self._random.choice(list(self._authors)[-200:])
                return Action(deed, self._authors.pop(photo), photo)
            case Deed.FOLLOW:
                for edge in self._follow(user, self._anybody()):
                    return Action(deed, *edge)
            case Deed.UNFOLLOW:
                followees = self.followees(user)
                if followees:
                    followee = self._random.choice(followees)
                    self._following[user].remove(followee)
                    return Action(deed, user, followee)
        return self._post(self._random.choice(self._followed))

    def _post(self, author: int) -> Action:
        number, self._posted = self._posted, self._posted + 1
        self._authors[number] = author
        return Action(Deed.POST, author, number)

    def _follow(self, user: int, followee: int) -> list[tuple[int, int]]:
        """The new edge, or nothing if it exists already."""
        if followee == user or followee in self._following[user]:
            return []
        self._following[user].add(followee)
        self._followed.append(followee)
        return [(user, followee)]

    def _somebody(self) -> int:
        return self._random.randint(CELEBRITY + 1, self.users)

    def _anybody(self) -> int:
        """Somebody to follow, mostly by popularity."""
        if self._followed and self._random.random() < BY_POPULARITY:
            return self._random.choice(self._followed)
        return self._somebody()
