"""A decoder that retries after a crash, because the cause may be the machine and not the image.

Only this layer decodes an image again after a crash. `media/decoders.py` decodes an image a second
time only if the image needs more memory, and then with a larger memory limit.
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
# If the kernel kills a decoder because the machine lacks memory, that looks like a crash because of
# the image. An image that is the cause crashes its decoder at every attempt.
ATTEMPTS_MAX = 3


@dataclass(frozen=True, slots=True)
class RetryingDecoder:
    """Calls `decoder` up to `ATTEMPTS_MAX` times while it crashes.

    Raises:
        Rejected: See `Decoder`; for a crash, only after the last attempt.
        StoreUnavailable: Decoders cannot be started; nothing is known about the original.
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
