"""Opens originals with libvips and checks their headers against the limits.

Only decoders may call this, because the bytes come from a user and cannot be trusted.
"""

from dataclasses import dataclass

import pyvips  # type: ignore[import-untyped]  # pyvips has no py.typed.

from streams.media.limits import MediaLimits
from streams.media.originals import OriginalFormat, format_of, frames_of_png, has_all_scans
from streams.media.rejected import Reason, Rejected

# While libjpeg decodes, it can shrink an image by a factor of 2, 4 or 8, which costs a fraction of
# decoding all of it. A resampler then shrinks the result to its final size. If the resampler has
# too little to do, the image looks jagged. With a factor of 1.5 or more for the resampler, the
# result is within 38 dB of decoding everything. The `thumbnail` of libvips requires a factor of 2,
# so for a rendition of 1,080 pixels it decodes a photo of 4,000 pixels in full. bench/renditions.py
# measures both.
LEFT_TO_RESIZE_MIN = 1.5
_JPEG_SHRINKS = (8, 4, 2)

_LOADERS = {
    OriginalFormat.JPEG: "VipsForeignLoadJpegBuffer",
    OriginalFormat.PNG: "VipsForeignLoadPngBuffer",
    OriginalFormat.WEBP: "VipsForeignLoadWebpBuffer",
}
_JPEG_END_MARKER = b"\xff\xd9"


@dataclass(frozen=True, slots=True)
class Original:
    """The bytes of an original. libvips fails on problems of the level `fail_on` and above.

    Without a level, libvips returns an image, and no error, for a truncated or broken file. At
    "warning" it also fails on what most files of cameras have, such as bytes between two segments.
    """

    body: memoryview
    fail_on: str = "error"

    def ended(self) -> "Original":
        """Return the original with a JPEG's end marker behind it.

        Browsers show a JPEG that lacks nothing else, and libvips then decodes it as well. If pixels
        are missing too, only a warning says so: libjpeg makes them up.
        """
        return Original(memoryview(bytes(self.body) + _JPEG_END_MARKER), fail_on="warning")


def allow_loaders() -> None:
    """Block all loaders of libvips except JPEG, PNG and WebP.

    Without this, libvips would also open SVG, TIFF, GIF, AVIF and other formats.
    """
    pyvips.block_untrusted_set(True)
    pyvips.operation_block_set("VipsForeignLoad", True)
    for loader in _LOADERS.values():
        pyvips.operation_block_set(loader, False)


def open_checked(original: Original, limits: MediaLimits) -> pyvips.Image:
    """Open the original, read its header and check it against `limits`; decodes no pixel.

    Raises:
        Rejected: The header breaks a limit.
        pyvips.Error: libvips cannot read the header.
    """
    original_format = format_of(original.body)
    if original_format is None:
        raise Rejected(Reason.UNSUPPORTED_FORMAT, "the first bytes are not those of JPEG, PNG or WebP")
    if original_format is OriginalFormat.PNG and (frames := frames_of_png(original.body)) > 1:
        raise Rejected(Reason.SEVERAL_FRAMES, f"an animated PNG of {frames} frames; send one")
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


def load_shrunk(original: Original, image: pyvips.Image, side_pixels: int) -> pyvips.Image:
    """Open `image` again, shrunk by its decoder as far as a rendition of `side_pixels` allows.

    Returns `image` itself if its format or its size allows no shrinking.
    """
    factor = max(image.width, image.height) / side_pixels / LEFT_TO_RESIZE_MIN
    # At least one pixel of the shorter side must be left.
    factor = min(factor, image.width, image.height)
    original_format = format_of(original.body)
    if original_format is OriginalFormat.JPEG:
        shrink = next((shrink for shrink in _JPEG_SHRINKS if shrink <= factor), 1)
        return _load(original, original_format, shrink=shrink) if shrink > 1 else image
    if original_format is OriginalFormat.WEBP and factor > 1:
        return _load(original, original_format, scale=1 / factor)
    return image


def _load(original: Original, original_format: OriginalFormat, **options: float | str) -> pyvips.Image:
    options |= {"access": "sequential", "fail_on": original.fail_on}
    return pyvips.Operation.call(f"{original_format}load_buffer", original.body, **options)


def lacks_its_end(original: Original, error: str) -> bool:
    """Return whether a JPEG failed with `error` because the file ended in or after its last scan."""
    return (
        format_of(original.body) is OriginalFormat.JPEG
        and "premature end of JPEG image" in error
        and has_all_scans(original.body)
    )
