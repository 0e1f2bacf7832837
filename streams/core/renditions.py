"""Renditions: their names, sizes and formats, and the type of an encoded rendition."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from types import MappingProxyType
from typing import get_args

from schemas.fields import RenditionName

THUMBNAIL_SIDE_PIXELS = 150
# Longest sides by name, the largest first: each rendition is made from the one before it.
FULL_SIDES_PIXELS: Mapping[str, int] = MappingProxyType({"large": 1080, "medium": 640, "small": 320})

THUMBNAIL = "thumbnail"
LARGER = frozenset(FULL_SIDES_PIXELS)
ALL_RENDITIONS: frozenset[str] = frozenset(get_args(RenditionName))
assert ALL_RENDITIONS == LARGER | {THUMBNAIL}


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
    """One rendition: sRGB, upright, without metadata. `sha256` is hexadecimal."""

    body: bytes
    width: int
    height: int
    sha256: str


def encoded_rendition(body: bytes, width: int, height: int) -> EncodedRendition:
    """Return the rendition with its hash, computed here because the decoder is not trusted."""
    return EncodedRendition(body, width, height, sha256(body).hexdigest())
