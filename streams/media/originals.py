"""The format of an original, from its first bytes; never from its name or its declared type."""

from collections.abc import Iterator
from enum import StrEnum

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHUNK_OVERHEAD_BYTES = 12  # A length, a type and a checksum: four bytes each.


class OriginalFormat(StrEnum):
    """The formats that we decode; every other format is rejected."""

    JPEG = "jpeg"
    PNG = "png"
    WEBP = "webp"


def format_of(original: bytes | memoryview) -> OriginalFormat | None:
    """Return the format that the first bytes show; None if it is not one of ours."""
    first = bytes(original[:12])
    if first.startswith(b"\xff\xd8\xff"):
        return OriginalFormat.JPEG
    if first.startswith(_PNG_SIGNATURE):
        return OriginalFormat.PNG
    if first.startswith(b"RIFF") and first[8:12] == b"WEBP":
        return OriginalFormat.WEBP
    return None


def frames_of_png(original: memoryview) -> int:
    """Return how many frames the `acTL` chunk before the pixels states; 1 without such a chunk.

    This must be checked here, because libvips decodes the first frame of an animated PNG and does
    not report that there are others. After the pixels the chunk has no meaning.
    """
    for kind, content in _chunks_before_pixels(original):
        if kind == b"acTL":
            return int.from_bytes(content[:4], "big")
    return 1


def _chunks_before_pixels(png: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    at = len(_PNG_SIGNATURE)
    while at + _CHUNK_OVERHEAD_BYTES <= len(png):
        length_bytes = int.from_bytes(png[at : at + 4], "big")
        kind = bytes(png[at + 4 : at + 8])
        if kind == b"IDAT":
            return
        yield kind, png[at + 8 : at + 8 + length_bytes]
        at += _CHUNK_OVERHEAD_BYTES + length_bytes
