"""Port of the CDN between browsers and the media bucket."""

from collections.abc import Sequence
from typing import Protocol


class Cdn(Protocol):
    """The CDN edges and the shield behind them."""

    async def purge(self, object_keys: Sequence[str]) -> None:
        """Stop serving every cached object of these keys (any number). May be repeated.

        Delete the objects in the bucket first: after this has returned, a request for one of them
        is served from the bucket. An object that was being fetched during the purge is not served
        either, because objects are cached under a generation number, which a purge increases. The
        only exception is a cache that restarts within two seconds after the purge. The purged bytes
        may remain on a disk for a day, but no request reaches them. A browser may show its own
        cached object until the URL expires.

        Raises:
            StoreUnavailable: A CDN edge or the shield did not answer; purge again.
        """
