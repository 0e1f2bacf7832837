"""Requests that the tests of the routes share."""

from typing import Any

from schemas.internal import SetKind
from streams.core.counted import Membership, bucket_of
from streams.core.sets import BucketKey, BucketWrite, SetSummary
from tests.worlds.api import World

ME, OTHER = 1, 2


async def get(world: World, path: str, user: int = ME) -> Any:
    """Return the JSON of a response, which must have status 200."""
    async with world.client(user) as client:
        response = await client.get(path)
        assert response.status_code == 200, response.text
        return response.json()


async def status_of(world: World, method: str, path: str, user: int = ME) -> int:
    async with world.client(user) as client:
        return (await client.request(method, path)).status_code


async def all_pages(world: World, path: str, limit: int, user: int = ME) -> list[Any]:
    """Return the items of all pages. Check that each page is complete, and that each page but the
    last is full."""
    items: list[Any] = []
    cursor = ""
    for _ in range(200):
        page = await get(world, f"{path}?limit={limit}{cursor}", user)
        assert len(page["items"]) == limit or page["next_cursor"] is None
        assert page.get("completeness", "complete") == "complete"
        items += page["items"]
        if page["next_cursor"] is None:
            return items
        cursor = f"&cursor={page['next_cursor']}"
    raise AssertionError("the pages do not end")


async def store_set(world: World, kind: SetKind, owner: int, members: list[int], level: int) -> None:
    """Store a counted set at a level as `SetWriter` stores it."""
    buckets: dict[int, list[int]] = {}
    for member in members:
        buckets.setdefault(bucket_of(member, level), []).append(member)
    is_member = Membership(1, removed=False)
    writes = [
        BucketWrite(
            key=BucketKey(kind, owner, level, bucket),
            rows=dict.fromkeys(bucket_members, is_member),
            count=len(bucket_members),
            summary=None,
            stamp=1,
        )
        for bucket, bucket_members in buckets.items()
    ]
    summary = SetSummary(level, len(members))
    top = BucketWrite(key=BucketKey(kind, owner, 0, 0), rows={}, count=None, summary=summary, stamp=2)
    await world.stores.counted_sets.write([*writes, top])
