"""Follow, like and upload over HTTP, each request repeated until the API acknowledges it."""

import asyncio
import io
from collections.abc import Sequence
from functools import cache
from itertools import cycle
from uuid import uuid4

from PIL import Image

from bench.measuring.media_checks import missing
from bench.traffic.events import fresh_photo_ids, fresh_users, original_key, upload
from bench.traffic.posting import Posting
from bench.traffic.requests import RETRY_S, Requests
from bench.traffic.waiting import eventually
from infra.local.deployment import Deployment
from schemas.ids import PhotoId
from shutterline.client.feed import Json
from streams.errors import StoreUnavailable
from streams.retrying import with_backoff
from streams.stores.connect import connect

FOLLOW_EVERY_S = LIKE_EVERY_S = 0.2
UPLOAD_EVERY_S = 1.0
READY_S_MAX = 120.0
# A count is cached for up to 30 s if Redis did not respond when it changed.
COUNTED_S_MAX = 40.0
STORED = 60
STORE_MS_MAX = 10_000
IMAGE_TYPE = "image/jpeg"
SIDE_PIXELS = 1_200  # Above that of the largest rendition, so that all of them are made.


class Writing:
    """Writes from its construction until `stop`.

    Again and again, a new user follows `followed` and likes `liked`, a photo of `posting`, an author
    uploads an image, and the event of one of `stored` is published; these photos have no renditions yet.
    """

    def __init__(self, requests: Requests, posting: Posting, stored: Sequence[PhotoId] = ()) -> None:
        self.uploaded: list[PhotoId] = []
        (self.followed,) = fresh_users(1)
        self.liked = posting.photos[len(posting.photos) // 2]
        self._followers = self._likers = 0
        self._shown = (0, 0)
        self._requests = requests
        self._posting = posting
        self._stored = stored
        self._going = True
        runs = [self._follow(), self._like(), *([self._upload(), self._publish()] if stored else [])]
        self._tasks = [asyncio.create_task(run) for run in runs]

    async def stop(self) -> None:
        """Write no more; returns when each write that has begun is acknowledged."""
        self._going = False
        await asyncio.gather(*self._tasks)

    async def check(self) -> None:
        """Check that every write has its effect, once everything is drained.

        Raises:
            AssertionError: A count is wrong for longer than it may be cached.
            TimeoutError: An upload does not have its renditions within `READY_S_MAX`.
        """
        try:
            await eventually("the counts are right", self._is_counted, COUNTED_S_MAX)
        except TimeoutError as error:
            raise AssertionError(
                f"{self._shown} followers and likes of {(self._followers, self._likers)}"
            ) from error
        for uploaded in self.uploaded:

            async def is_whole(path: str = f"/v1/photos/{uploaded}") -> bool:
                shown = await self._ask(path)
                return shown["status"] == "ready" and not missing(shown["renditions"])

            await eventually(f"{uploaded} has its renditions", is_whole, READY_S_MAX)

    async def _follow(self) -> None:
        while self._going:
            (follower,) = fresh_users(1)
            await self._requests.acknowledged("follow", "PUT", f"/v1/social/follow/{self.followed}", follower)
            self._followers += 1
            await asyncio.sleep(FOLLOW_EVERY_S)

    async def _like(self) -> None:
        while self._going:
            await asyncio.sleep(LIKE_EVERY_S)
            (liker,) = fresh_users(1)
            await self._requests.acknowledged("like", "PUT", f"/v1/photos/{self.liked}/like", liker)
            self._likers += 1

    async def _upload(self) -> None:
        authors = self._posting.authors
        while self._going:
            author = authors[len(self.uploaded) % len(authors)]
            headers = {"Content-Type": IMAGE_TYPE, "Idempotency-Key": uuid4().hex}
            begun = await self._requests.acknowledged(
                "upload", "POST", "/v1/photos", author, headers, _image()
            )
            self.uploaded.append(PhotoId(int(begun["photo_id"])))
            await asyncio.sleep(UPLOAD_EVERY_S)

    async def _publish(self) -> None:
        retrying = with_backoff(on=StoreUnavailable, first_s=RETRY_S, max_s=RETRY_S)
        deployment, authors = self._posting.deployment, self._posting.authors
        for photo, author in zip(self._stored, cycle(authors), strict=False):
            if not self._going:
                return
            await retrying(deployment.publish, [upload(deployment, photo, author, ready=False)])
            self.uploaded.append(photo)
            await asyncio.sleep(UPLOAD_EVERY_S)

    async def _is_counted(self) -> bool:
        user = await self._ask(f"/v1/users/{self.followed}")
        photo = await self._ask(f"/v1/photos/{self.liked}")
        self._shown = user["followers"], photo["like_count"]
        return self._shown == (self._followers, self._likers)

    async def _ask(self, path: str) -> Json:
        return await self._requests.client.settled(path, self._posting.authors[0])


async def store_originals(deployment: Deployment) -> list[PhotoId]:
    """Put the originals of new photos into the bucket, as an upstream app does; returns the ids."""
    photos = fresh_photo_ids(STORED)
    async with connect(deployment.settings, timeout_ms=STORE_MS_MAX) as stores:
        for photo in photos:
            await stores.media_objects.put(original_key(photo), _image(), content_type=IMAGE_TYPE)
    return photos


@cache
def _image() -> bytes:
    body = io.BytesIO()
    Image.new("RGB", (SIDE_PIXELS, SIDE_PIXELS), "teal").save(body, "JPEG")
    return body.getvalue()
