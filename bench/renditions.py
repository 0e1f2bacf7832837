"""Photos a second and core through the sandbox, beside bare libvips making the largest rendition alone.

All sides take turns, photo by photo, so a busy moment of the machine affects all of them alike:

- bare: this process decodes, and encodes the rendition of 1,080 pixels, by libvips' `thumbnail_buffer`;
- bare, shrunk: the same with the decoders' own code, which lets libjpeg halve the image more often;
- four in JPEG, four in WebP: thumbnail, small, medium, large by two sandboxed decoders.

A photo's cost is the CPU time of all processes that work on it: this one, the zygote, the decoders.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

# Set before pyvips is imported, which reads it. Bare libvips gets one thread, as a decoder has.
os.environ["VIPS_CONCURRENCY"] = "1"

import psutil
import pyvips  # type: ignore[import-untyped]
from rich.console import Console
from rich.table import Table

from bench.measuring.running import bench_arguments
from streams.core.renditions import FULL_SIDES_PIXELS, RenditionFormat
from streams.media.decoders import Decoders
from streams.media.limits import MediaLimits
from streams.media.loading import Original
from streams.media.originals import OriginalFormat, format_of
from streams.media.renditions import full

WIDTH, HEIGHT = 4_000, 3_000
QUALITY = 88
LARGE_PIXELS = FULL_SIDES_PIXELS["large"]
BUSY_SHARE_MIN = 0.9
RATIO_GOAL = 0.6

LIMITS = MediaLimits(
    original_bytes_max=25_000_000,
    original_pixels_max=50_000_000,
    original_side_pixels_max=16_384,
    decoder_memory_bytes_max=112 * 1024 * 1024,
    large_decoder_memory_bytes_max=512 * 1024 * 1024,
    decoder_cpu_s_max=20,
    decoder_wall_s_max=60.0,
)


@dataclass(slots=True)
class Side:
    """One way of making renditions, and what it has cost so far."""

    name: str
    make: Callable[[bytes], Awaitable[None]]
    used_elsewhere_s: Callable[[], float] = lambda: 0.0
    wall_s: float = 0.0
    cpu_s: float = 0.0
    photos: int = field(default=0)

    async def turn(self, photo: bytes) -> None:
        wall_s, cpu_s = time.perf_counter(), time.process_time() + self.used_elsewhere_s()
        await self.make(photo)
        self.wall_s += time.perf_counter() - wall_s
        self.cpu_s += time.process_time() + self.used_elsewhere_s() - cpu_s
        self.photos += 1

    @property
    def photos_per_s(self) -> float:
        return self.photos / self.cpu_s


def drawn_photo() -> bytes:
    """A JPEG of 12 megapixels with the detail of a photo: shapes of every size, and a sensor's noise."""
    shapes = sum(
        (
            pyvips.Image.perlin(WIDTH, HEIGHT, cell_size=size, seed=size) * size**0.5
            for size in (512, 128, 32, 8)
        ),
        pyvips.Image.black(WIDTH, HEIGHT),
    )
    channels = [shapes * gain + 120 for gain in (3.0, 2.6, 2.0)]
    noise = pyvips.Image.gaussnoise(WIDTH, HEIGHT, mean=0, sigma=5, seed=1)
    picture = (channels[0].bandjoin(channels[1:]) + noise).cast("uchar").copy(interpretation="srgb")
    body: bytes = picture.jpegsave_buffer(Q=QUALITY)
    return body


def photos_of(folder: Path | None) -> list[bytes]:
    """The drawn photo, and every JPEG, PNG and WebP of `folder`."""
    files = sorted(path for path in folder.rglob("*") if path.is_file()) if folder else []
    return [drawn_photo(), *(body for body in (path.read_bytes() for path in files) if format_of(body))]


async def bare(photo: bytes) -> None:
    image = pyvips.Image.thumbnail_buffer(
        photo, LARGE_PIXELS, height=LARGE_PIXELS, size="down", fail_on="error"
    )
    image.jpegsave_buffer(Q=80, optimize_coding=True, keep="none")


async def bare_shrunk(photo: bytes) -> None:
    image = pyvips.Operation.call(
        f"{format_of(photo) or OriginalFormat.JPEG}load_buffer", photo, access="sequential"
    )
    next(iter(full(Original(memoryview(photo)), image, RenditionFormat.JPEG)))


async def sandboxed(stack: AsyncExitStack, rendition_format: RenditionFormat) -> Side:
    """A side with a zygote of its own, ready, whose CPU time is counted with that of its decoders."""
    before = {child.pid for child in psutil.Process().children()}
    decoders = await stack.enter_async_context(
        Decoders(LIMITS, children_max=1, is_background=False, rendition_format=rendition_format)
    )
    [zygote] = [child for child in psutil.Process().children() if child.pid not in before]

    async def four(photo: bytes) -> None:
        await decoders.thumbnail(photo)
        await decoders.full(photo)

    return Side(f"four in {rendition_format}, sandboxed", four, lambda: sum(zygote.cpu_times()[:4]))


async def measure(photos: Sequence[bytes], rounds: int) -> list[Side]:
    """Every side `rounds` times, in turns."""
    async with AsyncExitStack() as stack:
        sides = [
            Side("1,080 alone, bare", bare),
            Side("1,080 alone, bare, shrunk", bare_shrunk),
            await sandboxed(stack, RenditionFormat.JPEG),
            await sandboxed(stack, RenditionFormat.WEBP),
        ]
        for turn in range(rounds):
            for side in sides:
                await side.turn(photos[turn % len(photos)])
        return sides


def report(sides: Sequence[Side]) -> Table:
    table = Table(title="Renditions, one image at a time")
    for column in ("side", "photos", "photos/s/core", "ratio to bare", "CPU s", "wall s", "limit"):
        table.add_column(column, justify="left" if column in ("side", "limit") else "right")
    for side in sides:
        share = side.cpu_s / side.wall_s
        table.add_row(
            side.name,
            str(side.photos),
            f"{side.photos_per_s:.2f}",
            f"{side.photos_per_s / sides[0].photos_per_s:.2f}",
            f"{side.cpu_s:.2f}",
            f"{side.wall_s:.2f}",
            f"{'CPU' if share >= BUSY_SHARE_MIN else 'waiting for a core'}, {share:.0%} of one",
        )
    return table


def main() -> None:
    """Print the table; the goal is the ratio of the four in JPEG."""
    arguments = bench_arguments(__doc__, photos=20, folder=None)
    photos = photos_of(arguments.folder)
    sides = asyncio.run(measure(photos, arguments.photos))
    Console(width=140).print(report(sides))
    Console().print(f"goal: a ratio of at least {RATIO_GOAL} for four in JPEG")


if __name__ == "__main__":
    main()
