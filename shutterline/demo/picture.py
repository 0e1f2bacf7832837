"""The demo's pictures: evenings in the mountains, each drawn from a number."""

import colorsys
import random
from typing import Any

from schemas.facts import Rendition
from streams.settings import S3Settings
from streams.stores.s3.bucket import s3_client

SIDES = {"thumbnail": 150, "small": 320, "medium": 640, "large": 1_080}
CONTENT_TYPE = "image/jpeg"
S3_TIMEOUT_S = 30.0
LAYERS = 4


# The original has a key of its own, because an event whose rendition has the original's key is
# refused.
ORIGINAL = "original"


def key_of(name: str) -> str:
    return f"demo/{name}.jpg"


async def put_picture(settings: S3Settings) -> dict[str, Rendition]:
    """Put a picture and all its renditions into the media bucket, like a publisher that makes its own.

    Returns the renditions as events name them.
    """
    renditions = {}
    async with s3_client(settings, S3_TIMEOUT_S) as client:
        for name, side in {**SIDES, ORIGINAL: max(SIDES.values())}.items():
            picture = draw(0, side)
            body = picture.jpegsave_buffer(Q=80)
            await client.put_object(
                Bucket=settings.s3_bucket, Key=key_of(name), Body=body, ContentType=CONTENT_TYPE
            )
            if name == ORIGINAL:
                continue
            renditions[name] = Rendition(object_key=key_of(name), width=picture.width, height=picture.height)
    return renditions


def draw(number: int, width: int) -> Any:
    """A sky with a low sun behind ridges, 3:2. The same number is the same picture."""
    import pyvips  # type: ignore[import-untyped]  # Imported here: it would delay --help.

    numbers = random.Random(number)
    height = width * 2 // 3
    coordinates = pyvips.Image.xyz(width, height)
    x, y = coordinates[0] / width, coordinates[1] / height
    hue = numbers.random()
    top, low = _colour(hue, 0.7, 0.35), _colour(hue + numbers.uniform(0.1, 0.35), 0.5, 0.8)
    depth = (y > 0.7).ifthenelse(1.0, y / 0.7)
    picture = depth.bandjoin([depth, depth]) * [b - a for a, b in zip(top, low, strict=True)] + top
    sun_x, sun_y = numbers.uniform(0.2, 0.8), numbers.uniform(0.2, 0.5)
    away = (((x - sun_x) * 1.5) ** 2 + (y - sun_y) ** 2) ** 0.5
    picture = picture + (away * -6).exp() * [70, 60, 35]
    picture = (away < 0.06).ifthenelse([255, 244, 214], picture)
    for layer in range(LAYERS):
        line = _ridge(numbers, width, layer).replicate(1, height)
        picture = (y > line).ifthenelse(_colour(hue + 0.02 * layer, 0.55, 0.5 - 0.12 * layer), picture)
    # Grain, as of a camera: without it the file would be much smaller than a photo.
    grain = pyvips.Image.gaussnoise(width, height, sigma=4, seed=numbers.randrange(2**31))
    return (picture + grain).cast("uchar").copy(interpretation="srgb")


def _ridge(numbers: random.Random, width: int, layer: int) -> Any:
    """The ridge's top in each column, as a share of the height from above."""
    import pyvips

    hills, rocks = (
        pyvips.Image.perlin(width, 1, cell_size=max(4, width // cells), seed=numbers.randrange(2**31))
        for cells in (2 + 2 * layer, 24 + 8 * layer)
    )
    return hills * 0.13 + rocks * 0.025 + (0.5 + 0.13 * layer)


def _colour(hue: float, saturation: float, value: float) -> list[float]:
    return [255 * part for part in colorsys.hsv_to_rgb(hue % 1, saturation, value)]
