"""Signed photo URLs: CloudFront's canned policy, with RSA and SHA-1 as CloudFront requires.

A signature costs 0.7 ms of a core, and a page has up to 400. A URL therefore stays the same for half
an hour, so browsers and the CDN can also cache what they fetched.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote
from zlib import crc32

from botocore.signers import CloudFrontSigner
from cachetools import FIFOCache
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from more_itertools import sliced

# A cached URL takes about 700 bytes: 23 MB in all.
URLS_CACHED_MAX = 32_768

# 25 signatures take 18 ms. Groups of this size let several threads sign the URLs of one page on
# all cores.
URLS_A_THREAD = 25


@dataclass(slots=True)
class UrlSigner:
    """Signs URLs that are valid for `life_s_min` to `life_s_max` seconds.

    A URL stays the same for `life_s_max - life_s_min`. If a URL is being signed for one page, other
    pages wait for it. Otherwise a hundred readers of the same new photos would sign each URL a hundred times.
    """

    media_url: str
    key_id: str
    private_key: RSAPrivateKey
    life_s_min: int
    life_s_max: int
    clock_us: Callable[[], int]
    count: Callable[[int, int], None]  # How many URLs were cached, and how many are signed.
    urls_cached_max: int = URLS_CACHED_MAX
    # By object key: when the URL expires, and the URL. First in, first out: the oldest URL also expires
    # first, and a lookup moves nothing.
    _cached: FIFOCache[str, tuple[int, str]] = field(init=False)
    _signing: dict[str, asyncio.Task[dict[str, tuple[int, str]]]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._cached = FIFOCache(self.urls_cached_max)
        if not self.life_s_min < self.life_s_max:
            raise ValueError(
                f"media_url_life_s_min={self.life_s_min} must be below media_url_life_s_max={self.life_s_max}"
            )

    async def urls(self, object_keys: Iterable[str]) -> dict[str, str]:
        """Return an absolute URL for each object key. Threads sign, because RSA runs without the GIL."""
        now_s = self.clock_us() // 1_000_000
        cached, usable_s = self._cached, now_s + self.life_s_min
        urls: dict[str, str] = {}
        missing: set[str] = set()
        for key in object_keys:
            # A page has up to 400 keys, and looking them up with `get` would take twice as long.
            try:
                expires_s, url = cached[key]
            except KeyError:
                missing.add(key)
                continue
            if expires_s > usable_s:
                urls[key] = url
            else:
                missing.add(key)
        new = missing - self._signing.keys()
        self.count(len(urls) + len(missing) - len(new), len(new))
        return urls | await self._signed(missing, list(new), now_s) if missing else urls

    async def _signed(self, missing: set[str], new: Sequence[str], now_s: int) -> dict[str, str]:
        """Return the URLs of `missing`; those of `new` are not being signed yet."""
        for keys in sliced(new, URLS_A_THREAD):
            task = asyncio.create_task(self._sign({key: self._expires_s(key, now_s) for key in keys}))
            self._signing |= dict.fromkeys(keys, task)
        tasks = {self._signing[key] for key in missing}
        # Unlike gather, wait does not cancel the tasks at this page's deadline: other pages wait for them.
        await asyncio.wait(tasks)
        return {key: url for task in tasks for key, (_, url) in task.result().items() if key in missing}

    async def _sign(self, expires_s: dict[str, int]) -> dict[str, tuple[int, str]]:
        try:
            signed = await asyncio.to_thread(self._sign_all, expires_s)
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

    def _sign_all(self, expires_s: dict[str, int]) -> dict[str, tuple[int, str]]:
        signer = CloudFrontSigner(
            self.key_id, lambda policy: self.private_key.sign(policy, PKCS1v15(), SHA1())
        )
        signed: dict[str, tuple[int, str]] = {}
        for key, until_s in expires_s.items():
            until = datetime.fromtimestamp(until_s, UTC)
            url = signer.generate_presigned_url(f"{self.media_url}/{quote(key)}", date_less_than=until)
            signed[key] = (until_s, url)
        return signed


def load_media_key(path: Path) -> RSAPrivateKey:
    """Read an RSA key from a PEM file.

    Raises:
        ValueError: The file holds no RSA key; the message names it.
    """
    key = load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, RSAPrivateKey):
        raise ValueError(f"{path} holds a {type(key).__name__}, but photo URLs need an RSA private key")  # noqa: TRY004 - the file's content is wrong, not a caller's type.
    return key
