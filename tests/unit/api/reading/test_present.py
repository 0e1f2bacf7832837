"""The JSON of photos is joined from cached bytes: it is the same as if it were made each time."""

from collections.abc import Sequence
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from api.http.cursors import CursorKind, encode_cursor
from api.reading.media_keys import KeyIds, MediaKeys
from api.reading.present import Likes, PhotoRenderer, photo_page
from api.reading.signed_urls import SignedUrl, UrlSigner
from schemas.ids import ID_MAX, PhotoId, UserId
from streams.core.feed import TOP, Completeness, Gaps
from streams.core.photos import SeenPhoto, Status
from tests.worlds.api import Clock, media_key

HOUR_S = 3_600


class _Signer(UrlSigner):
    """Signs nothing: a URL names its object, when it expires, and its key."""

    def _sign_all(self, expires_s: dict[str, int], keys: MediaKeys) -> dict[str, SignedUrl]:
        key_id = keys.ids.signing
        return {
            key: SignedUrl(until_s, f"https://media.example/{key}?{until_s}&{key_id}", key_id)
            for key, until_s in expires_s.items()
        }


def _renderer(clock: Clock, counted: list[tuple[int, int]] | None = None, **limits: int) -> PhotoRenderer:
    signer = _Signer(
        media_url="https://media.example",
        keys=MediaKeys(KeyIds("K1"), media_key()),
        life_s_min=1_800,
        life_s_max=HOUR_S,
        clock_us=clock.us,
        count=lambda cached, signed: None if counted is None else counted.append((cached, signed)),
    )
    return PhotoRenderer(signer, **limits)


RENDITIONS = st.lists(
    st.tuples(st.text(), st.text(min_size=1), st.integers(1, 5_000), st.integers(1, 5_000)).map(list),
    max_size=4,
    unique_by=(lambda rendition: rendition[0], lambda rendition: rendition[1]),
)
PHOTOS = st.builds(
    SeenPhoto,
    photo_id=st.integers(1, ID_MAX).map(PhotoId),
    author_id=st.integers(1, ID_MAX).map(UserId),
    created_at=st.just("2026-01-31T12:00:00.123Z"),
    caption=st.text(),
    status=st.sampled_from(Status),
    reason=st.none() | st.text(),
    deleted=st.just(False),
    renditions=RENDITIONS,
)


async def _direct(renderer: PhotoRenderer, photo: SeenPhoto, likes: Likes) -> dict[str, Any]:
    """The photo as the contract has it, made from the row alone."""
    urls = await renderer.signer.urls([rendition[1] for rendition in photo.renditions])
    return {
        "photo_id": str(photo.photo_id),
        "author_id": str(photo.author_id),
        "caption": photo.caption,
        "created_at": photo.created_at,
        "like_count": likes.totals.get(photo.photo_id, 0),
        "liked": photo.photo_id in likes.own,
        "status": photo.status.value,
        "reason": photo.reason if photo.status is Status.REJECTED else None,
        "renditions": {
            name: {"url": urls[key].url, "width": width, "height": height}
            for name, key, width, height in photo.renditions
        },
    }


@given(
    st.lists(PHOTOS, max_size=4, unique_by=lambda photo: photo.photo_id),
    st.lists(st.tuples(st.integers(0, 2**63 - 1), st.booleans()), min_size=4, max_size=4),
)
async def test_the_bytes_are_those_of_the_json_made_directly(
    photos: Sequence[SeenPhoto], numbers: Sequence[tuple[int, bool]]
) -> None:
    """Byte for byte, for every shape of a photo: when rendered, and when cached with other likes."""
    renderer = _renderer(Clock())
    by_photo = list(zip(photos, numbers, strict=False))
    some = Likes({photo.photo_id: total for photo, (total, _) in by_photo}, ())
    others = Likes({}, {photo.photo_id for photo, (_, liked) in by_photo if liked})

    for likes in (some, others):
        items = await renderer.render(photos, likes)

        assert items == [orjson.dumps(await _direct(renderer, photo, likes)) for photo in photos]


@given(
    st.lists(st.integers(0, 9), max_size=3),
    st.none() | st.integers(0, ID_MAX) | st.just(TOP),
    st.sampled_from([Gaps(), Gaps(missing=True), Gaps(stale=True), Gaps(rebuilding=True)]),
)
def test_the_bytes_of_a_page_are_those_of_its_json(
    items: Sequence[int], next_below: int | None, gaps: Gaps
) -> None:
    """Whatever it has: no photo, no next page, any completeness."""
    page = photo_page([orjson.dumps(item) for item in items], next_below, CursorKind.FEED, gaps)

    cursor = None if next_below in (None, TOP) else encode_cursor(CursorKind.FEED, next_below or 0)
    completeness: Completeness = gaps.completeness
    assert page == orjson.dumps({"items": items, "next_cursor": cursor, "completeness": completeness.value})


def _photo(photo_id: int = 1, **changes: Any) -> SeenPhoto:
    photo = SeenPhoto(
        PhotoId(photo_id),
        UserId(7),
        "2026-01-31T12:00:00.123Z",
        "before",
        Status.PROCESSING,
        None,
        False,
        [["thumbnail", f"r/{photo_id}/thumbnail.jpg", 150, 100]],
    )
    return photo._replace(**changes)


async def _one(renderer: PhotoRenderer, photo: SeenPhoto) -> dict[str, Any]:
    [item] = await renderer.render([photo], Likes({}, ()))
    shown: dict[str, Any] = orjson.loads(item)
    return shown


async def test_a_photo_that_changed_is_rendered_again() -> None:
    """Each field of a row counts, and a row that changes back counts too."""
    renderer = _renderer(Clock())
    full = ["full", "r/1/full.jpg", 2_000, 1_000]
    rows = [
        _photo(),
        _photo(status=Status.READY),
        _photo(status=Status.REJECTED, reason="too_large"),
        _photo(caption="after"),
        _photo(renditions=[full]),
        _photo(renditions=[[*full[:2], 1_999, 1_000]]),
        _photo(),
    ]

    for row in rows:
        assert await _one(renderer, row) == await _direct(renderer, row, Likes({}, ()))


async def test_a_url_is_not_shown_in_the_last_half_hour_of_its_life() -> None:
    """However often the page is read, also if only one of the photo's URLs is that old."""
    clock = Clock()
    renderer = _renderer(clock)
    keys = [[str(number), f"r/1/{number}.jpg", 150, 100] for number in range(4)]

    for _ in range(2 * HOUR_S // 60):
        shown = await _one(renderer, _photo(renditions=keys))
        for rendition in shown["renditions"].values():
            expires_s = int(rendition["url"].partition("?")[2].partition("&")[0])
            assert 1_800 < expires_s - clock.ms // 1_000 <= HOUR_S
        clock.ms += 60_000


async def test_the_url_of_a_withdrawn_key_is_not_shown_again() -> None:
    """The edges refuse it. URLs of a key that is still accepted stay."""
    renderer = _renderer(Clock())
    before = await _one(renderer, _photo())
    renderer.signer.use(MediaKeys(KeyIds("K2", frozenset({"K1"})), media_key()))
    rotated = await _one(renderer, _photo())
    renderer.signer.use(MediaKeys(KeyIds("K2"), media_key()))
    withdrawn = await _one(renderer, _photo())

    assert rotated == before
    assert withdrawn["renditions"]["thumbnail"]["url"].endswith("&K2")


async def test_cached_photos_are_bounded() -> None:
    """The oldest ones are evicted first."""
    renderer = _renderer(Clock(), rendered_max=2)
    await renderer.render([_photo(number) for number in (1, 2, 3)], Likes({}, ()))
    await _one(renderer, _photo(2, caption="after"))
    await _one(renderer, _photo(4))

    assert list(renderer._rendered) == [2, 4]


async def test_every_url_of_a_page_is_counted_once() -> None:
    """Whether it is signed or comes from a cache."""
    counted: list[tuple[int, int]] = []
    renderer = _renderer(Clock(), counted)
    for numbers in ((1, 2), (1, 2, 3)):
        await renderer.render([_photo(number) for number in numbers], Likes({}, ()))

    assert [sum(pair) for pair in zip(*counted, strict=True)] == [2, 3]
