"""Every reason to reject an original, each with a small file made for the test."""

import json
import random
import re
import struct
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.renditions import FULL_SIDES_PIXELS, EncodedRendition, encoded_rendition
from streams.media.decoders import Decoders
from streams.media.originals import OriginalFormat, format_of, frames_of_png, has_all_scans
from streams.media.rejected import Reason, Rejected
from streams.media.wire import Ending, pack_made, pack_rejected, split_ending, unpack_answer
from tests.worlds.media import (
    BLUE,
    LIMITS,
    RED,
    encoded,
    is_near,
    jpeg,
    picture,
    pixel,
    png,
    png_chunk,
    png_of_header,
)

STILL = jpeg(400, 300)
FRAMES = [picture(40, 30), picture(40, 30).rotate(180)]
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"><rect width="9" height="9"/></svg>'
AVIF = b"\x00\x00\x00\x1cftypavif\x00\x00\x00\x00avifmif1miaf" + bytes(400)
PNG_AFTER_HEADER = 8 + 25  # The signature, and the chunk IHDR.


def still_png_with_frames(frames: int) -> bytes:
    still = png(400, 300)
    chunk = png_chunk(b"acTL", struct.pack("!II", frames, 0))
    return still[:PNG_AFTER_HEADER] + chunk + still[PNG_AFTER_HEADER:]


PROGRESSIVE = encoded(picture(400, 300), "JPEG", quality=90, progressive=True)
# Before each scan of it but the first: libjpeg then decodes the scans before, and gives no warning.
SCANS = [found.start() for found in re.finditer(b"\xff\xda", PROGRESSIVE)]


HOSTILE = {
    "nothing": (b"", Reason.EMPTY),
    "a byte too many": (jpeg() + bytes(LIMITS.original_bytes_max), Reason.TOO_LARGE_BYTES),
    "GIF": (encoded(picture(40, 30), "GIF"), Reason.UNSUPPORTED_FORMAT),
    "TIFF": (encoded(picture(40, 30), "TIFF"), Reason.UNSUPPORTED_FORMAT),
    "BMP": (encoded(picture(40, 30), "BMP"), Reason.UNSUPPORTED_FORMAT),
    "SVG": (SVG, Reason.UNSUPPORTED_FORMAT),
    "AVIF": (AVIF, Reason.UNSUPPORTED_FORMAT),
    "random bytes": (random.Random(1).randbytes(4_096), Reason.UNSUPPORTED_FORMAT),
    "PNG of 50,000 x 50,000": (png_of_header(50_000, 50_000), Reason.TOO_MANY_PIXELS),
    "PNG of 20,000 x 10": (png_of_header(20_000, 10), Reason.TOO_LONG_SIDE),
    "animated WebP": (
        encoded(FRAMES[0], "WEBP", save_all=True, append_images=FRAMES[1:]),
        Reason.SEVERAL_FRAMES,
    ),
    "animated PNG": (
        encoded(FRAMES[0], "PNG", save_all=True, append_images=FRAMES[1:]),
        Reason.SEVERAL_FRAMES,
    ),
    "PNG that states two frames": (still_png_with_frames(2), Reason.SEVERAL_FRAMES),
    "JPEG cut in its last pixels": (STILL[:-40], Reason.BROKEN),
    "progressive JPEG cut short": (PROGRESSIVE[:-40], Reason.BROKEN),
    **{
        f"progressive JPEG cut before scan {number}": (PROGRESSIVE[:at], Reason.BROKEN)
        for number, at in enumerate(SCANS[1:], 2)
    },
    "JPEG cut short": (STILL[: len(STILL) // 2], Reason.BROKEN),
    "PNG cut short": (png(400, 300)[:-200], Reason.BROKEN),
    "WebP cut short": (encoded(picture(400, 300), "WEBP")[:-200], Reason.BROKEN),
    "PNG without its pixels": (png_of_header(1_000, 1_000), Reason.BROKEN),
    "three bytes of JPEG": (b"\xff\xd8\xff", Reason.BROKEN),
    "SVG behind JPEG's first bytes": (b"\xff\xd8\xff" + SVG, Reason.BROKEN),
    "PNG of no width": (png_of_header(0, 10), Reason.BROKEN),
}


@pytest.fixture(scope="module")
async def decoders() -> AsyncIterator[Decoders]:
    async with Decoders(LIMITS, children_max=2, is_background=False) as decoders:
        yield decoders


@pytest.mark.law("L11")
@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_original_is_rejected_for_its_reason(decoders: Decoders, name: str) -> None:
    """By both lanes alike, and the next photo is made as if nothing had been."""
    original, reason = HOSTILE[name]

    for make in (decoders.thumbnail, decoders.full):
        with pytest.raises(Rejected) as rejected:
            await make(original)
        assert reason == rejected.value.reason, rejected.value.detail
        assert rejected.value.detail
    assert (await decoders.thumbnail(jpeg())).width == 64


@pytest.mark.parametrize(
    ("kind", "stated", "expected"), [(b"acTL", 3, 3), (b"acTL", 1, 1), (b"acTL", 0, 0), (b"tEXt", 3, 1)]
)
def test_the_frames_of_a_png_are_told_by_its_chunk(kind: bytes, stated: int, expected: int) -> None:
    """`acTL` before the pixels states them; `acTL` after them or another chunk does not."""
    still = png()
    chunk = png_chunk(kind, struct.pack("!II", stated, 0))

    before = still[:PNG_AFTER_HEADER] + chunk + still[PNG_AFTER_HEADER:]

    assert expected == frames_of_png(memoryview(before))
    assert frames_of_png(memoryview(still + chunk)) == 1


TAKEN = {
    "PNG of one frame that is animated": still_png_with_frames(1),
    "JPEG without its end marker": STILL[:-2],
    "JPEG with half of its end marker": STILL[:-1],
    "progressive JPEG without its end marker": PROGRESSIVE[:-2],
    "JPEG with bytes behind its end": STILL + b"more",
}


@pytest.mark.parametrize("name", TAKEN)
async def test_what_browsers_show_is_taken(decoders: Decoders, name: str) -> None:
    """By both lanes alike, with all pixels."""
    for made in (await decoders.thumbnail(TAKEN[name]), *(await decoders.full(TAKEN[name])).values()):
        assert is_near(RED, pixel(made.body, 0.25, 0.25))
        assert is_near(BLUE, pixel(made.body, 0.9, 0.9))


def jpeg_segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack("!H", 2 + len(content)) + content


def scan(components: list[int], first: int, last: int, bits_left: int) -> bytes:
    named = b"".join(bytes([component, 0]) for component in components)
    content = bytes([len(components)]) + named + bytes([first, last, bits_left])
    return jpeg_segment(0xDA, content) + b"\x12\xff\x00\xff\xd3\x34"


FRAME = jpeg_segment(0xC0, bytes([8, 0, 9, 0, 9, 2, 1, 0x11, 0, 2, 0x11, 0]))
# A thumbnail of the camera, with a frame and scans of its own.
CAMERA = jpeg_segment(0xE1, b"Exif\0\0\xff\xd8" + FRAME + scan([1, 2], 0, 63, 0) + b"\xff\xd9")


@pytest.mark.parametrize(
    ("scans", "is_whole"),
    [
        ([], False),
        ([scan([1, 2], 0, 63, 0)], True),
        ([scan([1], 0, 63, 0)], False),  # A sequential one whose second component is missing.
        ([scan([1], 0, 63, 0), scan([2], 0, 63, 0)], True),
        ([scan([1, 2], 0, 0, 0), scan([1], 1, 63, 1), scan([2], 1, 63, 0)], False),
        ([scan([1, 2], 0, 0, 0), scan([1], 1, 63, 1), scan([2], 1, 63, 0), scan([1], 1, 63, 0x10)], True),
        ([scan([1, 2], 0, 63, 0)[:6]], False),
        ([scan([1], 0, 63, 0), b"\xff\xd9", scan([2], 0, 63, 0)], False),
    ],
)
def test_the_scans_of_a_jpeg_tell_whether_some_are_missing(scans: list[bytes], is_whole: bool) -> None:
    """Every bit of every coefficient must be announced, outside of embedded thumbnails."""
    assert is_whole == has_all_scans(memoryview(b"\xff\xd8" + CAMERA + FRAME + b"".join(scans)))


@given(st.binary(max_size=60))
def test_no_bytes_break_the_search_for_scans(body: bytes) -> None:
    """The bytes come from a user."""
    assert not has_all_scans(memoryview(b"\xff\xd8" + body)) or b"\xff\xda" in body


def test_a_format_is_told_by_its_first_bytes() -> None:
    """The file's name and its declared type do not matter."""
    assert OriginalFormat.JPEG is format_of(jpeg())
    assert OriginalFormat.PNG is format_of(png())
    assert OriginalFormat.WEBP is format_of(encoded(picture(4, 4), "WEBP"))
    assert format_of(b"RIFF\x00\x00\x00\x00WAVE") is None


def test_only_three_loaders_are_left() -> None:
    """libvips itself refuses every other format, even if nobody checked the first bytes."""
    script = """
import io, sys, pyvips
from PIL import Image
from streams.media.loading import allow_loaders
allow_loaders()
opened = []
for name in ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "PPM", "svg"):
    body = io.BytesIO()
    if name == "svg":
        body.write(b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"></svg>')
    else:
        Image.new("RGB", (9, 9)).save(body, name)
    try:
        pyvips.Image.new_from_buffer(body.getvalue(), "")
        opened.append(name)
    except pyvips.Error:
        pass
print(*opened)
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert ran.stdout.split() == ["JPEG", "PNG", "WEBP"]


RENDITIONS = [("large", b"L" * 9, 1080, 720), ("medium", b"M", 640, 427), ("small", b"S" * 3, 320, 213)]


def test_an_answer_comes_back_as_it_was_given() -> None:
    """The worker reads the same bodies, sizes and pixel count, or the same rejection."""
    expected: dict[str, EncodedRendition] = {
        name: encoded_rendition(body, width, height) for name, body, width, height in RENDITIONS
    }

    assert (12, expected) == unpack_answer(memoryview(pack_made(12, RENDITIONS)), FULL_SIDES_PIXELS)
    with pytest.raises(Rejected, match="several_frames: two"):
        unpack_answer(memoryview(pack_rejected(Reason.SEVERAL_FRAMES, "two")), FULL_SIDES_PIXELS)


@pytest.mark.parametrize(
    "renditions",
    [
        RENDITIONS[:2],
        [*RENDITIONS, ("thumbnail", b"T", 150, 100)],
        [("large", b"L", 1081, 720), *RENDITIONS[1:]],
        [("large", b"L", 1080, 0), *RENDITIONS[1:]],
        [("large", b"", 1080, 720), *RENDITIONS[1:]],
    ],
)
def test_an_answer_that_cannot_be_is_not_believed(renditions: list[tuple[str, bytes, int, int]]) -> None:
    """A decoder that a hostile image has taken over can write anything."""
    with pytest.raises(ValueError, match=r"cannot be|renditions|malformed"):
        unpack_answer(memoryview(pack_made(12, renditions)), FULL_SIDES_PIXELS)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["made", "pixels", "rejected", "detail"]), inner)
    ),
)


def framed(told: object) -> bytes:
    head = json.dumps(told).encode()
    return len(head).to_bytes(4, "big") + head


@given(st.binary(max_size=64) | JSON.map(framed))
def test_no_answer_surprises_the_worker(answer: bytes) -> None:
    """Whatever a decoder writes, the worker gets a result, `Rejected`, or `ValueError`."""
    try:
        unpack_answer(memoryview(answer), FULL_SIDES_PIXELS)
    except (Rejected, ValueError):
        return


@given(st.binary(min_size=40, max_size=64), st.text(max_size=20))
def test_an_ending_is_found_after_any_answer(answer: bytes, complaint: str) -> None:
    """The zygote appends the ending; without it, nothing is known about the photo."""
    ending = Ending(9, 1_000, 17, complaint.encode(errors="replace").decode())

    found, found_ending = split_ending(bytearray(answer + ending.pack()))

    assert (answer, ending) == (bytes(found), found_ending)
    with pytest.raises(EOFError):
        split_ending(bytearray(answer))
