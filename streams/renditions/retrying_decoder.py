"""A decoder that does not blame a photo at once for what may be the machine's fault."""

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
# A process that was killed for want of memory looks like one that crashed on its image.
# An image that really crashes its decoder does so each time.
TRIES_MAX = 3


@dataclass(frozen=True, slots=True)
class RetryingDecoder:
    """`decoder`, tried again where it crashed; as a store where it is not there at all.

    Raises:
        StoreUnavailable: No decoder runs; nothing is known about the original.
    """

    decoder: Decoder

    async def thumbnail(self, original: bytes) -> EncodedRendition:
        return await self._patiently(self.decoder.thumbnail, original)

    async def full(self, original: bytes) -> Mapping[str, EncodedRendition]:
        return await self._patiently(self.decoder.full, original)

    async def _patiently(self, decode: Callable[[bytes], Awaitable[T]], original: bytes) -> T:
        for tries_left in reversed(range(TRIES_MAX)):
            try:
                return await decode(original)
            except DecodersLost as error:
                raise StoreUnavailable(STORE, decode.__name__, str(error)) from error
            except Rejected as rejected:
                if rejected.reason is not Reason.DECODER_CRASHED or not tries_left:
                    raise
        raise AssertionError("the last try answers or raises")
