"""PUT and DELETE /v1/photos/{photo_id}/like."""

from typing import Annotated

from fastapi import Depends
from starlette.responses import Response

from api.context import ApiContext, ByCaller, InContext
from api.http.answers import done
from api.http.inputs import photo_id_of
from api.routes.photos import visible_photo
from api.routes.publish_edge import publish_edge
from schemas.events import PhotoLiked, PhotoUnliked
from schemas.ids import PhotoId, UserId
from streams.core.edges import OutgoingEdge
from streams.core.eras import era_of
from streams.stores.cache.keys import likes_key


async def put_like(
    context: InContext, caller: ByCaller, photo_id: Annotated[PhotoId, Depends(photo_id_of)]
) -> Response:
    """Like the photo; the caller's own next request sees it, the count follows."""
    return await _change(context, caller.user_id, photo_id, removed=False)


async def delete_like(
    context: InContext, caller: ByCaller, photo_id: Annotated[PhotoId, Depends(photo_id_of)]
) -> Response:
    """Take the like back, if there is one."""
    return await _change(context, caller.user_id, photo_id, removed=True)


async def _change(context: ApiContext, user: UserId, photo_id: PhotoId, *, removed: bool) -> Response:
    await visible_photo(context, user, photo_id)
    fact = PhotoUnliked if removed else PhotoLiked
    await publish_edge(
        context,
        OutgoingEdge.LIKES,
        user,
        photo_id,
        data=fact(photo_id=photo_id, user_id=user),
        removed=removed,
    )
    # Otherwise the old likes would be read; failing, it is a 503.
    await context.stores.cache.invalidate([likes_key(user, era_of(photo_id))])
    return done()
