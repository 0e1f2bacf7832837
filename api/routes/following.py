"""Follow and unfollow, and whom the caller follows."""

from http import HTTPStatus
from itertools import islice
from typing import Annotated

from fastapi import Depends
from starlette.responses import Response

from api.http.cursors import CursorKind, encode_cursor
from api.http.inputs import PageQuery, following_query, user_id_of
from api.http.problems import Problem, unavailable
from api.http.responses import done, json_response
from api.services import ByCaller, SocialService, WithSocial
from schemas.ids import UserId
from streams.core.edges import Following


async def put_follow(
    social: WithSocial, caller: ByCaller, user_id: Annotated[UserId, Depends(user_id_of)]
) -> Response:
    """Follow the user; the caller's own next request sees their photos."""
    if user_id == caller.user_id:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"user_id is {user_id}, which is yourself.")
    await social.follows.follow(caller.user_id, user_id)
    return done()


async def delete_follow(
    social: WithSocial, caller: ByCaller, user_id: Annotated[UserId, Depends(user_id_of)]
) -> Response:
    """Stop following the user; no page served after this shows their photos."""
    if user_id == caller.user_id:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"user_id is {user_id}, which is yourself.")
    await social.follows.unfollow(caller.user_id, user_id)
    return done()


async def _following_of(social: SocialService, user: UserId) -> Following:
    """Whom the user follows now.

    Raises:
        Problem: 503, if that is not known.
    """
    following = await social.reads.following(user)
    if following.unknown:
        raise unavailable("Whom you follow is not known now; try again.")
    return following.values[user]


async def get_following(
    social: WithSocial, caller: ByCaller, query: Annotated[PageQuery, Depends(following_query)]
) -> Response:
    """A page of those whom the caller follows, by id, ascending."""
    after = query.position[0] if query.position else 0
    following = await _following_of(social, caller.user_id)
    page = list(islice((followee for followee in following if followee > after), query.limit + 1))
    items = page[: query.limit]
    cursor = encode_cursor(CursorKind.FOLLOWING, items[-1]) if len(page) > query.limit else None
    return json_response({"items": [str(followee) for followee in items], "next_cursor": cursor})
