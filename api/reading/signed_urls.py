"""Signed photo URLs: CloudFront's canned policy, with RSA and SHA-1 as CloudFront requires.

A signature costs 0.7 ms of a core, and a page has up to 400. A URL therefore stays the same for half
an hour, so browsers and the CDN can also cache what they fetched.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import quote
from zlib import crc32

from botocore.signers import CloudFrontSigner
from cachetools import FIFOCache
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA1
from more_itertools import sliced

from api.reading.media_keys import MediaKeys

# A cached URL takes about 700 bytes: 23 MB in all.
URLS_CACHED_MAX = 32_768

# 25 signatures take 18 ms. Groups of this size let several threads sign the URLs of one page on
# all cores.
URLS_A_THREAD = 25


class SignedUrl(NamedTuple):
    """A URL, when it expires (seconds since 1970), and the id of the key that signed it."""

    expires_s: int
    url: str
    key_id: str


@dataclass(slots=True)
class UrlSigner:
    """Signs URLs that are valid for `life_s_min` to `life_s_max` seconds.

    A URL stays the same for `life_s_max - life_s_min`. If a URL is being signed for one page, other
    pages wait for it. Otherwise a hundred readers of the same new photos would sign each URL a hundred times.
    """

    media_url: str
    keys: MediaKeys
    life_s_min: int
    life_s_max: int
    clock_us: Callable[[], int]
    count: Callable[[int, int], None]  # How many URLs were cached, and how many are signed.
    urls_cached_max: int = URLS_CACHED_MAX
    # First in, first out: the oldest URL also expires first, and a lookup moves nothing.
    _cached: FIFOCache[str, SignedUrl] = field(init=False)
    _signing: dict[str, asyncio.Task[dict[str, SignedUrl]]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._cached = FIFOCache(self.urls_cached_max)
        if not self.life_s_min < self.life_s_max:
            raise ValueError(
                f"media_url_life_s_min={self.life_s_min} must be below media_url_life_s_max={self.life_s_max}"
            )

    def use(self, keys: MediaKeys) -> None:
        """Sign with these keys from now on, and forget the URLs of keys that are not among them."""
        self.keys = keys
        withdrawn = [key for key, signed in self._cached.items() if signed.key_id not in keys.ids]
        for key in withdrawn:
            del self._cached[key]

    def usable_s(self) -> int:
        """Return the time (seconds since 1970) after which a URL must expire that may be shown now."""
        return self.clock_us() // 1_000_000 + self.life_s_min

    async def urls(self, object_keys: Iterable[str]) -> dict[str, SignedUrl]:
        """Return an absolute URL for each object key. Threads sign, because RSA runs without the GIL."""
        cached, usable_s = self._cached, self.usable_s()
        urls: dict[str, SignedUrl] = {}
        missing: set[str] = set()
        for key in object_keys:
            # A page has up to 400 keys, and looking them up with `get` would take twice as long.
            try:
                signed = cached[key]
            except KeyError:
                missing.add(key)
                continue
            if signed.expires_s > usable_s:
                urls[key] = signed
            else:
                missing.add(key)
        new = missing - self._signing.keys()
        self.count(len(urls) + len(missing) - len(new), len(new))
        return urls | await self._signed(missing, list(new)) if missing else urls

    async def _signed(self, missing: set[str], new: Sequence[str]) -> dict[str, SignedUrl]:
        """Return the URLs of `missing`; those of `new` are not being signed yet."""
        now_s = self.clock_us() // 1_000_000
        for keys in sliced(new, URLS_A_THREAD):
            task = asyncio.create_task(self._sign({key: self._expires_s(key, now_s) for key in keys}))
            self._signing |= dict.fromkeys(keys, task)
        tasks = {self._signing[key] for key in missing}
        # Unlike gather, wait does not cancel the tasks at this page's deadline: other pages wait for them.
        await asyncio.wait(tasks)
        return {key: signed for task in tasks for key, signed in task.result().items() if key in missing}

    async def _sign(self, expires_s: dict[str, int]) -> dict[str, SignedUrl]:
        try:
            while True:
                keys = self.keys
                signed = await asyncio.to_thread(self._sign_all, expires_s, keys)
                if keys.ids.signing in self.keys.ids:
                    break  # Otherwise the key was withdrawn meanwhile.
            self._cached.update(signed)
        finally:
            for key in expires_s:
                del self._signing[key]
        return signed

    def _expires_s(self, object_key: str, now_s: int) -> int:
        """Return the end of the key's current period plus `life_s_min`.

        Each key's periods are shifted by its hash, so that the URLs do not all expire at once.
        """
        period_s = self.life_s_max - self.life_s_min
        shift_s = crc32(object_key.encode()) % period_s
        return (now_s + shift_s) // period_s * period_s - shift_s + self.life_s_max

    def _sign_all(self, expires_s: dict[str, int], keys: MediaKeys) -> dict[str, SignedUrl]:
        key_id = keys.ids.signing
        signer = CloudFrontSigner(key_id, lambda policy: keys.private_key.sign(policy, PKCS1v15(), SHA1()))
        signed: dict[str, SignedUrl] = {}
        for key, until_s in expires_s.items():
            until = datetime.fromtimestamp(until_s, UTC)
            url = signer.generate_presigned_url(f"{self.media_url}/{quote(key)}", date_less_than=until)
            signed[key] = SignedUrl(until_s, url, key_id)
        return signed
