"""GET /v1/social/followers: bucket by bucket, each in the order of ids."""

import asyncio
from collections.abc import Sequence
from typing import Annotated

from fastapi import Depends
from starlette.responses import Response

from api.http.cursors import CursorKind, encode_cursor
from api.http.inputs import PageQuery, followers_query
from api.http.problems import invalid
from api.http.responses import json_response
from api.services import ByCaller, SocialService, WithSocial
from schemas.ids import UserId
from schemas.internal import SetKind
from streams.core.counted import BUCKETS
from streams.core.sets import BucketKey

# The buckets of a large set hold hundreds of members, so a few buckets fill a page. One slot of the database
# reads is held for a round.
BUCKETS_A_ROUND = 8

# Level, bucket, and the member after whom the page begins.
FollowersPosition = tuple[int, int, int]


async def get_followers(
    social: WithSocial, caller: ByCaller, query: Annotated[PageQuery, Depends(followers_query)]
) -> Response:
    """A page of those who follow the caller; a page may be short before the end of a set that has shrunk."""
    position = await _position(social, caller.user_id, query)
    members, next_position = await _page(social, caller.user_id, position, query.limit)
    cursor = encode_cursor(CursorKind.FOLLOWERS, *next_position) if next_position else None
    return json_response({"items": [str(member) for member in members], "next_cursor": cursor})


async def _position(social: SocialService, owner: UserId, query: PageQuery) -> FollowersPosition:
    async with social.reads.through.reads.slot():
        followers = (await social.counted_sets.summaries(SetKind.FOLLOWERS, [owner]))[owner]
    if query.position is None:
        return followers.level, 0, 0
    level, bucket, after = query.position
    # Cursors are not signed: anybody can write one of a level that the set never had, whose buckets are all
    # empty. A set's level never falls.
    if level > followers.level or bucket >= BUCKETS[level]:
        raise invalid(ValueError("cursor names no position in this list; begin without one"))
    # Use the cursor's level, not the set's. The rows of lower levels stay readable for clients that are
    # reading page by page.
    return level, bucket, after


async def _page(
    social: SocialService, owner: UserId, position: FollowersPosition, limit: int
) -> tuple[list[int], FollowersPosition | None]:
    level, first, after = position
    members: list[int] = []
    last = min(BUCKETS[level], first + social.buckets_a_page_max)
    for start in range(first, last, BUCKETS_A_ROUND):
        buckets = range(start, min(start + BUCKETS_A_ROUND, last))
        pages = await _read(social, owner, level, buckets, after if start == first else 0, limit)
        for bucket, page in zip(buckets, pages, strict=True):
            room = limit - len(members)
            members += page[:room]
            if len(page) > room:
                return members, (level, bucket, members[-1] if room else 0)
    return members, None if last == BUCKETS[level] else (level, last, 0)


async def _read(
    social: SocialService, owner: UserId, level: int, buckets: Sequence[int], after: int, limit: int
) -> list[list[int]]:
    """Read up to `limit` + 1 members of each bucket; `after` applies to the first bucket only."""
    pages = (
        social.counted_sets.page(
            BucketKey(SetKind.FOLLOWERS, owner, level, bucket),
            after=after if bucket == buckets[0] else 0,
            limit=limit + 1,
        )
        for bucket in buckets
    )
    async with social.reads.through.reads.slot():
        return await asyncio.gather(*pages)
