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

# A cached count is removed by each change of the user. From here on it takes several calls of the database to
# count again, so the cached followees are counted, to which changes are appended.
LARGE_FOLLOWEES = 2_000


async def get_user(
    users: WithUsers, caller: ByCaller, user_id: Annotated[UserId, Depends(user_id_of)]
) -> Response:
    """The user's counts, exact once events have been handled; zeros for an id never seen.

    Where another user keeps changing thousands of followees, their number may be some moments old, and a
    minute if the database does not count them in time.
    """
    followees, followers, photos = await asyncio.gather(
        _followees(users, user_id, is_own=caller.user_id == user_id),
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


async def _followees(users: UserService, user: UserId, *, is_own: bool) -> int | None:
    """Return how many users the user follows, now or lately; None if it is not known.

    Only the user waits until a large number is read again: they may have changed it just now.
    """
    last = users.last_followees.get(user)
    waits = is_own or last is None
    try:
        if last is not None and last >= LARGE_FOLLOWEES:
            following = await users.reads.following(user, waits=waits)
            count = None if following.unknown else len(following.values[user])
        else:
            counts = await users.reads.following_counts(user, waits=waits)
            count = None if counts.unknown else counts.values[user].followees
    except TooManyReads:
        return last
    if count is not None:
        users.last_followees[user] = count
    return users.last_followees.get(user)
