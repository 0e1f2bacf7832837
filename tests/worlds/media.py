"""Draw original images for tests, valid and hostile, and look up the processes that decode them."""

import asyncio
import io
import os
import struct
import time
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pyvips  # type: ignore[import-untyped]  # It ships stubs without saying so.
from PIL import Image

from streams.media.limits import MediaLimits

MIB = 1024 * 1024
LIMITS = MediaLimits(
    original_bytes_max=2_000_000,
    original_pixels_max=50_000_000,
    original_side_pixels_max=16_384,
    decoder_memory_bytes_max=96 * MIB,
    large_decoder_memory_bytes_max=512 * MIB,
    decoder_cpu_s_max=20,
    decoder_wall_s_max=60.0,
)
DEADLINE_S = 20.0
LOOK_S = 0.001
RED, BLUE = (250, 10, 10), (10, 10, 250)


def limits(**changed: Any) -> MediaLimits:
    return replace(LIMITS, **changed)


def picture(width: int, height: int, mode: str = "RGB") -> Image.Image:
    """Draw a blue picture with a red top left quarter, so that a wrong rotation is visible."""
    image = Image.new("RGB", (width, height), BLUE)
    image.paste(RED, (0, 0, max(width // 2, 1), max(height // 2, 1)))
    return image.convert(mode)


def encoded(image: Image.Image, image_format: str, **options: Any) -> bytes:
    body = io.BytesIO()
    image.save(body, image_format, **options)
    return body.getvalue()


def jpeg(width: int = 64, height: int = 48) -> bytes:
    return encoded(picture(width, height), "JPEG", quality=90)


def png(width: int = 64, height: int = 48) -> bytes:
    return encoded(picture(width, height), "PNG")


def interlaced_png(side: int) -> bytes:
    """A PNG of side x side that can only be decoded whole: three bytes a pixel of memory."""
    body: bytes = pyvips.Image.black(side, side, bands=3).pngsave_buffer(interlace=True, compression=1)
    return body


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack("!I", len(content)) + kind + content + struct.pack("!I", zlib.crc32(kind + content))


def png_of_header(width: int, height: int) -> bytes:
    """A PNG whose header states more pixels than its data contains."""
    header = struct.pack("!IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1_000))
    chunks = [png_chunk(b"IHDR", header), png_chunk(b"IDAT", pixels), png_chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def read(body: bytes) -> Image.Image:
    """The rendition, decoded by another library than the one that made it."""
    image = Image.open(io.BytesIO(body))
    image.load()
    return image


def pixel(body: bytes, across: float, down: float, mode: str = "RGB") -> tuple[int, ...]:
    """Return the colour at a point; `across` and `down` are fractions of the width and height."""
    image = read(body).convert(mode)
    found = image.getpixel((int(image.width * across), int(image.height * down)))
    assert isinstance(found, tuple)
    return tuple(int(number) for number in found)


def is_near(expected: tuple[int, ...], actual: tuple[int, ...], by: int = 20) -> bool:
    return all(abs(one - other) <= by for one, other in zip(expected, actual, strict=True))


def zygotes(pid: int | None = None) -> list[int]:
    """Return the zygotes (the parents of decoders) that this process, or `pid`, started."""
    return [
        child.pid for child in psutil.Process(pid).children() if "streams.media.zygote" in child.cmdline()
    ]


def children_of(pid: int) -> list[int]:
    """Return the children that a process has now; an empty list if the process has ended."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def is_running(pid: int) -> bool:
    """Whether a process runs; a zombie, whose exit status its parent has not read yet, does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def status_of(pid: int, name: str) -> str:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return next((line.split()[1] for line in lines if line.startswith(f"{name}:")), "")


def environment_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes()


def confined_decoder(zygote: int) -> int | None:
    """Return a decoder of `zygote` that has entered its sandbox, or None."""
    return next((pid for pid in children_of(zygote) if status_of(pid, "Seccomp") == "2"), None)


async def until(condition: Callable[[], Any], what: str) -> Any:
    """Wait until `condition()` returns a true value, and return that value.

    Raises:
        TimeoutError: It returned none in time; `what` names the condition in the message.
    """
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        if found := condition():
            return found
        await asyncio.sleep(LOOK_S)
    raise TimeoutError(f"{what}: not within {DEADLINE_S} s")


def signal_to(pid: int, number: int) -> None:
    os.kill(pid, number)
