"""What the media bucket promises: objects, signed requests that are really sent, and parts."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from streams.ports.groups import Stores
from streams.ports.media import SignedRequest
from tests.contract.passing_time import PassingTime

NewId = Callable[[], int]
# Sends a signed request with this body and returns the status.
PutSigned = Callable[[SignedRequest, bytes], Awaitable[int]]

JPEG, PNG = "image/jpeg", "image/png"
# S3 refuses a smaller part, except as the last part.
PART_BYTES = 5 * 1_048_576
LIFE_S = 60
OK, FORBIDDEN, TAKEN = 200, 403, 412


class MediaObjectsSuite:
    async def test_what_was_put_is_there(self, stores: Stores, new_id: NewId) -> None:
        """The object has the size and the bytes that were put. Another key has no object."""
        key = f"suite/{new_id()}"
        await stores.media_objects.put(key, b"12345", content_type=JPEG)

        assert await stores.media_objects.size(key) == 5
        assert await stores.media_objects.read(key, bytes_max=100) == b"12345"
        assert await stores.media_objects.size(f"{key}0") is None
        assert await stores.media_objects.read(f"{key}0", bytes_max=100) is None

    async def test_an_empty_object_is_there(self, stores: Stores, new_id: NewId) -> None:
        """An object without bytes is not a missing object."""
        key = f"suite/{new_id()}"
        await stores.media_objects.put(key, b"", content_type=JPEG)

        assert (await stores.media_objects.size(key), await stores.media_objects.read(key, bytes_max=5)) == (
            0,
            b"",
        )

    @pytest.mark.parametrize(("bytes_max", "expected"), [(4, b"12345"), (5, b"12345"), (2, b"123")])
    async def test_reading_ends_one_byte_after_the_limit(
        self, stores: Stores, new_id: NewId, bytes_max: int, expected: bytes
    ) -> None:
        """`read` returns at most one byte more than `bytes_max`, so the caller can tell that the
        object is longer."""
        key = f"suite/{new_id()}"
        await stores.media_objects.put(key, b"12345", content_type=JPEG)

        assert await stores.media_objects.read(key, bytes_max=bytes_max) == expected

    async def test_deleted_objects_are_gone(self, stores: Stores, new_id: NewId) -> None:
        """One call deletes several objects. Unknown keys and an empty list do nothing."""
        keys = [f"suite/{new_id()}" for _ in range(3)]
        for key in keys:
            await stores.media_objects.put(key, b"1", content_type=JPEG)
        await stores.media_objects.delete([])
        for _ in range(2):
            await stores.media_objects.delete(keys[:2])

        assert [await stores.media_objects.size(key) for key in keys] == [None, None, 1]

    async def test_a_listing_goes_on_after_its_last_key(
        self, stores: Stores, new_id: NewId, passing: PassingTime
    ) -> None:
        """A listing has the objects of one prefix, ordered by key, with sizes and times. `after`
        continues it."""
        prefix = f"suite/{new_id()}/"
        for number in range(5):
            await stores.media_objects.put(f"{prefix}{number}", b"x" * number, content_type=JPEG)
        await stores.media_objects.put(f"{prefix[:-1]}0", b"x", content_type=JPEG)
        first = await stores.media_objects.list(prefix, limit=2)
        rest = await stores.media_objects.list(prefix, after=first[-1].object_key, limit=1_000)

        assert [listed.object_key for listed in (*first, *rest)] == [
            f"{prefix}{number}" for number in range(5)
        ]
        assert [listed.size_bytes for listed in (*first, *rest)] == [0, 1, 2, 3, 4]
        assert all(abs(listed.modified_ms - passing.now_ms()) < 60_000 for listed in first)
        assert await stores.media_objects.list(f"{prefix}none", limit=10) == []


class SignedPutSuite:
    async def _signed(self, stores: Stores, key: str, life_s: int = LIFE_S) -> SignedRequest:
        return await stores.media_uploads.sign_put(key, content_type=PNG, size_bytes=5, life_s=life_s)

    async def test_a_signed_put_puts_the_object_once(
        self, stores: Stores, new_id: NewId, put_signed: PutSigned
    ) -> None:
        """The object cannot be replaced afterwards, not even by bytes of the same length or with a
        new signature."""
        key = f"suite/{new_id()}"
        signed = await self._signed(stores, key)
        statuses = [await put_signed(signed, body) for body in (b"12345", b"54321")]
        again = await put_signed(await self._signed(stores, key), b"54321")

        assert ([*statuses, again], await stores.media_objects.read(key, bytes_max=9)) == (
            [OK, TAKEN, TAKEN],
            b"12345",
        )

    async def test_of_racing_puts_one_is_stored(
        self, stores: Stores, new_id: NewId, put_signed: PutSigned
    ) -> None:
        """All other requests get status 412."""
        signed = await self._signed(stores, f"suite/{new_id()}")
        statuses = await asyncio.gather(*(put_signed(signed, b"%05d" % number) for number in range(8)))

        assert sorted(statuses) == [OK, *[TAKEN] * 7]

    @pytest.mark.parametrize("body", [b"", b"1234", b"123456"])
    async def test_another_length_is_refused(
        self, stores: Stores, new_id: NewId, put_signed: PutSigned, body: bytes
    ) -> None:
        """The signature covers the length of the body."""
        key = f"suite/{new_id()}"

        assert await put_signed(await self._signed(stores, key), body) == FORBIDDEN
        assert await stores.media_objects.size(key) is None

    @pytest.mark.parametrize(
        "headers", [{"Content-Type": JPEG}, {"Content-Type": None}, {"If-None-Match": None}]
    )
    async def test_other_headers_are_refused(
        self, stores: Stores, new_id: NewId, put_signed: PutSigned, headers: dict[str, str | None]
    ) -> None:
        """The signature covers the content type and `If-None-Match`, the condition that protects an
        existing object."""
        key = f"suite/{new_id()}"
        signed = await self._signed(stores, key)
        sent = {name: value for name, value in {**signed.headers, **headers}.items() if value is not None}

        assert await put_signed(replace(signed, headers=sent), b"12345") == FORBIDDEN
        assert await stores.media_objects.size(key) is None

    async def test_a_forged_request_is_refused(
        self, stores: Stores, new_id: NewId, put_signed: PutSigned
    ) -> None:
        """A signed URL with another key or with another signature is refused."""
        key, other = f"suite/{new_id()}", f"suite/{new_id()}"
        signed = await self._signed(stores, key)
        last = signed.url[-1]
        urls = [signed.url.replace(key, other), signed.url[:-1] + ("0" if last != "0" else "1")]

        assert [await put_signed(replace(signed, url=url), b"12345") for url in urls] == [FORBIDDEN] * 2
        assert [await stores.media_objects.size(name) for name in (key, other)] == [None, None]

    async def test_a_signed_put_expires(
        self, stores: Stores, new_id: NewId, put_signed: PutSigned, passing: PassingTime
    ) -> None:
        """After the time for which it was signed, the request is refused."""
        key = f"suite/{new_id()}"
        signed = await self._signed(stores, key, life_s=1)

        began_ms = passing.now_ms()
        await passing.until(_at_least(passing, began_ms + 2_500), "two seconds and a half to pass")

        assert await put_signed(signed, b"12345") == FORBIDDEN
        assert await stores.media_objects.size(key) is None


def _at_least(passing: PassingTime, then_ms: int) -> Callable[[], Awaitable[bool]]:
    async def passed() -> bool:
        return passing.now_ms() >= then_ms

    return passed


class PartsSuite:
    async def test_parts_make_the_object_once_all_are_there(
        self, stores: Stores, new_id: NewId, put_signed: PutSigned
    ) -> None:
        """Parts may arrive in any order, by a signed request or from the API itself. Before all
        parts are there, finishing makes no object."""
        key, uploads = f"suite/{new_id()}", stores.media_uploads
        sizes = {1: PART_BYTES, 2: PART_BYTES, 3: 3}
        parts_id = await uploads.begin_parts(key, content_type=PNG)
        last = await uploads.sign_part(key, parts_id, 3, size_bytes=3, life_s=LIFE_S)
        first = await uploads.sign_part(key, parts_id, 1, size_bytes=PART_BYTES, life_s=LIFE_S)
        arrived = [await uploads.parts(key, parts_id)]
        for signed, body in ((last, b"ccc"), (first, b"a" * PART_BYTES)):
            assert await put_signed(signed, body) == OK
            arrived.append(await uploads.parts(key, parts_id))
        await uploads.finish_parts(key, parts_id, sizes)
        early = await stores.media_objects.size(key)
        await uploads.put_part(key, parts_id, 2, b"b" * PART_BYTES)
        for _ in range(2):
            await uploads.finish_parts(key, parts_id, sizes)

        assert arrived == [{}, {3: 3}, {1: PART_BYTES, 3: 3}]
        assert (early, await stores.media_objects.size(key)) == (None, 2 * PART_BYTES + 3)
        made = await stores.media_objects.read(key, bytes_max=3 * PART_BYTES)
        assert made == b"a" * PART_BYTES + b"b" * PART_BYTES + b"ccc"
        assert await uploads.parts(key, parts_id) == {}

    async def test_a_part_may_be_put_again(
        self, stores: Stores, new_id: NewId, put_signed: PutSigned
    ) -> None:
        """A client repeats a PUT if its connection was cut before the response. The bytes of the
        last PUT are used."""
        key, uploads = f"suite/{new_id()}", stores.media_uploads
        parts_id = await uploads.begin_parts(key, content_type=PNG)
        signed = await uploads.sign_part(key, parts_id, 1, size_bytes=3, life_s=LIFE_S)
        statuses = [await put_signed(signed, body) for body in (b"abc", b"def")]
        await uploads.finish_parts(key, parts_id, {1: 3})

        assert (statuses, await stores.media_objects.read(key, bytes_max=9)) == ([OK, OK], b"def")

    async def test_a_signed_part_is_only_of_its_length_and_number(
        self, stores: Stores, new_id: NewId, put_signed: PutSigned
    ) -> None:
        """A longer or shorter body or another part number is refused."""
        key, uploads = f"suite/{new_id()}", stores.media_uploads
        parts_id = await uploads.begin_parts(key, content_type=PNG)
        signed = await uploads.sign_part(key, parts_id, 1, size_bytes=3, life_s=LIFE_S)
        renumbered = replace(signed, url=_renumbered(signed.url))
        assert renumbered != signed
        statuses = [
            await put_signed(signed, b"ab"),
            await put_signed(signed, b"abcd"),
            await put_signed(renumbered, b"abc"),
        ]

        assert (statuses, await uploads.parts(key, parts_id)) == ([FORBIDDEN] * 3, {})

    async def test_other_parts_than_stated_make_nothing(self, stores: Stores, new_id: NewId) -> None:
        """Finishing makes no object if a stated part has not arrived or has another length."""
        key, uploads = f"suite/{new_id()}", stores.media_uploads
        parts_id = await uploads.begin_parts(key, content_type=PNG)
        await uploads.finish_parts(key, parts_id, {1: 3})
        await uploads.put_part(key, parts_id, 1, b"abc")
        for sizes in ({1: 4}, {1: 3, 2: 3}, {2: 3}):
            await uploads.finish_parts(key, parts_id, sizes)

        assert await stores.media_objects.size(key) is None
        assert await uploads.parts(key, parts_id) == {1: 3}

    async def test_an_aborted_upload_is_forgotten(self, stores: Stores, new_id: NewId) -> None:
        """Its parts are removed and no object is made. Aborting the same upload again does
        nothing."""
        key, uploads = f"suite/{new_id()}", stores.media_uploads
        parts_id = await uploads.begin_parts(key, content_type=PNG)
        await uploads.put_part(key, parts_id, 1, b"abc")
        for _ in range(2):
            await uploads.abort_parts(key, parts_id)
        await uploads.finish_parts(key, parts_id, {1: 3})

        assert await uploads.parts(key, parts_id) == {}
        assert (await stores.media_objects.size(key), await uploads.unfinished(key)) == (None, [])

    async def test_unfinished_uploads_are_listed(
        self, stores: Stores, new_id: NewId, passing: PassingTime
    ) -> None:
        """The list has the start time of each upload, may name a key several times, and leaves out
        finished and aborted uploads."""
        prefix, uploads = f"suite/{new_id()}/", stores.media_uploads
        under_way = {await uploads.begin_parts(f"{prefix}1", content_type=PNG) for _ in range(2)}
        finished = await uploads.begin_parts(f"{prefix}2", content_type=PNG)
        await uploads.put_part(f"{prefix}2", finished, 1, b"abc")
        await uploads.finish_parts(f"{prefix}2", finished, {1: 3})
        aborted = await uploads.begin_parts(f"{prefix}3", content_type=PNG)
        await uploads.abort_parts(f"{prefix}3", aborted)
        listed = await uploads.unfinished(prefix)

        assert {(parts.object_key, parts.parts_id) for parts in listed} == {
            (f"{prefix}1", parts_id) for parts_id in under_way
        }
        assert all(abs(parts.started_ms - passing.now_ms()) < 60_000 for parts in listed)

    async def test_two_may_finish_at_once(self, stores: Stores, new_id: NewId) -> None:
        """If several callers finish the same upload at once, the object is complete and no caller
        gets an error."""
        key, uploads = f"suite/{new_id()}", stores.media_uploads
        parts_id = await uploads.begin_parts(key, content_type=PNG)
        await uploads.put_part(key, parts_id, 1, b"abc")
        await asyncio.gather(*(uploads.finish_parts(key, parts_id, {1: 3}) for _ in range(4)))

        assert await stores.media_objects.read(key, bytes_max=9) == b"abc"


def _renumbered(url: str) -> str:
    for name in ("partNumber", "number"):
        url = url.replace(f"{name}=1", f"{name}=2")
    return url


class OriginalsSuite:
    async def test_an_original_is_there_once_it_was_put(
        self, stores: Stores, new_id: NewId, put_original: Callable[[str], None]
    ) -> None:
        """Before the PUT the object has no size. A PUT of one key does not create another key."""
        key = f"originals/{new_id()}.jpg"

        assert await stores.media_objects.size(key) is None
        put_original(key)
        assert await stores.media_objects.size(key) == len(b"original")
        assert await stores.media_objects.size(f"{key}2") is None
