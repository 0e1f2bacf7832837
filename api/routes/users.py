"""GET /v1/users/{user_id}: the counts."""

import asyncio
from typing import Annotated

from fastapi import Depends
from starlette.responses import Response

from api.http.inputs import user_id_of
from api.http.problems import unavailable
from api.http.responses import json_response
from api.services import ByCaller, WithUsers
from schemas.ids import UserId
from schemas.internal import SetKind


async def get_user(
    users: WithUsers, caller: ByCaller, user_id: Annotated[UserId, Depends(user_id_of)]
) -> Response:
    """The user's counts, exact once events have been handled; zeros for an id never seen."""
    following, followers, photos = await asyncio.gather(
        users.reads.following_counts(user_id),
        users.reads.totals(SetKind.FOLLOWERS, [user_id]),
        users.reads.totals(SetKind.READY_PHOTOS, [user_id]),
    )
    if following.unknown or followers.unknown or photos.unknown:
        raise unavailable("The user's counts are not known now; try again.")
    return json_response(
        {
            "user_id": str(user_id),
            "followers": followers.values[user_id],
            "following": following.values[user_id].followees,
            "photos": photos.values[user_id],
        }
    )
