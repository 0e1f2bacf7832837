"""PUT and DELETE /v1/photos/{photo_id}/like."""

from typing import Annotated

from fastapi import Depends
from starlette.responses import Response

from api.http.inputs import photo_id_of
from api.http.responses import done
from api.reading.visible import visible_photo
from api.services import ByCaller, LikeService, WithLikes
from schemas.facts import PhotoLiked, PhotoUnliked
from schemas.ids import PhotoId, UserId
from streams.core.edges import OutgoingEdge
from streams.core.eras import era_of
from streams.stores.cache.keys import likes_key


async def put_like(
    likes: WithLikes, caller: ByCaller, photo_id: Annotated[PhotoId, Depends(photo_id_of)]
) -> Response:
    """Like the photo; the caller's own next request sees it, the count follows."""
    user = caller.user_id
    await visible_photo(likes.reads, user, photo_id)
    stored = await likes.edges.stored(OutgoingEdge.LIKES, user, photo_id)
    data = PhotoLiked(photo_id=photo_id, user_id=user)
    await likes.edges.add(OutgoingEdge.LIKES, user, photo_id, data, stored)
    return await _changed(likes, user, photo_id)


async def delete_like(
    likes: WithLikes, caller: ByCaller, photo_id: Annotated[PhotoId, Depends(photo_id_of)]
) -> Response:
    """Take the like back, if there is one."""
    user = caller.user_id
    await visible_photo(likes.reads, user, photo_id)
    await likes.edges.remove(
        OutgoingEdge.LIKES, user, photo_id, PhotoUnliked(photo_id=photo_id, user_id=user)
    )
    return await _changed(likes, user, photo_id)


async def _changed(likes: LikeService, user: UserId, photo_id: PhotoId) -> Response:
    # Without this, the next page would show the old cached likes. If it fails, the response is 503.
    await likes.cache.invalidate([likes_key(user, era_of(photo_id))])
    return done()
