"""Delete photos and unfollow authors over HTTP, and look for what an acknowledged removal left."""

import asyncio

from bench.traffic.events import fresh_users
from bench.traffic.posting import Posting
from bench.traffic.requests import Requests
from schemas.ids import PhotoId
from shutterline.client.feed import feed_path

REMOVE_EVERY_S = 0.5
PAGE_PHOTOS = 20


class Removing:
    """Removes from its construction until `stop`.

    Again and again, an author deletes the newest photo of `posting`, and a new user follows an author,
    unfollows, and reads the feed. `deleted` has the photos whose deletion is acknowledged.
    """

    def __init__(self, requests: Requests, posting: Posting) -> None:
        self.deleted: list[PhotoId] = []
        self._requests = requests
        self._posting = posting
        self._going = True
        self._tasks = [asyncio.create_task(run) for run in (self._delete(), self._unfollow())]

    async def stop(self) -> None:
        """Remove no more; returns when each request that has begun is acknowledged.

        Raises:
            AssertionError: A feed had a photo of an author whom its reader had unfollowed.
        """
        self._going = False
        await asyncio.gather(*self._tasks)

    async def _delete(self) -> None:
        authors = self._posting.authors
        while self._going:
            photos = self._posting.photos
            photo, author = photos[-1], authors[(len(photos) - 1) % len(authors)]
            await self._requests.acknowledged("delete", "DELETE", f"/v1/photos/{photo}", author)
            self.deleted.append(photo)
            await asyncio.sleep(REMOVE_EVERY_S)

    async def _unfollow(self) -> None:
        path = f"/v1/social/follow/{self._posting.authors[0]}"
        while self._going:
            (reader,) = fresh_users(1)
            for kind, method in (("follow", "PUT"), ("unfollow", "DELETE")):
                await self._requests.acknowledged(kind, method, path, reader)
            page = await self._requests.acknowledged("feed", "GET", feed_path(PAGE_PHOTOS), reader)
            if page["items"]:
                raise AssertionError(f"{reader} unfollowed, and sees {page['items'][0]}")
            await asyncio.sleep(REMOVE_EVERY_S)
