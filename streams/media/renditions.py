"""Renditions of an opened original, made with libvips: upright, sRGB, without metadata."""

from collections.abc import Iterator

import pyvips  # type: ignore[import-untyped]  # It ships stubs without saying so.

from streams.core.renditions import FULL_SIDES_PIXELS, THUMBNAIL, THUMBNAIL_SIDE_PIXELS, RenditionFormat
from streams.media.loading import load_shrunk

_WHITE = 255
# Optimal Huffman tables are 5 % fewer bytes for 3 % more CPU time, and a rendition is made once
# and sent often; a progressive JPEG would be 6 % fewer for 10 % more, and slower to show.
# Below a quality of 90 libvips stores colour at half the resolution (4:2:0).
_JPEG_OPTIONS = {"Q": 80, "optimize_coding": True, "keep": "none"}
# Effort 4, libwebp's own choice, is 5 % fewer bytes for three times the CPU time of effort 1.
_WEBP_OPTIONS = {"Q": 75, "effort": 1, "keep": "none"}


def thumbnail(
    original: memoryview, image: pyvips.Image, rendition_format: RenditionFormat
) -> Iterator[tuple[str, bytes, int, int]]:
    """The thumbnail of `image`, opened from `original`, as (name, body, width, height).

    Drops seven eighths of each side while decoding where it can: little is left but entropy decoding.

    Raises:
        pyvips.Error: The pixels are broken, or memory was refused.
    """
    image = load_shrunk(original, image, THUMBNAIL_SIDE_PIXELS)
    yield _encoded(
        THUMBNAIL, _in_srgb(_within(image, THUMBNAIL_SIDE_PIXELS), rendition_format), rendition_format
    )


def full(
    original: memoryview, image: pyvips.Image, rendition_format: RenditionFormat
) -> Iterator[tuple[str, bytes, int, int]]:
    """The other three, from the largest down: one decoding, each made from the one before it.

    Raises:
        pyvips.Error: The pixels are broken, or memory was refused.
    """
    image = load_shrunk(original, image, max(FULL_SIDES_PIXELS.values()))
    is_srgb = False
    for name, side_pixels in FULL_SIDES_PIXELS.items():
        image = _within(image, side_pixels)
        if not is_srgb:
            image, is_srgb = _in_srgb(image, rendition_format), True
        yield _encoded(name, image, rendition_format)


def _within(image: pyvips.Image, side_pixels: int) -> pyvips.Image:
    """`image` upright and in memory, at most `side_pixels` on its longest side, never enlarged."""
    # Kept in memory since it is read twice: to be encoded, and to make the next one.
    return image.thumbnail_image(side_pixels, height=side_pixels, size="down").copy_memory()


def _in_srgb(image: pyvips.Image, rendition_format: RenditionFormat) -> pyvips.Image:
    """Eight bits of sRGB; transparency stays in WebP and turns white in JPEG, which has none."""
    image = _converted(image)
    if rendition_format is RenditionFormat.JPEG and image.hasalpha():
        image = image.flatten(background=_WHITE)
    return image.copy_memory()


def _converted(image: pyvips.Image) -> pyvips.Image:
    # Converted after it was made small: the colours of a megapixel, not of fifty.
    if image.get_typeof("icc-profile-data"):
        try:
            return image.icc_transform("srgb", embedded=True, intent="relative").copy_memory()
        except pyvips.Error:
            pass  # A profile that cannot be read is ignored, as browsers do: its pixels are whole.
    return image.colourspace("srgb")


def _encoded(
    name: str, image: pyvips.Image, rendition_format: RenditionFormat
) -> tuple[str, bytes, int, int]:
    if rendition_format is RenditionFormat.WEBP:
        return name, image.webpsave_buffer(**_WEBP_OPTIONS), image.width, image.height
    return name, image.jpegsave_buffer(**_JPEG_OPTIONS), image.width, image.height
