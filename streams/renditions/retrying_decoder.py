"""A decoder that retries after a crash, because the cause may be the machine and not the image.

This is the only layer that decodes an image again after a crash. `media/decoders.py` runs an image a second
time only for its known need of memory, under a larger limit.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from streams.core.renditions import EncodedRendition
from streams.errors import StoreUnavailable
from streams.media.rejected import Reason, Rejected
from streams.media.zygote_link import DecodersLost
from streams.renditions.making import Decoder

T = TypeVar("T")
STORE = "decoders"
# A process that was killed for lack of memory looks like one that crashed because of its image.
# An image that really crashes its decoder does so every time.
ATTEMPTS_MAX = 3


@dataclass(frozen=True, slots=True)
class RetryingDecoder:
    """Calls `decoder` up to `ATTEMPTS_MAX` times while it crashes.

    Raises:
        StoreUnavailable: No decoder runs; nothing is known about the original.
    """

    decoder: Decoder

    async def thumbnail(self, original: bytes) -> EncodedRendition:
        return await self._retried(self.decoder.thumbnail, original)

    async def full(self, original: bytes) -> Mapping[str, EncodedRendition]:
        return await self._retried(self.decoder.full, original)

    async def _retried(self, decode: Callable[[bytes], Awaitable[T]], original: bytes) -> T:
        for attempts_left in reversed(range(ATTEMPTS_MAX)):
            try:
                return await decode(original)
            except DecodersLost as error:
                raise StoreUnavailable(STORE, decode.__name__, str(error)) from error
            except Rejected as rejected:
                if rejected.reason is not Reason.DECODER_CRASHED or not attempts_left:
                    raise
        raise AssertionError("the last attempt returns or raises")
