"""A decoder: a forked process that decodes one image and then ends."""

import mmap
import os

import pyvips  # type: ignore[import-untyped]  # pyvips has no py.typed.

from streams.media import renditions
from streams.media.loading import Original, lacks_its_end, open_checked
from streams.media.rejected import Reason, Rejected, is_out_of_memory
from streams.media.sandbox import confine
from streams.media.syscalls import Architecture
from streams.media.wire import Order, pack_made, pack_rejected

_STDERR = 2


def decode(order: Order, architecture: Architecture, original: int, answer: int) -> None:
    """Decode the image in the descriptor `original`; write the result to the descriptor `answer`.

    Gives up all privileges before it reads the image. If the image is broken or breaks a limit, the
    answer says why. An exception means an error of our code or of the kernel, not of the image.
    """
    # The image is never unmapped, because libvips may point into it until the process ends.
    image = memoryview(mmap.mmap(original, 0, prot=mmap.PROT_READ))
    confine(order.allowance, architecture, keep=(_STDERR, answer))
    rest = memoryview(_answer(order, Original(image)))
    while rest:
        rest = rest[os.write(answer, rest) :]


def _answer(order: Order, original: Original) -> bytes:
    try:
        return _rendered(order, original)
    except Rejected as rejected:
        return pack_rejected(rejected.reason, rejected.detail)
    except MemoryError:
        return pack_rejected(Reason.DECODER_OUT_OF_MEMORY, "Python was refused memory")
    except pyvips.Error as error:
        reason = Reason.DECODER_OUT_OF_MEMORY if is_out_of_memory(str(error)) else Reason.BROKEN
        return pack_rejected(reason, str(error))


def _rendered(order: Order, original: Original) -> bytes:
    make = renditions.thumbnail if order.is_thumbnail else renditions.full

    def encode(original: Original) -> bytes:
        image = open_checked(original, order.limits)
        return pack_made(image.width * image.height, make(original, image, order.rendition_format))

    try:
        return encode(original)
    except pyvips.Error as error:
        if not lacks_its_end(original, str(error)):
            raise
    return encode(original.ended())
