"""A finished rendition."""

from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from types import MappingProxyType

THUMBNAIL = "thumbnail"
THUMBNAIL_SIDE_PIXELS = 150
# From the largest down, for each is made from the one before it.
FULL_SIDES_PIXELS = MappingProxyType({"large": 1080, "medium": 640, "small": 320})


class RenditionFormat(StrEnum):
    """How renditions are encoded."""

    JPEG = "jpeg"
    WEBP = "webp"

    @property
    def content_type(self) -> str:
        return f"image/{self.value}"

    @property
    def suffix(self) -> str:
        return "jpg" if self is RenditionFormat.JPEG else "webp"


@dataclass(frozen=True, slots=True)
class EncodedRendition:
    """One encoded rendition: sRGB, upright, without any metadata."""

    body: bytes
    width: int
    height: int
    sha256: str


def made(body: bytes, width: int, height: int) -> EncodedRendition:
    """A rendition with its hash, which is reckoned here and never taken from the decoder."""
    return EncodedRendition(body, width, height, sha256(body).hexdigest())
