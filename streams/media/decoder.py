"""One decoder: a process that lives for one image."""

import mmap
import os

import pyvips  # type: ignore[import-untyped]  # It ships stubs without saying so.

from streams.media import renditions
from streams.media.loading import open_checked
from streams.media.rejected import Reason, Rejected, is_out_of_memory
from streams.media.sandbox import confine
from streams.media.syscalls import Architecture
from streams.media.wire import Order, pack_made, pack_rejected

_STDERR = 2


def decode(order: Order, architecture: Architecture, original: int, answer: int) -> None:
    """Read the descriptor `original`, give up every privilege, and write what comes of it to `answer`.

    What is wrong with the image is answered. What is raised is our own fault, or the kernel's.
    """
    # Never unmapped: libvips may point into it until the process ends.
    image = memoryview(mmap.mmap(original, 0, prot=mmap.PROT_READ))
    confine(order.allowance, architecture, keep=(_STDERR, answer))
    rest = memoryview(_answer(order, image))
    while rest:
        rest = rest[os.write(answer, rest) :]


def _answer(order: Order, original: memoryview) -> bytes:
    make = renditions.thumbnail if order.is_thumbnail else renditions.full
    try:
        image = open_checked(original, order.limits)
        return pack_made(image.width * image.height, make(original, image, order.rendition_format))
    except Rejected as rejected:
        return pack_rejected(rejected.reason, rejected.detail)
    except MemoryError:
        return pack_rejected(Reason.DECODER_OUT_OF_MEMORY, "Python was refused memory")
    except pyvips.Error as error:
        reason = Reason.DECODER_OUT_OF_MEMORY if is_out_of_memory(str(error)) else Reason.BROKEN
        return pack_rejected(reason, str(error))
