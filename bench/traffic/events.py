"""Make events and ids for benches, and for tests on real servers."""

import itertools
import time
from collections.abc import Iterable
from datetime import UTC, datetime

from infra.local.deployment import Deployment
from schemas.facts import PhotoUploaded, Rendition, UserFollowed
from schemas.ids import OWN_SHARDS, SEQUENCES, SHARDS, PhotoId, UserId, compose_id
from streams.kafka.producing.producer import Outgoing

_sequence = itertools.count()
_users = itertools.count(1)
RENDITION_SIDES = {"thumbnail": 150, "small": 320, "medium": 640, "large": 1_080}
THUMBNAIL = Rendition(object_key="test/thumbnail.jpg", width=150, height=100)


def fresh_photo_ids(count: int, *, age_ms: int = 0) -> list[PhotoId]:
    """Ids as an upstream app would mint them now, or `age_ms` ago, ascending; none twice in a process."""
    now_ms = time.time_ns() // 1_000_000 - age_ms
    photos = []
    for _ in range(count):
        number = next(_sequence)
        # Shards that belong to upstream apps, so that no id is one that the pipeline mints itself.
        shard = OWN_SHARDS + number // SEQUENCES % (SHARDS - OWN_SHARDS)
        photos.append(PhotoId(compose_id(now_ms, shard, number % SEQUENCES)))
    return sorted(photos)


def fresh_users(count: int) -> list[UserId]:
    """Users whom nobody knows yet; none twice in a process."""
    return [UserId(next(_users)) for _ in range(count)]


def upload(
    deployment: Deployment,
    photo: PhotoId,
    author: UserId,
    *,
    ready: bool = True,
    partition: int | None = None,
) -> Outgoing:
    """`photo.uploaded`, by default with a thumbnail, so that it is ready at once."""
    data = PhotoUploaded(
        photo_id=photo,
        author_id=author,
        object_key=original_key(photo),
        content_type="image/jpeg",
        created_at=datetime.now(UTC),
        renditions={"thumbnail": THUMBNAIL} if ready else None,
    )
    return deployment.outgoing(data, partition=partition)


def original_key(photo: PhotoId) -> str:
    """The key of the original in the bucket, where an upstream app puts it."""
    return f"test/{photo}.jpg"


def photo_of(photo: PhotoId, author: UserId) -> PhotoUploaded:
    """A photo whose four renditions an upstream app has made."""
    return PhotoUploaded(
        photo_id=photo,
        author_id=author,
        object_key=f"bench/{photo}.jpg",
        content_type="image/jpeg",
        caption="a caption as long as people write them",
        created_at=datetime.now(UTC),
        renditions={
            name: Rendition(object_key=f"bench/{photo}/{name}.jpg", width=side, height=side)
            for name, side in RENDITION_SIDES.items()
        },
    )


def follows(deployment: Deployment, edges: Iterable[tuple[UserId, UserId]]) -> list[Outgoing]:
    """`user.followed` of each (follower, followee)."""
    return [
        deployment.outgoing(UserFollowed(follower_id=follower, followee_id=followee))
        for follower, followee in edges
    ]
