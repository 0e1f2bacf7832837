"""Makes renditions for the worker: takes an untrusted image, returns encoded renditions.

Each image is decoded in a process of its own, which can return nothing but renditions or an error.
"""

import asyncio
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Self

from streams.core.renditions import (
    FULL_SIDES_PIXELS,
    THUMBNAIL,
    THUMBNAIL_SIDE_PIXELS,
    EncodedRendition,
    RenditionFormat,
)
from streams.media.limits import MediaLimits
from streams.media.originals import format_of
from streams.media.rejected import Reason, Rejected, is_out_of_memory
from streams.media.sandbox import Allowance
from streams.media.wire import Ending, Order, unpack_answer
from streams.media.zygote_link import DecodersLost, ZygoteLink

ZYGOTES_MAX = 3
_THUMBNAIL_NAMES = MappingProxyType({THUMBNAIL: THUMBNAIL_SIDE_PIXELS})


@dataclass(frozen=True, slots=True)
class Cost:
    """What one decoder used, as the kernel counted it.

    `pixels` is the size of the original; None if the decoder returned no renditions.
    """

    cpu_ms: float
    peak_rss_bytes: int
    pixels: int | None


class Decoders:
    """Makes renditions of at most `children_max` images at once; further calls wait.

    An image that must be in memory as a whole (see `MediaLimits`) is decoded while its decoder has
    the lock `large_turn`. All lanes of one process must share this lock, so that a worker never has
    two such images in memory. If `is_background` is set, decoders run only when nothing else wants
    the core. A decoder of a large image always runs at the ordinary priority; otherwise a thumbnail
    that waits for `large_turn` would wait for a background decoder. `observe` is called with the
    cost of each decoder.

    Cancelling a call ends its decoder. When this process dies for any reason, its decoders die too.
    """

    def __init__(
        self,
        limits: MediaLimits,
        *,
        children_max: int,
        is_background: bool,
        rendition_format: RenditionFormat = RenditionFormat.JPEG,
        large_turn: asyncio.Lock | None = None,
        observe: Callable[[Cost], None] = lambda cost: None,
    ) -> None:
        self._limits = limits
        self._is_background = is_background
        self._format = rendition_format
        self._observe = observe
        self._large_turn = large_turn or asyncio.Lock()
        self._slots = asyncio.Semaphore(children_max)
        self._zygote = ZygoteLink()

    async def __aenter__(self) -> Self:
        await self._zygote.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._zygote.stop()

    async def thumbnail(self, original: bytes) -> EncodedRendition:
        """Return the thumbnail; decodes as little of the original as its format allows.

        Raises:
            Rejected: The original can never have renditions; do not try again.
            DecodersLost: Nothing is known about the original; try again.
        """
        return (await self._make(original, _THUMBNAIL_NAMES))[THUMBNAIL]

    async def full(self, original: bytes) -> Mapping[str, EncodedRendition]:
        """Return `small`, `medium` and `large`; decodes the original once for all three.

        Raises:
            Rejected: The original can never have renditions; do not try again.
            DecodersLost: Nothing is known about the original; try again.
        """
        return await self._make(original, FULL_SIDES_PIXELS)

    async def _make(self, original: bytes, names: Mapping[str, int]) -> Mapping[str, EncodedRendition]:
        self._check_bytes(original)
        try:
            async with self._slots:
                return await self._decode(original, names, self._allowance(is_large=False))
        except Rejected as rejected:
            if rejected.reason is not Reason.DECODER_OUT_OF_MEMORY:
                raise
        # Only the decoder finds out how much memory an image needs. So every image is first tried
        # with the small limit. The memory for a whole image is mostly requested before the first
        # pixel, so a failed first try took 7 to 100 ms. If the memory runs out later, the work of
        # the first decoder is lost, at most once an image.
        async with self._large_turn, self._slots:
            return await self._decode(original, names, self._allowance(is_large=True))

    def _check_bytes(self, original: bytes) -> None:
        if not original:
            raise Rejected(Reason.EMPTY, "the original has no bytes")
        if len(original) > self._limits.original_bytes_max:
            raise Rejected(
                Reason.TOO_LARGE_BYTES,
                f"{len(original)} bytes are above {self._limits.original_bytes_max}",
            )
        if format_of(original) is None:
            raise Rejected(Reason.UNSUPPORTED_FORMAT, "the first bytes are not those of JPEG, PNG or WebP")

    def _allowance(self, *, is_large: bool) -> Allowance:
        limits = self._limits
        return Allowance(
            limits.large_decoder_memory_bytes_max if is_large else limits.decoder_memory_bytes_max,
            limits.decoder_cpu_s_max,
            self._is_background and not is_large,
        )

    async def _decode(
        self, original: bytes, names: Mapping[str, int], allowance: Allowance
    ) -> Mapping[str, EncodedRendition]:
        order = Order(THUMBNAIL in names, self._format, self._limits, allowance)
        answer, ending = await self._run(order, original)
        pixels = None
        try:
            _check_ending(ending)
            pixels, renditions = unpack_answer(answer, names)
        except ValueError as error:
            raise Rejected(Reason.DECODER_CRASHED, str(error)) from error
        finally:
            self._observe(Cost(ending.cpu_us / 1_000, ending.peak_rss_bytes, pixels))
        return renditions

    async def _run(self, order: Order, original: bytes) -> tuple[memoryview, Ending]:
        wall_s_max = self._limits.decoder_wall_s_max
        for zygotes_left in reversed(range(ZYGOTES_MAX)):
            try:
                await self._zygote.start()
                async with asyncio.timeout(wall_s_max):
                    return await self._zygote.run(order, original)
            except TimeoutError as error:
                raise Rejected(Reason.DECODER_TIMEOUT, f"not done after {wall_s_max} s") from error
            except OverflowError as error:
                raise Rejected(Reason.DECODER_CRASHED, str(error)) from error
            except DecodersLost:
                if not zygotes_left:
                    raise
        raise AssertionError("the last zygote answers or raises")


def _check_ending(ending: Ending) -> None:
    """Check that the decoder ended by itself with status 0.

    Raises:
        Rejected: The decoder was killed or failed; the reason says how.
    """
    if ending.status == 0:
        return
    code = os.waitstatus_to_exitcode(ending.status)
    ended = signal.Signals(-code).name if code < 0 else f"status {code}"
    last_words = ending.complaint.strip().rpartition("\n")[2]
    if ended == signal.SIGXCPU.name:
        raise Rejected(
            Reason.DECODER_TIMEOUT, f"not done after {ending.cpu_us / 1_000_000:.1f} s of CPU time"
        )
    reason = Reason.DECODER_OUT_OF_MEMORY if is_out_of_memory(ending.complaint) else Reason.DECODER_CRASHED
    raise Rejected(reason, f"the decoder ended with {ended}: {last_words or 'no word'}")
