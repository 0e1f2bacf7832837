"""The messages between the worker, its zygote and a decoder.

The worker sends the zygote an *order* with two descriptors: the original, and a socket. The decoder
writes an *answer* to that socket and ends. Then the zygote appends an *ending* to the same socket.
The ending can be trusted, because the zygote never reads an image; a decoder that its image has
taken over cannot report a false one.
"""

import json
import struct
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

from streams.core.renditions import EncodedRendition, RenditionFormat, encoded_rendition
from streams.media.limits import MediaLimits
from streams.media.rejected import Reason, Rejected
from streams.media.sandbox import Allowance

ORDER_BYTES_MAX = 4_096
# An answer has three renditions of at most 1,080 x 1,080 pixels. Even noise compresses to less than
# 3 bytes a pixel.
ANSWER_BYTES_MAX = 8 * 1024 * 1024
COMPLAINT_BYTES_MAX = 2_048
DETAIL_CHARACTERS_MAX = 300

_HEAD = struct.Struct("!I")
# The last bytes of every ending. If the zygote has died, there is no ending; without this mark, the
# last bytes of the answer would then be read as an ending.
_MARK = b"\x00ending\x00"
_ENDING = struct.Struct("!iQQH8s")


@dataclass(frozen=True, slots=True)
class Order:
    """The order to make the thumbnail of one original, or its other three renditions."""

    is_thumbnail: bool
    rendition_format: RenditionFormat
    limits: MediaLimits
    allowance: Allowance

    def pack(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @staticmethod
    def unpack(packed: bytes) -> "Order":
        told = json.loads(packed)
        return Order(
            told["is_thumbnail"],
            RenditionFormat(told["rendition_format"]),
            MediaLimits(**told["limits"]),
            Allowance(**told["allowance"]),
        )


@dataclass(frozen=True, slots=True)
class Ending:
    """How a decoder ended.

    The wait status, the peak memory and the CPU time come from the kernel. `complaint` is the end
    of the decoder's stderr.
    """

    status: int
    peak_rss_bytes: int
    cpu_us: int
    complaint: str

    def pack(self) -> bytes:
        complaint = self.complaint.encode(errors="replace")[:COMPLAINT_BYTES_MAX]
        return complaint + _ENDING.pack(self.status, self.peak_rss_bytes, self.cpu_us, len(complaint), _MARK)


def split_ending(received: bytearray) -> tuple[memoryview, Ending]:
    """Split `received` into the decoder's answer, which may be incomplete, and the zygote's ending.

    Raises:
        EOFError: There is no ending, because the zygote itself has ended.
    """
    at = len(received) - _ENDING.size
    if at < 0 or not received.endswith(_MARK):
        raise EOFError("it did not say how the decoder ended")
    status, peak_rss_bytes, cpu_us, complaint_bytes, _ = _ENDING.unpack_from(received, at)
    answer_bytes = at - complaint_bytes
    complaint = received[answer_bytes:at].decode(errors="replace")
    return memoryview(received)[:answer_bytes], Ending(status, peak_rss_bytes, cpu_us, complaint)


def pack_made(pixels: int, renditions: Iterable[tuple[str, bytes, int, int]]) -> bytes:
    """Make the answer of a success: the number of pixels of the original, and its renditions.

    Each rendition is (name, body, width, height).
    """
    listed = [(name, width, height, body) for name, body, width, height in renditions]
    sizes = [[name, width, height, len(body)] for name, width, height, body in listed]
    header = json.dumps({"pixels": pixels, "made": sizes}).encode()
    return b"".join([_HEAD.pack(len(header)), header, *(body for *_, body in listed)])


def pack_rejected(reason: Reason, detail: str) -> bytes:
    """Make the answer that rejects the original."""
    header = json.dumps({"rejected": reason, "detail": detail[:DETAIL_CHARACTERS_MAX]}).encode()
    return _HEAD.pack(len(header)) + header


def unpack_answer(answer: memoryview, names: Mapping[str, int]) -> tuple[int, dict[str, EncodedRendition]]:
    """Return the original's number of pixels, and its renditions by name.

    `names` maps each expected rendition to the maximum of its sides in pixels. The image may have
    taken over the decoder, so that `answer` is not trusted: it must have exactly these renditions,
    within these sides.

    Raises:
        Rejected: The decoder rejected the original.
        ValueError: An intact decoder would not send this answer.
    """
    try:
        (head_bytes,) = _HEAD.unpack_from(answer)
        header = json.loads(bytes(answer[_HEAD.size : _HEAD.size + head_bytes]))
        if "rejected" in header:
            raise Rejected(Reason(header["rejected"]), _printable(header["detail"]))
        return int(header["pixels"]), _renditions(answer[_HEAD.size + head_bytes :], header["made"], names)
    except (struct.error, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise ValueError(f"a malformed answer: {error}") from error


def _renditions(
    bodies: memoryview, listed: list[list[int]], names: Mapping[str, int]
) -> dict[str, EncodedRendition]:
    renditions = {}
    at = 0
    for name, width, height, length in listed:
        side_pixels = names[str(name)]
        is_within = 1 <= min(width, height) and max(width, height) <= side_pixels
        if not is_within or not 0 < length <= len(bodies) - at:
            raise ValueError(f"{name} of {width} x {height} in {length} bytes cannot be")
        renditions[str(name)] = encoded_rendition(bytes(bodies[at : at + length]), int(width), int(height))
        at += length
    if renditions.keys() != names.keys() or at != len(bodies):
        raise ValueError(f"renditions {sorted(renditions)}, {len(bodies) - at} bytes left over")
    return renditions


def _printable(detail: object) -> str:
    shown = str(detail)[:DETAIL_CHARACTERS_MAX]
    return "".join(character if character.isprintable() else " " for character in shown)
