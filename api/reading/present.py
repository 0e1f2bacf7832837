"""Photos, and pages of photos, as the contract shows them.

Everything that readers see of a photo is the same for all of them but `like_count` and `liked`. So the bytes
before and after these two are made once, and a page joins them.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from sys import maxsize
from typing import Any

import orjson

from api.http.cursors import CursorKind, encode_cursor
from api.reading.media_keys import MediaKeys
from api.reading.signed_urls import SignedUrl, UrlSigner
from schemas.ids import PhotoId
from streams.core.feed import TOP, Gaps
from streams.core.photos import SeenPhoto, Status

# With the URLs of four renditions a photo takes 3 kB: 25 MB in all.
PHOTOS_RENDERED_MAX = 8_192

_LIKED, _NOT_LIKED = b',"liked":true', b',"liked":false'


@dataclass(frozen=True, slots=True)
class Likes:
    """The likes of a page's photos: how many each has, and which photos the caller likes."""

    totals: Mapping[int, int]
    own: Collection[PhotoId]


@dataclass(frozen=True, slots=True)
class _Rendered:
    """The JSON of `photo` before and after its likes, with URLs that `keys` signed and that expire from
    `expires_s` on."""

    photo: SeenPhoto
    before: bytes
    after: bytes
    expires_s: int
    keys: MediaKeys


@dataclass(slots=True)
class PhotoRenderer:
    """Makes the JSON of photos, and caches at most `rendered_max` of them.

    What is cached is used for the same row only, while its URLs may be shown and the keys are the same.
    """

    signer: UrlSigner
    rendered_max: int = PHOTOS_RENDERED_MAX
    _rendered: dict[PhotoId, _Rendered] = field(default_factory=dict, init=False)

    async def render(self, photos: Sequence[SeenPhoto], likes: Likes) -> list[bytes]:
        """The photos' JSON, in order; all URLs are signed together."""
        rendered = self._cached(photos)
        self.signer.count(sum([len(one.photo.renditions) for one in rendered.values()]), 0)
        new = [photo for photo in photos if photo.photo_id not in rendered]
        if new:
            rendered |= await self._render(new)
        totals, own = likes.totals, likes.own
        items = []
        for photo in photos:
            photo_id = photo.photo_id
            one = rendered[photo_id]
            liked = _LIKED if photo_id in own else _NOT_LIKED
            items.append(b"%b%d%b%b" % (one.before, totals.get(photo_id, 0), liked, one.after))
        return items

    def _cached(self, photos: Sequence[SeenPhoto]) -> dict[PhotoId, _Rendered]:
        usable_s, keys = self.signer.usable_s(), self.signer.keys
        cached = {}
        for photo in photos:
            one = self._rendered.get(photo.photo_id)
            if one is not None and one.photo == photo and one.expires_s > usable_s and one.keys is keys:
                cached[photo.photo_id] = one
        return cached

    async def _render(self, photos: Sequence[SeenPhoto]) -> dict[PhotoId, _Rendered]:
        keys = self.signer.keys
        urls = await self.signer.urls([rendition[1] for photo in photos for rendition in photo.renditions])
        new = {photo.photo_id: _render(photo, urls, keys) for photo in photos}
        for photo_id, one in new.items():
            # First in, first out, as in the cache of URLs.
            self._rendered.pop(photo_id, None)
            self._rendered[photo_id] = one
        while len(self._rendered) > self.rendered_max:
            del self._rendered[next(iter(self._rendered))]
        return new


def _render(photo: SeenPhoto, urls: Mapping[str, SignedUrl], keys: MediaKeys) -> _Rendered:
    before = {
        "photo_id": str(photo.photo_id),
        "author_id": str(photo.author_id),
        "caption": photo.caption,
        "created_at": photo.created_at,
    }
    after = {
        "status": photo.status.value,
        "reason": photo.reason if photo.status is Status.REJECTED else None,
        "renditions": {
            name: {"url": urls[object_key].url, "width": width, "height": height}
            for name, object_key, width, height in photo.renditions
        },
    }
    return _Rendered(
        photo,
        before=orjson.dumps(before)[:-1] + b',"like_count":',
        after=b"," + orjson.dumps(after)[1:],
        expires_s=min(
            (urls[object_key].expires_s for _, object_key, _, _ in photo.renditions), default=maxsize
        ),
        keys=keys,
    )


def photo_page(items: Sequence[bytes], next_below: int | None, kind: CursorKind, gaps: Gaps) -> bytes:
    """A page of photos; the next one begins below `next_below`, which is None at the end."""
    # `next_below` is TOP if nothing could be read of the first page. Without a cursor, the client
    # requests the first page again.
    cursor = None if next_below is None or next_below == TOP else encode_cursor(kind, next_below)
    rest: dict[str, Any] = {"next_cursor": cursor, "completeness": gaps.completeness.value}
    return b'{"items":[%b],%b' % (b",".join(items), orjson.dumps(rest)[1:])
