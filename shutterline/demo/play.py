"""What the demo publishes to Kafka: the network, and then the play at a steady rate."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic

from more_itertools import sliced

from infra.local.deployment import Deployment
from schemas.facts import (
    EventData,
    PhotoDeleted,
    PhotoLiked,
    PhotoUnliked,
    PhotoUploaded,
    Rendition,
    UserFollowed,
    UserUnfollowed,
)
from schemas.ids import PhotoId, UserId
from shutterline.demo.picture import CONTENT_TYPE, ORIGINAL, key_of
from shutterline.demo.world import Action, Deed
from streams.kafka.producing.producer import Outgoing, Producer

SOURCE = "/shutterline/demo"
FOLLOWS_A_BATCH = 2_000
EVENTS_PER_S = 120
TICK_S = 0.1
EVENTS_A_TICK = int(EVENTS_PER_S * TICK_S)


@dataclass(slots=True)
class Publishers:
    """Turn edges and actions into events; `photos` are the ids of those posted, by number."""

    deployment: Deployment
    producer: Producer
    mint: Callable[[], Awaitable[PhotoId]]
    renditions: Mapping[str, Rendition]
    photos: list[PhotoId] = field(default_factory=list, init=False)
    published: int = field(default=0, init=False)

    async def follow_all(self, edges: list[tuple[int, int]], advance: Callable[[int], None]) -> None:
        """Publish the network.

        Raises:
            StoreUnavailable: Kafka did not acknowledge in time.
        """
        for batch in sliced(edges, FOLLOWS_A_BATCH):
            await self.producer.send([self._follow(*edge) for edge in batch])
            advance(len(batch))

    async def play(self, actions: Iterable[Action], advance: Callable[[int], None]) -> float:
        """Publish `EVENTS_PER_S`, a batch every `TICK_S`; returns how many seconds that took.

        Raises:
            StoreUnavailable: Kafka did not acknowledge in time.
        """
        began_s = next_s = monotonic()
        for batch in sliced(list(actions), EVENTS_A_TICK):
            await self.producer.send([await self._event(action) for action in batch])
            self.published += len(batch)
            advance(len(batch))
            next_s += TICK_S
            await asyncio.sleep(max(0.0, next_s - monotonic()))
        return monotonic() - began_s

    async def _event(self, action: Action) -> Outgoing:
        match action.deed:
            case Deed.POST:
                return await self._post(UserId(action.user))
            case Deed.DELETE:
                deleted = PhotoDeleted(photo_id=self.photos[action.target], author_id=UserId(action.user))
                return self._outgoing(deleted)
            case Deed.LIKE:
                liked = PhotoLiked(photo_id=self.photos[action.target], user_id=UserId(action.user))
                return self._outgoing(liked)
            case Deed.UNLIKE:
                unliked = PhotoUnliked(photo_id=self.photos[action.target], user_id=UserId(action.user))
                return self._outgoing(unliked)
            case Deed.FOLLOW:
                return self._follow(action.user, action.target)
            case Deed.UNFOLLOW:
                gone = UserUnfollowed(follower_id=UserId(action.user), followee_id=UserId(action.target))
                return self._outgoing(gone)

    async def _post(self, author: UserId) -> Outgoing:
        photo = await self.mint()
        self.photos.append(photo)
        data = PhotoUploaded(
            photo_id=photo,
            author_id=author,
            object_key=key_of(ORIGINAL),
            content_type=CONTENT_TYPE,
            created_at=datetime.now(UTC),
            caption=f"evening no. {len(self.photos)}",
            renditions=dict(self.renditions),
        )
        return self._outgoing(data)

    def _follow(self, follower: int, followee: int) -> Outgoing:
        data = UserFollowed(follower_id=UserId(follower), followee_id=UserId(followee))
        return self._outgoing(data)

    def _outgoing(self, data: EventData) -> Outgoing:
        return self.deployment.outgoing(data, source=SOURCE)
