"""Makes renditions of an opened original with libvips: upright, in sRGB, without metadata."""

from collections.abc import Iterator

import pyvips  # type: ignore[import-untyped]  # pyvips has no py.typed.

from streams.core.renditions import FULL_SIDES_PIXELS, THUMBNAIL, THUMBNAIL_SIDE_PIXELS, RenditionFormat
from streams.media.loading import Original, load_shrunk

_WHITE = 255
# Optimal Huffman tables save 5 % of the bytes and take 3 % more CPU time. They are worth it,
# because a rendition is made once and sent often. A progressive JPEG would save 6 % and take 10 %
# more CPU time, and browsers would take longer to show it. Below a quality of 90, libvips stores
# colour at half the resolution (4:2:0).
_JPEG_OPTIONS = {"Q": 80, "optimize_coding": True, "keep": "none"}
# Effort 4, the default of libwebp, saves 5 % of the bytes but takes three times the CPU time of
# effort 1.
_WEBP_OPTIONS = {"Q": 75, "effort": 1, "keep": "none"}


def thumbnail(
    original: Original, image: pyvips.Image, rendition_format: RenditionFormat
) -> Iterator[tuple[str, bytes, int, int]]:
    """Yield the thumbnail of `image`, opened from `original`, as (name, body, width, height).

    A large JPEG is shrunk to an eighth of each side while it is decoded, so that entropy decoding
    is most of the remaining work.

    Raises:
        pyvips.Error: The pixels are broken, or memory was refused.
    """
    image = load_shrunk(original, image, THUMBNAIL_SIDE_PIXELS)
    yield _encoded(
        THUMBNAIL, _in_srgb(_within(image, THUMBNAIL_SIDE_PIXELS), rendition_format), rendition_format
    )


def full(
    original: Original, image: pyvips.Image, rendition_format: RenditionFormat
) -> Iterator[tuple[str, bytes, int, int]]:
    """Yield `large`, `medium` and `small` in the form of `thumbnail`; decodes the original once.

    Each rendition is made from the one before it, which is larger.

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
    """Return `image` upright, its longest side at most `side_pixels`; never enlarges it."""
    # The result is held in memory, because it is read twice: it is encoded, and the next rendition
    # is made from it.
    return image.thumbnail_image(side_pixels, height=side_pixels, size="down").copy_memory()


def _in_srgb(image: pyvips.Image, rendition_format: RenditionFormat) -> pyvips.Image:
    """Convert to 8-bit sRGB. Transparency is retained in WebP and becomes white in JPEG."""
    image = _converted(image)
    if rendition_format is RenditionFormat.JPEG and image.hasalpha():
        image = image.flatten(background=_WHITE)
    return image.copy_memory()


def _converted(image: pyvips.Image) -> pyvips.Image:
    # The image is already shrunk here: converting the colours of 1 megapixel instead of 50 saves
    # time.
    if image.get_typeof("icc-profile-data"):
        try:
            return image.icc_transform("srgb", embedded=True, intent="relative").copy_memory()
        except pyvips.Error:
            pass  # A broken profile is ignored, as browsers do, because the pixels are intact.
    return image.colourspace("srgb")


def _encoded(
    name: str, image: pyvips.Image, rendition_format: RenditionFormat
) -> tuple[str, bytes, int, int]:
    if rendition_format is RenditionFormat.WEBP:
        return name, image.webpsave_buffer(**_WEBP_OPTIONS), image.width, image.height
    return name, image.jpegsave_buffer(**_JPEG_OPTIONS), image.width, image.height
