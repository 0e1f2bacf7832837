"""The data of the events that upstream apps publish, version 1 of each.

`decode_event` validates data from outside with these models, so what it returns is typed and in
range.
"""

from typing import Annotated, TypeAlias, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict

from schemas.fields import (
    Caption,
    ContentType,
    Moment,
    ObjectKey,
    PhotoIdField,
    RenditionName,
    Side,
    UserIdField,
)

_NAMES = frozenset(get_args(RenditionName))


class Fact(BaseModel):
    """Immutable. Unknown fields are ignored, so publishers may add fields."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Rendition(Fact):
    """A smaller version of the photo that the publisher made; it is used unchanged."""

    object_key: ObjectKey
    width: Side
    height: Side


def _known_names_only(value: object) -> object:
    """Leave out renditions of unknown names, so that publishers may add some, as with fields."""
    if isinstance(value, dict):
        return {name: rendition for name, rendition in value.items() if name in _NAMES}
    return value


class PhotoUploaded(Fact):
    """The original is in the media bucket under `object_key`, or will arrive soon."""

    photo_id: PhotoIdField
    author_id: UserIdField
    object_key: ObjectKey
    content_type: ContentType
    created_at: Moment
    caption: Caption = ""
    renditions: Annotated[dict[RenditionName, Rendition] | None, BeforeValidator(_known_names_only)] = None


class PhotoDeleted(Fact):
    """The photo is deleted. Only the photo's own author can delete it."""

    photo_id: PhotoIdField
    author_id: UserIdField


class FollowChange(Fact):
    """A follow edge changed. The later event wins; at equal times the unfollow wins."""

    follower_id: UserIdField
    followee_id: UserIdField


class UserFollowed(FollowChange):
    """The follower follows the followee."""


class UserUnfollowed(FollowChange):
    """The follower no longer follows the followee."""


class LikeChange(Fact):
    """A like changed. The later event wins; at equal times the unlike wins."""

    photo_id: PhotoIdField
    user_id: UserIdField


class PhotoLiked(LikeChange):
    """The user likes the photo; the event may precede the photo's own."""


class PhotoUnliked(LikeChange):
    """The user no longer likes the photo."""


EventData: TypeAlias = (
    PhotoUploaded | PhotoDeleted | UserFollowed | UserUnfollowed | PhotoLiked | PhotoUnliked
)
