"""What the bytes of an original say without decoding them; never its name or its declared type."""

import re
from collections.abc import Iterator
from enum import StrEnum

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHUNK_OVERHEAD_BYTES = 12  # A length, a type and a checksum: four bytes each.
# Of JPEG. In the data of a scan, FF is followed by 00 or by one of the eight restart markers.
_MARKER = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])", re.DOTALL)
# Not C4, C8 and CC, which begin other segments.
_FRAME_MARKERS = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_SCAN_MARKER, _END_MARKER = 0xDA, 0xD9
_COEFFICIENTS = range(64)


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


def has_all_scans(jpeg: memoryview) -> bool:
    """Return whether the headers of a JPEG's scans announce every bit of every coefficient.

    If scans are missing at the end of a file, libjpeg decodes a blurred or discoloured image and says
    nothing. Whether the last scan is whole, libjpeg says.
    """
    lacking: dict[int, set[int]] = {}
    for marker, content in _segments(jpeg):
        if marker in _FRAME_MARKERS:
            lacking = {component: set(_COEFFICIENTS) for component in content[6::3]}
        elif marker == _SCAN_MARKER and content:
            components, rest = content[1 : 1 + 2 * content[0] : 2], content[1 + 2 * content[0] :]
            # Progressive scans send the high bits first: the low half of the third byte is the number of
            # bits that are left to later scans.
            if len(rest) >= 3 and rest[2] & 15 == 0:
                for component in components:
                    lacking.get(component, set()).difference_update(range(rest[0], rest[1] + 1))
    return bool(lacking) and not any(lacking.values())


def _segments(jpeg: memoryview) -> Iterator[tuple[int, bytes]]:
    at = 2
    while (found := _MARKER.search(jpeg, at)) and found[1][0] != _END_MARKER:
        begin = found.end() + 2
        at = max(begin, found.end() + int.from_bytes(jpeg[found.end() : begin], "big"))
        yield found[1][0], bytes(jpeg[begin:at])
