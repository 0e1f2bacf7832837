"""What a rendition must be: its size, its name, and nothing in it but pixels; read back with Pillow."""

import io
from collections.abc import Mapping
from hashlib import sha256
from urllib.parse import urlsplit

from PIL import Image

from shutterline.client.feed import Json

SIDES = {"thumbnail": 150, "small": 320, "medium": 640, "large": 1_080}
# What Pillow says of a JPEG or WebP that has pixels alone.
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
    """What is wrong with a rendition of an original of this size (as it is looked at); [] when nothing is."""
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
    """The names of all that the file says beside its pixels."""
    extra = {str(key) for key in image.info} - PLAIN
    return extra | ({"exif"} if len(image.getexif()) else set())


def size_of(width: int, height: int, side: int) -> tuple[int, int]:
    """The size with this longest side, never enlarged."""
    scale = min(1.0, side / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def missing(renditions: Mapping[str, object]) -> list[str]:
    return [name for name in SIDES if name not in renditions]
