"""What the worker, its zygote and a decoder say to each other.

An *order* goes to the zygote with two descriptors: the original, and a socket. On that socket
the decoder writes an *answer* and ends; then the zygote, which no image ever reaches, adds an
*ending*, so a decoder cannot say of itself how it ended.
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
# Three renditions of at most 1,080 x 1,080 pixels: even as noise they compress below 3 bytes a pixel.
ANSWER_BYTES_MAX = 8 * 1024 * 1024
COMPLAINT_BYTES_MAX = 2_048
DETAIL_CHARACTERS_MAX = 300

_HEAD = struct.Struct("!I")
# Marks an ending: without it the last bytes of an answer could be taken for one when the zygote has died.
_MARK = b"\x00ending\x00"
_ENDING = struct.Struct("!iQQH8s")


@dataclass(frozen=True, slots=True)
class Order:
    """Make the thumbnail, or the other three, of one original."""

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
    """How a decoder ended, as the kernel says: wait status, most memory, CPU time; and its last words."""

    status: int
    peak_rss_bytes: int
    cpu_us: int
    complaint: str

    def pack(self) -> bytes:
        complaint = self.complaint.encode(errors="replace")[:COMPLAINT_BYTES_MAX]
        return complaint + _ENDING.pack(self.status, self.peak_rss_bytes, self.cpu_us, len(complaint), _MARK)


def split_ending(received: bytearray) -> tuple[memoryview, Ending]:
    """The decoder's answer, whole or not, and the zygote's ending after it.

    Raises:
        EOFError: There is no ending: the zygote itself has ended.
    """
    at = len(received) - _ENDING.size
    if at < 0 or not received.endswith(_MARK):
        raise EOFError("it did not say how the decoder ended")
    status, peak_rss_bytes, cpu_us, complaint_bytes, _ = _ENDING.unpack_from(received, at)
    answer_bytes = at - complaint_bytes
    complaint = received[answer_bytes:at].decode(errors="replace")
    return memoryview(received)[:answer_bytes], Ending(status, peak_rss_bytes, cpu_us, complaint)


def pack_made(pixels: int, renditions: Iterable[tuple[str, bytes, int, int]]) -> bytes:
    """The answer with an original's count of pixels and its renditions, each (name, body, width, height)."""
    listed = [(name, width, height, body) for name, body, width, height in renditions]
    sizes = [[name, width, height, len(body)] for name, width, height, body in listed]
    header = json.dumps({"pixels": pixels, "made": sizes}).encode()
    return b"".join([_HEAD.pack(len(header)), header, *(body for *_, body in listed)])


def pack_rejected(reason: Reason, detail: str) -> bytes:
    """An answer that the original is at fault."""
    header = json.dumps({"rejected": reason, "detail": detail[:DETAIL_CHARACTERS_MAX]}).encode()
    return _HEAD.pack(len(header)) + header


def unpack_answer(answer: memoryview, names: Mapping[str, int]) -> tuple[int, dict[str, EncodedRendition]]:
    """The original's pixels and its renditions: exactly `names`, each within its side in pixels.

    A decoder may have been taken over by its image, so nothing in `answer` is believed.

    Raises:
        Rejected: The decoder says that the original is at fault.
        ValueError: It is not an answer that a decoder of ours would give.
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
