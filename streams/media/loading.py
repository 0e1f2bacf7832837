"""Originals opened with libvips, once their headers have been found within the limits.

Runs in a decoder alone: the bytes are a stranger's.
"""

import pyvips  # type: ignore[import-untyped]  # It ships stubs without saying so.

from streams.media.limits import MediaLimits
from streams.media.originals import OriginalFormat, format_of, is_animated_png
from streams.media.rejected import Reason, Rejected

# libjpeg drops detail by whole factors while it decodes, which costs a fraction of decoding
# all of it. What is left to the resampler must be enough to smooth the steps: at 1.5 and
# more the result is within 38 dB of decoding everything; libvips' own `thumbnail` leaves 2
# and so decodes a photo of 4,000 pixels in full for 1,080. bench/renditions.py has both.
LEFT_TO_RESIZE_MIN = 1.5
_JPEG_SHRINKS = (8, 4, 2)

_LOADERS = {
    OriginalFormat.JPEG: "VipsForeignLoadJpegBuffer",
    OriginalFormat.PNG: "VipsForeignLoadPngBuffer",
    OriginalFormat.WEBP: "VipsForeignLoadWebpBuffer",
}


def allow_loaders() -> None:
    """Switch off every loader of libvips but three. It would open SVG, TIFF, GIF and AVIF unasked."""
    pyvips.block_untrusted_set(True)
    pyvips.operation_block_set("VipsForeignLoad", True)
    for loader in _LOADERS.values():
        pyvips.operation_block_set(loader, False)


def open_checked(original: memoryview, limits: MediaLimits) -> pyvips.Image:
    """The original with only its header read; no pixel is decoded before the header is within `limits`.

    Raises:
        Rejected: The header breaks a limit.
        pyvips.Error: libvips cannot read the header.
    """
    original_format = format_of(original)
    if original_format is None:
        raise Rejected(Reason.UNSUPPORTED_FORMAT, "the first bytes are not those of JPEG, PNG or WebP")
    if original_format is OriginalFormat.PNG and is_animated_png(original):
        raise Rejected(Reason.SEVERAL_FRAMES, "an animated PNG; send one frame")
    image = _load(original, original_format)
    _check(image, limits)
    return image


def _check(image: pyvips.Image, limits: MediaLimits) -> None:
    size = f"{image.width} x {image.height}"
    frames = image.get("n-pages") if image.get_typeof("n-pages") else 1
    if frames != 1:
        raise Rejected(Reason.SEVERAL_FRAMES, f"{frames} frames; send one")
    if image.width * image.height > limits.original_pixels_max:
        raise Rejected(Reason.TOO_MANY_PIXELS, f"{size} is above {limits.original_pixels_max} pixels")
    if max(image.width, image.height) > limits.original_side_pixels_max:
        raise Rejected(Reason.TOO_LONG_SIDE, f"{size} is above {limits.original_side_pixels_max} on a side")


def load_shrunk(original: memoryview, image: pyvips.Image, side_pixels: int) -> pyvips.Image:
    """Open `image` again, at the smallest size that its format can decode and that suits `side_pixels`."""
    factor = max(image.width, image.height) / side_pixels / LEFT_TO_RESIZE_MIN
    factor = min(factor, image.width, image.height)  # Of a side of one pixel nothing can be dropped.
    original_format = format_of(original)
    if original_format is OriginalFormat.JPEG:
        shrink = next((shrink for shrink in _JPEG_SHRINKS if shrink <= factor), 1)
        return _load(original, original_format, shrink=shrink) if shrink > 1 else image
    if original_format is OriginalFormat.WEBP and factor > 1:
        return _load(original, original_format, scale=1 / factor)
    return image


def _load(original: memoryview, original_format: OriginalFormat, **options: float | str) -> pyvips.Image:
    # Without fail_on libvips makes plausible pictures of truncated and broken files.
    options |= {"access": "sequential", "fail_on": "error"}
    return pyvips.Operation.call(f"{original_format}load_buffer", original, **options)
