"""What is asked of the caches between browsers and the media bucket."""

from collections.abc import Sequence
from typing import Protocol


class Cdn(Protocol):
    """The edges and the shield behind them."""

    async def purge(self, object_keys: Sequence[str]) -> None:
        """Forget every copy of these objects; any number of keys, and it may be repeated.

        When it returns, whoever asks for one of them is answered from the bucket: so delete there first. A
        fetch that was under way is not found afterwards either: copies are kept under a generation, and this
        raises it. (Only a cache that is restarted within two seconds may find it.) Its bytes may lie on a
        disk for a day, where no request reaches them. What a browser has kept itself it may show until its
        URL's life ends.

        Raises:
            StoreUnavailable: One of them did not answer; purge again.
        """
