"""The reasons why a photo can never have renditions."""

import re
from enum import StrEnum

# The messages of libvips, glib, libspng, libjpeg, libwebp and the C++ library when they get no
# memory. "creating thread" is one of them, because a thread needs memory for its stack.
_OUT_OF_MEMORY = re.compile(
    r"out of memory|failed to allocate|cannot allocate|memory allocation|insufficient memory|bad_alloc"
    r"|creating thread",
    re.IGNORECASE,
)


class Reason(StrEnum):
    """Why an original is rejected permanently."""

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
    """The original is the cause of the failure, so trying again would fail again."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def is_out_of_memory(complaint: str) -> bool:
    """Return whether `complaint`, the last output of a failed decoder, says that memory ran out."""
    return _OUT_OF_MEMORY.search(complaint) is not None
