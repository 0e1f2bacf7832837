"""What an original is, told from its first bytes: never from its name or its declared type."""

from collections.abc import Iterator
from enum import StrEnum

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHUNK_OVERHEAD_BYTES = 12  # A length, a type and a checksum of four bytes each.


class OriginalFormat(StrEnum):
    """The formats that may be decoded at all."""

    JPEG = "jpeg"
    PNG = "png"
    WEBP = "webp"


def format_of(original: bytes | memoryview) -> OriginalFormat | None:
    """The format by its magic bytes; None for every other."""
    first = bytes(original[:12])
    if first.startswith(b"\xff\xd8\xff"):
        return OriginalFormat.JPEG
    if first.startswith(_PNG_SIGNATURE):
        return OriginalFormat.PNG
    if first.startswith(b"RIFF") and first[8:12] == b"WEBP":
        return OriginalFormat.WEBP
    return None


def is_animated_png(original: memoryview) -> bool:
    """Whether `acTL` stands before the pixels, where alone it means an animation.

    libvips shows the first frame of an animated PNG and does not say that there are others.
    """
    return any(kind == b"acTL" for kind in _chunks_before_pixels(original))


def _chunks_before_pixels(png: memoryview) -> Iterator[bytes]:
    at = len(_PNG_SIGNATURE)
    while at + _CHUNK_OVERHEAD_BYTES <= len(png):
        length_bytes = int.from_bytes(png[at : at + 4], "big")
        kind = bytes(png[at + 4 : at + 8])
        if kind == b"IDAT":
            return
        yield kind
        at += _CHUNK_OVERHEAD_BYTES + length_bytes
