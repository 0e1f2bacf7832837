"""Check a rendition with Pillow: its size, its name, and that it has no metadata."""

import io
from collections.abc import Mapping
from hashlib import sha256
from urllib.parse import urlsplit

from PIL import Image

from shutterline.client.feed import Json

SIDES = {"thumbnail": 150, "small": 320, "medium": 640, "large": 1_080}
# The names that Pillow puts into `Image.info` for a JPEG or WebP without metadata.
PLAIN = frozenset(
    {
        "jfif",
        "jfif_version",
        "jfif_unit",
        "jfif_density",
        "loop",
        "background",
        "timestamp",
        "duration",
        "dpi",
    }
)


def faults(name: str, stated: Json, body: bytes, width: int, height: int) -> list[str]:
    """Return what is wrong with a rendition; empty if nothing is.

    `width` and `height` are those of the original as displayed, that is, after orientation.
    """
    found = []
    image = Image.open(io.BytesIO(body))
    image.load()
    if image.size != (stated["width"], stated["height"]):
        found.append(f"{name} is {image.size}, stated as {stated['width']} x {stated['height']}")
    wanted = size_of(width, height, SIDES[name])
    if any(abs(have - want) > 1 for have, want in zip(image.size, wanted, strict=True)):
        found.append(f"{name} is {image.size}, but {wanted} was to be made of {width} x {height}")
    if sha256(body).hexdigest() not in urlsplit(stated["url"]).path:
        found.append(f"{name}: its name does not hold the hash of its bytes")
    if extra := metadata(image):
        found.append(f"{name} carries {sorted(extra)}")
    return found


def metadata(image: Image.Image) -> set[str]:
    """Return the names of all metadata in the file."""
    extra = {str(key) for key in image.info} - PLAIN
    return extra | ({"exif"} if len(image.getexif()) else set())


def size_of(width: int, height: int, side: int) -> tuple[int, int]:
    """The size with this longest side, never enlarged."""
    scale = min(1.0, side / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def missing(renditions: Mapping[str, object]) -> list[str]:
    return [name for name in SIDES if name not in renditions]
