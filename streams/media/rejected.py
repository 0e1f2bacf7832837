"""Why a photo can never have renditions."""

import re
from enum import StrEnum

# What libvips, glib, libspng, libjpeg, libwebp and the C++ library say when memory is refused; a
# thread that cannot be made is a stack that cannot be mapped.
_OUT_OF_MEMORY = re.compile(
    r"out of memory|failed to allocate|cannot allocate|memory allocation|insufficient memory|bad_alloc"
    r"|creating thread",
    re.IGNORECASE,
)


class Reason(StrEnum):
    """One word for each way an original fails for good."""

    EMPTY = "empty"
    TOO_LARGE_BYTES = "too_large_bytes"
    UNSUPPORTED_FORMAT = "unsupported_format"
    TOO_MANY_PIXELS = "too_many_pixels"
    TOO_LONG_SIDE = "too_long_side"
    SEVERAL_FRAMES = "several_frames"
    BROKEN = "broken"
    DECODER_CRASHED = "decoder_crashed"
    DECODER_OUT_OF_MEMORY = "decoder_out_of_memory"
    DECODER_TIMEOUT = "decoder_timeout"


class Rejected(Exception):
    """The original is at fault and trying again would change nothing."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def is_out_of_memory(complaint: str) -> bool:
    """Whether the last words of a failed decoder are about memory."""
    return _OUT_OF_MEMORY.search(complaint) is not None
