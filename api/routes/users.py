"""GET /v1/users/{user_id}: the counts."""

import asyncio
from typing import Annotated

from fastapi import Depends
from starlette.responses import Response

from api.http.inputs import user_id_of
from api.http.problems import unavailable
from api.http.responses import json_response
from api.services import ByCaller, UserService, WithUsers
from schemas.ids import UserId
from schemas.internal import SetKind
from streams.stores.cache.database_reads import TooManyReads


async def get_user(
    users: WithUsers, caller: ByCaller, user_id: Annotated[UserId, Depends(user_id_of)]
) -> Response:
    """The user's counts, exact once events have been handled; zeros for an id never seen.

    While the database does not count a user's followees in time, their number may be a minute old.
    """
    followees, followers, photos = await asyncio.gather(
        _followees(users, user_id),
        users.reads.totals(SetKind.FOLLOWERS, [user_id]),
        users.reads.totals(SetKind.READY_PHOTOS, [user_id]),
    )
    if followees is None or followers.unknown or photos.unknown:
        raise unavailable("The user's counts are not known now; try again.")
    return json_response(
        {
            "user_id": str(user_id),
            "followers": followers.values[user_id],
            "following": followees,
            "photos": photos.values[user_id],
        }
    )


async def _followees(users: UserService, user: UserId) -> int | None:
    """Return how many users the user follows, now or lately; None if it is not known."""
    try:
        counts = await users.reads.following_counts(user)
    except TooManyReads:
        return users.last_followees.get(user)
    if not counts.unknown:
        users.last_followees[user] = counts.values[user].followees
    return users.last_followees.get(user)
